//! The commands that look into a store and end what is stuck: one file each.

mod audit;
mod backup;
mod compact;
mod completions;
mod export;
mod import;
mod list;
mod records;
mod resolve;
mod show;
mod stats;
mod stuck;
mod sweep;
mod verify;

pub(super) use audit::Audit;
pub(super) use backup::Backup;
pub(super) use compact::Compact;
pub(super) use completions::Completions;
pub(super) use export::Export;
pub(super) use import::Import;
pub(super) use list::List;
pub(super) use resolve::{Release, Resolve};
pub(super) use show::Show;
pub(super) use stats::Stats;
pub(super) use stuck::Stuck;
pub(super) use sweep::Sweep;
pub(super) use verify::Verify;

use super::{
    failure::Failure,
    output::Bar,
    service::{Service, Source},
};
use crate::{Clock as _, SystemClock};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Has work done that has a report and nothing else.
async fn work(service: &mut Service, path: &str, order: Value, doing: &'static str) -> Result<String, Failure> {
    service.work(path, Source::Order(order), Bar::new(doing), |_| Ok(())).await
}

/// Reads an answer of the service.
fn read<T: DeserializeOwned>(json: impl AsRef<[u8]>) -> Result<T, Failure> {
    let read = serde_json::from_slice(json.as_ref());
    read.map_err(|error| {
        Failure::new(format_args!("the owner's answer is not understood, it may be of another release: {error}"))
    })
}

/// Milliseconds since the epoch.
fn now_ms() -> u64 {
    SystemClock::new().wall().as_millis()
}
