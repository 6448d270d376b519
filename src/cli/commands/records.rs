//! Records, as the service has them in JSON.

use super::read;
use crate::{
    cli::{
        failure::Failure,
        service::{Service, query},
    },
    limits::LIST_RECORDS_MAX,
};
use clap::ValueEnum;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::time::Duration;

/// Where a record stands.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum StateName {
    #[value(alias = "in_flight")]
    InFlight,
    Completed,
    Failed,
}

impl StateName {
    fn name(self) -> &'static str {
        match self {
            Self::InFlight => "in_flight",
            Self::Completed => "completed",
            Self::Failed => "failed",
        }
    }
}

/// A record without its payload.
#[derive(Debug, Deserialize)]
pub(super) struct Row {
    pub(super) scope: String,
    pub(super) key: String,
    pub(super) state: String,
    pub(super) token: u64,
    pub(super) attempt: u32,
    pub(super) first_seen_at: u64,
    pub(super) started_at: u64,
    pub(super) ended_at: Option<u64>,
    pub(super) lease_expires_at: u64,
    pub(super) expires_at: Option<u64>,
    #[serde(default)]
    pub(super) is_lapsed: bool,
    pub(super) has_checkpoint: bool,
    pub(super) payload_bytes: u64,
}

/// A page of records.
#[derive(Deserialize)]
pub(super) struct Page {
    pub(super) records: Vec<Box<RawValue>>,
    /// One for each damaged record.
    pub(super) damaged: Vec<serde::de::IgnoredAny>,
    pub(super) next: Option<String>,
}

/// Which records are wanted.
#[derive(Debug, Default)]
pub(super) struct Wanted<'w> {
    pub(super) state: Option<StateName>,
    pub(super) scope: Option<&'w str>,
    pub(super) older: Option<Duration>,
}

impl Row {
    pub(super) fn read(record: &RawValue) -> Result<Self, Failure> {
        read(record.get())
    }

    /// Shows the state; an attempt in flight that nobody runs any more is lapsed.
    pub(super) fn shown_state(&self) -> &str {
        match self.state.as_str() {
            "in_flight" if self.is_lapsed => "lapsed",
            "in_flight" => "in flight",
            other => other,
        }
    }
}

impl Wanted<'_> {
    /// Asks for the page after `after`, of at most `limit` records.
    pub(super) async fn page(&self, service: &mut Service, limit: u64, after: Option<&str>) -> Result<Page, Failure> {
        let limit = limit.min(LIST_RECORDS_MAX as u64).to_string();
        let older = self.older.map(|older| older.as_millis().to_string());
        let path = query(
            "/v1/records",
            &[
                ("state", self.state.map(StateName::name)),
                ("scope", self.scope),
                ("older_ms", older.as_deref()),
                ("limit", Some(&limit)),
                ("after", after),
            ],
        );
        read(service.get(&path).await?)
    }
}
