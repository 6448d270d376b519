//! The body of a frame: what one batch changed, and the store's own state after it.
//!
//! Numbers are variable-length, times are relative to the batch's and tokens to the next one: a payment is two small appends.
//! A frame is verified before any of this is decoded.

use crate::{
    FencingToken, Fingerprint, Key, Timestamp,
    limits::{CHECKPOINT_BYTES_MAX, PAYLOAD_BYTES_MAX},
    record::{Holder, Record, State},
    storage::{
        codec::{state_from_byte, state_to_byte},
        error::StorageError,
        keys::{Class, Place},
        meta::{CountsDelta, Meta},
        recent::{Base, Change},
    },
};
use bincode::config::{Configuration, Limit};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// Memory that decoding one fixed-size part may claim.
const DECODE_BYTES_MAX: usize = 4096;
const VERSION: u8 = 1;
const REMOVED: u8 = 0;

/// What one frame makes durable.
#[derive(Debug, PartialEq)]
pub(crate) struct Logged {
    /// After the batch. The counts, the incarnation and what only the table knows are not part of a frame.
    pub(crate) meta: Meta,
    pub(crate) counts: CountsDelta,
    pub(crate) changes: Vec<Change>,
    /// Numbers and sealed rows.
    pub(crate) audit: Vec<(u64, Vec<u8>)>,
    /// Index entries of the table that belong to no record.
    pub(crate) stale: Vec<Vec<u8>>,
}

#[derive(Serialize, Deserialize)]
struct Head {
    version: u8,
    next_token: u64,
    high_water_ms: u64,
    counts: CountsDelta,
    audit_first: u64,
    audit_next: u64,
    changes: u32,
    audit: u32,
    stale: u32,
}

#[derive(Serialize, Deserialize)]
struct ChangeHead {
    scope_len: u16,
    id_len: u8,
    /// 0: the table has nothing of the key; 1 + class: it has, in the index at `base_time`; 4: what does not verify.
    base: u8,
    base_time: u64,
    /// By how many the scope's records change.
    scope_delta: i8,
    /// 0: the record is gone; otherwise its state.
    state: u8,
}

#[derive(Serialize, Deserialize)]
struct RecordHead {
    attempt: u32,
    tokens_ago: i64,
    incarnation: u64,
    first_seen_ago: i64,
    started_ago: i64,
    ended_ago: i64,
    lease_expires_ago: i64,
    lease_deadline_ms: u64,
    expires_ago: i64,
    /// 0: no checkpoint; otherwise one more than its length.
    checkpoint: u32,
    payload_len: u32,
}

const DAMAGED_BASE: u8 = 4;

/// Appends the encoding of a batch.
pub(crate) fn encode(logged: &Logged, into: &mut Vec<u8>) -> Result<(), StorageError> {
    let Logged { meta, counts, changes, audit, stale } = logged;
    let head = Head {
        version: VERSION,
        next_token: meta.next_token,
        high_water_ms: meta.high_water_ms,
        counts: *counts,
        audit_first: meta.audit_first,
        audit_next: meta.audit_next,
        changes: count(changes.len())?,
        audit: count(audit.len())?,
        stale: count(stale.len())?,
    };
    put(into, &head)?;
    for change in changes {
        encode_change(change, meta, into)?;
    }
    for (number, row) in audit {
        put(into, &(*number, count(row.len())?))?;
        into.extend_from_slice(row);
    }
    for entry in stale {
        put(into, &count(entry.len())?)?;
        into.extend_from_slice(entry);
    }
    Ok(())
}

