//! Records as lines of JSON, to move them between stores or to look at them with other tools.

use crate::{
    Error, FencingToken, Key, Progress, Record, Result, State, Store, Timestamp,
    limits::{CHECKPOINT_BYTES_MAX, IMPORT_LINE_BYTES_MAX, IMPORT_TIME_MAX, TOKEN_MAX},
    maintain::proceed,
    queue::{ImportStep, Message},
    record::Holder,
    storage::ScanRow,
    store::check_payload,
};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde::{Deserialize, Serialize};
use std::{
    io::{BufRead, Read as _, Write},
    ops::ControlFlow,
    sync::Arc,
};

const LINE_VERSION: u8 = 1;
/// Records read in one view and imported with one commit; and the bytes after which a commit is made earlier.
const PIECE_RECORDS: usize = 256;
const PIECE_BYTES: usize = 4 * 1024 * 1024;

/// One record as a line. Times are milliseconds since the epoch, bytes are base64 (RFC 4648, with padding).
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    v: u8,
    scope: String,
    id: String,
    state: LineState,
    /// 64 hex digits.
    fingerprint: String,
    token: u64,
    attempt: u32,
    first_seen_at: u64,
    started_at: u64,
    ended_at: Option<u64>,
    lease_expires_at: u64,
    expires_at: u64,
    checkpoint: Option<String>,
    payload: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum LineState {
    InFlight,
    Completed,
    Failed,
}

/// What [`Store::export`] wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExportReport {
    /// Records that were written.
    pub exported: u64,
    /// Damaged records, which cannot be.
    pub damaged: u64,
}

/// What [`Store::import`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ImportReport {
    /// Records that were added.
    pub imported: u64,
    /// Records that the store had already, with the same outcome.
    pub known: u64,
    /// Records whose key the store uses for something else; they were left out.
    pub conflicts: u64,
}

impl Store {
    /// Writes every record as a line of JSON, in key order, while the store works. Not a snapshot: each piece of 256
    /// records is consistent in itself. For a consistent copy use [`backup`](Store::backup).
    ///
    /// ```
    /// # use std::ops::ControlFlow;
    /// # use idemstore::{Begin, Fingerprint, Key, Store};
    /// let (old, new) = (Store::in_memory()?, Store::in_memory()?);
    /// let (key, request) = (Key::new("shop", "pay_1")?, Fingerprint::of(&[b"100 EUR"]));
    /// if let Begin::Fresh(lease) = old.begin(&key, request)? {
    ///     lease.complete("receipt 7")?;
    /// }
    /// let mut lines = Vec::new();
    /// old.export(&mut lines, |_| ControlFlow::Continue(()))?;
    /// new.import(&lines[..], |_| ControlFlow::Continue(()))?;
    /// assert!(matches!(new.begin(&key, request)?, Begin::Replay(_)));
    /// # Ok::<(), idemstore::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Io`](crate::ErrorKind::Io) when `to` refuses; [`Corrupted`](crate::ErrorKind::Corrupted), [`Closed`](crate::ErrorKind::Closed);
    /// [`Stopped`](crate::ErrorKind::Stopped) by `on_progress`.
    pub fn export(&self, mut to: impl Write, mut on_progress: impl FnMut(Progress) -> ControlFlow<()>) -> Result<ExportReport> {
        let storage = &self.shared().storage;
        let total = storage.counts().records();
        let mut report = ExportReport::default();
        storage.walk(PIECE_RECORDS, |rows| {
            rows.iter().try_for_each(|row| report.write(&mut to, row))?;
            proceed(&mut on_progress, report.exported, total)
        })?;
        to.flush().map_err(|error| Error::io("exporting", error))?;
        Ok(report)
    }

    /// Adds records that another store exported. What the store knows already is never overwritten. Attempts in flight
    /// become takeovers; their tokens stay below every later one.
    ///
    /// Records are added in pieces, each of them durable. After an error the earlier lines are in; importing the same lines
    /// again is harmless.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) names the line that is not one of an export;
    /// [`Io`](crate::ErrorKind::Io) when `from` refuses; [`Full`](crate::ErrorKind::Full) and those of a write;
    /// [`Stopped`](crate::ErrorKind::Stopped) by `on_progress`.
    pub fn import(&self, from: impl BufRead, mut on_progress: impl FnMut(Progress) -> ControlFlow<()>) -> Result<ImportReport> {
        let mut lines = Lines { from, number: 0 };
        let mut report = ImportReport::default();
        loop {
            let piece = lines.piece(self.shared().settings.payload_bytes_max)?;
            if piece.is_empty() {
                return Ok(report);
            }
            report.add(self.import_piece(piece)?);
            proceed(&mut on_progress, report.imported + report.known + report.conflicts, lines.number)?;
        }
    }

    fn import_piece(&self, records: Vec<(Key, Record)>) -> Result<ImportStep> {
        self.shared().ask(|reply| Message::Import { records, reply })
    }
}

impl ExportReport {
    fn write(&mut self, to: &mut impl Write, row: &ScanRow) -> Result<()> {
        let (Some(key), Ok(record)) = (&row.key, &row.record) else {
            self.damaged += 1;
            return Ok(());
        };
        let failed = |error| Error::io("exporting", error);
        serde_json::to_writer(&mut *to, &Line::of(key, record)).map_err(|error| failed(error.into()))?;
        to.write_all(b"\n").map_err(failed)?;
        self.exported += 1;
        Ok(())
    }
}

