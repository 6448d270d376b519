use super::{
    Duplicate, Refusal, ResponseBody,
    resolved::{self, Resolved},
    response::{Stored, decode},
    rules,
    settings::Settings,
};
use crate::{Key, Outcome, Timestamp};
use http::{HeaderValue, Response};
use http_body::Body;

/// Marks a replayed response, in its extensions, for layers further out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Replayed {
    /// When the attempt ended.
    pub ended_at: Timestamp,
    /// Until when it is replayed, at least.
    pub expires_at: Timestamp,
}

/// Makes the response that was recorded.
pub(super) fn replay<RB: Body>(settings: &Settings, key: &Key, outcome: Outcome) -> Result<Response<ResponseBody<RB>>, Refusal> {
    let replayed = Replayed { ended_at: outcome.ended_at(), expires_at: outcome.expires_at() };
    let kind = outcome.kind();
    let payload = outcome.into_payload();
    // The payload is in memory until the client has read it.
    let permit = settings.budget.take(payload.len()).ok_or(Refusal::Overloaded)?;
    let recorded = match decode(&payload) {
        Some(recorded) => recorded,
        None => match resolved::read(&payload).ok_or(Refusal::RecordUnreadable)? {
            Resolved::Response(recorded) => *recorded,
            Resolved::Ended => {
                settings.hooks.duplicate(key, Duplicate::NotStored);
                return Err(Refusal::ResponseUnknown(kind));
            }
        },
    };
    let Some(Stored { headers, body, trailers }) = recorded.stored else {
        settings.hooks.duplicate(key, Duplicate::NotStored);
        return Err(Refusal::ResponseNotStored(recorded.status));
    };
    settings.hooks.duplicate(key, Duplicate::Replayed);
    let trailers = trailers.as_ref().map(rules::replayed);
    let mut response = Response::new(ResponseBody::whole(body, trailers, Some(permit)));
    *response.status_mut() = recorded.status;
    *response.headers_mut() = rules::replayed(&headers);
    if let Some(name) = settings.profile.replay_header() {
        response.headers_mut().insert(name, HeaderValue::from_static("true"));
    }
    response.extensions_mut().insert(replayed);
    Ok(response)
}
