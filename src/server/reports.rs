//! What work on the whole store reports at its end, as JSON: written by the server, read by the commands.

use crate::{ExportReport, ImportReport, Key, SweepReport, VerifyReport};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

#[derive(Deserialize, Serialize)]
pub(crate) struct Verified {
    pub(crate) is_sound: bool,
    pub(crate) records: u64,
    pub(crate) bytes: u64,
    pub(crate) damaged: u64,
    pub(crate) damaged_keys: Vec<Option<Named>>,
    pub(crate) unindexed: u64,
    pub(crate) astray: u64,
    pub(crate) counts_match: Option<bool>,
}

#[derive(Deserialize, Serialize)]
pub(crate) struct Named {
    pub(crate) scope: String,
    pub(crate) key: String,
}

#[derive(Deserialize, Serialize)]
pub(crate) struct BackedUp {
    pub(crate) to: PathBuf,
    pub(crate) file_bytes: Option<u64>,
}

#[derive(Deserialize, Serialize)]
pub(crate) struct Compacted {
    pub(crate) file_bytes_before: u64,
    pub(crate) file_bytes: u64,
}

#[derive(Deserialize, Serialize)]
pub(crate) struct Exported {
    pub(crate) exported: u64,
    pub(crate) damaged: u64,
}

#[derive(Deserialize, Serialize)]
pub(crate) struct Added {
    pub(crate) imported: u64,
    pub(crate) known: u64,
    pub(crate) conflicts: u64,
}

#[derive(Deserialize, Serialize)]
pub(crate) struct Swept {
    pub(crate) examined: u64,
    pub(crate) removed: u64,
    pub(crate) paused: bool,
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
    pub(crate) fn new(to: PathBuf) -> Self {
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
