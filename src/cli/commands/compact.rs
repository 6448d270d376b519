use super::{read, work};
use crate::{
    Options,
    cli::{
        failure::Failure,
        output::{bytes, note, print, print_json},
        service::Service,
        target::Target,
    },
    server::reports::Compacted,
};
use clap::Args;

/// Rewrite the file without the space and the bytes of removed records.
#[derive(Debug, Args)]
#[command(after_help = "The callers of a running owner wait meanwhile, so choose the hour.")]
pub(in crate::cli) struct Compact {
    #[command(flatten)]
    target: Target,
}

impl Compact {
    pub(in crate::cli) async fn run(self) -> Result<(), Failure> {
        let mut service = Service::find(&self.target, &Options::new()).await?;
        if service.is_elsewhere() {
            note("its callers wait until this is done");
        }
        let json = work(&mut service, "/v1/compact", serde_json::json!({}), "compacting").await?;
        if self.target.json {
            return print_json(json);
        }
        let report: Compacted = read(&json)?;
        print(format!("{} before, {} now\n", bytes(report.file_bytes_before), bytes(report.file_bytes)))
    }
}