impl ImportReport {
    fn add(&mut self, step: ImportStep) {
        self.imported += step.imported;
        self.known += step.known;
        self.conflicts += step.conflicts;
    }
}

/// Lines of a source, read in bounded memory.
struct Lines<R> {
    from: R,
    number: u64,
}

impl<R: BufRead> Lines<R> {
    /// Returns the next records; none at the end.
    fn piece(&mut self, payload_bytes_max: usize) -> Result<Vec<(Key, Record)>> {
        let (mut piece, mut bytes) = (Vec::new(), 0);
        while piece.len() < PIECE_RECORDS && bytes < PIECE_BYTES {
            let Some(line) = self.next()? else { break };
            if line.trim_ascii().is_empty() {
                continue;
            }
            bytes += line.len();
            let read = parse(&line, payload_bytes_max);
            piece.push(read.map_err(|error| Error::invalid(format!("line {}: {error}", self.number)).caused_by(error))?);
        }
        Ok(piece)
    }

    fn next(&mut self) -> Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        let limit = IMPORT_LINE_BYTES_MAX as u64 + 1;
        let read = self.from.by_ref().take(limit).read_until(b'\n', &mut line);
        self.number += 1;
        match read.map_err(|error| Error::io(format!("reading line {}", self.number), error))? {
            0 => Ok(None),
            read if read as u64 == limit => {
                Err(Error::invalid(format!("line {} is longer than {IMPORT_LINE_BYTES_MAX} bytes", self.number)))
            }
            _ => Ok(Some(line)),
        }
    }
}

fn parse(line: &[u8], payload_bytes_max: usize) -> Result<(Key, Record)> {
    let line: Line = serde_json::from_slice(line).map_err(|error| Error::invalid(error.to_string()))?;
    line.into_record(payload_bytes_max)
}

impl Line {
    fn of(key: &Key, record: &Record) -> Self {
        Self {
            v: LINE_VERSION,
            scope: key.scope().as_str().to_owned(),
            id: key.id().to_owned(),
            state: match record.state {
                State::InFlight => LineState::InFlight,
                State::Completed => LineState::Completed,
                State::Failed => LineState::Failed,
            },
            fingerprint: record.fingerprint.to_string(),
            token: record.token.get(),
            attempt: record.attempt,
            first_seen_at: record.first_seen_at.as_millis(),
            started_at: record.started_at.as_millis(),
            ended_at: record.ended_at().map(Timestamp::as_millis),
            lease_expires_at: record.lease_expires_at.as_millis(),
            expires_at: record.expires_at.as_millis(),
            checkpoint: record.checkpoint.as_ref().map(|mark| BASE64.encode(mark)),
            payload: (record.state != State::InFlight).then(|| BASE64.encode(&record.payload)),
        }
    }

    fn into_record(self, payload_bytes_max: usize) -> Result<(Key, Record)> {
        let state = match self.state {
            LineState::InFlight => State::InFlight,
            LineState::Completed => State::Completed,
            LineState::Failed => State::Failed,
        };
        let is_terminal = state != State::InFlight;
        let sound = self.v == LINE_VERSION
            && (1..TOKEN_MAX / 2).contains(&self.token)
            && self.attempt > 0
            && self.payload.is_some() == is_terminal
            && self.ended_at.is_some() == is_terminal
            && (self.checkpoint.is_none() || !is_terminal);
        if !sound {
            return Err(Error::invalid("the fields do not fit each other, or the version is not 1"));
        }
        let ended_at = self.ended_at.unwrap_or_default();
        let times = [self.first_seen_at, self.started_at, ended_at, self.lease_expires_at, self.expires_at];
        if let Some(time) = times.into_iter().find(|time| *time > IMPORT_TIME_MAX) {
            return Err(Error::invalid(format!("the time {time} is over the limit of {IMPORT_TIME_MAX} ms since the epoch")));
        }
        let payload = decode(self.payload.as_deref())?.unwrap_or_default();
        check_payload(&payload, payload_bytes_max)?;
        let checkpoint = decode(self.checkpoint.as_deref())?;
        if checkpoint.as_ref().is_some_and(|mark| mark.len() > CHECKPOINT_BYTES_MAX) {
            return Err(Error::invalid("the checkpoint is over its limit"));
        }
        let record = Record {
            state,
            fingerprint: self.fingerprint.parse()?,
            token: FencingToken::new(self.token),
            attempt: self.attempt,
            holder: Holder::GONE,
            first_seen_at: Timestamp::from_millis(self.first_seen_at),
            started_at: Timestamp::from_millis(self.started_at),
            ended_at: Timestamp::from_millis(ended_at),
            lease_expires_at: Timestamp::from_millis(self.lease_expires_at),
            lease_deadline_ms: 0,
            expires_at: Timestamp::from_millis(self.expires_at),
            checkpoint,
            payload,
        };
        Ok((Key::new(self.scope, self.id)?, record))
    }
}

fn decode(text: Option<&str>) -> Result<Option<Arc<[u8]>>> {
    let bytes = text.map(|text| BASE64.decode(text)).transpose();
    Ok(bytes.map_err(|error| Error::invalid(format!("base64: {error}")))?.map(Arc::from))
}
