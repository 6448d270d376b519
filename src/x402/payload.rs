use super::{PAYMENT_IDENTIFIER, PaymentId, PaymentIdError, extension::parse_id};
use crate::Result;
use serde_json::{Map, Value};

/// Returns the id of a `PaymentPayload`; `None` if it has no valid one. To refuse an invalid one, which a server has to, take
/// [`extract_and_validate_payment_identifier`].
///
/// ```
/// use idemstore::x402::extract_payment_identifier;
/// use serde_json::json;
///
/// let payload = json!({"extensions": {"payment-identifier": {"info": {"id": "pay_0123456789abcdef"}}}});
/// assert_eq!(extract_payment_identifier(&payload).unwrap().as_str(), "pay_0123456789abcdef");
/// assert_eq!(extract_payment_identifier(&json!({})), None);
/// ```
pub fn extract_payment_identifier(payload: &Value) -> Option<PaymentId> {
    extract_and_validate_payment_identifier(payload).ok().flatten()
}

/// Returns the id of a `PaymentPayload`, or says what is wrong with it. What a server calls.
///
/// Lenient about form: `info.required` and the schema may be missing, the id may stand in the extension itself (`{"id": ".."}`),
/// and `null` is as good as nothing. Where both places have an id, that in `info` counts. A payload of version 1 has no
/// extensions, so no id. Strict about the id: one that is there and invalid is an error, never "no id".
///
/// ```
/// use idemstore::x402::{PaymentIdError, extract_and_validate_payment_identifier as extract};
/// use serde_json::json;
///
/// let payload = |extension| json!({"x402Version": 2, "extensions": {"payment-identifier": extension}});
/// assert_eq!(extract(&payload(json!({"id": "pay_0123456789abcdef"}))).unwrap().unwrap().as_str(), "pay_0123456789abcdef");
/// assert_eq!(extract(&payload(json!({"info": {"required": false, "id": null}}))), Ok(None));
/// assert_eq!(extract(&payload(json!({"info": {"id": "short"}}))), Err(PaymentIdError::Length { bytes: 5 }));
/// ```
///
/// # Errors
/// [`NotAnObject`](PaymentIdError::NotAnObject), [`NoInfo`](PaymentIdError::NoInfo), [`NotAString`](PaymentIdError::NotAString),
/// [`Length`](PaymentIdError::Length) or [`Character`](PaymentIdError::Character).
pub fn extract_and_validate_payment_identifier(payload: &Value) -> Result<Option<PaymentId>, PaymentIdError> {
    let extension = match extensions(payload).and_then(|extensions| extensions.get(PAYMENT_IDENTIFIER)) {
        None | Some(Value::Null) => return Ok(None),
        Some(extension) => extension.as_object().ok_or(PaymentIdError::NotAnObject)?,
    };
    let in_info = match extension.get("info") {
        None | Some(Value::Null) => None,
        Some(info) => info.as_object().ok_or(PaymentIdError::NoInfo)?.get("id"),
    };
    match parse_id(in_info)? {
        Some(id) => Ok(Some(id)),
        None => parse_id(extension.get("id")),
    }
}

/// Returns whether a `PaymentPayload` has the extension, with or without an id in it.
///
/// ```
/// use idemstore::x402::has_payment_identifier;
/// use serde_json::json;
///
/// assert!(has_payment_identifier(&json!({"extensions": {"payment-identifier": {"info": {"required": false}}}})));
/// assert!(!has_payment_identifier(&json!({"extensions": {}})));
/// ```
pub fn has_payment_identifier(payload: &Value) -> bool {
    extensions(payload).is_some_and(|extensions| extensions.contains_key(PAYMENT_IDENTIFIER))
}

/// Checks that a `PaymentPayload` has a valid id if the server requires one.
///
/// ```
/// use idemstore::x402::{PaymentIdError, validate_payment_identifier_requirement};
/// use serde_json::json;
///
/// assert_eq!(validate_payment_identifier_requirement(&json!({}), false), Ok(()));
/// assert_eq!(validate_payment_identifier_requirement(&json!({}), true), Err(PaymentIdError::Missing));
/// ```
///
/// # Errors
/// None unless `server_requires`. [`Missing`](PaymentIdError::Missing), and those of [`extract_and_validate_payment_identifier`].
pub fn validate_payment_identifier_requirement(payload: &Value, server_requires: bool) -> Result<(), PaymentIdError> {
    if !server_requires {
        return Ok(());
    }
    extract_and_validate_payment_identifier(payload)?.map(drop).ok_or(PaymentIdError::Missing)
}

fn extensions(payload: &Value) -> Option<&Map<String, Value>> {
    // Version 1 does not know extensions: whatever is there under that name is something else.
    let is_version_1 = payload.get("x402Version").and_then(Value::as_u64) == Some(1);
    payload.get("extensions").filter(|_| !is_version_1).and_then(Value::as_object)
}
