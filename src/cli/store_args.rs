use super::values::{bytes, duration};
use crate::{Options, Result, Store};
use clap::Args;
use std::{path::PathBuf, time::Duration};

/// Which store, and what it is to keep.
#[derive(Debug, Args)]
pub(super) struct StoreArgs {
    /// The store file; made if there is none.
    #[arg(long, env = "IDEMSTORE_DB", hide_env_values = true, value_name = "PATH")]
    pub(super) db: PathBuf,
    /// How long a grant lasts without renewal: longer than the operation takes as a rule.
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "30s")]
    lease: Duration,
    /// How long a completed outcome is replayed: longer than clients keep retrying.
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "24h")]
    retention: Duration,
    /// How long a failed outcome is replayed; as long as a completed one unless given.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    failed_retention: Option<Duration>,
    /// Records after which new keys are refused.
    #[arg(long, value_name = "RECORDS")]
    max_records: Option<u64>,
    /// Bytes of keys and records after which new keys are refused.
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    max_bytes: Option<u64>,
    /// The longest payload; at most 16MiB.
    #[arg(long, value_name = "BYTES", value_parser = bytes, default_value = "256KiB")]
    max_payload: u64,
    /// Take a backup, or a store without its journal, into use: it does not know the keys begun since.
    #[arg(long)]
    accept_restored: bool,
}

impl StoreArgs {
    /// Opens the store.
    pub(super) fn open(&self) -> Result<Store> {
        let failed_retention = self.failed_retention.unwrap_or(self.retention);
        let mut options = Options::new().lease(self.lease).retention(self.retention).failed_retention(failed_retention);
        // What does not fit is over the limit as well.
        options = options.payload_bytes_max(usize::try_from(self.max_payload).unwrap_or(usize::MAX));
        if let Some(records) = self.max_records {
            options = options.records_max(records);
        }
        if let Some(bytes) = self.max_bytes {
            options = options.bytes_max(bytes);
        }
        // Clients hold the leases. They go on when this process ends.
        options = options.remote_holders(true);
        options.create_if_missing(true).accept_restored(self.accept_restored).open(&self.db)
    }
}
