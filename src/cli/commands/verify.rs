use super::{read, work};
use crate::{
    Options,
    cli::{
        failure::Failure,
        output::{bytes, escaped, facts, print, print_json},
        service::Service,
        target::Target,
    },
    server::reports::Verified,
};
use clap::Args;

/// Check every record.
#[derive(Debug, Args)]
#[command(
    after_help = "Ends with 1 when anything is damaged. A running owner does not read again what it has in memory: to check \
                        the whole file, stop it first."
)]
pub(in crate::cli) struct Verify {
    #[command(flatten)]
    target: Target,
}

impl Verify {
    pub(in crate::cli) async fn run(self) -> Result<(), Failure> {
        let mut service = Service::find(&self.target, &Options::new()).await?;
        let json = work(&mut service, "/v1/verify", serde_json::json!({}), "verifying").await?;
        let report: Verified = read(&json)?;
        let printed = if self.target.json { print_json(&json) } else { print(shown(&report)) };
        match printed {
            // Nobody has heard it, and no news is not good news.
            Err(Failure::ReaderGone) => Err(Failure::new("whoever reads the report went away before its end")),
            printed => printed.and(if report.is_sound { Ok(()) } else { Err(Failure::Found) }),
        }
    }
}

fn shown(report: &Verified) -> String {
    let counts = match report.counts_match {
        Some(true) => "match",
        Some(false) => "do not match: export and import into a new store",
        None => "not compared: the store changed meanwhile, or is damaged",
    };
    let mut text = facts(&[
        ("result", if report.is_sound { "sound" } else { "DAMAGED" }.to_owned()),
        ("records", report.records.to_string()),
        ("size", bytes(report.bytes)),
        ("damaged", report.damaged.to_string()),
        ("unindexed", report.unindexed.to_string()),
        ("astray", report.astray.to_string()),
        ("counts", counts.to_owned()),
    ]);
    if !report.damaged_keys.is_empty() {
        text += "\nDamaged, and used for as long as they are there:\n";
    }
    for named in &report.damaged_keys {
        let named = named.as_ref().map(|named| format!("{}  {}", escaped(&named.scope), escaped(&named.key)));
        text.extend(["  ", named.as_deref().unwrap_or("(the key itself cannot be read)"), "\n"]);
    }
    text
}
