use super::{read, work};
use crate::{
    Options,
    cli::{
        failure::Failure,
        output::{note, print, print_json},
        service::Service,
        target::Target,
    },
    server::reports::Swept,
};
use clap::Args;

/// Remove expired records now.
#[derive(Debug, Args)]
#[command(after_help = "A running owner does that by itself. An attempt with a checkpoint is never removed: resolve it.")]
pub(in crate::cli) struct Sweep {
    #[command(flatten)]
    target: Target,
    /// Only count what would be removed.
    #[arg(long)]
    dry_run: bool,
}

impl Sweep {
    pub(in crate::cli) async fn run(self) -> Result<(), Failure> {
        let mut service = Service::find(&self.target, &Options::new()).await?;
        let nothing = serde_json::json!({});
        let json = if self.dry_run {
            work(&mut service, "/v1/preview-sweep", nothing, "counting").await?.into_bytes()
        } else {
            service.post("/v1/sweep", &nothing).await?.to_vec()
        };
        let report: Swept = read(&json)?;
        if report.paused {
            note("the wall clock leapt ahead and is not believed yet, so nothing is removed: check the clock");
        }
        if self.target.json {
            return print_json(json);
        }
        print(format!("{} {}\n", if self.dry_run { "would remove" } else { "removed" }, counted(report.removed)))
    }
}

fn counted(records: u64) -> String {
    if records == 1 { "1 record".to_owned() } else { format!("{records} records") }
}
