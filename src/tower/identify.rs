//! Which operation a request names: its key, its scope and its fingerprint.

use super::{
    KeyError, Refusal,
    collect::Read,
    header,
    scope::scope_of,
    settings::{OfBody, OfRequest, Settings},
};
use crate::{Fingerprint, FingerprintOfPieces, Key};
use bytes::Bytes;
use http::{HeaderName, header::HOST, request::Parts, uri::Authority};

/// Where the key comes from.
#[derive(Clone)]
pub(super) enum KeySource {
    Header(HeaderName),
    Function(OfRequest<Result<Option<String>, KeyError>>),
    #[cfg(feature = "x402")]
    Payment,
}

/// What happens to a request without a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WithoutKey {
    Passes,
    IsRefused,
    IsDerived,
}

/// What the fingerprint covers.
#[derive(Clone)]
pub(super) enum Covers {
    Request { headers: Vec<HeaderName>, body: bool },
    Function(OfBody<Fingerprint>),
}

/// What the head of a request says about its key.
pub(super) enum Named {
    /// Nothing: the request is none of the layer's business.
    Nothing,
    Key(String),
    /// The key is to be made of the fingerprint.
    Derived,
    /// A payment. Without an id the key is to be made of the fingerprint, which covers the payment: what one has paid for is not
    /// another's.
    #[cfg(feature = "x402")]
    Payment {
        id: Option<String>,
        payload: serde_json::Value,
    },
}

impl Named {
    /// Returns the payment id, for answers that name it.
    pub(super) fn payment_id(&self) -> Option<&str> {
        match self {
            #[cfg(feature = "x402")]
            Self::Payment { id, .. } => id.as_deref(),
            _ => None,
        }
    }
}

impl Settings {
    pub(super) fn named(&self, parts: &Parts) -> Result<Named, Refusal> {
        if !self.covers_method(&parts.method) {
            return Ok(Named::Nothing);
        }
        let key = match &self.key {
            KeySource::Header(name) => header::key_of(&parts.headers, name),
            KeySource::Function(key) => key(parts),
            #[cfg(feature = "x402")]
            KeySource::Payment => return payment(parts, self.without_key),
        };
        match (key.map_err(Refusal::KeyInvalid)?, self.without_key) {
            (Some(key), _) => Ok(Named::Key(key)),
            (None, WithoutKey::Passes) => Ok(Named::Nothing),
            (None, WithoutKey::IsRefused) => Err(Refusal::KeyRequired),
            (None, WithoutKey::IsDerived) => Ok(Named::Derived),
        }
    }

    /// Makes the key, in the scope of the principal, the method and the route, and the fingerprint. A derived id has a scope of its
    /// own, so that no client can send one.
    pub(super) fn operation(&self, parts: &Parts, named: &Named, read: &Read) -> Result<(Key, Fingerprint), Refusal> {
        let fingerprint = match named {
            #[cfg(feature = "x402")]
            Named::Payment { payload, .. } => {
                let (method, query) = (parts.method.as_str(), parts.uri.query());
                let path = format!("{}{}", self.host(parts).unwrap_or_default(), parts.uri.path());
                let fingerprint = crate::x402::payment_fingerprint(payload, method, &path, query, &read.data);
                fingerprint.map_err(|_| Refusal::KeyInvalid(KeyError::new("the payment is not plain JSON")))?
            }
            _ => read.fingerprint.unwrap_or_else(|| self.fingerprint(parts, &read.data)),
        };
        let principal = (self.principal)(parts).ok_or(Refusal::PrincipalUnknown)?;
        // To a server that takes `post` for POST they are one operation; the fingerprint still tells them apart, so the second is refused.
        let (method, route) = (parts.method.as_str().to_ascii_uppercase(), (self.route)(parts));
        let method = method.as_str();
        let id = match named {
            Named::Key(id) => Some(id),
            #[cfg(feature = "x402")]
            Named::Payment { id, .. } => id.as_ref(),
            Named::Derived | Named::Nothing => None,
        };
        let (scope, id) = match id {
            Some(id) => (scope_of(&[&principal, method, &route]), id.clone()),
            None => (scope_of(&[&principal, method, &route, "derived"]), fingerprint.to_string()),
        };
        let key = scope.map_err(|_| Refusal::Misconfigured)?.key(id);
        let key = key.map_err(|_| Refusal::KeyInvalid(KeyError::new("the key is empty or too long")))?;
        Ok((key, fingerprint))
    }

