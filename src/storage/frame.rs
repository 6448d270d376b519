//! Keyed hashes: the checks of the journal's frames, and what filters know keys by.

/// Bytes of a check. 128 bits: a damaged frame passes by chance once in 2^128.
pub(crate) const CHECK_BYTES: usize = 16;

/// Identifies one store for ever; random.
pub(crate) type StoreId = [u8; 16];

/// Derives the seed of a store's XXH3 checks for one purpose, which `context` names.
pub(crate) fn seed_for(context: &str, store: &StoreId) -> u64 {
    first_number(&blake3::derive_key(context, store))
}

fn first_number(hash: &[u8; blake3::OUT_LEN]) -> u64 {
    hash.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// Computes the checks of one store and one purpose.
#[derive(Clone, Copy)]
pub(crate) struct CheckKey([u8; 32]);

impl std::fmt::Debug for CheckKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CheckKey")
    }
}

impl CheckKey {
    /// For the hashes by which filters know keys.
    pub(crate) fn for_filters(store: &StoreId) -> Self {
        Self(blake3::derive_key("idemstore 2026-11-21 filter hash v2", store))
    }

    /// For the frames of one generation of the journal.
    pub(crate) fn for_frames(store: &StoreId, generation: u64, salt: &[u8; 16]) -> Self {
        let material = [&store[..], &generation.to_le_bytes(), salt].concat();
        Self(blake3::derive_key("idemstore 2026-11-21 journal frame check v1", &material))
    }

    /// Computes the check of `body` at the place `binding`. The body comes first, so that its chunks are those of BLAKE3, which
    /// hashes several at once; the length at the end keeps body and binding apart.
    pub(crate) fn check(&self, binding: &[u8], body: &[u8]) -> [u8; CHECK_BYTES] {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(body).update(binding).update(&(binding.len() as u64).to_le_bytes());
        let mut check = [0; CHECK_BYTES];
        check.copy_from_slice(&hasher.finalize().as_bytes()[..CHECK_BYTES]);
        check
    }

    /// Computes a hash of `bytes` that nobody without the key can foresee.
    pub(crate) fn hash(&self, bytes: &[u8]) -> u64 {
        first_number(blake3::keyed_hash(&self.0, bytes).as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_is_for_one_body_in_one_place_of_one_generation() {
        let key = CheckKey::for_frames(&[1; 16], 1, &[2; 16]);
        let check = key.check(b"here", b"body");
        assert_eq!(key.check(b"here", b"body"), check);
        let others = [
            key.check(b"there", b"body"),
            key.check(b"here", b"bodz"),
            key.check(b"yhere", b"bod"),
            CheckKey::for_frames(&[2; 16], 1, &[2; 16]).check(b"here", b"body"),
            CheckKey::for_frames(&[1; 16], 2, &[2; 16]).check(b"here", b"body"),
            CheckKey::for_frames(&[1; 16], 1, &[3; 16]).check(b"here", b"body"),
            CheckKey::for_filters(&[1; 16]).check(b"here", b"body"),
        ];
        assert!(!others.contains(&check));
    }
}
