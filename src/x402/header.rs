use crate::{Error, Result, json, limits::X402_HEADER_BYTES_MAX};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde_json::Value;

/// Name of the header of a 402 that says what has to be paid, in version 2. Version 1 has it in the body.
pub const PAYMENT_REQUIRED_HEADER: &str = "payment-required";
/// Name of the header of a request that pays, in version 2: a `PaymentPayload`.
pub const PAYMENT_SIGNATURE_HEADER: &str = "payment-signature";
/// Name of the header of a response that carries the receipt, in version 2.
pub const PAYMENT_RESPONSE_HEADER: &str = "payment-response";
/// Name of the header of a request that pays, in version 1.
pub const X_PAYMENT_HEADER: &str = "x-payment";
/// Name of the header of a response that carries the receipt, in version 1.
pub const X_PAYMENT_RESPONSE_HEADER: &str = "x-payment-response";

/// Writes the value of any of the five headers: compact JSON in base64, with the standard alphabet and padding.
///
/// ```
/// use idemstore::x402::{decode_header, encode_header};
/// use serde_json::json;
///
/// let header = encode_header(&json!({"x402Version": 2}))?;
/// assert_eq!(header, "eyJ4NDAyVmVyc2lvbiI6Mn0=");
/// assert_eq!(decode_header(header)?, json!({"x402Version": 2}));
/// # Ok::<(), idemstore::Error>(())
/// ```
///
/// # Errors
/// [`InvalidInput`](crate::ErrorKind::InvalidInput) when the value is not an object, or the header were longer than
/// [`X402_HEADER_BYTES_MAX`].
pub fn encode_header(value: &Value) -> Result<String> {
    if !value.is_object() {
        return Err(Error::invalid("x402 header is to hold an object"));
    }
    let header = BASE64.encode(value.to_string());
    check_length(header.len())?;
    Ok(header)
}

/// Reads the value of any of the five headers, as [`json::read`] reads: strictly, so that what it returns has one meaning and one
/// [fingerprint](super::payment_fingerprint). Answer an error with 400.
///
/// For a receipt take [`Settlement::of_header`](super::Settlement::of_header), which is lenient.
///
/// ```
/// use idemstore::x402::decode_header;
///
/// assert!(decode_header("eyJ4NDAyVmVyc2lvbiI6Mn0=").is_ok());
/// assert!(decode_header("{}").is_err());
/// ```
///
/// # Errors
/// [`InvalidInput`](crate::ErrorKind::InvalidInput) for what is longer than [`X402_HEADER_BYTES_MAX`], not base64 with padding,
/// not an object in UTF-8, deeper than [`JSON_DEPTH_MAX`](crate::limits::JSON_DEPTH_MAX), repeats a name in an object, or has a
/// number that a double does not hold exactly.
pub fn decode_header(header: impl AsRef<[u8]>) -> Result<Value> {
    let value = json::read(&bytes_of(header.as_ref())?)?;
    if !value.is_object() {
        return Err(Error::invalid("x402 header does not hold an object"));
    }
    Ok(value)
}

/// Undoes the base64, of a length that is bounded before anything is allocated.
pub(super) fn bytes_of(header: &[u8]) -> Result<Vec<u8>> {
    check_length(header.len())?;
    BASE64.decode(header).map_err(|error| Error::invalid("x402 header is not base64").caused_by(error))
}

fn check_length(bytes: usize) -> Result<()> {
    if bytes > X402_HEADER_BYTES_MAX {
        return Err(Error::invalid(format!("x402 header has {bytes} bytes: the limit is {X402_HEADER_BYTES_MAX}")));
    }
    Ok(())
}
