//! The recorded form of a response: what the layer puts into an outcome's payload.
//!
//! All numbers are little-endian.
//!
//! | bytes | |
//! |---|---|
//! | 1 | version, 1 |
//! | 1 | 0: a response; 1: its status alone, because it was not stored |
//! | 2 | status |
//! | 2, then each | headers: u16 length and name, u32 length and value |
//! | 2, then each | trailers, likewise; 0xFFFF: there were none |
//! | 4, then these | body |
//!
//! A record of kind 1 ends after the status. Nothing may follow. Names are in lower case.

use super::rules;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use std::sync::Arc;

const VERSION: u8 = 1;
const KIND_RESPONSE: u8 = 0;
const KIND_STATUS: u8 = 1;
const NO_TRAILERS: u16 = u16::MAX;
/// Header fields of one response, and as many trailer fields.
pub(super) const FIELDS_MAX: u16 = 4096;

/// What is known of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Recorded {
    pub(super) status: StatusCode,
    /// `None`: it ended, but was too long to store.
    pub(super) stored: Option<Stored>,
}

/// A response as it is replayed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) trailers: Option<HeaderMap>,
}

/// Writes a response; `None` if a part is longer than the form can say.
pub(super) fn encode(
    status: StatusCode,
    headers: &HeaderMap,
    body: &[Bytes],
    trailers: Option<&HeaderMap>,
    also_not: &[HeaderName],
) -> Option<Vec<u8>> {
    let body_len: usize = body.iter().map(Bytes::len).sum();
    let mut bytes = Vec::with_capacity(body_len + 512);
    bytes.extend([VERSION, KIND_RESPONSE]);
    bytes.extend(status.as_u16().to_le_bytes());
    put_fields(&mut bytes, headers, also_not)?;
    match trailers {
        Some(trailers) => put_fields(&mut bytes, trailers, also_not)?,
        None => bytes.extend(NO_TRAILERS.to_le_bytes()),
    }
    bytes.extend(u32::try_from(body_len).ok()?.to_le_bytes());
    for part in body {
        bytes.extend_from_slice(part);
    }
    Some(bytes)
}

/// Writes that a response ended and was not stored.
pub(super) fn encode_not_stored(status: StatusCode) -> Vec<u8> {
    let [low, high] = status.as_u16().to_le_bytes();
    vec![VERSION, KIND_STATUS, low, high]
}

fn put_fields(bytes: &mut Vec<u8>, headers: &HeaderMap, also_not: &[HeaderName]) -> Option<()> {
    let count_at = bytes.len();
    bytes.extend([0; 2]);
    let mut count = 0_u16;
    for (name, value) in rules::recorded(headers, also_not) {
        count = count.checked_add(1).filter(|count| *count <= FIELDS_MAX)?;
        bytes.extend(u16::try_from(name.as_str().len()).ok()?.to_le_bytes());
        bytes.extend(name.as_str().as_bytes());
        bytes.extend(u32::try_from(value.len()).ok()?.to_le_bytes());
        bytes.extend(value.as_bytes());
    }
    bytes.get_mut(count_at..count_at + 2)?.copy_from_slice(&count.to_le_bytes());
    Some(())
}

/// Reads a payload; `None` if it is not what this layer wrote. The body shares the payload's memory.
pub(super) fn decode(payload: &Arc<[u8]>) -> Option<Recorded> {
    let mut rest: &[u8] = payload;
    let ([VERSION], [kind]) = (take::<1>(&mut rest)?, take::<1>(&mut rest)?) else { return None };
    let status = StatusCode::from_u16(u16::from_le_bytes(take(&mut rest)?)).ok()?;
    let stored = match kind {
        KIND_STATUS => None,
        KIND_RESPONSE => {
            let count = u16::from_le_bytes(take(&mut rest)?);
            let headers = take_fields(&mut rest, count)?;
            let trailers = match u16::from_le_bytes(take(&mut rest)?) {
                NO_TRAILERS => None,
                count => Some(take_fields(&mut rest, count)?),
            };
            let body_len = usize::try_from(u32::from_le_bytes(take(&mut rest)?)).ok()?;
            let body_at = payload.len() - rest.len();
            take_slice(&mut rest, body_len)?;
            let body = Bytes::from_owner(payload.clone()).slice(body_at..body_at + body_len);
            Some(Stored { headers, body, trailers })
        }
        _ => return None,
    };
    rest.is_empty().then_some(Recorded { status, stored })
}

