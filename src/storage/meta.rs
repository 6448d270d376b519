//! What the store knows about itself: a row of the table, committed with every checkpoint, and the head of every frame.

use super::{codec, error::StorageError, seal::ValueCheck};
use crate::{Timestamp, record::State};
use serde::{Deserialize, Serialize};

const BINDING: &[u8] = b"meta";
const META_VERSION: u8 = 1;

/// The store's own state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Meta {
    /// Counts the opens; what an older one left in flight has a dead holder.
    pub(crate) incarnation: u64,
    /// Counts the batches. Those of the journal go on from the table's without a gap.
    pub(crate) batch: u64,
    pub(crate) next_token: u64,
    /// The latest time that the store acted on, in milliseconds.
    pub(crate) high_water_ms: u64,
    pub(crate) counts: Counts,
    /// Audit rows `audit_first..audit_next` exist.
    pub(crate) audit_first: u64,
    pub(crate) audit_next: u64,
    /// 1 when the file was made by a backup and has not been taken into use.
    pub(crate) is_backup: u8,
    /// The last generation of the journal that the table has taken over.
    pub(crate) generation: u64,
    /// 1 while the journal may hold what the table does not have.
    pub(crate) is_live: u8,
    /// The id that the next run gets.
    pub(crate) next_run: u64,
    /// Counts the changes of the runs, so that a view and a catalog can be told to be of the same state.
    pub(crate) runs_version: u64,
}

/// By how much the counts change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CountsDelta {
    pub(crate) in_flight: i64,
    pub(crate) completed: i64,
    pub(crate) failed: i64,
    pub(crate) bytes: i64,
}

impl CountsDelta {
    /// Counts a record in, or out with a `sign` of -1.
    pub(crate) fn add(&mut self, state: State, bytes: usize, sign: i64) {
        let slot = match state {
            State::InFlight => &mut self.in_flight,
            State::Completed => &mut self.completed,
            State::Failed => &mut self.failed,
        };
        *slot += sign;
        self.bytes += sign * i64::try_from(bytes).unwrap_or(i64::MAX);
    }
}

impl std::ops::AddAssign for CountsDelta {
    fn add_assign(&mut self, other: Self) {
        self.in_flight += other.in_flight;
        self.completed += other.completed;
        self.failed += other.failed;
        self.bytes += other.bytes;
    }
}

impl Counts {
    /// Returns the counts after a change.
    pub(crate) fn changed(self, by: CountsDelta) -> Self {
        Self {
            in_flight: self.in_flight.saturating_add_signed(by.in_flight),
            completed: self.completed.saturating_add_signed(by.completed),
            failed: self.failed.saturating_add_signed(by.failed),
            bytes: self.bytes.saturating_add_signed(by.bytes),
        }
    }
}

/// Records by state, and the bytes that they and their keys take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Counts {
    pub(crate) in_flight: u64,
    pub(crate) completed: u64,
    pub(crate) failed: u64,
    pub(crate) bytes: u64,
}

impl Counts {
    pub(crate) fn records(&self) -> u64 {
        self.in_flight + self.completed + self.failed
    }

    pub(crate) fn of_state(&mut self, state: State) -> &mut u64 {
        match state {
            State::InFlight => &mut self.in_flight,
            State::Completed => &mut self.completed,
            State::Failed => &mut self.failed,
        }
    }
}

impl Meta {
    pub(crate) fn high_water(&self) -> Timestamp {
        Timestamp::from_millis(self.high_water_ms)
    }

    /// This, brought up to date by a later batch. A frame of the journal says nothing about the rest.
    pub(crate) fn after(&self, batch: &Self) -> Self {
        let Self { batch, next_token, high_water_ms, audit_first, audit_next, .. } = *batch;
        Self { batch, next_token, high_water_ms, audit_first, audit_next, ..*self }
    }

    pub(crate) fn encode(&self, check: ValueCheck) -> Result<Vec<u8>, StorageError> {
        let mut body = vec![META_VERSION];
        body.extend(codec::encode(self)?);
        Ok(check.seal(BINDING, &body))
    }

    pub(crate) fn decode(check: ValueCheck, frame: &[u8]) -> Result<Self, StorageError> {
        let body = check.open(BINDING, frame).and_then(<[u8]>::split_first);
        match body {
            Some((&META_VERSION, fields)) => codec::decode(fields),
            Some((version, _)) => Err(StorageError::Unsupported(format!("the store's metadata has version {version}"))),
            None => Err(StorageError::Damaged("the store's metadata does not match its check".into())),
        }
    }
}
