use super::{Refusal, rules};
use bytes::Bytes;
use http::{
    HeaderName, HeaderValue, Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER},
};
use std::time::Duration;

/// The HTTP contract: statuses and bodies of the layer's own answers, and how a replay is marked.
///
/// | | 409 while in flight | other request | body | a replay has |
/// |---|---|---|---|---|
/// | `Ietf` | yes | 422 | problem details (RFC 9457) | `Idempotent-Replayed: true` |
/// | `Stripe` | yes | 400 | `{"error":{"type":"idempotency_error",..}}` | `Idempotent-Replayed: true` |
/// | `Lift` | yes | 422 | problem details | `X-Idempotent-Replay: true` |
/// | `X402` | yes | 409 | `{"error":..,"paymentId":..}` | nothing: it is the response as sent |
///
/// A gRPC call is refused with a gRPC status instead, whatever the profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Profile {
    /// The IETF's draft idempotency-key-header.
    Ietf,
    /// Stripe's.
    Stripe,
    /// That of Lift and those like it.
    Lift,
    /// That of the payment-identifier extension of x402.
    #[cfg(feature = "x402")]
    X402,
}

/// What an answer of the layer depends on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'r> {
    pub(super) is_grpc: bool,
    /// Of x402.
    pub(super) payment_id: Option<&'r str>,
    pub(super) retry_after: Duration,
}

impl Profile {
    /// Returns the header that marks a replay.
    pub fn replay_header(self) -> Option<HeaderName> {
        match self {
            Self::Ietf | Self::Stripe => Some(rules::IDEMPOTENT_REPLAYED),
            Self::Lift => Some(rules::X_IDEMPOTENT_REPLAY),
            #[cfg(feature = "x402")]
            Self::X402 => None,
        }
    }

    /// Returns the status of an answer.
    pub fn status(self, refusal: &Refusal) -> StatusCode {
        match (self, refusal) {
            (Self::Stripe, Refusal::Mismatch) => StatusCode::BAD_REQUEST,
            #[cfg(feature = "x402")]
            (Self::X402, Refusal::Mismatch) => StatusCode::CONFLICT,
            _ => refusal.status(),
        }
    }

    pub(super) fn answer(self, refusal: &Refusal, asked: Asked<'_>) -> Response<Bytes> {
        let mut response = if asked.is_grpc { grpc(refusal) } else { self.json(refusal, asked.payment_id) };
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if refusal.is_temporary() {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds(asked.retry_after)));
        }
        response
    }

    fn json(self, refusal: &Refusal, payment_id: Option<&str>) -> Response<Bytes> {
        let (status, code, detail) = (self.status(refusal), refusal.code(), refusal.detail());
        let (content_type, body) = match self {
            Self::Ietf | Self::Lift => ("application/problem+json", problem(status, code, &detail)),
            Self::Stripe => {
                let code = if *refusal == Refusal::InFlight { "idempotency_key_in_use" } else { code };
                let body = format!(r#"{{"error":{{"type":"idempotency_error","code":"{code}","message":"{detail}"}}}}"#);
                ("application/json", body)
            }
            #[cfg(feature = "x402")]
            Self::X402 => {
                let error = match refusal {
                    Refusal::Mismatch => "payment identifier already used with different payload",
                    _ => &detail,
                };
                // An id that was accepted has no character that would have to be escaped.
                let id = payment_id.map(|id| format!(r#","paymentId":"{id}""#)).unwrap_or_default();
                ("application/json", format!(r#"{{"error":"{error}","code":"{code}"{id}}}"#))
            }
        };
        #[cfg(not(feature = "x402"))]
        let _ = payment_id;
        let mut response = Response::new(Bytes::from(body));
        *response.status_mut() = status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        response
    }
}

fn problem(status: StatusCode, code: &str, detail: &str) -> String {
    let (number, title) = (status.as_u16(), status.canonical_reason().unwrap_or_default());
    format!(
        r#"{{"type":"https://docs.rs/idemstore/latest/idemstore/tower/enum.Refusal.html","title":"{title}","status":{number},"detail":"{detail}","code":"{code}"}}"#
    )
}

/// An answer of headers alone, as gRPC over HTTP/2 has it. The numbers are those of its status codes.
fn grpc(refusal: &Refusal) -> Response<Bytes> {
    let status = match refusal {
        Refusal::KeyRequired | Refusal::KeyInvalid(_) | Refusal::BodyTooLarge { .. } => "3",
        Refusal::PrincipalUnknown => "7",
        Refusal::InFlight => "10",
        Refusal::Mismatch | Refusal::ResponseNotStored(_) | Refusal::ResponseUnknown(_) => "9",
        Refusal::RecordUnreadable | Refusal::HandlerPanicked | Refusal::Misconfigured => "13",
        Refusal::BodyBroken | Refusal::OutcomeUnknown | Refusal::Overloaded | Refusal::StoreUnavailable => "14",
    };
    let mut response = Response::new(Bytes::new());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert("grpc-status", HeaderValue::from_static(status));
    let message = HeaderValue::try_from(format!("{}: {}", refusal.code(), refusal.detail().replace('%', "%25")));
    if let Ok(message) = message {
        headers.insert("grpc-message", message);
    }
    response
}

/// Whole seconds, rounded up; at least one.
fn seconds(duration: Duration) -> u64 {
    duration.as_secs().saturating_add(u64::from(duration.subsec_nanos() > 0)).max(1)
}
