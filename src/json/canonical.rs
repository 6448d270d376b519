use super::number;
use crate::{Error, Result, limits::JSON_DEPTH_MAX};
use serde_json::{Map, Value};

/// Writes a value in its one canonical form: RFC 8785, the JSON Canonicalization Scheme.
///
/// Members are ordered by the UTF-16 code units of their names, there is no white space, and strings and numbers are written as
/// ECMAScript does. Equal values give equal bytes whoever wrote them.
///
/// ```
/// use idemstore::json;
///
/// let value = json::read(br#" {"b": 1.50, "a": ["\u00fc", 1E2]} "#)?;
/// assert_eq!(json::canonical(&value)?, r#"{"a":["ü",100],"b":1.5}"#.as_bytes());
/// # Ok::<(), idemstore::Error>(())
/// ```
///
/// # Errors
/// [`InvalidInput`](crate::ErrorKind::InvalidInput) for a number that a double does not hold exactly as written (2^53 + 1), which
/// the form would round, and for more than [`JSON_DEPTH_MAX`] levels.
pub fn canonical(value: &Value) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    write(&mut bytes, value, JSON_DEPTH_MAX)?;
    Ok(bytes)
}

fn write(to: &mut Vec<u8>, value: &Value, depth_left: usize) -> Result<()> {
    match value {
        Value::Null => to.extend_from_slice(b"null"),
        Value::Bool(true) => to.extend_from_slice(b"true"),
        Value::Bool(false) => to.extend_from_slice(b"false"),
        Value::Number(number) => to.extend_from_slice(exact(&number.to_string())?.as_bytes()),
        Value::String(text) => write_string(to, text)?,
        Value::Array(items) => write_array(to, items, deeper(depth_left)?)?,
        Value::Object(members) => write_object(to, members, deeper(depth_left)?)?,
    }
    Ok(())
}

fn write_array(to: &mut Vec<u8>, items: &[Value], depth_left: usize) -> Result<()> {
    to.push(b'[');
    for (n, item) in items.iter().enumerate() {
        separate(to, n);
        write(to, item, depth_left)?;
    }
    to.push(b']');
    Ok(())
}

fn write_object(to: &mut Vec<u8>, members: &Map<String, Value>, depth_left: usize) -> Result<()> {
    let mut members: Vec<_> = members.iter().collect();
    // Not the order of UTF-8: a character beyond U+FFFF starts with a surrogate, which is below U+E000.
    members.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
    to.push(b'{');
    for (n, (name, value)) in members.into_iter().enumerate() {
        separate(to, n);
        write_string(to, name)?;
        to.push(b':');
        write(to, value, depth_left)?;
    }
    to.push(b'}');
    Ok(())
}

fn separate(to: &mut Vec<u8>, n: usize) {
    if n > 0 {
        to.push(b',');
    }
}

/// `serde_json` escapes exactly what RFC 8785 (section 3.2.2.2) does; a test compares them.
fn write_string(to: &mut Vec<u8>, text: &str) -> Result<()> {
    serde_json::to_writer(to, text).map_err(|error| Error::io("writing JSON", error.into()))
}

pub(super) fn exact(number: &str) -> Result<String> {
    // The number itself stays out of the message: it may be a secret, and it may be long.
    number::canonical(number).ok_or_else(|| {
        Error::invalid("JSON has a number that a double does not hold exactly: send it as a string, or with fewer digits")
    })
}

fn deeper(depth_left: usize) -> Result<usize> {
    depth_left.checked_sub(1).ok_or_else(|| Error::invalid(format!("JSON is deeper than {JSON_DEPTH_MAX} levels")))
}
