//! Seals and opens byte strings: a 16-byte BLAKE3 check, keyed by the store's id and bound to where the bytes belong.

/// Bytes of a check. 128 bits: a damaged value passes by chance once in 2^128.
pub(crate) const CHECK_BYTES: usize = 16;

/// Identifies one store for ever; random.
pub(crate) type StoreId = [u8; 16];

/// Computes the checks of one store and one purpose.
#[derive(Clone, Copy)]
pub(crate) struct CheckKey([u8; 32]);

impl std::fmt::Debug for CheckKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CheckKey")
    }
}

impl CheckKey {
    /// For records, metadata and audit rows.
    pub(crate) fn for_values(store: &StoreId) -> Self {
        Self(blake3::derive_key("idemstore 2026-11-21 value check v1", store))
    }

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
        let hash = blake3::keyed_hash(&self.0, bytes);
        hash.as_bytes().first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }

    /// Puts the check before the body.
    pub(crate) fn seal(&self, binding: &[u8], body: &[u8]) -> Vec<u8> {
        let mut frame = Vec::with_capacity(CHECK_BYTES + body.len());
        frame.extend_from_slice(&self.check(binding, body));
        frame.extend_from_slice(body);
        frame
    }

    /// Returns the body if it is what was sealed for this place.
    pub(crate) fn open<'f>(&self, binding: &[u8], frame: &'f [u8]) -> Option<&'f [u8]> {
        let (check, body) = frame.split_at_checked(CHECK_BYTES)?;
        (check == self.check(binding, body)).then_some(body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_opens_only_whole_in_its_place_and_in_its_store() {
        let key = CheckKey::for_values(&[1; 16]);
        let frame = key.seal(b"here", b"body");
        assert_eq!(key.open(b"here", &frame), Some(&b"body"[..]));
        assert_eq!(key.open(b"there", &frame), None);
        assert_eq!(CheckKey::for_values(&[2; 16]).open(b"here", &frame), None);
        assert_eq!(CheckKey::for_filters(&[1; 16]).open(b"here", &frame), None);
        for length in 0..frame.len() {
            assert_eq!(key.open(b"here", &frame[..length]), None);
        }
        for bit in 0..frame.len() * 8 {
            let mut flipped = frame.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(key.open(b"here", &flipped), None, "bit {bit}");
        }
    }
}
