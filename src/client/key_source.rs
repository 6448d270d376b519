use super::SentKey;
use crate::{Error, Result, limits::KEY_ID_BYTES_MAX, random};
use http::{HeaderName, HeaderValue, Method, request::Parts};
use std::{fmt, sync::Arc};

/// The header of a key unless another one is named.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// What stands before the digits of a generated key.
const KEY_PREFIX: &str = "idem_";

/// How a key is written in its header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum KeyFormat {
    /// A String of RFC 8941, `"idem_7d5d.."` with its quotes, as the IETF draft demands.
    #[default]
    Quoted,
    /// The bare key, `idem_7d5d..`, as Stripe and most other APIs that exist expect it.
    Bare,
}

type MakeKey = dyn Fn(&Parts) -> String + Send + Sync;

/// Which requests have a key, and where it comes from.
#[derive(Clone)]
pub(super) struct KeySource {
    pub(super) header: HeaderName,
    pub(super) format: KeyFormat,
    pub(super) methods: Vec<Method>,
    pub(super) make: Option<Arc<MakeKey>>,
}

impl Default for KeySource {
    fn default() -> Self {
        let methods = vec![Method::POST, Method::PATCH];
        Self { header: IDEMPOTENCY_KEY, format: KeyFormat::default(), methods, make: None }
    }
}

impl KeySource {
    /// Returns the request's key after putting it into the headers; None for a request that has none and gets none.
    ///
    /// What the caller has decided goes first: a header, then an earlier request's key in the extensions, then a payment's id.
    pub(super) fn attach(&self, parts: &mut Parts) -> Result<Option<SentKey>> {
        if let Some(value) = parts.headers.get(&self.header) {
            return Ok(Some(SentKey::new(self.header.clone(), value.clone())));
        }
        let key = match parts.extensions.get::<SentKey>() {
            Some(earlier) => earlier.clone(),
            None => match payment(parts) {
                Some(payment) => return Ok(Some(payment)),
                None if self.methods.contains(&parts.method) => SentKey::new(self.header.clone(), self.make(parts)?),
                None => return Ok(None),
            },
        };
        key.insert_into(&mut parts.headers);
        Ok(Some(key))
    }

    fn make(&self, parts: &Parts) -> Result<HeaderValue> {
        let key = match &self.make {
            Some(make) => make(parts),
            None => random::hex_id(KEY_PREFIX, "an idempotency key")?,
        };
        written(&key, self.format)
    }
}

/// Returns the header of an x402 payment that has an id: the id is part of what is signed, so nothing is to be added. A payment
/// without one is a request like any other.
#[cfg(feature = "x402")]
fn payment(parts: &Parts) -> Option<SentKey> {
    use crate::x402;
    let value = parts.headers.get(x402::PAYMENT_SIGNATURE_HEADER)?;
    let payload = x402::decode_header(value).ok()?;
    x402::extract_and_validate_payment_identifier(&payload).ok()??;
    Some(SentKey::new(HeaderName::from_static(x402::PAYMENT_SIGNATURE_HEADER), value.clone()))
}

#[cfg(not(feature = "x402"))]
fn payment(_: &Parts) -> Option<SentKey> {
    None
}

/// Writes a key as it goes over the wire.
fn written(key: &str, format: KeyFormat) -> Result<HeaderValue> {
    if !(1..=KEY_ID_BYTES_MAX).contains(&key.len()) {
        return Err(Error::invalid(format!("idempotency key has {} bytes: give 1 to {KEY_ID_BYTES_MAX}", key.len())));
    }
    // A bare key with one of these, or with a space at its end, would be read as something else than itself.
    let is_allowed = |c: char| match format {
        KeyFormat::Quoted => matches!(c, ' '..='~'),
        KeyFormat::Bare => c.is_ascii_graphic() && !matches!(c, '"' | '\\' | ',' | ';'),
    };
    if !key.chars().all(is_allowed) {
        return Err(Error::invalid("idempotency key has a character that its format does not allow"));
    }
    let text = match format {
        KeyFormat::Quoted => format!("\"{}\"", key.replace('\\', "\\\\").replace('"', "\\\"")),
        KeyFormat::Bare => key.to_owned(),
    };
    let mut value =
        HeaderValue::try_from(text).map_err(|error| Error::invalid("idempotency key is no header").caused_by(error))?;
    // Whoever has the key can ask for the stored response: it is not for logs, nor for the tables of HTTP/2's compression.
    value.set_sensitive(true);
    Ok(value)
}

impl fmt::Debug for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { header, format, methods, make } = self;
        let mut debug = f.debug_struct("KeySource");
        debug.field("header", header).field("format", format).field("methods", methods).field("is_made_by_user", &make.is_some());
        debug.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(key: &str, format: KeyFormat) -> Option<String> {
        written(key, format).ok().map(|value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn a_key_is_written_in_its_format() {
        assert_eq!(text("order 7", KeyFormat::Quoted).as_deref(), Some("\"order 7\""));
        assert_eq!(text(r#"a"b\c"#, KeyFormat::Quoted).as_deref(), Some(r#""a\"b\\c""#));
        assert_eq!(text("order-7", KeyFormat::Bare).as_deref(), Some("order-7"));
    }

    #[test]
    fn a_key_that_would_be_read_differently_is_refused() {
        for key in ["", "a b", "a,b", "a;b", "\"a\"", "a\\", "a\r\nb", "sch\u{f6}n", &"k".repeat(256)] {
            assert_eq!(text(key, KeyFormat::Bare), None, "{key}");
        }
        for key in ["", "a\r\nb", "sch\u{f6}n", "\u{7f}", &"k".repeat(256)] {
            assert_eq!(text(key, KeyFormat::Quoted), None, "{key}");
        }
        assert_eq!(text(&"k".repeat(255), KeyFormat::Quoted).map(|text| text.len()), Some(257));
    }
}
