//! Ways in for the fuzzers: bytes behind a valid check, so that a fuzzer gets past it. Compiled only under `--cfg fuzzing`;
//! not part of the API.

use super::{
    audit, codec,
    frame::{CheckKey, StoreId},
    keys::{self, IndexEntry},
    meta::Meta,
};
use crate::Key;

/// Seals `body` as a record, decodes it, and returns whether that worked.
///
/// # Panics
/// When the record does not encode to the bytes that it came from, or decodes at another place.
pub fn decode_record(store: StoreId, storage_key: &[u8], body: &[u8]) -> bool {
    let check = CheckKey::for_values(&store);
    let frame = check.seal(storage_key, body);
    let Ok(record) = codec::decode_record(&check, storage_key, &frame) else { return false };
    let again = codec::encode_record(&check, storage_key, &record);
    assert!(again.is_ok_and(|again| again == frame), "a record changes when it is written again");
    assert!(codec::decode_record(&check, &[storage_key, b"x"].concat(), &frame).is_err(), "a record decodes elsewhere");
    true
}

/// Decodes a record frame as it is, which only one in 2^128 survives.
///
/// # Panics
/// When `frame` decodes.
pub fn decode_unsealed_record(store: StoreId, storage_key: &[u8], frame: &[u8]) {
    let check = CheckKey::for_values(&store);
    assert!(codec::decode_record(&check, storage_key, frame).is_err(), "an unsealed record decodes");
}

/// Seals `body` as metadata, decodes it, and returns whether that worked.
///
/// # Panics
/// When it does not encode to the bytes that it came from.
pub fn decode_meta(store: StoreId, body: &[u8]) -> bool {
    let check = CheckKey::for_values(&store);
    let frame = check.seal(b"meta", body);
    let Ok(meta) = Meta::decode(&check, &frame) else { return false };
    assert!(meta.encode(&check).is_ok_and(|again| again == frame), "metadata changes when it is written again");
    true
}

/// Seals `body` as an audit row, decodes it, and returns whether that worked.
///
/// # Panics
/// When it does not encode to the bytes that it came from.
pub fn decode_audit(store: StoreId, number: u64, body: &[u8]) -> bool {
    let check = CheckKey::for_values(&store);
    let binding = [&b"audit"[..], &number.to_be_bytes()].concat();
    let frame = check.seal(&binding, body);
    let Ok(row) = audit::decode(&check, number, &frame) else { return false };
    assert!(audit::encode(&check, &row).is_ok_and(|again| again == frame), "an audit row changes when it is written again");
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
