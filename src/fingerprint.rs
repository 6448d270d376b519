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
        let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
        for part in parts {
            hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
        }
        Self(hasher.finalize())
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
