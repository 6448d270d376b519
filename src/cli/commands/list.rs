use super::{
    now_ms,
    records::{Row, StateName, Wanted},
};
use crate::{
    Options,
    cli::{
        failure::Failure,
        output::{escaped, note, print, print_json, since, table, until},
        service::Service,
        target::Target,
        values,
    },
};
use clap::Args;
use std::time::Duration;

/// List records.
#[derive(Debug, Args)]
pub(in crate::cli) struct List {
    #[command(flatten)]
    target: Target,
    /// Only records in this state.
    #[arg(long, value_enum)]
    state: Option<StateName>,
    /// Only records of this scope.
    #[arg(long)]
    scope: Option<String>,
    /// Only records first seen at least this long ago, such as 5m or 24h.
    #[arg(long, value_name = "AGE", value_parser = values::duration)]
    older: Option<Duration>,
    /// List at most this many.
    #[arg(long, value_name = "RECORDS", default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..))]
    limit: u64,
    /// List them all.
    #[arg(long, conflicts_with = "limit")]
    all: bool,
}

impl List {
    pub(in crate::cli) async fn run(self) -> Result<(), Failure> {
        let mut service = Service::find(&self.target, &Options::new()).await?;
        let wanted = Wanted { state: self.state, scope: self.scope.as_deref(), older: self.older };
        let mut left = if self.all { u64::MAX } else { self.limit };
        let (mut after, mut damaged, mut has_any) = (None, 0, false);
        loop {
            let page = wanted.page(&mut service, left, after.as_deref()).await?;
            left = left.saturating_sub(page.records.len() as u64);
            damaged += page.damaged.len();
            has_any |= !page.records.is_empty();
            if self.target.json {
                page.records.iter().try_for_each(|record| print_json(record.get()))?;
            } else if !page.records.is_empty() {
                let rows = page.records.iter().map(|record| Row::read(record)).collect::<Result<Vec<_>, _>>()?;
                print(shown(&rows))?;
            }
            after = page.next;
            if after.is_none() || left == 0 {
                break;
            }
        }
        if !has_any {
            note("no such records");
        }
        if after.is_some() {
            note(format_args!("there may be more: --all lists them, --limit more than {}", self.limit));
        }
        if damaged > 0 {
            note(format_args!("{damaged} damaged records are not listed: see `idemstore verify`"));
        }
        Ok(())
    }
}

fn shown(rows: &[Row]) -> String {
    let now = now_ms();
    let cells = |row: &Row| {
        let expires = row.expires_at.map_or_else(|| "never".to_owned(), |expires| until(now, expires));
        vec![escaped(&row.scope), escaped(&row.key), row.shown_state().to_owned(), since(now, row.first_seen_at), expires]
    };
    table(&["SCOPE", "KEY", "STATE", "AGE", "EXPIRES"], SCOPE_COLUMN, rows.iter().map(cells))
}

const SCOPE_COLUMN: usize = 0;
