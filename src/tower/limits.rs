//! The layer's limits unless they are set, in bytes.

/// Bytes of a request's body.
pub const REQUEST_BYTES_DEFAULT: usize = 1024 * 1024;
/// Bytes of a response's body that is stored: with its headers it fits into the store's default payload limit.
pub const RESPONSE_BYTES_DEFAULT: usize = 192 * 1024;
/// Bytes of requests and responses in memory.
pub const BUDGET_BYTES_DEFAULT: usize = 256 * 1024 * 1024;
/// Header fields of a response that is stored, and as many trailer fields. One with more is recorded as ended without its payload.
pub const FIELDS_MAX: u16 = super::response::FIELDS_MAX;
/// How often the end of an attempt is tried again at once when the store is busy.
pub(super) const END_TRIES_MAX: usize = 64;
