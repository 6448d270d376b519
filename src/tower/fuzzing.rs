//! What the fuzz targets see of the inside.

use super::response::{Recorded, decode, encode, encode_not_stored};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use std::sync::Arc;

/// A recorded response in parts: status, and headers, body and trailers if they were stored.
pub type Parts = (StatusCode, Option<(HeaderMap, Bytes, Option<HeaderMap>)>);

/// Reads a payload.
pub fn decode_response(payload: &[u8]) -> Option<Parts> {
    let Recorded { status, stored } = decode(&Arc::from(payload))?;
    Some((status, stored.map(|stored| (stored.headers, stored.body, stored.trailers))))
}

/// Writes a response as the layer does.
pub fn encode_response(status: StatusCode, headers: &HeaderMap, body: &[Bytes], trailers: Option<&HeaderMap>) -> Option<Vec<u8>> {
    encode(status, headers, body, trailers, &[])
}

/// Writes that a response was not stored.
pub fn encode_status(status: StatusCode) -> Vec<u8> {
    encode_not_stored(status)
}
