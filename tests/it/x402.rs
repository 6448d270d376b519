//! The payment-identifier extension means here what it means in the official SDKs, and where they disagree a table says what we
//! do.

use idemstore::x402::{
    PAYMENT_ID_MAX_LENGTH, PAYMENT_ID_MIN_LENGTH, PAYMENT_ID_PATTERN, PAYMENT_IDENTIFIER, PaymentId, PaymentIdError,
    append_payment_identifier_to_extensions, declare_payment_identifier_extension, extract_and_validate_payment_identifier,
    extract_payment_identifier, generate_payment_id, has_payment_identifier, is_payment_identifier_extension,
    is_payment_identifier_required, is_valid_payment_id, validate_payment_identifier, validate_payment_identifier_requirement,
};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// Everything in which our answer is not that of both SDKs: the vector, the function, and the decision.
const DECISIONS: &[(&str, &str, &str)] = &[
    ("pay_newline_12345678\n", "is_valid", "as js: every byte counts; py's `$` lets the newline through"),
    ("id_null", "extractAndValidate", "as py: null is absent"),
    ("id_null", "validate", "as py: null is absent"),
    ("id_not_string", "requirementTrue", "refused as in both, and the reason says what is wrong"),
    ("ext_is_string", "requirementTrue", "refused as in both, and the reason says what is wrong"),
    ("required_missing", "extractAndValidate", "unlike both: real clients send only the id, and it is a valid one"),
    ("trailing_newline", "extract", "as js: every byte counts"),
    ("trailing_newline", "extractAndValidate", "as js: every byte counts"),
    ("trailing_newline", "requirementTrue", "as js: every byte counts"),
    ("trailing_newline", "validate", "as js: every byte counts"),
];

pub fn vectors() -> Value {
    serde_json::from_str(include_str!("x402/sdk_vectors.json")).unwrap()
}

fn rows(of: &str) -> Vec<Value> {
    let rows = vectors()[of].as_array().unwrap().clone();
    assert!(rows.len() >= 7, "{of}: {}", rows.len());
    rows
}

/// The vectors whose answers differ from ours, as in the table.
#[derive(Default)]
struct Differences(Vec<(String, String)>);

impl Differences {
    fn compare(&mut self, name: &Value, function: &str, ours: &Value, js: &Value, py: &Value) {
        if ours != js || ours != py {
            self.0.push((name.as_str().unwrap().to_owned(), function.to_owned()));
        }
    }

    fn are_decided(mut self, is_here: impl Fn(&str) -> bool) {
        let decided = DECISIONS.iter().filter(|(_, function, _)| is_here(function));
        let mut decided: Vec<_> = decided.map(|(name, function, _)| ((*name).to_owned(), (*function).to_owned())).collect();
        decided.sort();
        self.0.sort();
        assert_eq!(self.0, decided);
    }
}

#[test]
fn constants_and_declarations_are_those_of_the_sdks() {
    let all = vectors();
    let ours = json!({
        "PAYMENT_IDENTIFIER": PAYMENT_IDENTIFIER,
        "PAYMENT_ID_MIN_LENGTH": PAYMENT_ID_MIN_LENGTH,
        "PAYMENT_ID_MAX_LENGTH": PAYMENT_ID_MAX_LENGTH,
        "PAYMENT_ID_PATTERN": PAYMENT_ID_PATTERN,
    });
    assert_eq!(all["constants"], ours);
    assert_eq!(all["declare"]["default"], declare_payment_identifier_extension(false));
    assert_eq!(all["declare"]["required"], declare_payment_identifier_extension(true));
}