    fn fingerprint(&self, parts: &Parts, body: &Bytes) -> Fingerprint {
        match &self.covers {
            Covers::Function(fingerprint) => fingerprint(parts, body),
            Covers::Request { headers, body: covers_body } => {
                let body = if *covers_body { &body[..] } else { &[] };
                with_head(parts, self.host(parts).as_deref(), headers, |head| Fingerprint::of(&[head, &[body]].concat()))
            }
        }
    }

    /// Starts the fingerprint of a request whose body is still to be read, if its length is known and it is covered as it comes.
    pub(super) fn fingerprint_of_pieces(&self, parts: &Parts, named: &Named, len: Option<u64>) -> Option<FingerprintOfPieces> {
        match (&self.covers, named) {
            (Covers::Request { headers, body: true }, Named::Key(_) | Named::Derived) => {
                let host = self.host(parts);
                len.map(|len| with_head(parts, host.as_deref(), headers, |head| Fingerprint::of_pieces(head, len)))
            }
            _ => None,
        }
    }

    /// The name of the host that is asked, if it counts.
    fn host(&self, parts: &Parts) -> Option<String> {
        let named = parts.headers.get(HOST).and_then(|host| Authority::try_from(host.as_bytes()).ok());
        let authority = named.or_else(|| parts.uri.authority().cloned()).filter(|_| self.covers_host)?;
        Some(authority.host().to_ascii_lowercase())
    }
}

/// What is covered before the body: method, path, query, the host if it counts, and the chosen headers; each header with the number of
/// its values, so that they cannot run into each other.
fn with_head<T>(parts: &Parts, host: Option<&str>, headers: &[HeaderName], digest: impl FnOnce(&[&[u8]]) -> T) -> T {
    let query = parts.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let counts: Vec<_> = headers.iter().map(|name| parts.headers.get_all(name).iter().count().to_string()).collect();
    let mut covered: Vec<&[u8]> = vec![b"http", parts.method.as_str().as_bytes(), parts.uri.path().as_bytes(), query.as_bytes()];
    if let Some(host) = host {
        covered.extend([b"host", host.as_bytes()]);
    }
    for (name, count) in headers.iter().zip(&counts) {
        covered.extend([name.as_str().as_bytes(), count.as_bytes()]);
        covered.extend(parts.headers.get_all(name).iter().map(http::HeaderValue::as_bytes));
    }
    digest(&covered)
}

/// Reads the payment out of a request's headers, of version 2 or of version 1. With both nobody could say which of them the service
/// takes the money by, and the fingerprint would cover the other.
#[cfg(feature = "x402")]
fn payment(parts: &Parts, without_key: WithoutKey) -> Result<Named, Refusal> {
    use crate::x402::{PAYMENT_SIGNATURE_HEADER, X_PAYMENT_HEADER, decode_header, extract_and_validate_payment_identifier};

    let invalid = |error: &dyn std::fmt::Display| Refusal::KeyInvalid(KeyError::new(error.to_string()));
    let mut header = None;
    for name in [PAYMENT_SIGNATURE_HEADER, X_PAYMENT_HEADER] {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| Refusal::Misconfigured)?;
        let found = header::single(&parts.headers, &name).map_err(Refusal::KeyInvalid)?;
        if header.is_some() && found.is_some() {
            return Err(Refusal::KeyInvalid(KeyError::new("the request has two payments: send PAYMENT-SIGNATURE or X-PAYMENT")));
        }
        header = header.or(found);
    }
    let Some(header) = header else { return Ok(Named::Nothing) };
    let payload = decode_header(header).map_err(|error| invalid(&error))?;
    let id = extract_and_validate_payment_identifier(&payload).map_err(|error| invalid(&error))?;
    match (id, without_key) {
        (Some(id), _) => Ok(Named::Payment { id: Some(id.as_str().to_owned()), payload }),
        (None, WithoutKey::IsRefused) => Err(Refusal::KeyRequired),
        (None, WithoutKey::Passes) => Ok(Named::Nothing),
        (None, WithoutKey::IsDerived) => Ok(Named::Payment { id: None, payload }),
    }
}
