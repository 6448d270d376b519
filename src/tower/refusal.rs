use super::KeyError;
use crate::OutcomeKind;
use http::StatusCode;

/// Why the layer answers instead of the service.
///
/// Each has a code, which is part of the answer's body; the table is that of the IETF's contract, other [profiles](super::Profile)
/// differ where they say so.
///
/// | code | status | retry? |
/// |---|---|---|
/// | `idempotency_key_required` | 400 | with a key |
/// | `idempotency_key_invalid` | 400 | with another key |
/// | `idempotency_principal_unknown` | 403 | no |
/// | `idempotency_in_flight` | 409 | the same request, after `Retry-After` |
/// | `idempotency_response_not_stored` | 410 | no: it ran, and its response is gone |
/// | `idempotency_response_unknown` | 410 | no: somebody found out that it ended, and not with which response |
/// | `idempotency_body_too_large` | 413 | no |
/// | `idempotency_body_broken` | 400 | the same request |
/// | `idempotency_conflict` | 422 | with another key |
/// | `idempotency_handler_panicked` | 500 | the same request; what it gets is what the layer's failure policy left |
/// | `idempotency_misconfigured` | 500 | no |
/// | `idempotency_record_unreadable` | 500 | no |
/// | `idempotency_outcome_unknown` | 503 | the same request, after `Retry-After`; it is not run until somebody knows |
/// | `idempotency_unavailable` | 503 | the same request, after `Retry-After` |
/// | `idempotency_overloaded` | 503 | the same request, after `Retry-After` |
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// The request has no key, and one is required.
    KeyRequired,
    /// The request's key cannot be read.
    KeyInvalid(KeyError),
    /// Nobody could say whose request this is.
    PrincipalUnknown,
    /// An attempt with this key is running.
    InFlight,
    /// The key was used for another request.
    Mismatch,
    /// An earlier attempt began and did not say how it ended.
    OutcomeUnknown,
    /// The request ran and ended with this status, but its response was too long to store. It is not run again.
    ResponseNotStored(StatusCode),
    /// The request ran and ended so, as an operator found out later; its response is not known. It is not run again.
    ResponseUnknown(OutcomeKind),
    /// What is stored for the key is not a response of this layer.
    RecordUnreadable,
    /// The body is longer than this many bytes.
    BodyTooLarge {
        /// The limit.
        bytes_max: usize,
    },
    /// The body broke off.
    BodyBroken,
    /// Too much is in memory already.
    Overloaded,
    /// The store cannot say whether the request may run.
    StoreUnavailable,
    /// The handler panicked.
    HandlerPanicked,
    /// A setting of the layer is out of its range, or the scope is empty.
    Misconfigured,
}

impl Refusal {
    /// Returns the code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::KeyRequired => "idempotency_key_required",
            Self::KeyInvalid(_) => "idempotency_key_invalid",
            Self::PrincipalUnknown => "idempotency_principal_unknown",
            Self::InFlight => "idempotency_in_flight",
            Self::Mismatch => "idempotency_conflict",
            Self::OutcomeUnknown => "idempotency_outcome_unknown",
            Self::ResponseNotStored(_) => "idempotency_response_not_stored",
            Self::ResponseUnknown(_) => "idempotency_response_unknown",
            Self::RecordUnreadable => "idempotency_record_unreadable",
            Self::BodyTooLarge { .. } => "idempotency_body_too_large",
            Self::BodyBroken => "idempotency_body_broken",
            Self::Overloaded => "idempotency_overloaded",
            Self::StoreUnavailable => "idempotency_unavailable",
            Self::HandlerPanicked => "idempotency_handler_panicked",
            Self::Misconfigured => "idempotency_misconfigured",
        }
    }

    /// Returns the status in the IETF's contract.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::KeyRequired | Self::KeyInvalid(_) | Self::BodyBroken => StatusCode::BAD_REQUEST,
            Self::PrincipalUnknown => StatusCode::FORBIDDEN,
            Self::InFlight => StatusCode::CONFLICT,
            Self::Mismatch => StatusCode::UNPROCESSABLE_ENTITY,
            Self::ResponseNotStored(_) | Self::ResponseUnknown(_) => StatusCode::GONE,
            Self::BodyTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::RecordUnreadable | Self::HandlerPanicked | Self::Misconfigured => StatusCode::INTERNAL_SERVER_ERROR,
            Self::OutcomeUnknown | Self::Overloaded | Self::StoreUnavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// Returns whether the same request may be sent again later.
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::InFlight | Self::OutcomeUnknown | Self::Overloaded | Self::StoreUnavailable)
    }

    /// Says it in a sentence for the client's developer. It has no character that JSON or a header would have to escape.
    pub(super) fn detail(&self) -> String {
        match self {
            Self::KeyRequired => "This operation needs an idempotency key.".to_owned(),
            Self::KeyInvalid(error) => printable(&error.to_string()),
            Self::PrincipalUnknown => "It is not known who sends this request.".to_owned(),
            Self::InFlight => "A request with this key is being processed.".to_owned(),
            Self::Mismatch => "This key was used for another request.".to_owned(),
            Self::OutcomeUnknown => {
                "An earlier request with this key did not end as far as is known. It may have taken effect.".to_owned()
            }
            Self::ResponseNotStored(status) => {
                format!("The request was processed with status {}, but its response was too long to keep.", status.as_u16())
            }
            Self::ResponseUnknown(OutcomeKind::Completed) => {
                "The request was processed with success, as was found out later. Its response is not known.".to_owned()
            }
            Self::ResponseUnknown(OutcomeKind::Failed) => {
                "The request failed for good, as was found out later. Its response is not known.".to_owned()
            }
            Self::RecordUnreadable => "What is stored for this key cannot be read.".to_owned(),
            Self::BodyTooLarge { bytes_max } => format!("The body is longer than {bytes_max} bytes."),
            Self::BodyBroken => "The body could not be read to its end.".to_owned(),
            Self::Overloaded => "Too many requests are being processed.".to_owned(),
            Self::StoreUnavailable => "It cannot be determined whether this request was processed before.".to_owned(),
            Self::HandlerPanicked => "The request could not be processed to its end.".to_owned(),
            Self::Misconfigured => "The server's idempotency settings are invalid.".to_owned(),
        }
    }
}

/// Replaces what would have to be escaped.
fn printable(text: &str) -> String {
    text.chars().map(|c| if matches!(c, ' '..='~') && c != '"' && c != '\\' { c } else { '\'' }).collect()
}
