use clap::Args;
use std::path::PathBuf;

/// Which store a command is about, and how it answers.
#[derive(Clone, Debug, Args)]
pub(super) struct Target {
    /// The store file.
    #[arg(long, env = "IDEMSTORE_DB", hide_env_values = true, value_name = "PATH")]
    pub(super) db: PathBuf,
    /// Print JSON on stdout, and nothing else there.
    #[arg(long)]
    pub(super) json: bool,
    /// Take a backup into use, if no process has it open: it does not know the keys begun since.
    #[arg(long)]
    pub(super) accept_restored: bool,
}
