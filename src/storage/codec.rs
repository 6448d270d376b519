//! Records as bytes. A frame is verified and its lengths are bounded before any decoder sees it.

use super::{
    error::StorageError,
    seal::{CHECK_BYTES, ValueCheck},
};
use crate::{
    Fingerprint, Timestamp,
    limits::{CHECKPOINT_BYTES_MAX, PAYLOAD_BYTES_MAX},
    record::{FencingToken, Holder, Record, State},
};
use bincode::config::{Configuration, Fixint, LittleEndian};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::sync::Arc;

/// The version that this release writes, and the highest it reads.
const RECORD_VERSION: u8 = 1;
const FINGERPRINT_BLAKE3: u8 = 1;
const HEADER_BYTES: usize = 111;
/// Everything of a frame but checkpoint and payload.
pub(crate) const FRAME_BYTES_MIN: usize = CHECK_BYTES + 1 + HEADER_BYTES;
/// Fixed-width little-endian integers in field order.
const FIXED: Configuration<LittleEndian, Fixint> = bincode::config::standard().with_fixed_int_encoding();
/// Memory that decoding a fixed-size value may claim. bincode counts memory, not input.
const DECODE_BYTES_MAX: usize = 64 * 1024;

/// A fingerprint's bytes as numbers: bincode would write and read the bytes one by one.
type Words = [u64; Fingerprint::BYTES / 8];

/// The fixed part of a record, in this order, little-endian, without padding: `src/docs/format.md` gives every offset.
#[derive(Serialize, Deserialize)]
struct Header {
    state: u8,
    has_checkpoint: u8,
    fingerprint_algorithm: u8,
    attempt: u32,
    token: u64,
    incarnation: u64,
    first_seen_at: u64,
    started_at: u64,
    ended_at: u64,
    lease_expires_at: u64,
    lease_deadline_ms: u64,
    expires_at: u64,
    fingerprint: Words,
    checkpoint_len: u32,
    payload_len: u32,
}

/// Encodes a record for the place `storage_key`.
pub(crate) fn encode_record(check: ValueCheck, storage_key: &[u8], record: &Record) -> Result<Vec<u8>, StorageError> {
    let checkpoint = record.checkpoint.as_deref().unwrap_or_default();
    if checkpoint.len() > CHECKPOINT_BYTES_MAX || record.payload.len() > PAYLOAD_BYTES_MAX {
        return Err(StorageError::Damaged("a record to be written exceeds its limits".into()));
    }
    let mut frame = ValueCheck::start(FRAME_BYTES_MIN - CHECK_BYTES + checkpoint.len() + record.payload.len());
    frame.push(RECORD_VERSION);
    frame.resize(FRAME_BYTES_MIN, 0);
    encode_into(&mut frame[FRAME_BYTES_MIN - HEADER_BYTES..], &header_of(record, checkpoint.len())?)?;
    frame.extend_from_slice(checkpoint);
    frame.extend_from_slice(&record.payload);
    check.close(storage_key, &mut frame);
    Ok(frame)
}

fn header_of(record: &Record, checkpoint_len: usize) -> Result<Header, StorageError> {
    let too_long = |_| StorageError::Damaged("a length to be written exceeds 32 bits".into());
    Ok(Header {
        state: state_to_byte(record.state),
        has_checkpoint: u8::from(record.checkpoint.is_some()),
        fingerprint_algorithm: FINGERPRINT_BLAKE3,
        attempt: record.attempt,
        token: record.token.get(),
        incarnation: record.holder.to_number(),
        first_seen_at: record.first_seen_at.as_millis(),
        started_at: record.started_at.as_millis(),
        ended_at: record.ended_at.as_millis(),
        lease_expires_at: record.lease_expires_at.as_millis(),
        lease_deadline_ms: record.lease_deadline_ms,
        expires_at: record.expires_at.as_millis(),
        fingerprint: words_of(record.fingerprint),
        checkpoint_len: checkpoint_len.try_into().map_err(too_long)?,
        payload_len: record.payload.len().try_into().map_err(too_long)?,
    })
}

