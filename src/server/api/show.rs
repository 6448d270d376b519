//! How answers are written.

use super::super::{Body, Problem};
use crate::{Error, ErrorKind, Key, Record, RecordInfo, State};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use http::{HeaderValue, Response, StatusCode, header};
use serde::Serialize;
use serde_json::value::RawValue;

/// Answers with JSON.
pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Result<Response<Body>, Problem> {
    let failed = |error: serde_json::Error| Error::new(ErrorKind::Io, format!("writing the answer: {error}"));
    let mut response = Response::new(Body::full(serde_json::to_vec(value).map_err(failed)?));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    // Nothing here stays true, and payloads are nobody else's.
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// Bytes of the store as a value: exactly the text that came, or in base64 what is not JSON, such as what an embedding program
/// stored.
pub(super) struct Shown<'s> {
    pub(super) json: Option<&'s RawValue>,
    pub(super) base64: Option<String>,
}

impl<'s> Shown<'s> {
    pub(super) fn of(bytes: &'s [u8]) -> Self {
        let json = serde_json::from_slice(bytes).ok();
        Self { json, base64: json.is_none().then(|| BASE64.encode(bytes)) }
    }

    /// Nothing is shown as `null`.
    pub(super) fn of_any(bytes: Option<&'s [u8]>) -> Self {
        bytes.map_or(Self { json: None, base64: None }, Self::of)
    }
}

/// The name of a state.
pub(super) fn state(state: State) -> &'static str {
    match state {
        State::InFlight => "in_flight",
        State::Completed => "completed",
        State::Failed => "failed",
    }
}

/// Reads the name of a state.
pub(super) fn read_state(name: &str) -> Result<State, Error> {
    let known = [State::InFlight, State::Completed, State::Failed];
    let found = known.into_iter().find(|known| state(*known) == name);
    found.ok_or_else(|| Error::invalid("query has a state that is not in_flight, completed or failed"))
}

/// A record, as lists show it.
#[derive(Serialize)]
pub(super) struct RecordFields<'r> {
    scope: &'r str,
    key: &'r str,
    state: &'static str,
    token: u64,
    attempt: u32,
    first_seen_at: u64,
    started_at: u64,
    ended_at: Option<u64>,
    lease_expires_at: u64,
    expires_at: Option<u64>,
    is_lapsed: bool,
    has_checkpoint: bool,
    payload_bytes: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    fingerprint: Option<String>,
    #[serde(flatten)]
    checkpoint: Option<CheckpointShown<'r>>,
    #[serde(flatten)]
    payload: Option<PayloadShown<'r>>,
}

/// What only the answer about one record has.
#[derive(Serialize)]
struct CheckpointShown<'r> {
    checkpoint: Option<&'r RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    checkpoint_base64: Option<String>,
}

/// What only who asks for it gets.
#[derive(Serialize)]
struct PayloadShown<'r> {
    payload: Option<&'r RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_base64: Option<String>,
}

impl<'r> RecordFields<'r> {
    pub(super) fn of_info(info: &'r RecordInfo) -> Self {
        Self {
            scope: info.key.scope().as_str(),
            key: info.key.id(),
            state: state(info.state),
            token: info.token.get(),
            attempt: info.attempt,
            first_seen_at: info.first_seen_at.as_millis(),
            started_at: info.started_at.as_millis(),
            ended_at: info.ended_at.map(crate::Timestamp::as_millis),
            lease_expires_at: info.lease_expires_at.as_millis(),
            expires_at: info.expires_at.map(crate::Timestamp::as_millis),
            is_lapsed: info.is_lapsed,
            has_checkpoint: info.has_checkpoint,
            payload_bytes: info.payload_bytes,
            fingerprint: None,
            checkpoint: None,
            payload: None,
        }
    }

    /// `payload` is what the outcome has, if it is to be shown.
    pub(super) fn of_record(
        key: &'r Key,
        record: &'r Record,
        is_lapsed: bool,
        payload: Option<&'r [u8]>,
        shows_payload: bool,
    ) -> Self {
        let (checkpoint, shown) = (Shown::of_any(record.checkpoint()), Shown::of_any(payload.filter(|_| shows_payload)));
        Self {
            scope: key.scope().as_str(),
            key: key.id(),
            state: state(record.state()),
            token: record.token().get(),
            attempt: record.attempt(),
            first_seen_at: record.first_seen_at().as_millis(),
            started_at: record.started_at().as_millis(),
            ended_at: record.ended_at().map(crate::Timestamp::as_millis),
            lease_expires_at: record.lease_expires_at().as_millis(),
            expires_at: record.expires_at().map(crate::Timestamp::as_millis),
            is_lapsed,
            has_checkpoint: record.checkpoint().is_some(),
            payload_bytes: payload.map_or(0, <[u8]>::len),
            fingerprint: Some(record.fingerprint().to_string()),
            checkpoint: Some(CheckpointShown { checkpoint: checkpoint.json, checkpoint_base64: checkpoint.base64 }),
            payload: shows_payload.then_some(PayloadShown { payload: shown.json, payload_base64: shown.base64 }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_shown_as_it_came_and_anything_else_in_base64() {
        for text in ["null", "1e400", r#"{"a":1, "a":2}"#, "\"ü\""] {
            let shown = Shown::of(text.as_bytes());
            assert_eq!((shown.json.map(RawValue::get), shown.base64), (Some(text), None));
        }
        for bytes in [&b""[..], b"receipt 7", b"\"\xff\"", b"1 2"] {
            let shown = Shown::of(bytes);
            assert!(shown.json.is_none() && shown.base64.is_some_and(|text| BASE64.decode(text).unwrap() == bytes));
        }
    }
}
