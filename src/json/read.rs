use super::canonical::exact;
use crate::{Error, Result};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use std::{collections::BTreeSet, fmt};

/// Reads a value whose meaning no other reader can see differently, as a fingerprint needs it.
///
/// Stricter than `serde_json::from_slice`: a name that occurs twice in an object, of which other readers take the first or the
/// last, and a number that a double would round are refused. Memory is a small multiple of the text, whose length the
/// caller bounds.
///
/// ```
/// use idemstore::json;
///
/// assert!(json::read(br#"{"amount":"10000"}"#).is_ok());
/// assert!(json::read(br#"{"amount":1,"amount":2}"#).is_err());
/// assert!(json::read(br#"{"amount":9007199254740993}"#).is_err());
/// ```
///
/// # Errors
/// [`InvalidInput`](crate::ErrorKind::InvalidInput) for what is not JSON in UTF-8, is deeper than
/// [`JSON_DEPTH_MAX`](crate::limits::JSON_DEPTH_MAX), repeats a name, or has a number that a double does not hold exactly.
pub fn read(text: &[u8]) -> Result<Value> {
    // Names first: a Value would have forgotten that there were two.
    serde_json::from_slice::<Unique>(text).map_err(refused)?;
    let value = serde_json::from_slice(text).map_err(refused)?;
    numbers(text).try_for_each(|number| exact(number).map(drop))?;
    Ok(value)
}

/// The message of `serde_json` may quote a name or a value; its category and position do not.
fn refused(error: serde_json::Error) -> Error {
    let what = if error.is_data() { "has an object that repeats a name" } else { "is not JSON, or beyond its limits" };
    Error::invalid(format!("text {what}, at line {} column {}", error.line(), error.column())).caused_by(error)
}

/// The numbers of a text that is known to be JSON.
fn numbers(text: &[u8]) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        while let Some((&byte, after)) = rest.split_first() {
            match byte {
                b'"' => rest = after_string(after),
                b'-' | b'0'..=b'9' => {
                    let is_part = |byte: &u8| byte.is_ascii_digit() || b"+-.eE".contains(byte);
                    let len = rest.iter().take_while(|byte| is_part(byte)).count();
                    let (number, after) = rest.split_at_checked(len)?;
                    rest = after;
                    return std::str::from_utf8(number).ok();
                }
                _ => rest = after,
            }
        }
        None
    })
}

/// What follows the string whose quotation mark has just been passed.
fn after_string(mut rest: &[u8]) -> &[u8] {
    loop {
        match rest {
            [b'"', after @ ..] => return after,
            [b'\\', _, after @ ..] | [_, after @ ..] => rest = after,
            [] => return rest,
        }
    }
}

/// Any value in which no object has two members of one name.
struct Unique;

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UniqueVisitor)
    }
}

struct UniqueVisitor;

impl<'de> Visitor<'de> for UniqueVisitor {
    type Value = Unique;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value of JSON")
    }

    fn visit_unit<E>(self) -> Result<Unique, E> {
        Ok(Unique)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Unique, E> {
        Ok(Unique)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Unique, E> {
        Ok(Unique)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Unique, E> {
        Ok(Unique)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Unique, E> {
        Ok(Unique)
    }

    fn visit_str<E>(self, _: &str) -> Result<Unique, E> {
        Ok(Unique)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Unique, A::Error> {
        while items.next_element::<Unique>()?.is_some() {}
        Ok(Unique)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Unique, A::Error> {
        let mut names = BTreeSet::new();
        while let Some(name) = members.next_key::<String>()? {
            if !names.insert(name) {
                return Err(A::Error::custom("an object repeats a name"));
            }
            members.next_value::<Unique>()?;
        }
        Ok(Unique)
    }
}