#[test]
fn generated_ids_have_the_form_of_the_sdks() {
    let is_generated = |id: &str, prefix: &str| {
        let digits = id.strip_prefix(prefix).unwrap();
        digits.len() == 32 && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    for row in rows("generated") {
        let (prefix, theirs) = (row["prefix"].as_str().unwrap(), row["id"].as_str().unwrap());
        let ours = generate_payment_id(prefix).unwrap();
        assert!(is_generated(theirs, prefix) && is_generated(ours.as_str(), prefix), "{ours}");
    }
}

#[test]
fn generated_ids_do_not_repeat_and_use_all_digits() {
    let ids: std::collections::BTreeSet<_> = (0..1000).map(|_| generate_payment_id("").unwrap()).collect();
    assert_eq!(ids.len(), 1000);
    for place in 0..32 {
        let digits: std::collections::BTreeSet<_> = ids.iter().map(|id| id.as_str().as_bytes()[place]).collect();
        assert_eq!(digits.len(), 16, "digit {place}");
    }
}

#[test]
fn a_prefix_that_an_id_cannot_have_is_refused() {
    assert!(generate_payment_id(&"a".repeat(96)).is_ok());
    for prefix in [&"a".repeat(97), "pay ", "pay\n", "zahlung-ü"] {
        assert_eq!(generate_payment_id(prefix).unwrap_err().kind(), idemstore::ErrorKind::InvalidInput, "{prefix:?}");
    }
}

#[test]
fn ids_are_judged_as_the_sdks_do() {
    let mut differences = Differences::default();
    for row in rows("ids") {
        let ours = is_valid_payment_id(row["id"].as_str().unwrap());
        differences.compare(&row["id"], "is_valid", &ours.into(), &row["js"], &row["py"]);
    }
    differences.are_decided(|function| function == "is_valid");
}

#[test]
fn ids_are_appended_as_the_sdks_do() {
    for row in rows("append") {
        let mut extensions = row["extensions"].as_object().unwrap().clone();
        let ours = match PaymentId::new(row["id"].as_str().unwrap()) {
            Ok(id) => {
                append_payment_identifier_to_extensions(&mut extensions, Some(&id)).unwrap();
                Value::Object(extensions)
            }
            Err(_) => "error".into(),
        };
        assert_eq!((&ours, &ours), (&row["js"], &row["py"]), "{}", row["name"]);
    }
}

#[test]
fn payloads_are_read_as_the_sdks_do() {
    let mut differences = Differences::default();
    for row in rows("extract") {
        let ours = answers(&row["payload"]);
        let functions = row["js"].as_object().unwrap();
        assert_eq!(ours.len(), functions.len());
        for (function, js) in functions {
            differences.compare(&row["name"], function, &ours[function], js, &row["py"][function]);
        }
    }
    differences.are_decided(|function| function != "is_valid");
}

/// What our functions say, in the form of the SDKs.
fn answers(payload: &Value) -> Map<String, Value> {
    let extension = payload.pointer("/extensions/payment-identifier").unwrap_or(&Value::Null);
    let text = |id: Option<PaymentId>| id.map(|id| id.as_str().to_owned());
    let id = extract_and_validate_payment_identifier(payload);
    let answers = json!({
        "extract": text(extract_payment_identifier(payload)),
        "extractAndValidate": { "id": text(id.clone().ok().flatten()), "validation": validation(id.map(drop)) },
        "has": has_payment_identifier(payload),
        "requirementTrue": validation(validate_payment_identifier_requirement(payload, true)),
        "requirementFalse": validation(validate_payment_identifier_requirement(payload, false)),
        "validate": validation(validate_payment_identifier(extension)),
        "isExtension": is_payment_identifier_extension(extension),
        "isRequired": is_payment_identifier_required(extension),
    });
    answers.as_object().unwrap().clone()
}

trait Errors {
    fn list(self) -> Vec<PaymentIdError>;
}

impl Errors for PaymentIdError {
    fn list(self) -> Vec<PaymentIdError> {
        vec![self]
    }
}

impl Errors for Vec<PaymentIdError> {
    fn list(self) -> Vec<PaymentIdError> {
        self
    }
}

fn validation(result: Result<(), impl Errors>) -> Value {
    let errors: Vec<_> = result.err().map(Errors::list).unwrap_or_default().into_iter().map(message).collect();
    json!({ "valid": errors.is_empty(), "errors": errors })
}

/// The SDKs' message for one of our errors.
fn message(error: PaymentIdError) -> &'static str {
    match error {
        PaymentIdError::NotAnObject => "Extension must be an object",
        PaymentIdError::NoInfo => "Extension must have an 'info' property",
        PaymentIdError::NoRequired => "Extension info must have a 'required' boolean property",
        PaymentIdError::NotAString => "Extension info 'id' must be a string if provided",
        PaymentIdError::Length { .. } | PaymentIdError::Character { .. } => {
            "Invalid payment ID format. ID must be 16-128 characters and contain only alphanumeric characters, hyphens, \
             and underscores."
        }
        PaymentIdError::Missing => "Server requires a payment identifier but none was provided",
        _ => panic!("{error:?} has no counterpart"),
    }
}

