//! A recorded response: bytes that are read come back as the same bytes, and a response that is written comes back as it was.
#![no_main]

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use idemstore::tower::{
    NEVER_RECORDED,
    fuzzing::{decode_response, encode_response, encode_status},
};
use idemstore_fuzz::ensure;
use libfuzzer_sys::fuzz_target;

#[derive(arbitrary::Arbitrary, Debug)]
struct Input<'a> {
    payload: &'a [u8],
    status: u16,
    headers: Vec<(&'a str, &'a [u8])>,
    body: Vec<&'a [u8]>,
    trailers: Option<Vec<(&'a str, &'a [u8])>>,
}

fuzz_target!(|input: Input<'_>| {
    any_bytes(input.payload);
    any_response(&input);
});

fn any_bytes(payload: &[u8]) {
    let Some((status, stored)) = decode_response(payload) else { return };
    let Some((headers, body, trailers)) = stored else {
        ensure!(encode_status(status) == payload, "{payload:?} is read, and written otherwise");
        return;
    };
    let fields: usize = headers.iter().chain(trailers.iter().flatten()).map(|(name, value)| name.as_str().len() + value.len()).sum();
    ensure!(fields + body.len() <= payload.len(), "{payload:?} grew");
    let again = encode_response(status, &headers, &[body.clone()], trailers.as_ref());
    let Some(again) = again.as_deref().and_then(decode_response) else {
        idemstore_fuzz::wrong(format_args!("{payload:?} is read, and cannot be written"));
    };
    let expected = (status, Some((recorded(&headers), body, trailers.as_ref().map(recorded))));
    ensure!(again == expected, "{payload:?}: {again:?}, expected {expected:?}");
}

fn any_response(input: &Input<'_>) {
    let Ok(status) = StatusCode::from_u16(input.status) else { return };
    let (headers, trailers) = (fields(&input.headers), input.trailers.as_deref().map(fields));
    let body: Vec<_> = input.body.iter().map(|part| Bytes::copy_from_slice(part)).collect();
    let Some(payload) = encode_response(status, &headers, &body, trailers.as_ref()) else {
        idemstore_fuzz::wrong(format_args!("a response cannot be written: {input:?}"));
    };
    let expected = (status, Some((recorded(&headers), Bytes::from(body.concat()), trailers.as_ref().map(recorded))));
    let read = decode_response(&payload);
    ensure!(read.as_ref() == Some(&expected), "{read:?}, expected {expected:?}");
}

fn fields(fields: &[(&str, &[u8])]) -> HeaderMap {
    let valid = |(name, value): &(&str, &[u8])| Some((name.parse::<HeaderName>().ok()?, HeaderValue::from_bytes(value).ok()?));
    let mut headers = HeaderMap::new();
    for (name, value) in fields.iter().filter_map(valid) {
        headers.append(name, value);
    }
    headers
}

/// What the table leaves of headers or trailers.
fn recorded(headers: &HeaderMap) -> HeaderMap {
    let named = headers.get_all("connection").iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    let named: Vec<_> = named.filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok()).collect();
    let mut left = headers.clone();
    for name in NEVER_RECORDED.iter().chain(&named) {
        left.remove(name);
    }
    left
}
