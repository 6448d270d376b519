use http::{HeaderMap, HeaderName, HeaderValue};
use std::fmt;

/// The key that a request was sent with: the header that carried it, name and value, the same in every send.
///
/// The layer leaves it in the extensions of the response, and in a [`ClientError`](super::ClientError). Whoever goes on later, after
/// a restart even, puts it into the next request, in one of two ways: [`insert_into`](Self::insert_into) its headers, or into its
/// extensions, from where the layer takes it.
///
/// `Debug` shows the name and the beginning of the value.
///
/// ```
/// use http::{HeaderName, HeaderValue, Request};
/// use idemstore::client::SentKey;
///
/// let name = HeaderName::from_static("idempotency-key");
/// let kept = SentKey::new(name.clone(), HeaderValue::from_static("\"idem_7d5d747be160e280504c099d984bcfe0\""));
/// let mut request = Request::post("https://api.example/payments").body(())?;
/// kept.insert_into(request.headers_mut());
/// assert_eq!(request.headers()[name], kept.value());
/// # Ok::<(), http::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SentKey {
    name: HeaderName,
    value: HeaderValue,
}

impl SentKey {
    /// Makes a key of the parts of an earlier one.
    pub fn new(name: HeaderName, value: HeaderValue) -> Self {
        Self { name, value }
    }

    /// Returns the name of the header: `idempotency-key`, or what was set, or `payment-signature`.
    pub fn name(&self) -> &HeaderName {
        &self.name
    }

    /// Returns the value of the header, with the quotes if it has some.
    pub fn value(&self) -> &HeaderValue {
        &self.value
    }

    /// Puts the header into those of a request, in place of any of its name.
    pub fn insert_into(&self, headers: &mut HeaderMap) {
        headers.insert(self.name.clone(), self.value.clone());
    }
}

impl fmt::Debug for SentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN_BYTES: usize = 8;
        let value = self.value.to_str().unwrap_or_default();
        write!(f, "SentKey({}: {}...)", self.name, value.get(..SHOWN_BYTES).unwrap_or_default())
    }
}
