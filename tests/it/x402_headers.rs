//! Headers of both versions of x402 are base64 of JSON, whatever SDK wrote them; anything else is refused within bounds.

use crate::x402::vectors;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use idemstore::{
    ErrorKind,
    limits::{JSON_DEPTH_MAX, X402_HEADER_BYTES_MAX},
    x402::{
        PAYMENT_REQUIRED_HEADER, PAYMENT_RESPONSE_HEADER, PAYMENT_SIGNATURE_HEADER, Settlement, X_PAYMENT_HEADER,
        X_PAYMENT_RESPONSE_HEADER, decode_header, encode_header, extract_payment_identifier, has_payment_identifier,
        is_payment_identifier_required, payment_fingerprint,
    },
};
use proptest::prelude::*;
use serde_json::{Value, json};

fn refused(header: impl AsRef<[u8]>) -> String {
    let error = decode_header(header).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    error.to_string()
}

#[test]
fn the_headers_of_both_sdks_are_one_value() {
    for name in ["paymentRequired", "paymentSignature", "paymentResponse"] {
        let row = &vectors()["headers"][name];
        let (js, py) = (row["js"].as_str().unwrap(), row["py"].as_str().unwrap());
        // Decided: the SDKs write other bytes for the same value, so no bytes of a header are ever compared.
        assert_ne!(js, py, "{name}");
        let ours = encode_header(&row["value"]).unwrap();
        for header in [js, py, &ours] {
            assert_eq!(decode_header(header).unwrap(), row["value"], "{name}");
        }
        let fingerprint = |header: &str| payment_fingerprint(&decode_header(header).unwrap(), "GET", "/", None, b"").unwrap();
        assert_eq!((fingerprint(js), fingerprint(js)), (fingerprint(py), fingerprint(&ours)), "{name}");
    }
}

#[test]
fn the_headers_of_both_sdks_mean_what_they_say() {
    let header = |name: &str, sdk: &str| decode_header(vectors()["headers"][name][sdk].as_str().unwrap()).unwrap();
    for sdk in ["js", "py"] {
        let required = header("paymentRequired", sdk);
        assert!(is_payment_identifier_required(&required["extensions"]["payment-identifier"]));
        let id = extract_payment_identifier(&header("paymentSignature", sdk)).unwrap();
        assert_eq!(id.as_str(), "pay_7d5d747be160e280504c099d984bcfe0");
        assert_eq!(Settlement::of(&header("paymentResponse", sdk)), Settlement::Settled);
    }
}

#[test]
fn a_payment_of_version_1_is_read_and_has_no_id() {
    let payload = json!({"x402Version": 1, "scheme": "exact", "network": "base-sepolia", "payload": {"signature": "0x1"}});
    let read = decode_header(encode_header(&payload).unwrap()).unwrap();
    assert_eq!(read, payload);
    assert!(!has_payment_identifier(&read));
    assert_eq!(extract_payment_identifier(&read), None);
}

#[test]
fn the_names_of_the_headers_are_those_of_the_protocol() {
    let names =
        [PAYMENT_REQUIRED_HEADER, PAYMENT_SIGNATURE_HEADER, PAYMENT_RESPONSE_HEADER, X_PAYMENT_HEADER, X_PAYMENT_RESPONSE_HEADER];
    let expected = ["PAYMENT-REQUIRED", "PAYMENT-SIGNATURE", "PAYMENT-RESPONSE", "X-PAYMENT", "X-PAYMENT-RESPONSE"];
    assert_eq!(names.map(str::to_uppercase), expected);
    // Types of HTTP libraries are made of lower-case names.
    assert_eq!(names.map(str::to_lowercase), names);
}

#[test]
fn what_is_not_base64_of_an_object_is_refused() {
    assert!(decode_header(STANDARD.encode("{}")).is_ok());
    for header in ["", "e30", "e30=\n", " e30=", "e3-_", "e31=", "{}", "e30=e30=", "\u{e9}30="] {
        let message = refused(header);
        assert!(header.is_empty() || message.contains("base64"), "{header:?}: {message}");
    }
    for text in ["", "[]", "null", "\"{}\"", "1", "{} {}", "{\"a\":1,\"a\":2}", "{\"a\":9007199254740993}", "{\"a\":1e999}"] {
        refused(STANDARD.encode(text));
    }
    refused(STANDARD.encode(b"{\"a\":\"\xff\"}"));
    refused([0xff; 4]);
}

#[test]
fn a_header_has_a_limit_and_so_has_its_depth() {
    // As much text as fits, and one block of base64 more.
    let room = X402_HEADER_BYTES_MAX / 4 * 3;
    let value = |bytes: usize| json!({"a": "x".repeat(bytes - r#"{"a":""}"#.len())});
    let header = encode_header(&value(room)).unwrap();
    assert_eq!(header.len(), X402_HEADER_BYTES_MAX);
    assert_eq!(decode_header(&header).unwrap(), value(room));
    assert_eq!(encode_header(&value(room + 1)).unwrap_err().kind(), ErrorKind::InvalidInput);
    assert!(refused(STANDARD.encode(value(room + 1).to_string())).contains(&X402_HEADER_BYTES_MAX.to_string()));
    refused(vec![b'A'; 100 * X402_HEADER_BYTES_MAX]);
    let nested = |depth: usize| STANDARD.encode(r#"{"a":"#.repeat(depth) + "1" + &"}".repeat(depth));
    assert!(decode_header(nested(JSON_DEPTH_MAX)).is_ok());
    for depth in [JSON_DEPTH_MAX + 1, 4000] {
        refused(nested(depth));
    }
}

#[test]
fn only_an_object_is_written_and_no_error_shows_what_was_sent() {
    for value in [json!(null), json!([]), json!("{}"), json!(1)] {
        assert_eq!(encode_header(&value).unwrap_err().kind(), ErrorKind::InvalidInput);
    }
    for text in
        [r#"{"signature":"0xsecret","signature":1}"#, r#"{"signature":"0xsecret",}"#, r#"{"0xsecret":1e999}"#, r#""0xsecret""#]
    {
        assert!(!refused(STANDARD.encode(text)).contains("secret"));
    }
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(
        members in prop::collection::btree_map(".{0,8}", (".*", any::<i32>(), any::<Option<bool>>()), 0..8),
    ) {
        let members = members.into_iter().map(|(name, value)| (name, json!([value.0, value.1, {"flag": value.2}])));
        let value = Value::Object(members.collect());
        let header = encode_header(&value).unwrap();
        prop_assert!(header.len().is_multiple_of(4));
        prop_assert!(header.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte)));
        prop_assert_eq!(decode_header(header).unwrap(), value);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes: Vec<u8>, text in "[\\[\\]{}:,\"0-9a-c\\\\eE.+-]{0,40}") {
        let _ = Settlement::of_header(&bytes);
        for header in [bytes.clone(), STANDARD.encode(&bytes).into(), STANDARD.encode(format!("{{{text}}}")).into()] {
            if let Ok(value) = decode_header(&header) {
                prop_assert!(value.is_object());
                prop_assert!(payment_fingerprint(&value, "", "", None, b"").is_ok());
            }
        }
    }
}
