use super::{read, work};
use crate::{
    Options,
    cli::{
        failure::Failure,
        output::{bytes, escaped, print, print_json},
        service::Service,
        target::Target,
    },
    server::reports::BackedUp,
};
use clap::Args;
use std::path::{PathBuf, absolute};

/// Write a consistent copy to a new file, while the store works.
#[derive(Debug, Args)]
#[command(
    after_help = "The copy is whole and durable when this ends; until then there is no file of that name. It opens only with \
                        --accept-restored, because it does not know the keys begun after it was made."
)]
pub(in crate::cli) struct Backup {
    #[command(flatten)]
    target: Target,
    /// The new file.
    to: PathBuf,
}

impl Backup {
    pub(in crate::cli) async fn run(self) -> Result<(), Failure> {
        // The owner may be in another directory.
        let to = absolute(&self.to).map_err(|error| Failure::io(self.to.display(), &error))?;
        let Some(to) = to.to_str() else {
            return Err(Failure::usage(format_args!("{}: give a path in UTF-8", to.display())));
        };
        let mut service = Service::find(&self.target, &Options::new()).await?;
        let json = work(&mut service, "/v1/backup", serde_json::json!({ "to": to }), "backing up").await?;
        if self.target.json {
            return print_json(json);
        }
        let BackedUp { to, file_bytes } = read(&json)?;
        let size = file_bytes.map(|size| format!(" ({})", bytes(size))).unwrap_or_default();
        print(format!("wrote {}{size}\n", escaped(&to.display().to_string())))
    }
}
