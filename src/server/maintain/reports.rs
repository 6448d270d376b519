//! What long work reports at its end, as JSON.

use crate::{ExportReport, ImportReport, Key, SweepReport, VerifyReport};
use serde::Serialize;
use std::path::PathBuf;

#[derive(Serialize)]
pub(super) struct Verified {
    is_sound: bool,
    records: u64,
    bytes: u64,
    damaged: u64,
    damaged_keys: Vec<Option<Named>>,
    unindexed: u64,
    astray: u64,
    counts_match: Option<bool>,
}

#[derive(Serialize)]
struct Named {
    scope: String,
    key: String,
}

#[derive(Serialize)]
pub(super) struct BackedUp {
    to: PathBuf,
    file_bytes: Option<u64>,
}

#[derive(Serialize)]
pub(super) struct Compacted {
    pub(super) file_bytes_before: u64,
    pub(super) file_bytes: u64,
}

#[derive(Serialize)]
pub(super) struct Exported {
    exported: u64,
    damaged: u64,
}

#[derive(Serialize)]
pub(super) struct Added {
    imported: u64,
    known: u64,
    conflicts: u64,
}

#[derive(Serialize)]
pub(super) struct Swept {
    examined: u64,
    removed: u64,
    paused: bool,
}

impl From<VerifyReport> for Verified {
    fn from(report: VerifyReport) -> Self {
        let named = |key: &Key| Named { scope: key.scope().as_str().to_owned(), key: key.id().to_owned() };
        Self {
            is_sound: report.is_sound(),
            records: report.records,
            bytes: report.bytes,
            damaged: report.damaged,
            damaged_keys: report.damaged_keys.iter().map(|key| key.as_ref().map(named)).collect(),
            unindexed: report.unindexed,
            astray: report.astray,
            counts_match: report.counts_match,
        }
    }
}

impl BackedUp {
    pub(super) fn new(to: PathBuf) -> Self {
        let file_bytes = std::fs::metadata(&to).ok().map(|found| found.len());
        Self { to, file_bytes }
    }
}

impl From<ExportReport> for Exported {
    fn from(report: ExportReport) -> Self {
        Self { exported: report.exported, damaged: report.damaged }
    }
}

impl From<ImportReport> for Added {
    fn from(report: ImportReport) -> Self {
        Self { imported: report.imported, known: report.known, conflicts: report.conflicts }
    }
}

impl From<SweepReport> for Swept {
    fn from(report: SweepReport) -> Self {
        Self { examined: report.examined, removed: report.removed, paused: report.paused }
    }
}
