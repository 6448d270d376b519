use super::{
    now_ms,
    records::{Row, StateName, Wanted},
};
use crate::{
    Options,
    cli::{
        failure::Failure,
        output::{age, escaped, note, print, print_json, table},
        service::Service,
        target::Target,
        values,
    },
};
use clap::Args;
use std::time::Duration;

const ADVICE: &str =
    "\nNobody knows whether these had their effect. For each, ask whoever would know (the payment provider), then say so:
  idemstore resolve KEY --scope SCOPE --completed JSON --reason WHY --yes   it happened, and clients get this answer
  idemstore resolve KEY --scope SCOPE --failed JSON --reason WHY --yes      it did not, and never will
  idemstore release KEY --scope SCOPE --reason WHY --yes                    it did not, and the next request runs it
One whose lease is live is still being run: wait until the lease has lapsed.\n";

/// Lists attempts that nobody runs any more, and what to do about them.
///
/// Those are the attempts in flight whose lease has lapsed, or whose process is gone.
#[derive(Debug, Args)]
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
            let mut rows = Vec::new();
            for record in &page.records {
                let row = Row::read(record)?;
                if !self.is_stuck(&row, now) {
                    continue;
                }
                count += 1;
                if self.target.json {
                    print_json(record.get())?;
                }
                rows.push(row);
            }
            if !self.target.json && !rows.is_empty() {
                print(shown(&rows, now))?;
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

fn shown(rows: &[Row], now: u64) -> String {
    let header = ["SCOPE", "KEY", "ATTEMPT", "FIRST SEEN", "LEASE", "CHECKPOINT"];
    table(
        &header,
        rows.iter().map(|row| {
            vec![
                escaped(&row.scope),
                escaped(&row.key),
                row.attempt.to_string(),
                age(now, row.first_seen_at),
                lease(row, now),
                if row.has_checkpoint { "set: it had begun" } else { "none" }.to_owned(),
            ]
        }),
    )
}

fn lease(row: &Row, now: u64) -> String {
    match (row.is_lapsed, row.lease_expires_at <= now) {
        (true, true) => format!("lapsed {}", age(now, row.lease_expires_at)),
        (true, false) => "lapsed: its process is gone".to_owned(),
        (false, _) => format!("live, lapses {}", age(now, row.lease_expires_at)),
    }
}
