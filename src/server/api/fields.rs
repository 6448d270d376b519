//! What the bodies of requests hold.

use super::super::Problem;
use crate::{Error, FencingToken, Fingerprint, Key, Result, json};
use http::StatusCode;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use std::time::Duration;

/// The body of begin.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BeginFields<'b> {
    scope: String,
    key: String,
    #[serde(default)]
    fingerprint: Option<String>,
    #[serde(borrow, default, deserialize_with = "present")]
    request: Option<&'b RawValue>,
    #[serde(default)]
    pub(super) lease_ms: Option<u64>,
    #[serde(default)]
    pub(super) wait_ms: Option<u64>,
}

/// The body of complete and fail.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EndFields<'b> {
    scope: String,
    key: String,
    token: u64,
    #[serde(borrow)]
    pub(super) payload: &'b RawValue,
    #[serde(default)]
    pub(super) retention_ms: Option<u64>,
}

/// The body of renew.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RenewFields {
    scope: String,
    key: String,
    token: u64,
    #[serde(default)]
    pub(super) lease_ms: Option<u64>,
}

/// The body of checkpoint.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CheckpointFields<'b> {
    scope: String,
    key: String,
    token: u64,
    #[serde(borrow)]
    pub(super) data: &'b RawValue,
}

/// The body of release.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReleaseFields {
    scope: String,
    key: String,
    token: u64,
}

/// The body of resolve.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ResolveFields<'b> {
    scope: String,
    key: String,
    pub(super) outcome: ResolveOutcome,
    #[serde(borrow, default, deserialize_with = "present")]
    pub(super) payload: Option<&'b RawValue>,
    pub(super) reason: String,
    /// Of the attempt that was looked at.
    #[serde(default)]
    token: Option<u64>,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(super) enum ResolveOutcome {
    Completed,
    Failed,
    Released,
}

/// The body of sweep, if there is one.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NoFields {}

/// A `null` that is there is a value, and not the same as none.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// Reads a body. A name that occurs twice is refused, as one that is unknown is; values of any JSON are left as they are written.
pub(super) fn parse<'b, T: Deserialize<'b>>(body: &'b [u8]) -> Result<T> {
    let text = std::str::from_utf8(body).map_err(|_| Error::invalid("body is not UTF-8: send JSON in UTF-8"))?;
    // An array of the same values in order would be read as well, and mean something else with the next release.
    if text.trim_ascii_start().starts_with('[') {
        return Err(Error::invalid("body is an array: send an object"));
    }
    serde_json::from_str(text).map_err(|error| Error::invalid(format!("body: {error}")).caused_by(error))
}

impl BeginFields<'_> {
    pub(super) fn key(&self) -> Result<Key> {
        Key::new(&self.scope, &self.key)
    }

    pub(super) fn fingerprint(&self) -> Result<Fingerprint> {
        match (&self.fingerprint, self.request) {
            (Some(fingerprint), None) => fingerprint.parse(),
            (None, Some(request)) => {
                let named = |error: Error| Error::invalid(format!("request: {error}")).caused_by(error);
                let value = json::read(request.get().as_bytes()).map_err(named)?;
                Fingerprint::of_json(&value).map_err(named)
            }
            (Some(_), Some(_)) => Err(Error::invalid("fingerprint and request are both there: send one of them")),
            (None, None) => Err(Error::invalid("fingerprint and request are both missing: send one of them")),
        }
    }
}

impl ResolveFields<'_> {
    pub(super) fn key(&self) -> Result<Key> {
        Key::new(&self.scope, &self.key)
    }

    pub(super) fn token(&self) -> Option<FencingToken> {
        self.token.map(FencingToken::new)
    }
}

/// What names an attempt.
macro_rules! names_an_attempt {
    ($($fields:ty),*) => {$(
        impl $fields {
            pub(super) fn attempt(&self) -> Result<(Key, FencingToken)> {
                Ok((Key::new(&self.scope, &self.key)?, FencingToken::new(self.token)))
            }
        }
    )*};
}

names_an_attempt!(EndFields<'_>, RenewFields, CheckpointFields<'_>, ReleaseFields);

pub(super) fn millis(duration: Option<u64>) -> Option<Duration> {
    duration.map(Duration::from_millis)
}

/// Refuses what is longer than the store takes.
pub(super) fn check_length(name: &str, value: &RawValue, bytes_max: usize) -> Result<(), Problem> {
    let len = value.get().len();
    if len <= bytes_max {
        return Ok(());
    }
    let detail = format!("{name} has {len} bytes: send at most {bytes_max}");
    Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_null_is_a_value_where_any_json_may_stand() {
        let fields: BeginFields<'_> = parse(br#"{"scope":"a","key":"b","request":null,"lease_ms":null}"#).unwrap();
        assert!(fields.request.is_some() && fields.lease_ms.is_none() && fields.fingerprint().is_ok());
        let fields: EndFields<'_> = parse(br#"{"scope":"a","key":"b","token":1,"payload": null }"#).unwrap();
        assert_eq!(fields.payload.get(), "null");
        assert!(parse::<EndFields<'_>>(br#"{"scope":"a","key":"b","token":1}"#).is_err());
    }

    #[test]
    fn an_array_is_no_object() {
        for body in [r#"["a","b",null,1]"#, " \n[\"a\",\"b\",null,1,null,null]"] {
            assert!(parse::<BeginFields<'_>>(body.as_bytes()).is_err());
        }
        assert!(parse::<NoFields>(b"[]").is_err() && parse::<NoFields>(b" {}").is_ok());
        assert!(parse::<BeginFields<'_>>(br#" {"scope":"a","key":"b","request":[1]}"#).is_ok());
    }

    #[test]
    fn values_keep_the_text_they_came_as() {
        for text in ["1e400", "1.0", r#"{"a":1,"a":2}"#, r#""\u00fc\ud800""#, "[ 1 ,\n2 ]", "123456789012345678901234567890"] {
            let body = format!(r#"{{"payload" : {text} ,"scope":"a","key":"b","token":1}}"#);
            assert_eq!(parse::<EndFields<'_>>(body.as_bytes()).unwrap().payload.get(), text);
        }
    }

    #[test]
    fn nesting_takes_no_stack() {
        let deep = format!(r#"{{"scope":"a","key":"b","token":1,"payload":{}{}}}"#, "[".repeat(500_000), "]".repeat(500_000));
        assert_eq!(parse::<EndFields<'_>>(deep.as_bytes()).unwrap().payload.get().len(), 1_000_000);
        let deep = deep.replace("payload", "request").replace(r#""token":1,"#, "");
        assert!(parse::<BeginFields<'_>>(deep.as_bytes()).unwrap().fingerprint().is_err());
    }
}
