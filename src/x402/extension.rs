use super::{PAYMENT_ID_MAX_LENGTH, PAYMENT_ID_MIN_LENGTH, PAYMENT_ID_PATTERN, PAYMENT_ID_PREFIX};
use super::{PAYMENT_IDENTIFIER, PaymentId, PaymentIdError, generate_payment_id};
use crate::Result;
use serde_json::{Map, Value, json};

/// Makes what a server puts under [`PAYMENT_IDENTIFIER`] into `PaymentRequired.extensions`.
///
/// With `required` a payment without an id is refused; otherwise it runs without protection.
///
/// ```
/// use idemstore::x402::{declare_payment_identifier_extension, is_payment_identifier_required};
///
/// let extension = declare_payment_identifier_extension(true);
/// assert_eq!(extension["info"]["required"], true);
/// assert!(is_payment_identifier_required(&extension));
/// ```
pub fn declare_payment_identifier_extension(required: bool) -> Value {
    json!({
        "info": { "required": required },
        "schema": {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "properties": {
                "required": { "type": "boolean" },
                "id": {
                    "type": "string",
                    "minLength": PAYMENT_ID_MIN_LENGTH,
                    "maxLength": PAYMENT_ID_MAX_LENGTH,
                    "pattern": PAYMENT_ID_PATTERN,
                },
            },
            "required": ["required"],
        },
    })
}

/// Puts a payment id into the extensions that a client echoes, and returns it.
///
/// Nothing is done, and `None` returned, unless the server declared the extension. An id that is there already is replaced.
/// Without an `id` one is generated; on a retry give the id of the first attempt.
///
/// ```
/// use idemstore::x402::{self, PAYMENT_IDENTIFIER, append_payment_identifier_to_extensions};
///
/// let mut extensions = serde_json::Map::new();
/// assert_eq!(append_payment_identifier_to_extensions(&mut extensions, None)?, None);
///
/// extensions.insert(PAYMENT_IDENTIFIER.into(), x402::declare_payment_identifier_extension(false));
/// let id = append_payment_identifier_to_extensions(&mut extensions, None)?.unwrap();
/// assert_eq!(extensions[PAYMENT_IDENTIFIER]["info"]["id"], id.as_str());
/// # Ok::<(), idemstore::Error>(())
/// ```
///
/// # Errors
/// [`Io`](crate::ErrorKind::Io) when no id is given and the operating system gives no random bytes.
pub fn append_payment_identifier_to_extensions(
    extensions: &mut Map<String, Value>,
    id: Option<&PaymentId>,
) -> Result<Option<PaymentId>> {
    let declared = extensions.get_mut(PAYMENT_IDENTIFIER).filter(|extension| is_payment_identifier_extension(extension));
    let Some(info) = declared.and_then(|extension| extension.get_mut("info")).and_then(Value::as_object_mut) else {
        return Ok(None);
    };
    let id = id.cloned().map_or_else(|| generate_payment_id(PAYMENT_ID_PREFIX), Ok)?;
    info.insert("id".to_owned(), id.as_str().into());
    Ok(Some(id))
}

/// Returns whether a value has the form of the extension: an object `info` with a boolean `required`. The id is not looked at.
///
/// ```
/// use idemstore::x402::is_payment_identifier_extension;
/// use serde_json::json;
///
/// assert!(is_payment_identifier_extension(&json!({"info": {"required": false}})));
/// assert!(!is_payment_identifier_extension(&json!({"info": {}})));
/// ```
pub fn is_payment_identifier_extension(extension: &Value) -> bool {
    extension.pointer("/info/required").is_some_and(Value::is_boolean)
}

/// Returns whether the extension says that an id is required.
///
/// ```
/// use idemstore::x402::is_payment_identifier_required;
/// use serde_json::json;
///
/// assert!(is_payment_identifier_required(&json!({"info": {"required": true}})));
/// assert!(!is_payment_identifier_required(&json!({"info": {"required": "true"}})));
/// ```
pub fn is_payment_identifier_required(extension: &Value) -> bool {
    extension.pointer("/info/required") == Some(&Value::Bool(true))
}

/// Checks an extension to the letter: its form, and its id if it has one. For tools and tests of a client.
///
/// A server that decides about a request takes
/// [`extract_and_validate_payment_identifier`](super::extract_and_validate_payment_identifier), which forgives what real clients
/// leave out. The schema that the other side sent is not evaluated; these checks are those of the extension's own schema.
///
/// ```
/// use idemstore::x402::{PaymentIdError, validate_payment_identifier};
/// use serde_json::json;
///
/// assert_eq!(validate_payment_identifier(&json!({"info": {"required": false}})), Ok(()));
/// let errors = validate_payment_identifier(&json!({"info": {"id": "short"}})).unwrap_err();
/// assert_eq!(errors, [PaymentIdError::NoRequired, PaymentIdError::Length { bytes: 5 }]);
/// ```
///
/// # Errors
/// All that is wrong, in the order of this list: [`NotAnObject`](PaymentIdError::NotAnObject) or
/// [`NoInfo`](PaymentIdError::NoInfo) alone; [`NoRequired`](PaymentIdError::NoRequired);
/// [`NotAString`](PaymentIdError::NotAString), [`Length`](PaymentIdError::Length) or [`Character`](PaymentIdError::Character).
pub fn validate_payment_identifier(extension: &Value) -> Result<(), Vec<PaymentIdError>> {
    let extension = extension.as_object().ok_or_else(|| vec![PaymentIdError::NotAnObject])?;
    let info = extension.get("info").and_then(Value::as_object).ok_or_else(|| vec![PaymentIdError::NoInfo])?;
    let required = info.get("required").and_then(Value::as_bool).ok_or(PaymentIdError::NoRequired);
    let errors: Vec<_> = required.err().into_iter().chain(parse_id(info.get("id")).err()).collect();
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

/// Reads the member `id`; null is as good as nothing.
pub(super) fn parse_id(id: Option<&Value>) -> Result<Option<PaymentId>, PaymentIdError> {
    match id {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => PaymentId::new(text).map(Some),
        Some(_) => Err(PaymentIdError::NotAString),
    }
}
