use crate::limits::KEY_ID_BYTES_MAX;
use http::{HeaderMap, HeaderName};
use std::{borrow::Cow, fmt};

/// The header that carries a key unless another one is named: `Idempotency-Key`.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Why a request's key cannot be used. It is answered with 400 and this sentence, so it quotes nothing of the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyError(Cow<'static, str>);

impl KeyError {
    /// Says what is wrong with the key.
    pub fn new(message: impl Into<Cow<'static, str>>) -> Self {
        Self(message.into())
    }
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for KeyError {}

/// Reads the value of an `Idempotency-Key` header: a String of RFC 8941, as the draft demands, or bare, as most clients send it.
///
/// `"8e03978e"` and `8e03978e` are the same key. A bare key is visible ASCII without `"`, `\`, `,` and `;`: with those, two header
/// lines that were joined on the way, or parameters, could pass for a key.
///
/// ```
/// use idemstore::tower::parse_idempotency_key;
///
/// assert_eq!(parse_idempotency_key(b"8e03978e-40d5")?, "8e03978e-40d5");
/// assert_eq!(parse_idempotency_key(br#""a \"quoted\" key""#)?, r#"a "quoted" key"#);
/// assert!(parse_idempotency_key(b"one, two").is_err());
/// # Ok::<(), idemstore::tower::KeyError>(())
/// ```
///
/// # Errors
/// [`KeyError`] when it is empty, longer than 255 bytes, or has a form or a character that is not allowed.
pub fn parse_idempotency_key(value: &[u8]) -> Result<String, KeyError> {
    let value = value.trim_ascii();
    let key = match value.strip_prefix(b"\"") {
        Some(rest) => quoted(rest)?,
        None => bare(value)?,
    };
    match key.len() {
        0 => Err(KeyError::new("the key is empty")),
        1..=KEY_ID_BYTES_MAX => Ok(key),
        _ => Err(KeyError::new(format!("the key is longer than {KEY_ID_BYTES_MAX} bytes"))),
    }
}

fn bare(value: &[u8]) -> Result<String, KeyError> {
    let text = |byte: &u8| match byte {
        b'"' | b'\\' | b',' | b';' => Err(KeyError::new("a key with one of \" \\ , ; has to be quoted as RFC 8941 says")),
        b'!'..=b'~' => Ok(char::from(*byte)),
        _ => Err(KeyError::new("the key has a character that is not visible ASCII")),
    };
    value.iter().map(text).collect()
}

/// What follows an opening quote.
fn quoted(rest: &[u8]) -> Result<String, KeyError> {
    let mut bytes = rest.iter();
    let mut key = String::new();
    loop {
        match bytes.next() {
            None => return Err(KeyError::new("the closing quote is missing")),
            Some(b'"') if bytes.len() == 0 => return Ok(key),
            Some(b'"') => return Err(KeyError::new("something follows the closing quote")),
            Some(b'\\') => match bytes.next() {
                Some(escaped @ (b'"' | b'\\')) => key.push(char::from(*escaped)),
                _ => return Err(KeyError::new("a backslash is not followed by a quote or a backslash")),
            },
            Some(byte @ b' '..=b'~') => key.push(char::from(*byte)),
            Some(_) => return Err(KeyError::new("the key has a character that is not ASCII, or a control character")),
        }
    }
}

/// Reads the key out of a request's headers. Several lines are refused: which one would count?
pub(super) fn key_of(headers: &HeaderMap, name: &HeaderName) -> Result<Option<String>, KeyError> {
    match single(headers, name)? {
        Some(value) => parse_idempotency_key(value).map(Some),
        None => Ok(None),
    }
}

/// Returns the only value of a header.
pub(super) fn single<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h [u8]>, KeyError> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (_, Some(_)) => Err(KeyError::new(format!("the header {name} occurs more than once"))),
        (value, None) => Ok(value.map(http::HeaderValue::as_bytes)),
    }
}
