//! Headers of any kind are refused or read; what is read has one form, and an id in it is one by a naive reading of the rule.
#![no_main]

use base64::{Engine as _, engine::general_purpose::STANDARD};
use idemstore::{
    Fingerprint, json,
    x402::{
        PAYMENT_IDENTIFIER, PaymentId, Settlement, append_payment_identifier_to_extensions, decode_header, encode_header,
        extract_and_validate_payment_identifier, extract_payment_identifier, is_payment_identifier_extension,
        is_valid_payment_id, payment_fingerprint, validate_payment_identifier, validate_payment_identifier_requirement,
    },
};
use idemstore_fuzz::ensure;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|data: &[u8]| {
    // As the header itself, as the text in it, and as an id.
    header(data);
    header(STANDARD.encode(data).as_bytes());
    text(data);
    if let Ok(text) = std::str::from_utf8(data) {
        id(text);
    }
});

/// What was read, and what was decided of it, survive being written and read again.
fn header(header: &[u8]) {
    let settlement = Settlement::of_header(header);
    let Ok(value) = decode_header(header) else { return };
    ensure!(settlement == Settlement::of(&value), "{value} is {settlement:?} in a header only");
    let again = encode_header(&value).and_then(decode_header);
    ensure!(again.as_ref().is_ok_and(|again| *again == value), "{value} became {again:?}");
    let fingerprint = |value: &Value| payment_fingerprint(value, "POST", "/", None, b"").ok();
    ensure!(fingerprint(&value).is_some() && fingerprint(&value) == again.ok().as_ref().and_then(fingerprint), "{value}");
    payload(&value);
}

fn text(text: &[u8]) {
    let lenient = serde_json::from_slice::<Value>(text);
    let Ok(value) = json::read(text) else { return };
    ensure!(lenient.as_ref().is_ok_and(|lenient| *lenient == value), "{value} is {lenient:?} to others");
    let form = json::canonical(&value);
    let Ok(form) = form else { idemstore_fuzz::wrong(format_args!("{value} was read and has no form: {form:?}")) };
    let again = json::read(&form);
    ensure!(again.is_ok(), "the form of {value} cannot be read: {again:?}");
    let Ok(again) = again else { return };
    ensure!(json::canonical(&again).is_ok_and(|second| second == form), "the form of {value} is not final");
    ensure!(Fingerprint::of_json(&again).ok() == Fingerprint::of_json(&value).ok(), "{value} has two fingerprints");
    ensure!(numbers(&value) == numbers(&again), "{value} became {again}");
}

/// All numbers, as doubles: the one thing that the form may write in another type.
fn numbers(value: &Value) -> Vec<Option<f64>> {
    match value {
        Value::Number(number) => vec![number.as_f64()],
        Value::Array(items) => items.iter().flat_map(numbers).collect(),
        Value::Object(members) => members.values().flat_map(numbers).collect(),
        _ => Vec::new(),
    }
}

fn payload(payload: &Value) {
    let id = extract_and_validate_payment_identifier(payload);
    ensure!(extract_payment_identifier(payload) == id.clone().ok().flatten(), "{payload} has two ids");
    let satisfies = validate_payment_identifier_requirement(payload, true).is_ok();
    ensure!(satisfies == matches!(id, Ok(Some(_))), "{payload} satisfies: {satisfies}");
    ensure!(id.ok().flatten().is_none_or(|id| is_id(id.as_str())), "{payload} has an id that is none");
    let Some(mut extensions) = payload.get("extensions").and_then(Value::as_object).cloned() else { return };
    let Ok(new) = PaymentId::new("pay_0123456789abcdef") else { return };
    let declared = extensions.get(PAYMENT_IDENTIFIER).is_some_and(is_payment_identifier_extension);
    let appended = append_payment_identifier_to_extensions(&mut extensions, Some(&new));
    ensure!(appended.as_ref().is_ok_and(|id| id.is_some() == declared), "{payload}: {appended:?}");
    let is_valid = extensions.get(PAYMENT_IDENTIFIER).is_some_and(|extension| validate_payment_identifier(extension).is_ok());
    ensure!(!declared || is_valid, "{extensions:?} is not valid");
    ensure!(declared || payload["extensions"].as_object() == Some(&extensions), "{payload} was changed");
}

fn id(text: &str) {
    ensure!(is_valid_payment_id(text) == is_id(text), "{text:?} is an id: {}", is_id(text));
    ensure!(PaymentId::new(text).is_ok_and(|id| id.as_str() == text) == is_id(text), "{text:?} changed");
}

/// The rule, written down as naively as possible.
fn is_id(text: &str) -> bool {
    let allowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
    text.len() >= 16 && text.len() <= 128 && text.chars().all(|c| allowed.contains(c))
}