fn take_fields(rest: &mut &[u8], count: u16) -> Option<HeaderMap> {
    if count > FIELDS_MAX {
        return None;
    }
    let mut fields = HeaderMap::new();
    for _ in 0..count {
        let name_len = usize::from(u16::from_le_bytes(take(rest)?));
        let name = take_slice(rest, name_len)?;
        let name = HeaderName::from_bytes(name).ok().filter(|parsed| parsed.as_str().as_bytes() == name)?;
        let value_len = usize::try_from(u32::from_le_bytes(take(rest)?)).ok()?;
        let value = HeaderValue::from_bytes(take_slice(rest, value_len)?).ok()?;
        fields.try_append(name, value).ok()?;
    }
    Some(fields)
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, left) = rest.split_first_chunk()?;
    *rest = left;
    Some(*taken)
}

fn take_slice<'a>(rest: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(len)?;
    *rest = left;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&str, &str)]) -> HeaderMap {
        fields.iter().map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap())).collect()
    }

    fn decoded(bytes: &[u8]) -> Option<Recorded> {
        decode(&Arc::from(bytes))
    }

    /// The form is in stores out there: these bytes are read for ever.
    const GOLDEN: &[u8] = b"\x01\x00\xc9\x00\x02\x00\x01\x00a\x01\x00\x00\x001\x03\x00x-b\x00\x00\x00\x00\x01\x00\x01\x00t\x02\x00\x00\x00ok\x03\x00\x00\x00a\x00b";

    #[test]
    fn the_form_is_what_it_was() {
        let (fields, trailers) = (headers(&[("a", "1"), ("x-b", "")]), headers(&[("t", "ok")]));
        let body = [Bytes::from_static(b"a\0"), Bytes::from_static(b"b")];
        let encoded = encode(StatusCode::CREATED, &fields, &body, Some(&trailers), &[]).unwrap();
        assert_eq!(encoded, GOLDEN);
        let stored = Stored { headers: fields, body: Bytes::from_static(b"a\0b"), trailers: Some(trailers) };
        assert_eq!(decoded(GOLDEN), Some(Recorded { status: StatusCode::CREATED, stored: Some(stored) }));
        assert_eq!(encode_not_stored(StatusCode::OK), b"\x01\x01\xc8\x00");
        assert_eq!(decoded(b"\x01\x01\xc8\x00"), Some(Recorded { status: StatusCode::OK, stored: None }));
    }

    #[test]
    fn what_is_cut_or_prolonged_is_no_response() {
        for len in 0..GOLDEN.len() {
            assert_eq!(decoded(&GOLDEN[..len]), None, "{len}");
        }
        assert_eq!(decoded(&[GOLDEN, b"x"].concat()), None);
        assert_eq!(decoded(b"\x01\x01\xc8\x00x"), None);
    }

    #[test]
    fn another_version_or_kind_is_no_response() {
        for (at, byte) in [(0, 0), (0, 2), (1, 2), (1, 255)] {
            let mut bytes = GOLDEN.to_vec();
            bytes[at] = byte;
            assert_eq!(decoded(&bytes), None, "{at}: {byte}");
        }
    }

    #[test]
    fn lengths_that_lie_allocate_nothing_and_are_refused() {
        for at in 0..GOLDEN.len() {
            for byte in [0x00, 0x7f, 0x80, 0xff] {
                let mut bytes = GOLDEN.to_vec();
                bytes[at] = byte;
                if let Some(Recorded { stored: Some(stored), .. }) = decoded(&bytes) {
                    assert!(stored.body.len() < GOLDEN.len());
                }
            }
        }
    }

    #[test]
    fn too_many_fields_are_not_stored() {
        let many = (0..=FIELDS_MAX).map(|n| (HeaderName::try_from(format!("x-{n}")).unwrap(), HeaderValue::from_static("")));
        assert_eq!(encode(StatusCode::OK, &many.clone().collect(), &[], None, &[]), None);
        let most: HeaderMap = many.skip(1).collect();
        let encoded = encode(StatusCode::OK, &most, &[], None, &[]).unwrap();
        assert_eq!(decoded(&encoded).unwrap().stored.unwrap().headers.len(), usize::from(FIELDS_MAX));
    }
}