#[test]
fn clients_that_leave_things_out_are_understood() {
    const ID: &str = "pay_0123456789abcdef";
    let found = |payload: Value| extract_and_validate_payment_identifier(&payload).unwrap().map(|id| id.to_string());
    let with = |extension: Value| json!({"x402Version": 2, "extensions": {"payment-identifier": extension}});
    for extension in [
        json!({"info": {"id": ID}}),
        json!({"id": ID}),
        json!({"info": {"required": true}, "id": ID}),
        json!({"info": null, "id": ID}),
        json!({"info": {"id": null}, "id": ID}),
        json!({"info": {"id": ID}, "id": "pay_another_one_012345"}),
    ] {
        assert_eq!(found(with(extension.clone())).as_deref(), Some(ID), "{extension}");
    }
    for extension in [json!(null), json!({}), json!({"info": null}), json!({"info": {"id": null}}), json!({"id": null})] {
        assert_eq!(found(with(extension.clone())), None, "{extension}");
    }
    // A payload of version 1 has no id, whatever it carries; and what is no payload has none either.
    let mut version_1 = with(json!({"info": {"id": ID}}));
    version_1["x402Version"] = 1.into();
    assert!(!has_payment_identifier(&version_1));
    for payload in [version_1, json!({"x402Version": 1, "scheme": "exact"}), json!({"extensions": []}), json!(null), json!([])] {
        assert_eq!(found(payload), None);
    }
}

#[test]
fn an_invalid_id_is_never_taken_for_none() {
    use PaymentIdError::{Character, Length, NoInfo, NotAString, NotAnObject};
    for (extension, error) in [
        (json!("pay_0123456789abcdef"), NotAnObject),
        (json!(["pay_0123456789abcdef"]), NotAnObject),
        (json!(false), NotAnObject),
        (json!({"info": "pay_0123456789abcdef"}), NoInfo),
        (json!({"info": {"id": 1_234_567_890_123_456_u64}}), NotAString),
        (json!({"info": {"id": ["pay_0123456789abcdef"]}}), NotAString),
        (json!({"id": true}), NotAString),
        (json!({"info": {"id": ""}}), Length { bytes: 0 }),
        (json!({"id": "a".repeat(129)}), Length { bytes: 129 }),
        (json!({"info": {"id": "pay_0123456789abcde\u{e9}"}}), Character { position: 19 }),
        // A bad id in the right place is not replaced by a good one in the wrong place.
        (json!({"info": {"id": "short"}, "id": "pay_0123456789abcdef"}), Length { bytes: 5 }),
    ] {
        let payload = json!({"x402Version": 2, "extensions": {"payment-identifier": extension}});
        assert_eq!(extract_and_validate_payment_identifier(&payload), Err(error), "{payload}");
        assert_eq!(validate_payment_identifier_requirement(&payload, true), Err(error), "{payload}");
        assert_eq!(extract_payment_identifier(&payload), None, "{payload}");
    }
}

#[test]
fn debug_shows_no_whole_id_and_display_does() {
    let id = PaymentId::new("pay_0123456789abcdef").unwrap();
    assert_eq!(format!("{id:?} {id}"), "PaymentId(pay_0123...) pay_0123456789abcdef");
}

proptest! {
    #[test]
    fn what_is_appended_is_extracted(text in "[A-Za-z0-9_-]{16,128}", required: bool, other in "[a-z]{1,9}") {
        let id = PaymentId::new(&text).unwrap();
        let declared = json!({ PAYMENT_IDENTIFIER: declare_payment_identifier_extension(required), (&other): {"info": {}} });
        let mut extensions = declared.as_object().unwrap().clone();
        let appended = append_payment_identifier_to_extensions(&mut extensions, Some(&id)).unwrap();
        prop_assert_eq!(appended.as_ref(), Some(&id));
        prop_assert_eq!(validate_payment_identifier(&extensions[PAYMENT_IDENTIFIER]), Ok(()));
        let payload = json!({"x402Version": 2, "extensions": extensions});
        prop_assert_eq!(extract_payment_identifier(&payload), Some(id));
        // Nothing but the id has changed.
        let Value::Object(mut back) = payload["extensions"].clone() else { panic!() };
        back[PAYMENT_IDENTIFIER]["info"].as_object_mut().unwrap().remove("id");
        prop_assert_eq!(Value::Object(back), declared);
    }

    #[test]
    fn a_text_is_an_id_exactly_if_all_of_its_bytes_are(text in prop_oneof!["\\PC{0,140}", "[A-Za-z0-9_-]{10,135}.?", ".*"]) {
        let bytes = text.as_bytes();
        let naive = bytes.len() >= 16 && bytes.len() <= 128
            && bytes.iter().all(|byte| b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-".contains(byte));
        prop_assert_eq!(is_valid_payment_id(&text), naive);
    }
}
