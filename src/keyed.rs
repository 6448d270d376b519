//! Values by key.

use crate::Key;
use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
};

/// A map by keys.
pub(crate) type KeyMap<V> = HashMap<Key, V, BuildHasherDefault<OwnHash>>;

/// Takes the hash that a key brings along.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct OwnHash(u64);

impl Hasher for OwnHash {
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    /// No key comes here.
    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |hash, &byte| hash.wrapping_mul(31).wrapping_add(byte.into()));
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Values by key, in the order in which the keys came.
#[derive(Debug)]
pub(crate) struct Keyed<V> {
    rows: Vec<(Key, V)>,
    places: KeyMap<usize>,
}

impl<V> Keyed<V> {
    pub(crate) fn with_capacity(keys: usize) -> Self {
        Self { rows: Vec::with_capacity(keys), places: KeyMap::with_capacity_and_hasher(keys, BuildHasherDefault::default()) }
    }

    pub(crate) fn contains(&self, key: &Key) -> bool {
        self.places.contains_key(key)
    }

    pub(crate) fn get_mut(&mut self, key: &Key) -> Option<&mut V> {
        let (_, value) = self.rows.get_mut(*self.places.get(key)?)?;
        Some(value)
    }

    /// Puts a value in the place of the one that the key has, or behind all others.
    pub(crate) fn insert(&mut self, key: &Key, value: V) {
        if let Some(known) = self.get_mut(key) {
            *known = value;
        } else {
            self.places.insert(key.clone(), self.rows.len());
            self.rows.push((key.clone(), value));
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &(Key, V)> {
        self.rows.iter()
    }

    pub(crate) fn into_rows(self) -> Vec<(Key, V)> {
        self.rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_keep_their_order_and_their_last_value() {
        let keys = ["b", "a", "c"].map(|id| Key::new("scope", id).unwrap());
        let mut keyed = Keyed::with_capacity(1);
        for (number, key) in keys.iter().chain(&keys[..2]).enumerate() {
            assert_eq!(keyed.contains(key), number > 2);
            keyed.insert(key, number);
        }
        *keyed.get_mut(&keys[2]).unwrap() = 7;
        assert!(keyed.iter().map(|(key, value)| (key.id(), *value)).eq([("b", 3), ("a", 4), ("c", 7)]));
        assert_eq!(keyed.get_mut(&Key::new("another", "a").unwrap()), None);
        assert_eq!(keyed.into_rows().len(), 3);
    }
}
