//! JSON as a fingerprint needs it: read so that it has one meaning, and written in one form.
//!
//! Two clients write the same request with other white space, another order of members and other spellings of numbers and
//! strings. A fingerprint over their bytes would call that a mismatch; one over the canonical form (RFC 8785) does not. The form
//! has a price: it writes numbers with the precision of a double. Here a number that would change is refused, in [`read`] and in
//! [`canonical`], so that two different requests never get one fingerprint by rounding.
//!
//! Feature `json`.

mod canonical;
mod number;
mod read;

pub use canonical::canonical;
pub use read::read;

use crate::{Fingerprint, Result};

impl Fingerprint {
    /// Digests a value of JSON in its [canonical](crate::json::canonical) form: `Fingerprint::of(&[&canonical(value)?])`. Get the
    /// value from [`json::read`](crate::json::read); other readers have merged repeated names and rounded numbers already.
    ///
    /// ```
    /// use idemstore::{Fingerprint, json};
    ///
    /// let of = |text: &str| Fingerprint::of_json(&json::read(text.as_bytes())?);
    /// assert_eq!(of(r#"{"amount": 100, "to": "a"}"#)?, of(r#"{"to":"\u0061","amount":1e2}"#)?);
    /// assert_ne!(of(r#"{"amount":100}"#)?, of(r#"{"amount":"100"}"#)?);
    /// # Ok::<(), idemstore::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) as [`json::canonical`](crate::json::canonical).
    pub fn of_json(value: &serde_json::Value) -> Result<Self> {
        Ok(Self::of(&[&canonical(value)?]))
    }
}
