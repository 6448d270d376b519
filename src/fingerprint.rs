use crate::{Error, Result};
use std::{fmt, str::FromStr};

/// Separates these digests from every other use of BLAKE3 (its paper, section 2.3). Part of the format: never changes.
const CONTEXT: &str = "idemstore 2026-11-21 request fingerprint v1";

/// Digest of the parts of a request that must be the same on a retry.
///
/// BLAKE3 with 256 bits, under a context of its own, over length-prefixed parts; the same in every store, so that records
/// can move. Comparison takes constant time. Never the raw bytes of something that clients encode in more than one way.
///
/// ```
/// use idemstore::Fingerprint;
///
/// let first = Fingerprint::of(&[b"POST", b"/payments", br#"{"amount":100}"#]);
/// assert_eq!(first, Fingerprint::of(&[b"POST", b"/payments", br#"{"amount":100}"#]));
/// assert_ne!(first, Fingerprint::of(&[b"POST", b"/payments", br#"{"amount":999}"#]));
/// assert_ne!(Fingerprint::of(&[b"ab", b"c"]), Fingerprint::of(&[b"a", b"bc"]));
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint(blake3::Hash);

impl Fingerprint {
    /// Bytes of a fingerprint.
    pub const BYTES: usize = 32;

    /// Digests the parts, in this order; `["ab", "c"]` and `["a", "bc"]` differ.
    pub fn of(parts: &[&[u8]]) -> Self {
        Self(hasher_of(parts).finalize())
    }

    /// Starts the digest of parts of which the last one, of `last_bytes` bytes, comes in pieces: a body that is being read, say.
    pub fn of_pieces(parts: &[&[u8]], last_bytes: u64) -> FingerprintOfPieces {
        let mut hasher = hasher_of(parts);
        hasher.update(&last_bytes.to_le_bytes());
        FingerprintOfPieces { hasher, left: Some(last_bytes) }
    }

    /// Takes a digest that was computed elsewhere.
    pub fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        Self(blake3::Hash::from_bytes(bytes))
    }

    /// Returns the 32 bytes.
    pub fn as_bytes(&self) -> &[u8; Self::BYTES] {
        self.0.as_bytes()
    }
}

/// A [`Fingerprint`] whose last part comes in pieces, made by [`Fingerprint::of_pieces`].
///
/// ```
/// use idemstore::Fingerprint;
///
/// let mut pieces = Fingerprint::of_pieces(&[b"POST", b"/payments"], 6);
/// pieces.add(b"100 ");
/// pieces.add(b"EU");
/// assert_eq!(pieces.finish(), Some(Fingerprint::of(&[b"POST", b"/payments", b"100 EU"])));
/// ```
#[derive(Clone, Debug)]
pub struct FingerprintOfPieces {
    hasher: blake3::Hasher,
    /// Bytes that are still to come; `None` if there were more than announced.
    left: Option<u64>,
}

impl FingerprintOfPieces {
    /// Adds the next piece of the last part.
    pub fn add(&mut self, piece: &[u8]) {
        self.left = self.left.and_then(|left| left.checked_sub(piece.len() as u64));
        if self.left.is_some() {
            self.hasher.update(piece);
        }
    }

    /// Returns the digest; `None` if the pieces did not have the length that was announced.
    pub fn finish(self) -> Option<Fingerprint> {
        (self.left == Some(0)).then(|| Fingerprint(self.hasher.finalize()))
    }
}

fn hasher_of(parts: &[&[u8]]) -> blake3::Hasher {
    let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
    }
    hasher
}

/// Writes 64 lower-case hex digits.
impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_hex())
    }
}

/// Reads 64 hex digits.
impl FromStr for Fingerprint {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        blake3::Hash::from_hex(text).map(Self).map_err(|_| Error::invalid("fingerprint is not 64 hex digits"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}
