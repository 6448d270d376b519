//! A key header: refused or read, never anything in between; and what was read can be written and read again.
#![no_main]

use idemstore::{limits::KEY_ID_BYTES_MAX, tower::parse_idempotency_key};
use idemstore_fuzz::ensure;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|value: &[u8]| {
    let read = parse_idempotency_key(value);
    ensure!(read.as_ref().ok() == naive(value).as_ref(), "{value:?}: read {read:?}, expected {:?}", naive(value));
    let Ok(key) = read else { return };
    let quoted = format!("\"{}\"", key.replace('\\', "\\\\").replace('"', "\\\""));
    ensure!(parse_idempotency_key(quoted.as_bytes()).as_ref() == Ok(&key), "{key:?} does not come back quoted");
});

/// The rules of RFC 8941, section 4.2.5, and of bare keys, written for another reader.
fn naive(value: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(value).ok()?;
    let text = text.trim_matches(|c| matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0c'));
    let key = if text.starts_with('"') {
        let inner = text.get(1..)?.strip_suffix('"')?;
        let mut key = String::new();
        let mut escaping = false;
        for c in inner.chars() {
            match (escaping, c) {
                (true, '"' | '\\') | (false, ' '..='!' | '#'..='[' | ']'..='~') => {
                    key.push(c);
                    escaping = false;
                }
                (false, '\\') => escaping = true,
                _ => return None,
            }
        }
        (!escaping).then_some(key)?
    } else {
        let is_allowed = |c: char| c.is_ascii_graphic() && !"\"\\,;".contains(c);
        text.chars().all(is_allowed).then(|| text.to_owned())?
    };
    (1..=KEY_ID_BYTES_MAX).contains(&key.len()).then_some(key)
}