fn encode_change(change: &Change, meta: &Meta, into: &mut Vec<u8>) -> Result<(), StorageError> {
    let (base, base_time) = match change.base {
        Base::Absent => (0, 0),
        Base::At(place) => (1 + place.class as u8, place.time.as_millis()),
        Base::Damaged => (DAMAGED_BASE, 0),
    };
    let state = change.after.as_ref().map_or(REMOVED, |record| state_to_byte(record.state));
    let (scope, id) = (change.key.scope().as_str(), change.key.id());
    let scope_len = u16::try_from(scope.len()).map_err(|_| too_long())?;
    let id_len = u8::try_from(id.len()).map_err(|_| too_long())?;
    put(into, &ChangeHead { scope_len, id_len, base, base_time, scope_delta: change.scope_delta, state })?;
    into.extend_from_slice(scope.as_bytes());
    into.extend_from_slice(id.as_bytes());
    change.after.as_ref().map_or(Ok(()), |record| encode_record(record, meta, into))
}

fn encode_record(record: &Record, meta: &Meta, into: &mut Vec<u8>) -> Result<(), StorageError> {
    let ago = |time: Timestamp| meta.high_water_ms.wrapping_sub(time.as_millis()).cast_signed();
    let checkpoint = match &record.checkpoint {
        None => 0,
        Some(mark) => count(mark.len())?.checked_add(1).ok_or_else(too_long)?,
    };
    let head = RecordHead {
        attempt: record.attempt,
        tokens_ago: meta.next_token.wrapping_sub(record.token.get()).cast_signed(),
        incarnation: record.holder.to_number(),
        first_seen_ago: ago(record.first_seen_at),
        started_ago: ago(record.started_at),
        // The epoch while in flight, which would be a long number.
        ended_ago: if record.state == State::InFlight { 0 } else { ago(record.ended_at) },
        lease_expires_ago: ago(record.lease_expires_at),
        lease_deadline_ms: record.lease_deadline_ms,
        expires_ago: ago(record.expires_at),
        checkpoint,
        payload_len: count(record.payload.len())?,
    };
    put(into, &head)?;
    // Not a part of the head: bincode would write it byte by byte.
    into.extend_from_slice(record.fingerprint.as_bytes());
    into.extend_from_slice(record.checkpoint.as_deref().unwrap_or_default());
    into.extend_from_slice(&record.payload);
    Ok(())
}

/// Decodes the body of a frame that verified, and demands that nothing is left over.
pub(crate) fn decode(body: &[u8], batch: u64) -> Result<Logged, StorageError> {
    let mut rest = Rest(body);
    let head: Head = rest.take()?;
    if head.version != VERSION {
        let what = format!("the journal has version {}, this release reads {VERSION}", head.version);
        return Err(StorageError::Unsupported(what));
    }
    let meta = Meta {
        batch,
        next_token: head.next_token,
        high_water_ms: head.high_water_ms,
        audit_first: head.audit_first,
        audit_next: head.audit_next,
        ..Meta::default()
    };
    let (mut changes, mut audit, mut stale) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..head.changes {
        changes.push(decode_change(&mut rest, &meta)?);
    }
    for _ in 0..head.audit {
        let (number, len): (u64, u32) = rest.take()?;
        audit.push((number, rest.bytes(len.try_into().ok())?.to_vec()));
    }
    for _ in 0..head.stale {
        let len: u32 = rest.take()?;
        stale.push(rest.bytes(len.try_into().ok())?.to_vec());
    }
    if rest.0.is_empty() { Ok(Logged { meta, counts: head.counts, changes, audit, stale }) } else { Err(impossible()) }
}

fn decode_change(rest: &mut Rest<'_>, meta: &Meta) -> Result<Change, StorageError> {
    let head: ChangeHead = rest.take()?;
    let at = |class| Base::At(Place { class, time: Timestamp::from_millis(head.base_time) });
    let base = match head.base {
        0 if head.base_time == 0 => Base::Absent,
        1 => at(Class::Held),
        2 => at(Class::InFlight),
        3 => at(Class::Terminal),
        DAMAGED_BASE if head.base_time == 0 => Base::Damaged,
        _ => return Err(impossible()),
    };
    let scope = str::from_utf8(rest.bytes(Some(head.scope_len.into()))?).map_err(|_| impossible())?;
    let id = str::from_utf8(rest.bytes(Some(head.id_len.into()))?).map_err(|_| impossible())?;
    let key = Key::new(scope, id).map_err(|_| impossible())?;
    let after = match head.state {
        REMOVED => None,
        state => Some(decode_record(rest, state_from_byte(state).ok_or_else(impossible)?, meta)?),
    };
    Ok(Change { key, base, scope_delta: head.scope_delta, after })
}

