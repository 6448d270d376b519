//! The `payment-identifier` extension of x402, as pure functions.

mod extension;
mod fingerprint;
mod header;
mod id;
mod payload;
mod settlement;

pub use extension::{
    append_payment_identifier_to_extensions, declare_payment_identifier_extension, is_payment_identifier_extension,
    is_payment_identifier_required, validate_payment_identifier,
};
pub use fingerprint::payment_fingerprint;
pub use header::{
    PAYMENT_REQUIRED_HEADER, PAYMENT_RESPONSE_HEADER, PAYMENT_SIGNATURE_HEADER, X_PAYMENT_HEADER, X_PAYMENT_RESPONSE_HEADER,
    decode_header, encode_header,
};
pub use id::{
    PAYMENT_ID_MAX_LENGTH, PAYMENT_ID_MIN_LENGTH, PAYMENT_ID_PATTERN, PAYMENT_ID_PREFIX, PAYMENT_IDENTIFIER, PaymentId,
    PaymentIdError, generate_payment_id, is_valid_payment_id,
};
pub use payload::{
    extract_and_validate_payment_identifier, extract_payment_identifier, has_payment_identifier,
    validate_payment_identifier_requirement,
};
pub use settlement::Settlement;
