//! No bytes behind a valid check make a decoder panic, and what decodes is written again as it was.
#![no_main]

use idemstore::fuzzing;
use libfuzzer_sys::fuzz_target;

const STORE: [u8; 16] = [7; 16];

fuzz_target!(|data: &[u8]| {
    let Some((&decoder, body)) = data.split_first() else { return };
    match decoder {
        0..=127 => {
            fuzzing::decode_record(STORE, b"\0\x05scopeid", body);
            // As if the version were right, so that the fuzzer need not find it.
            fuzzing::decode_record(STORE, b"\0\x05scopeid", &[&[1], body].concat());
        }
        128..=159 => drop(fuzzing::decode_meta(STORE, &[&[1], body].concat())),
        160..=199 => drop(fuzzing::decode_audit(STORE, u64::from(decoder), &[&[1], body].concat())),
        200..=219 => drop(fuzzing::parse_index_entry(body)),
        220..=239 => drop(fuzzing::parse_storage_key(body)),
        _ => fuzzing::decode_unsealed_record(STORE, b"\0\x05scopeid", body),
    }
});
