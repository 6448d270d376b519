use crate::{Fingerprint, Result, json};
use serde_json::Value;

/// Separates the fingerprints of payments from those of other requests in one store. Part of the format: never changes.
const KIND: &[u8] = b"x402 payment";

/// Binds a payment id to the one payment that may use it: digests the whole `PaymentPayload`, in its canonical form, and the
/// request that it pays for.
///
/// Whoever knows an id can ask for it before anything is verified, so the id alone must not find the stored response: only the
/// same signed payload does. A retry by another SDK, whose base64 differs, has the same fingerprint; a payment with another
/// nonce, signature, amount, or anything else has another.
///
/// `method` and `path` are taken as they are, `query` without its question mark (`None` and `Some("")` differ), `body` byte by
/// byte. On another transport take what names the operation, such as a tool's name as the path.
///
/// ```
/// use idemstore::x402::payment_fingerprint;
/// use serde_json::json;
///
/// let payload = json!({"x402Version": 2, "payload": {"nonce": "0x1"}});
/// let first = payment_fingerprint(&payload, "POST", "/report", None, b"{}")?;
/// let other = json!({"x402Version": 2, "payload": {"nonce": "0x2"}});
/// assert_ne!(payment_fingerprint(&other, "POST", "/report", None, b"{}")?, first);
/// assert_ne!(payment_fingerprint(&payload, "POST", "/report", Some("all=1"), b"{}")?, first);
/// # Ok::<(), idemstore::Error>(())
/// ```
///
/// # Errors
/// [`InvalidInput`](crate::ErrorKind::InvalidInput) as [`json::canonical`]; never for what
/// [`decode_header`](super::decode_header) returned.
pub fn payment_fingerprint(payload: &Value, method: &str, path: &str, query: Option<&str>, body: &[u8]) -> Result<Fingerprint> {
    let payload = json::canonical(payload)?;
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    Ok(Fingerprint::of(&[KIND, &payload, method.as_bytes(), path.as_bytes(), query.as_bytes(), body]))
}
