use super::{
    now_ms,
    records::{Row, StateName, Wanted},
};
use crate::{
    Options,
    cli::{
        failure::Failure,
        output::{age, note, print, print_json, quoted},
        service::Service,
        target::Target,
        values,
    },
};
use clap::Args;
use std::time::Duration;

const ADVICE: &str = "
Nobody knows whether these had their effect. For each, ask whoever would know
(the payment provider), then tell the store, and it tells the clients:

  it happened             idemstore resolve KEY --scope SCOPE --completed JSON
  it did not, and won't   idemstore resolve KEY --scope SCOPE --failed JSON
  it did not, run it      idemstore release KEY --scope SCOPE

each with --reason WHY --yes. One with a live lease is still being run: wait.
";

/// List attempts that nobody runs any more, and what to do about them.
#[derive(Debug, Args)]
#[command(after_help = "Those are the attempts in flight whose lease has lapsed, or whose process is gone.")]
pub(in crate::cli) struct Stuck {
    #[command(flatten)]
    target: Target,
    /// Only those of this scope.
    #[arg(long)]
    scope: Option<String>,
    /// Also attempts with a live lease that were first seen at least this long ago, such as 10m.
    #[arg(long, value_name = "AGE", value_parser = values::duration)]
    older: Option<Duration>,
}

impl Stuck {
    pub(in crate::cli) async fn run(self) -> Result<(), Failure> {
        let mut service = Service::find(&self.target, &Options::new()).await?;
        let wanted = Wanted { state: Some(StateName::InFlight), scope: self.scope.as_deref(), older: None };
        let (mut after, mut count) = (None, 0);
        loop {
            let page = wanted.page(&mut service, u64::MAX, after.as_deref()).await?;
            let now = now_ms();
            for record in &page.records {
                let row = Row::read(record)?;
                if !self.is_stuck(&row, now) {
                    continue;
                }
                count += 1;
                let printed = if self.target.json { print_json(record.get()) } else { print(shown(&row, now)) };
                printed?;
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        if count == 0 {
            note("nothing is stuck");
        } else if !self.target.json {
            print(ADVICE)?;
        }
        Ok(())
    }

    fn is_stuck(&self, row: &Row, now: u64) -> bool {
        let age = Duration::from_millis(now.saturating_sub(row.first_seen_at));
        row.is_lapsed || self.older.is_some_and(|older| age >= older)
    }
}

/// Shows an attempt: its first line is what `resolve` and `release` want to be told.
fn shown(row: &Row, now: u64) -> String {
    let checkpoint = if row.has_checkpoint { "checkpoint set: it may have begun" } else { "no checkpoint" };
    let (key, scope) = (quoted(&row.key), quoted(&row.scope));
    format!("{key} --scope {scope}\n    first seen {}, {}, {checkpoint}\n", age(now, row.first_seen_at), lease(row, now))
}

fn lease(row: &Row, now: u64) -> String {
    match (row.is_lapsed, row.lease_expires_at <= now) {
        (true, true) => format!("lease lapsed {}", age(now, row.lease_expires_at)),
        (true, false) => "its process is gone".to_owned(),
        (false, _) => format!("lease live, lapses {}", age(now, row.lease_expires_at)),
    }
}