/// Decodes a record read from the place `storage_key`.
pub(crate) fn decode_record(check: ValueCheck, storage_key: &[u8], frame: &[u8]) -> Result<Record, StorageError> {
    let damaged = |what: &str| StorageError::Damaged(format!("record {what}"));
    if frame.len() > FRAME_BYTES_MIN + CHECKPOINT_BYTES_MAX + PAYLOAD_BYTES_MAX {
        return Err(damaged("is longer than any record"));
    }
    let body = check.open(storage_key, frame).ok_or_else(|| damaged("does not match its check"))?;
    let (&version, rest) = body.split_first().ok_or_else(|| damaged("is empty"))?;
    if version != RECORD_VERSION {
        return Err(StorageError::Unsupported(format!("record has version {version}, this release reads {RECORD_VERSION}")));
    }
    let (header, variable) = rest.split_at_checked(HEADER_BYTES).ok_or_else(|| damaged("is cut short"))?;
    let header: Header = decode(header)?;
    let checkpoint_len = usize::try_from(header.checkpoint_len).map_err(|_| damaged("has a length beyond memory"))?;
    let (checkpoint, payload) = variable.split_at_checked(checkpoint_len).ok_or_else(|| damaged("is cut short"))?;
    if u32::try_from(payload.len()) != Ok(header.payload_len) {
        return Err(damaged("has a wrong length"));
    }
    record_of(&header, checkpoint, payload).ok_or_else(|| damaged("has impossible contents"))
}

/// Checks what a writer of this release guarantees, and builds the record.
fn record_of(header: &Header, checkpoint: &[u8], payload: &[u8]) -> Option<Record> {
    let state = state_from_byte(header.state)?;
    let checkpoint = match header.has_checkpoint {
        0 if checkpoint.is_empty() => None,
        1 if checkpoint.len() <= CHECKPOINT_BYTES_MAX => Some(Arc::from(checkpoint)),
        _ => return None,
    };
    let record = Record {
        state,
        fingerprint: fingerprint_of(header.fingerprint),
        token: FencingToken::new(header.token),
        attempt: header.attempt,
        holder: Holder::from_number(header.incarnation),
        first_seen_at: Timestamp::from_millis(header.first_seen_at),
        started_at: Timestamp::from_millis(header.started_at),
        ended_at: Timestamp::from_millis(header.ended_at),
        lease_expires_at: Timestamp::from_millis(header.lease_expires_at),
        lease_deadline_ms: header.lease_deadline_ms,
        expires_at: Timestamp::from_millis(header.expires_at),
        checkpoint,
        payload: payload.into(),
    };
    (header.fingerprint_algorithm == FINGERPRINT_BLAKE3 && is_possible(&record)).then_some(record)
}

fn words_of(fingerprint: Fingerprint) -> Words {
    let (words, _) = fingerprint.as_bytes().as_chunks();
    std::array::from_fn(|word| u64::from_le_bytes(words[word]))
}

fn fingerprint_of(words: Words) -> Fingerprint {
    Fingerprint::from_bytes(std::array::from_fn(|byte| words[byte / 8].to_le_bytes()[byte % 8]))
}

/// What every writer of a record guarantees.
pub(crate) fn is_possible(record: &Record) -> bool {
    let in_flight = record.state == State::InFlight;
    record.attempt > 0
        && record.token.get() > 0
        && (record.payload.is_empty() || !in_flight)
        && (record.checkpoint.is_none() || in_flight)
}

pub(crate) fn state_to_byte(state: State) -> u8 {
    match state {
        State::InFlight => 1,
        State::Completed => 2,
        State::Failed => 3,
    }
}

pub(crate) fn state_from_byte(byte: u8) -> Option<State> {
    match byte {
        1 => Some(State::InFlight),
        2 => Some(State::Completed),
        3 => Some(State::Failed),
        _ => None,
    }
}

