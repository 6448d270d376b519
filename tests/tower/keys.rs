//! A key is read strictly, or refused with a sentence that says why.

use crate::support::*;
use http::Method;
use idemstore::tower::{KeyError, parse_idempotency_key};

#[test]
fn the_header_is_read_quoted_and_bare() {
    for (value, key) in [
        (&br#""8e03978e-40d5-43e8""#[..], "8e03978e-40d5-43e8"),
        (b"8e03978e-40d5-43e8", "8e03978e-40d5-43e8"),
        (b"  order:12/a+b=c@x.org  ", "order:12/a+b=c@x.org"),
        (br#""with blanks, and; \"more\" \\""#, r#"with blanks, and; "more" \"#),
        (b"\" \"", " "),
    ] {
        assert_eq!(parse_idempotency_key(value).unwrap(), key);
    }
}

#[test]
fn what_is_no_key_is_refused_with_the_reason() {
    for (value, reason) in [
        (&b""[..], "empty"),
        (b"   ", "empty"),
        (b"\"\"", "empty"),
        (b"\"open", "closing quote is missing"),
        (b"\"", "closing quote is missing"),
        (b"\"a\" \"b\"", "follows the closing quote"),
        (b"\"a\";p=1", "follows the closing quote"),
        (b"\"a\\n\"", "backslash is not followed"),
        (b"\"a\\", "backslash is not followed"),
        (b"\"\x7f\"", "control character"),
        (b"\"\xc3\xa9\"", "not ASCII"),
        (b"a, b", "has to be quoted"),
        (b"a;b", "has to be quoted"),
        (b"a\"b", "has to be quoted"),
        (b"a b", "not visible ASCII"),
        (b"a\tb", "not visible ASCII"),
        (b"caf\xc3\xa9", "not visible ASCII"),
    ] {
        let error = parse_idempotency_key(value).unwrap_err().to_string();
        assert!(error.contains(reason), "{value:?}: {error}");
    }
    assert!(parse_idempotency_key(&[b'k'; 255]).is_ok());
    assert!(parse_idempotency_key(&[b'k'; 256]).unwrap_err().to_string().contains("255 bytes"));
}

#[test]
fn quoted_and_bare_are_the_same_key() {
    let lab = Lab::new();
    let shop = lab.shop(&lab.layer());
    lab.send(&shop, post("\"a\"", "100"));
    assert!(lab.send(&shop, post("a", "100")).is_replay());
}

#[test]
fn a_method_in_another_case_is_covered_and_no_other_operation() {
    let lab = Lab::new();
    let shop = lab.shop(&lab.layer().require_key());
    let patch = |method: &[u8], key: Option<&str>| {
        let request = key.map_or_else(|| without_key("100"), |key| post(key, "100"));
        let (mut parts, body) = request.into_parts();
        parts.method = Method::from_bytes(method).unwrap();
        http::Request::from_parts(parts, body)
    };
    lab.send(&shop, patch(b"patch", None)).is(400, "idempotency_key_required");
    lab.send(&shop, patch(b"pAtch", Some("a"))).is(201, "receipt 1");
    assert!(lab.send(&shop, patch(b"pAtch", Some("a"))).is_replay());
    lab.send(&shop, patch(b"PATCH", Some("a"))).is(422, "idempotency_conflict");
    lab.send(&shop, patch(b"get", None)).is(201, "receipt 2");
}

#[test]
fn a_bad_key_is_refused_before_anything_runs_and_not_quoted_back() {
    let lab = Lab::new();
    let shop = lab.shop(&lab.layer());
    lab.send(&shop, post("", "100")).is(400, "idempotency_key_invalid");
    lab.send(&shop, post("a\"<script>", "100")).is(400, "has to be quoted as RFC 8941 says");
    let twice = post("a", "100").map_header("idempotency-key", "a");
    lab.send(&shop, twice).is(400, "occurs more than once");
    assert_eq!((lab.charges(), lab.store.stats().unwrap().answers.fresh), (0, 0));
}

#[test]
fn a_request_without_a_key_passes_unless_one_is_required() {
    let lab = Lab::new();
    let shop = lab.shop(&lab.layer());
    assert_eq!(lab.send(&shop, without_key("100")).body, "receipt 1");
    assert_eq!(lab.send(&shop, without_key("100")).body, "receipt 2");
}

#[test]
fn other_methods_pass_even_with_a_key() {
    let lab = Lab::new();
    let with = |method: &Method| {
        let mut request = post("a", "100");
        *request.method_mut() = method.clone();
        request
    };
    let shop = lab.shop(&lab.layer().require_key());
    for method in [Method::GET, Method::PUT, Method::DELETE] {
        lab.send(&shop, with(&method));
        assert!(!lab.send(&shop, with(&method)).is_replay(), "{method}");
    }
    assert_eq!(lab.charges(), 6);
    let shop = lab.shop(&lab.layer().methods([Method::PUT]));
    lab.send(&shop, with(&Method::PUT));
    assert!(lab.send(&shop, with(&Method::PUT)).is_replay());
    let shop = lab.shop(&lab.layer().all_methods());
    lab.send(&shop, with(&Method::DELETE));
    assert!(lab.send(&shop, with(&Method::DELETE)).is_replay());
}

#[test]
fn the_key_can_come_from_another_header_or_a_function() {
    let lab = Lab::new();
    let shop = lab.shop(&lab.layer().key_header("x-request-key".parse().unwrap()));
    lab.send(&shop, without_key("1").map_header("x-request-key", "a"));
    assert!(lab.send(&shop, without_key("1").map_header("x-request-key", "a")).is_replay());
    let layer = lab.layer().key_by(|parts| match parts.uri.query() {
        Some("bad") => Err(KeyError::new("not \"that\"")),
        query => Ok(query.map(str::to_owned)),
    });
    let shop = lab.shop(&layer);
    let ask = |query: &str| {
        let mut request = without_key("1");
        *request.uri_mut() = format!("/orders?{query}").parse().unwrap();
        request
    };
    lab.send(&shop, ask("order-1"));
    assert!(lab.send(&shop, ask("order-1")).is_replay());
    lab.send(&shop, ask("bad")).is(400, "not 'that'");
    lab.send(&shop, ask("")).is(400, "idempotency_key_invalid");
}
