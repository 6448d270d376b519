use crate::{Error, Result};
use percent_encoding::percent_decode_str;
use std::{borrow::Cow, str::FromStr};

/// The parameters of a request's target.
pub(super) struct Query<'q>(Vec<(Cow<'q, str>, Cow<'q, str>)>);

impl<'q> Query<'q> {
    /// Reads parameters as forms write them. Each of `known` may be there once, and no other.
    pub(super) fn read(query: Option<&'q str>, known: &[&str]) -> Result<Self> {
        let mut read: Vec<(Cow<'q, str>, Cow<'q, str>)> = Vec::new();
        for parameter in query.unwrap_or_default().split('&').filter(|parameter| !parameter.is_empty()) {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let (name, value) = (decode(name)?, decode(value)?);
            if !known.contains(&&*name) {
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                return Err(Error::invalid(format!("query has a parameter that is not known here: there are {known}")));
            }
            if read.iter().any(|(earlier, _)| *earlier == name) {
                return Err(Error::invalid(format!("query has {name} more than once: send one")));
            }
            read.push((name, value));
        }
        Ok(Self(read))
    }

    /// Returns a parameter, if it is there.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| &**value)
    }

    /// Returns a parameter that has to be there.
    pub(super) fn required(&self, name: &str) -> Result<&str> {
        self.text(name).ok_or_else(|| Error::invalid(format!("query lacks {name}: send it")))
    }

    /// Returns a parameter that is a whole number, `true` or `false`, or anything else that is written in one way.
    pub(super) fn parsed<T: FromStr>(&self, name: &str, form: &str) -> Result<Option<T>> {
        let parse = |text: &str| text.parse().map_err(|_| Error::invalid(format!("query has a {name} that is not {form}")));
        self.text(name).map(parse).transpose()
    }
}

/// Undoes percent-encoding. What is not encoded as it should be stands for itself, and what is not UTF-8 is refused.
fn decode(text: &str) -> Result<Cow<'_, str>> {
    let invalid = |_| Error::invalid("query is not UTF-8: encode it so, and then in percent");
    if text.contains('+') {
        let spaced = text.replace('+', " ");
        return Ok(percent_decode_str(&spaced).decode_utf8().map_err(invalid)?.into_owned().into());
    }
    percent_decode_str(text).decode_utf8().map_err(invalid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_read_as_forms_write_them() {
        let query = Query::read(Some("scope=a%2Fb+c%26%3D&&key=%C3%BC%2B&payload"), &["scope", "key", "payload"]).unwrap();
        assert_eq!((query.text("scope"), query.text("key"), query.text("payload")), (Some("a/b c&="), Some("ü+"), Some("")));
        assert_eq!(query.text("limit"), None);
        assert!(Query::read(None, &[]).is_ok());
    }

    #[test]
    fn what_is_unknown_repeated_or_not_text_is_refused() {
        for bad in ["scop=a", "key=a&key=b", "key=%FF", "key=a&%6Bey=b", "key=%C3"] {
            assert!(Query::read(Some(bad), &["scope", "key"]).is_err(), "{bad}");
        }
        let query = Query::read(Some("key=abc"), &["key"]).unwrap();
        assert!(query.parsed::<u64>("key", "a whole number").is_err() && query.required("scope").is_err());
    }
}
