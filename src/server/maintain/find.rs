//! Which scopes have a key: for whoever has a key from a customer, and nothing else.

use super::lines::Reporter;
use crate::{
    Error, ErrorKind, ListFilter, Progress, Result, Store,
    limits::{LIST_RECORDS_MAX, SCOPE_BYTES_MAX},
};
use serde::{Deserialize, Serialize};

/// More scopes are not named.
const SCOPES_MAX: usize = 100;

/// What is looked for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Order {
    key: String,
}

#[derive(Serialize)]
pub(super) struct Found {
    scopes: Vec<String>,
    /// Damaged records, of which nobody can tell.
    damaged: usize,
}

/// Looks through all records.
pub(super) fn run(store: &Store, order: &Order, reporter: &mut Reporter) -> Result<Found> {
    const { assert!(SCOPES_MAX * SCOPE_BYTES_MAX < 1 << 20, "a report is a short line") };
    let stats = store.stats()?;
    let total = stats.in_flight + stats.completed + stats.failed;
    let (filter, mut after, mut looked_at) = (ListFilter::new().limit(LIST_RECORDS_MAX), None, 0);
    let mut found = Found { scopes: Vec::new(), damaged: 0 };
    loop {
        let page = store.list(&filter, after.as_ref())?;
        looked_at += page.records.len() as u64;
        let having = page.records.iter().filter(|record| record.key.id() == order.key);
        found.scopes.extend(having.map(|record| record.key.scope().as_str().to_owned()));
        found.damaged += page.damaged.len();
        after = page.next;
        if after.is_none() || found.scopes.len() >= SCOPES_MAX {
            found.scopes.truncate(SCOPES_MAX);
            return Ok(found);
        }
        if reporter.tell(Progress { records: looked_at, total }).is_break() {
            return Err(Error::new(ErrorKind::Stopped, "the client went away"));
        }
    }
}
