//! Seals and opens values: a 16-byte XXH3 check, seeded with the store's id and bound to where the value belongs.
//!
//! As with the [checks of blocks](super::blocks), it has to notice what disks, controllers, memory and bugs do to bytes. Nobody chooses
//! checks: who can write to the file can replace it.

use super::frame::{StoreId, seed_for};
use twox_hash::{XxHash3_64, XxHash3_128};

/// Bytes of a check. 128 bits: a damaged value passes by chance once in 2^128.
pub(crate) const CHECK_BYTES: usize = 16;

/// Computes the checks of one store's records, metadata and audit rows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ValueCheck(u64);

impl ValueCheck {
    pub(crate) fn new(store: &StoreId) -> Self {
        Self(seed_for("idemstore 2026-11-21 value check v2", store))
    }

    fn of(self, binding: &[u8], body: &[u8]) -> [u8; CHECK_BYTES] {
        let seed = XxHash3_64::oneshot_with_seed(self.0, binding);
        XxHash3_128::oneshot_with_seed(seed, body).to_le_bytes()
    }

    /// Returns an empty frame with room for a body of that many bytes, which is to be appended before it is [closed](Self::close).
    pub(crate) fn start(body_bytes: usize) -> Vec<u8> {
        let mut frame = Vec::with_capacity(CHECK_BYTES + body_bytes);
        frame.resize(CHECK_BYTES, 0);
        frame
    }

    /// Fills in the check of a [started](Self::start) frame.
    pub(crate) fn close(self, binding: &[u8], frame: &mut [u8]) {
        if let Some((check, body)) = frame.split_first_chunk_mut() {
            *check = self.of(binding, body);
        }
    }

    /// Puts the check before the body.
    pub(crate) fn seal(self, binding: &[u8], body: &[u8]) -> Vec<u8> {
        let mut frame = Self::start(body.len());
        frame.extend_from_slice(body);
        self.close(binding, &mut frame);
        frame
    }

    /// Returns the body if it is what was sealed for this place.
    pub(crate) fn open<'f>(self, binding: &[u8], frame: &'f [u8]) -> Option<&'f [u8]> {
        let (check, body) = frame.split_first_chunk()?;
        (*check == self.of(binding, body)).then_some(body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_opens_only_whole_in_its_place_and_in_its_store() {
        let check = ValueCheck::new(&[1; 16]);
        // The hash treats bytes of different lengths differently.
        for body in [&b""[..], b"body", &[7; 100], &[7; 200], &[7; 1200]] {
            let frame = check.seal(b"here", body);
            assert_eq!(check.open(b"here", &frame), Some(body));
            assert_eq!(check.open(b"there", &frame), None);
            assert_eq!(ValueCheck::new(&[2; 16]).open(b"here", &frame), None);
            for length in 0..frame.len() {
                assert_eq!(check.open(b"here", &frame[..length]), None);
            }
            for bit in 0..frame.len() * 8 {
                let mut flipped = frame.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(check.open(b"here", &flipped), None, "bit {bit}");
            }
        }
    }
}
