//! What an operator said by [`Store::resolve`](crate::Store::resolve) about an attempt that never did.
//!
//! The payload is then none of this layer's. It may say nothing, or be a response as JSON: `{"status":201,"headers":{"etag":"1"},
//! "body":{"charge":"ch_1"}}`, of which only the status is needed. A body that is a text is sent as it is, any other as JSON.

use super::response::Recorded;

/// What such a payload says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Resolved {
    /// The response to be replayed.
    #[cfg_attr(not(feature = "json"), expect(dead_code, reason = "only JSON can say it"))]
    Response(Box<Recorded>),
    /// That it ended, and no more.
    Ended,
}

/// Reads what an operator wrote; `None` if it can be of no operator.
pub(super) fn read(payload: &[u8]) -> Option<Resolved> {
    if payload.is_empty() {
        return Some(Resolved::Ended);
    }
    #[cfg(feature = "json")]
    {
        let value: serde_json::Value = serde_json::from_slice(payload).ok()?;
        Some(response(&value).map_or(Resolved::Ended, |recorded| Resolved::Response(Box::new(recorded))))
    }
    #[cfg(not(feature = "json"))]
    None
}

#[cfg(feature = "json")]
fn response(value: &serde_json::Value) -> Option<Recorded> {
    use super::response::Stored;
    use bytes::Bytes;
    use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header::CONTENT_TYPE};
    use serde_json::Value;

    let status = value.get("status")?.as_u64().and_then(|status| u16::try_from(status).ok());
    let status = StatusCode::from_u16(status?).ok().filter(|status| !status.is_informational())?;
    let mut headers = HeaderMap::new();
    for (name, value) in value.get("headers").and_then(Value::as_object).into_iter().flatten() {
        headers.append(HeaderName::try_from(name).ok()?, HeaderValue::try_from(value.as_str()?).ok()?);
    }
    let body = match value.get("body") {
        None => Bytes::new(),
        Some(Value::String(text)) => Bytes::from(text.clone()),
        Some(value) => {
            headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
            Bytes::from(value.to_string())
        }
    };
    Some(Recorded { status, stored: Some(Stored { headers, body, trailers: None }) })
}

#[cfg(test)]
#[cfg(feature = "json")]
mod tests {
    use super::*;
    use http::header::CONTENT_TYPE;

    fn replayed(payload: &str) -> Option<(u16, Option<String>, String)> {
        match read(payload.as_bytes())? {
            Resolved::Ended => None,
            Resolved::Response(recorded) => {
                let stored = recorded.stored.unwrap();
                let content_type = stored.headers.get(CONTENT_TYPE).map(|value| value.to_str().unwrap().to_owned());
                Some((recorded.status.as_u16(), content_type, String::from_utf8(stored.body.to_vec()).unwrap()))
            }
        }
    }

    #[test]
    fn a_response_is_said_by_its_status_and_what_else_it_has() {
        let json = Some("application/json".to_owned());
        assert_eq!(replayed(r#"{"status":204}"#), Some((204, None, String::new())));
        assert_eq!(replayed(r#"{"status":201,"body":{"charge":"ch_1"}}"#), Some((201, json, r#"{"charge":"ch_1"}"#.to_owned())));
        let text = replayed(r#"{"status":402,"headers":{"Content-Type":"text/plain"},"body":"declined"}"#);
        assert_eq!(text, Some((402, Some("text/plain".to_owned()), "declined".to_owned())));
    }

    #[test]
    fn what_is_no_response_says_that_it_ended() {
        for payload in [
            "",
            "null",
            "{}",
            "7",
            r#""paid""#,
            r#"{"status":"201"}"#,
            r#"{"status":99}"#,
            r#"{"status":101}"#,
            r#"{"status":99999}"#,
        ] {
            assert_eq!(read(payload.as_bytes()), Some(Resolved::Ended), "{payload}");
        }
        assert_eq!(read(br#"{"status":200,"headers":{"a b":"1"}}"#), Some(Resolved::Ended));
    }

    #[test]
    fn what_is_no_json_is_of_somebody_else() {
        for payload in [&b"not a response"[..], b"\x01\x00", b"{", b"\xff"] {
            assert_eq!(read(payload), None);
        }
    }
}
