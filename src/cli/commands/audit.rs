use super::read;
use crate::{
    Options,
    cli::{
        failure::Failure,
        output::{escaped, instant, note, print, print_json, table},
        service::{Service, query},
        target::Target,
    },
};
use clap::Args;
use serde::Deserialize;
use serde_json::value::RawValue;

/// List what was resolved and released by hand, and why, oldest first.
#[derive(Debug, Args)]
pub(in crate::cli) struct Audit {
    #[command(flatten)]
    target: Target,
    /// Only acts on keys of this scope.
    #[arg(long)]
    scope: Option<String>,
    /// Only acts on this key.
    #[arg(long)]
    key: Option<String>,
    /// Only acts from this number on.
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    from: u64,
}

#[derive(Deserialize)]
struct Page {
    rows: Vec<Box<RawValue>>,
    next: Option<u64>,
}

#[derive(Deserialize)]
struct Row {
    number: u64,
    at: u64,
    scope: String,
    key: String,
    outcome: String,
    reason: String,
}

impl Audit {
    pub(in crate::cli) async fn run(self) -> Result<(), Failure> {
        let mut service = Service::find(&self.target, &Options::new()).await?;
        let (mut from, mut is_empty) = (Some(self.from), true);
        while let Some(first) = from {
            let (first, scope, key) = (first.to_string(), self.scope.as_deref(), self.key.as_deref());
            let path = query("/v1/audit", &[("scope", scope), ("key", key), ("from", Some(&first)), ("limit", Some("1000"))]);
            let page: Page = read(service.get(&path).await?)?;
            is_empty &= page.rows.is_empty();
            if self.target.json {
                page.rows.iter().try_for_each(|row| print_json(row.get()))?;
            } else if !page.rows.is_empty() {
                let rows = page.rows.iter().map(|row| read(row.get())).collect::<Result<Vec<Row>, _>>()?;
                print(shown(&rows))?;
            }
            from = page.next;
        }
        if is_empty {
            note("nothing was resolved by hand");
        }
        Ok(())
    }
}

const REASON_COLUMN: usize = 5;

fn shown(rows: &[Row]) -> String {
    table(
        &["NUMBER", "WHEN", "SCOPE", "KEY", "OUTCOME", "REASON"],
        REASON_COLUMN,
        rows.iter().map(|row| {
            let (scope, key, reason) = (escaped(&row.scope), escaped(&row.key), escaped(&row.reason));
            vec![row.number.to_string(), instant(row.at), scope, key, row.outcome.clone(), reason]
        }),
    )
}