fn decode_record(rest: &mut Rest<'_>, state: State, meta: &Meta) -> Result<Record, StorageError> {
    let head: RecordHead = rest.take()?;
    let fingerprint = rest.bytes(Some(Fingerprint::BYTES))?.first_chunk().ok_or_else(impossible)?;
    let time = |ago: i64| Timestamp::from_millis(meta.high_water_ms.wrapping_sub(ago.cast_unsigned()));
    let checkpoint = match usize::try_from(head.checkpoint).map_err(|_| too_long())? {
        0 => None,
        len if len > CHECKPOINT_BYTES_MAX + 1 => return Err(too_long()),
        len => Some(rest.bytes(Some(len - 1))?.into()),
    };
    let payload_len = usize::try_from(head.payload_len).ok().filter(|&len| len <= PAYLOAD_BYTES_MAX);
    let payload = rest.bytes(payload_len)?.into();
    let in_flight = state == State::InFlight;
    if in_flight && head.ended_ago != 0 {
        return Err(impossible());
    }
    let record = Record {
        state,
        fingerprint: Fingerprint::from_bytes(*fingerprint),
        token: FencingToken::new(meta.next_token.wrapping_sub(head.tokens_ago.cast_unsigned())),
        attempt: head.attempt,
        holder: Holder::from_number(head.incarnation),
        first_seen_at: time(head.first_seen_ago),
        started_at: time(head.started_ago),
        ended_at: if in_flight { Timestamp::from_millis(0) } else { time(head.ended_ago) },
        lease_expires_at: time(head.lease_expires_ago),
        lease_deadline_ms: head.lease_deadline_ms,
        expires_at: time(head.expires_ago),
        checkpoint,
        payload,
    };
    crate::storage::codec::is_possible(&record).then_some(record).ok_or_else(impossible)
}

fn put(into: &mut Vec<u8>, value: &impl Serialize) -> Result<(), StorageError> {
    let encoded = bincode::serde::encode_into_writer(value, Appender(into), bincode::config::standard());
    encoded.map_err(|error| StorageError::Damaged(format!("encoding: {error}")))
}

struct Appender<'v>(&'v mut Vec<u8>);

impl bincode::enc::write::Writer for Appender<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), bincode::error::EncodeError> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

fn count(len: usize) -> Result<u32, StorageError> {
    u32::try_from(len).map_err(|_| too_long())
}

fn too_long() -> StorageError {
    StorageError::Damaged("a length in the journal is beyond its limit".into())
}

fn impossible() -> StorageError {
    StorageError::Damaged("the journal has impossible contents".into())
}

/// What is still to be decoded.
struct Rest<'b>(&'b [u8]);

impl<'b> Rest<'b> {
    fn take<T: DeserializeOwned>(&mut self) -> Result<T, StorageError> {
        const CONFIG: Configuration<bincode::config::LittleEndian, bincode::config::Varint, Limit<DECODE_BYTES_MAX>> =
            bincode::config::standard().with_limit::<DECODE_BYTES_MAX>();
        let (value, used) = bincode::serde::decode_from_slice(self.0, CONFIG).map_err(|_| impossible())?;
        self.0 = self.0.get(used..).ok_or_else(impossible)?;
        Ok(value)
    }

    fn bytes(&mut self, len: Option<usize>) -> Result<&'b [u8], StorageError> {
        let (bytes, rest) = len.and_then(|len| self.0.split_at_checked(len)).ok_or_else(too_long)?;
        self.0 = rest;
        Ok(bytes)
    }
}
