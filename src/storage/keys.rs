//! How keys are laid out in the tables. The byte order of these encodings is the order of a scan.

use crate::{Key, Scope, Timestamp, record::Record, record::State};

const SCOPE_LEN_BYTES: usize = 2;
const CLASS_BYTES: usize = 1;
const TIME_BYTES: usize = 8;

/// Encodes a key: the scope's length (u16, big-endian), the scope, the id. No two keys share an encoding, and a scope's keys
/// are neighbours.
pub(crate) fn storage_key(key: &Key) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(len_of(key));
    push_prefix(&mut bytes, key.scope());
    bytes.extend_from_slice(key.id().as_bytes());
    bytes
}

/// Encodes what all keys of a scope start with.
pub(crate) fn scope_prefix(scope: &Scope) -> Vec<u8> {
    let mut bytes = Vec::new();
    push_prefix(&mut bytes, scope);
    bytes
}

fn push_prefix(bytes: &mut Vec<u8>, scope: &Scope) {
    let name = scope.as_str().as_bytes();
    // A scope has at most 512 bytes.
    let len = u16::try_from(name.len()).unwrap_or(u16::MAX);
    bytes.extend_from_slice(&len.to_be_bytes());
    bytes.extend_from_slice(name);
}

/// Returns the length of [`storage_key`].
pub(crate) fn len_of(key: &Key) -> usize {
    SCOPE_LEN_BYTES + key.scope().as_str().len() + key.id().len()
}

/// Returns what [`scope_prefix`] is of the scope of a storage key.
pub(crate) fn scope_of(storage_key: &[u8]) -> &[u8] {
    let len: usize = storage_key.first_chunk().map_or(0, |len| u16::from_be_bytes(*len).into());
    storage_key.get(..SCOPE_LEN_BYTES + len).unwrap_or(storage_key)
}

/// Decodes what [`storage_key`] encoded.
pub(crate) fn parse_storage_key(bytes: &[u8]) -> Option<Key> {
    let (len, rest) = bytes.split_first_chunk::<SCOPE_LEN_BYTES>()?;
    let (scope, id) = rest.split_at_checked(u16::from_be_bytes(*len).into())?;
    Key::new(str::from_utf8(scope).ok()?, str::from_utf8(id).ok()?).ok()
}

/// Which part of the index a record stands in; each part is ordered by a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    /// In flight with a checkpoint, by first sight: never swept.
    Held = 0,
    /// In flight, by the time at which the sweeper may have it.
    InFlight = 1,
    /// Completed or failed, by expiry.
    Terminal = 2,
}

impl Class {
    /// In the order of the index.
    pub(crate) const ALL: [Self; 3] = [Self::Held, Self::InFlight, Self::Terminal];
}

/// Where a record stands in the index, apart from its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) class: Class,
    pub(crate) time: Timestamp,
}

impl Place {
    /// Where `record` belongs.
    pub(crate) fn of(record: &Record) -> Self {
        let (class, time) = match record.state {
            State::InFlight if record.is_held() => (Class::Held, record.first_seen_at),
            State::InFlight => (Class::InFlight, record.expires_at),
            State::Completed | State::Failed => (Class::Terminal, record.expires_at),
        };
        Self { class, time }
    }

    /// The entry of a key that stands there.
    pub(crate) fn entry(self, storage_key: &[u8]) -> IndexEntry {
        IndexEntry { class: self.class, time: self.time, storage_key: storage_key.to_vec() }
    }
}

/// A record's single place in the index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IndexEntry {
    pub(crate) class: Class,
    pub(crate) time: Timestamp,
    pub(crate) storage_key: Vec<u8>,
}

impl IndexEntry {
    /// Where `record` belongs.
    pub(crate) fn of(storage_key: &[u8], record: &Record) -> Self {
        Place::of(record).entry(storage_key)
    }

    /// Encodes the entry: class (u8), time (u64, big-endian, so that bytes sort as times), storage key.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        [&Self::bound(self.class, self.time)[..], &self.storage_key].concat()
    }

    /// The least encoding of any entry of that class and time.
    pub(crate) fn bound(class: Class, time: Timestamp) -> [u8; CLASS_BYTES + TIME_BYTES] {
        let mut bytes = [0; CLASS_BYTES + TIME_BYTES];
        bytes[0] = class as u8;
        bytes[CLASS_BYTES..].copy_from_slice(&time.as_millis().to_be_bytes());
        bytes
    }

    /// Decodes what [`to_bytes`](Self::to_bytes) encoded.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let (&class, rest) = bytes.split_first()?;
        let class = match class {
            0 => Class::Held,
            1 => Class::InFlight,
            2 => Class::Terminal,
            _ => return None,
        };
        let (time, storage_key) = rest.split_first_chunk::<TIME_BYTES>()?;
        let time = Timestamp::from_millis(u64::from_be_bytes(*time));
        Some(Self { class, time, storage_key: storage_key.to_vec() })
    }
}

/// The least byte string that is greater than every one that starts with `prefix`; `None` if there is none.
pub(crate) fn after_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|&byte| byte != u8::MAX)?;
    let mut bound = prefix[..=last].to_vec();
    bound[last] += 1;
    Some(bound)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn keys_survive_their_encoding(scope in ".{1,100}", id in ".{1,60}") {
            let key = Key::new(scope, id)?;
            prop_assert_eq!(parse_storage_key(&storage_key(&key)), Some(key));
        }

        #[test]
        fn any_bytes_are_a_key_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            if let Some(key) = parse_storage_key(&bytes) {
                prop_assert_eq!(storage_key(&key), bytes);
            }
        }

        #[test]
        fn a_prefix_bound_is_tight(prefix in proptest::collection::vec(any::<u8>(), 1..5), rest in proptest::collection::vec(any::<u8>(), 0..5)) {
            if let Some(bound) = after_prefix(&prefix) {
                prop_assert!([prefix.clone(), rest].concat() < bound);
                prop_assert!(prefix < bound);
            }
        }
    }

    #[test]
    fn scope_and_id_do_not_run_together() {
        let encode = |scope, id| storage_key(&Key::new(scope, id).unwrap());
        assert_ne!(encode("ab", "c"), encode("a", "bc"));
    }

    #[test]
    fn index_entries_sort_by_class_then_time() {
        let bytes = |class, time| IndexEntry { class, time: Timestamp::from_millis(time), storage_key: vec![9] }.to_bytes();
        assert!(bytes(Class::Held, 500) < bytes(Class::InFlight, 1));
        assert!(bytes(Class::Terminal, 255) < bytes(Class::Terminal, 256));
        assert_eq!(IndexEntry::parse(&bytes(Class::Terminal, 7)).unwrap().time.as_millis(), 7);
    }
}