/// Encodes a small value.
pub(crate) fn encode(value: &impl Serialize) -> Result<Vec<u8>, StorageError> {
    bincode::serde::encode_to_vec(value, FIXED).map_err(|error| StorageError::Damaged(format!("encoding: {error}")))
}

/// As [`encode`], into exactly as many bytes as that takes.
fn encode_into(bytes: &mut [u8], value: &impl Serialize) -> Result<(), StorageError> {
    match bincode::serde::encode_into_slice(value, bytes, FIXED) {
        Ok(written) if written == bytes.len() => Ok(()),
        Ok(written) => Err(StorageError::Damaged(format!("encoding: {written} bytes instead of {}", bytes.len()))),
        Err(error) => Err(StorageError::Damaged(format!("encoding: {error}"))),
    }
}

/// Decodes a small value and demands that it uses every byte.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, StorageError> {
    match bincode::serde::decode_from_slice(bytes, FIXED.with_limit::<DECODE_BYTES_MAX>()) {
        Ok((value, used)) if used == bytes.len() => Ok(value),
        Ok(_) => Err(StorageError::Damaged("value has bytes left over".into())),
        Err(error) => Err(StorageError::Damaged(format!("value does not decode: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(super) fn any_record() -> impl Strategy<Value = Record> {
        let times = any::<[u64; 7]>();
        let bytes = || proptest::collection::vec(any::<u8>(), 0..300);
        (1u8..=3, any::<[u8; 32]>(), 1u64..u64::MAX, 1u32..u32::MAX, times, proptest::option::of(bytes()), bytes()).prop_map(
            |(state, fingerprint, token, attempt, times, checkpoint, payload)| {
                let state = state_from_byte(state).unwrap();
                let in_flight = state == State::InFlight;
                Record {
                    state,
                    fingerprint: Fingerprint::from_bytes(fingerprint),
                    token: FencingToken::new(token),
                    attempt,
                    holder: Holder::from_number(times[0]),
                    first_seen_at: Timestamp::from_millis(times[1]),
                    started_at: Timestamp::from_millis(times[2]),
                    ended_at: Timestamp::from_millis(times[3]),
                    lease_expires_at: Timestamp::from_millis(times[4]),
                    lease_deadline_ms: times[5],
                    expires_at: Timestamp::from_millis(times[6]),
                    checkpoint: checkpoint.filter(|_| in_flight).map(Arc::from),
                    payload: if in_flight { Arc::default() } else { payload.into() },
                }
            },
        )
    }

    proptest! {
        #[test]
        fn records_survive_their_encoding(record in any_record()) {
            let check = ValueCheck::new(&[3; 16]);
            let frame = encode_record(check, b"key", &record).unwrap();
            prop_assert_eq!(frame.len(), FRAME_BYTES_MIN + record.payload.len() + record.checkpoint.as_ref().map_or(0, |c| c.len()));
            prop_assert_eq!(decode_record(check, b"key", &frame).unwrap(), record);
            prop_assert!(decode_record(check, b"yek", &frame).is_err());
        }

        /// Bytes with a valid check, whatever they are, decode or are refused; they never panic or allocate without bound.
        #[test]
        fn sealed_nonsense_is_refused(body in proptest::collection::vec(any::<u8>(), 0..400)) {
            let check = ValueCheck::new(&[3; 16]);
            let body = [&[RECORD_VERSION][..], &body].concat();
            if let Ok(record) = decode_record(check, b"key", &check.seal(b"key", &body)) {
                prop_assert_eq!(encode_record(check, b"key", &record).unwrap(), check.seal(b"key", &body));
            }
        }
    }

    #[test]
    fn a_newer_record_version_is_named() {
        let check = ValueCheck::new(&[3; 16]);
        let error = decode_record(check, b"key", &check.seal(b"key", &[RECORD_VERSION + 1, 0, 0])).unwrap_err();
        assert!(matches!(error, StorageError::Unsupported(_)), "{error}");
    }
}
