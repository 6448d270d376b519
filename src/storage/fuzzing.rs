//! Ways in for the fuzzers: bytes behind a valid check, so that a fuzzer gets past it. Compiled only under `--cfg fuzzing`;
//! not part of the API.

use super::{
    audit, codec,
    frame::{CheckKey, StoreId},
    journal,
    keys::{self, IndexEntry},
    meta::Meta,
    seal::ValueCheck,
};
use crate::Key;

/// Seals `body` as a record, decodes it, and returns whether that worked.
///
/// # Panics
/// When the record does not encode to the bytes that it came from, or decodes at another place.
pub fn decode_record(store: StoreId, storage_key: &[u8], body: &[u8]) -> bool {
    let check = ValueCheck::new(&store);
    let frame = check.seal(storage_key, body);
    let Ok(record) = codec::decode_record(check, storage_key, &frame) else { return false };
    let again = codec::encode_record(check, storage_key, &record);
    assert!(again.is_ok_and(|again| again == frame), "a record changes when it is written again");
    assert!(codec::decode_record(check, &[storage_key, b"x"].concat(), &frame).is_err(), "a record decodes elsewhere");
    true
}

/// Decodes a record frame as it is, which only one in 2^128 survives.
///
/// # Panics
/// When `frame` decodes.
pub fn decode_unsealed_record(store: StoreId, storage_key: &[u8], frame: &[u8]) {
    let check = ValueCheck::new(&store);
    assert!(codec::decode_record(check, storage_key, frame).is_err(), "an unsealed record decodes");
}

/// Seals `body` as metadata, decodes it, and returns whether that worked.
///
/// # Panics
/// When it does not encode to the bytes that it came from.
pub fn decode_meta(store: StoreId, body: &[u8]) -> bool {
    let check = ValueCheck::new(&store);
    let frame = check.seal(b"meta", body);
    let Ok(meta) = Meta::decode(check, &frame) else { return false };
    assert!(meta.encode(check).is_ok_and(|again| again == frame), "metadata changes when it is written again");
    true
}

/// Seals `body` as an audit row, decodes it, and returns whether that worked.
///
/// # Panics
/// When it does not encode to the bytes that it came from.
pub fn decode_audit(store: StoreId, number: u64, body: &[u8]) -> bool {
    let check = ValueCheck::new(&store);
    let binding = [&b"audit"[..], &number.to_be_bytes()].concat();
    let frame = check.seal(&binding, body);
    let Ok(row) = audit::decode(check, number, &frame) else { return false };
    assert!(audit::encode(check, &row).is_ok_and(|again| again == frame), "an audit row changes when it is written again");
    true
}

/// Parses an index entry and returns whether that worked.
///
/// # Panics
/// When it does not encode to the bytes that it came from.
pub fn parse_index_entry(bytes: &[u8]) -> bool {
    let Some(entry) = IndexEntry::parse(bytes) else { return false };
    assert!(entry.to_bytes() == bytes, "an index entry changes when it is written again");
    true
}

/// Parses a storage key and returns the key.
///
/// # Panics
/// When it does not encode to the bytes that it came from.
pub fn parse_storage_key(bytes: &[u8]) -> Option<Key> {
    let key = keys::parse_storage_key(bytes)?;
    assert!(keys::storage_key(&key) == bytes, "a key changes when it is written again");
    Some(key)
}

/// Encodes a key and parses it again.
///
/// # Panics
/// When it is another key then, or lies outside the prefix of its scope.
pub fn storage_key(key: &Key) -> Vec<u8> {
    let bytes = keys::storage_key(key);
    assert!(keys::parse_storage_key(&bytes).as_ref() == Some(key), "a key does not survive its encoding");
    let prefix = keys::scope_prefix(key.scope());
    assert!(bytes.starts_with(&prefix), "a key lies outside its scope");
    assert!(keys::after_prefix(&prefix).is_none_or(|end| bytes < end), "a key lies behind the end of its scope");
    bytes
}

/// Decodes the body of a frame of the journal and returns whether that worked.
///
/// # Panics
/// When it does not decode to the same batch after it was encoded again.
pub fn decode_batch(batch: u64, body: &[u8]) -> bool {
    let Ok(logged) = journal::decode(body, batch) else { return false };
    let mut again = Vec::new();
    assert!(journal::encode(&logged, &mut again).is_ok(), "a batch that decodes does not encode");
    assert!(journal::decode(&again, batch).is_ok_and(|again| again == logged), "a batch changes when it is written again");
    true
}

/// Looks for frames in bytes that hold none.
///
/// # Panics
/// When it finds one, which only one in 2^128 survives.
pub fn replay_unsealed(store: StoreId, bytes: &[u8]) {
    let replay = journal::replay_frames(bytes, &CheckKey::for_frames(&store, 1, &[0; 16]), 0);
    assert!(replay.frames.is_empty() && replay.damaged_at.is_none(), "a frame that nobody sealed");
    assert!(replay.end == journal::HEADER_BYTES.min(bytes.len()), "an end where nothing begins");
}

/// Seals bodies as the frames of a segment, appends `behind`, flips bits (place and mask), and looks for the frames again.
/// Returns how many are found.
///
/// # Panics
/// When one is found that was damaged, one is not that was left alone, or damage between them goes unnoticed.
pub fn replay_sealed(store: StoreId, bodies: &[Vec<u8>], behind: &[u8], flips: &[(u16, u8)]) -> usize {
    let check = CheckKey::for_frames(&store, 1, &[0; 16]);
    let mut bytes = vec![0; journal::HEADER_BYTES];
    let mut places = Vec::new();
    for (body, batch) in bodies.iter().zip(1..) {
        let mut frame = [&journal::start_frame(0)[..], body].concat();
        assert!(journal::seal_frame(&mut frame, &check, bytes.len() as u64, batch), "a body is too long");
        places.push(bytes.len()..bytes.len() + frame.len());
        bytes.extend(frame);
    }
    bytes.extend_from_slice(behind);
    let sealed = bytes.clone();
    for &(at, mask) in flips {
        let at = usize::from(at) % bytes.len();
        bytes[at] ^= mask;
    }
    let sound: Vec<_> = places.iter().filter(|place| bytes[(*place).clone()] == sealed[(*place).clone()]).collect();
    let replay = journal::replay_frames(&bytes, &check, 0);
    let found: Vec<_> = replay.frames.iter().map(|frame| frame.position..frame.position + frame.len).collect();
    assert!(found.iter().eq(sound.iter().copied()), "found {found:?}, sound are {sound:?}");
    let end = found.last().map_or(journal::HEADER_BYTES, |last| last.end);
    assert!(replay.end == end, "the next frame goes to {}, not {end}", replay.end);
    let is_broken = places.iter().any(|place| place.end <= end && !found.contains(place));
    assert!(replay.damaged_at.is_some() == is_broken, "damage at {:?}, broken: {is_broken}", replay.damaged_at);
    found.len()
}
