use crate::{Error, Result, random};
use std::{fmt, str::FromStr};

/// Name of the extension in `extensions`.
pub const PAYMENT_IDENTIFIER: &str = "payment-identifier";
/// The fewest bytes of a payment id.
pub const PAYMENT_ID_MIN_LENGTH: usize = 16;
/// The most bytes of a payment id.
pub const PAYMENT_ID_MAX_LENGTH: usize = 128;
/// The form of a payment id as the extension's schema has it, for schemas and messages. Ids are checked byte by byte, because `$`
/// lets a trailing newline through in some dialects.
pub const PAYMENT_ID_PATTERN: &str = "^[a-zA-Z0-9_-]+$";
/// What the official SDKs put before the digits of a generated id.
pub const PAYMENT_ID_PREFIX: &str = "pay_";

/// A payment id: 16 to 128 bytes, each of them one of `A-Z a-z 0-9 _ -`.
///
/// The client makes it up; a server must never use it alone as the name of a payment, only in a [`Scope`](crate::Scope).
/// Like a [`Key`](crate::Key), `Debug` shows only its beginning; `Display` is the whole id.
///
/// ```
/// use idemstore::x402::{PaymentId, PaymentIdError};
///
/// let id: PaymentId = "pay_7d5d747be160e280504c099d984bcfe0".parse()?;
/// assert_eq!(id.as_str(), "pay_7d5d747be160e280504c099d984bcfe0");
/// assert_eq!(PaymentId::new("pay_newline_12345678\n"), Err(PaymentIdError::Character { position: 20 }));
/// # Ok::<(), PaymentIdError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PaymentId(Box<str>);

/// Why a `payment-identifier` extension, or the id in it, is refused. Answer with 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum PaymentIdError {
    /// An id is too short or too long.
    #[error("payment id has {bytes} bytes: give {PAYMENT_ID_MIN_LENGTH} to {PAYMENT_ID_MAX_LENGTH}")]
    Length {
        /// The bytes it has.
        bytes: usize,
    },
    /// An id has a byte that is not allowed.
    #[error("payment id has something else than letters, digits, hyphens and underscores at byte {position}")]
    Character {
        /// Where it is, from 0.
        position: usize,
    },
    /// `info.id` is neither a string nor null.
    #[error("payment id is not a string")]
    NotAString,
    /// The extension is not an object.
    #[error("{PAYMENT_IDENTIFIER} is not an object")]
    NotAnObject,
    /// The extension has no object `info`.
    #[error("{PAYMENT_IDENTIFIER} has no info object")]
    NoInfo,
    /// `info.required` is not a boolean. Only [`validate_payment_identifier`](super::validate_payment_identifier) minds.
    #[error("{PAYMENT_IDENTIFIER} info has no boolean named required")]
    NoRequired,
    /// The server requires an id and the payload has none.
    #[error("payment id is required and the payment has none")]
    Missing,
}

impl From<PaymentIdError> for Error {
    /// Always [`InvalidInput`](crate::ErrorKind::InvalidInput).
    fn from(error: PaymentIdError) -> Self {
        Self::invalid(error.to_string()).caused_by(error)
    }
}

impl PaymentId {
    /// Makes an id of `text`.
    ///
    /// # Errors
    /// [`Length`](PaymentIdError::Length) or [`Character`](PaymentIdError::Character).
    pub fn new(text: impl AsRef<str>) -> Result<Self, PaymentIdError> {
        let text = text.as_ref();
        if !(PAYMENT_ID_MIN_LENGTH..=PAYMENT_ID_MAX_LENGTH).contains(&text.len()) {
            return Err(PaymentIdError::Length { bytes: text.len() });
        }
        match text.bytes().position(|byte| !is_allowed(byte)) {
            Some(position) => Err(PaymentIdError::Character { position }),
            None => Ok(Self(text.into())),
        }
    }

    /// Returns the id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_allowed(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

/// Returns whether `text` is a payment id.
///
/// ```
/// use idemstore::x402::is_valid_payment_id;
///
/// assert!(is_valid_payment_id("order-2026-11-21-0001"));
/// assert!(!is_valid_payment_id("too_short"));
/// ```
pub fn is_valid_payment_id(text: &str) -> bool {
    PaymentId::new(text).is_ok()
}

/// Makes a new id: `prefix`, usually [`PAYMENT_ID_PREFIX`], and 32 hex digits from the operating system's random source.
///
/// A client calls it once for each payment it means to make, and keeps the id for every retry.
///
/// ```
/// use idemstore::x402::{PAYMENT_ID_PREFIX, generate_payment_id};
///
/// let id = generate_payment_id(PAYMENT_ID_PREFIX)?;
/// assert!(id.as_str().starts_with("pay_") && id.as_str().len() == 4 + 32);
/// assert_ne!(generate_payment_id("")?, generate_payment_id("")?);
/// # Ok::<(), idemstore::Error>(())
/// ```
///
/// # Errors
/// [`InvalidInput`](crate::ErrorKind::InvalidInput) when the prefix is longer than 96 bytes or has a character that an id cannot
/// have; [`Io`](crate::ErrorKind::Io) when the operating system gives no random bytes.
pub fn generate_payment_id(prefix: &str) -> Result<PaymentId> {
    Ok(PaymentId::new(random::hex_id(prefix, "a payment id")?)?)
}

impl FromStr for PaymentId {
    type Err = PaymentIdError;

    fn from_str(text: &str) -> Result<Self, PaymentIdError> {
        Self::new(text)
    }
}

impl AsRef<str> for PaymentId {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for PaymentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for PaymentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // At least half of the shortest id stays hidden.
        const SHOWN_BYTES: usize = PAYMENT_ID_MIN_LENGTH / 2;
        write!(f, "PaymentId({}...)", self.0.get(..SHOWN_BYTES).unwrap_or_default())
    }
}
