//! JSON has one form and one fingerprint for each value, and two values never share one by rounding or by repeated names.

use idemstore::{ErrorKind, Fingerprint, Result, json, limits::JSON_DEPTH_MAX};
use proptest::prelude::*;
use serde_json::{Map, Value};

fn of(text: &str) -> Result<Fingerprint> {
    Fingerprint::of_json(&json::read(text.as_bytes())?)
}

fn form(text: &str) -> String {
    String::from_utf8(json::canonical(&json::read(text.as_bytes()).unwrap()).unwrap()).unwrap()
}

#[test]
fn members_are_ordered_by_their_utf_16() {
    // Section 3.2.3 of RFC 8785. The flag is beyond U+FFFF, so it stands before U+FB33 here, and behind it in UTF-8.
    let text = r#"{"\u20ac":"Euro Sign","\r":"Carriage Return","\ufb33":"Hebrew Letter Dalet With Dagesh","1":"One",
        "\ud83d\ude00":"Emoji: Grinning Face","\u0080":"Control","\u00f6":"Latin Small Letter O With Diaeresis"}"#;
    let value: Value = serde_json::from_str(&form(text)).unwrap();
    assert_eq!(value.as_object().unwrap().len(), 7);
    let order = ["\\r", "1", "\u{80}", "\u{f6}", "\u{20ac}", "\u{1f600}", "\u{fb33}"];
    let places: Vec<_> = order.iter().map(|name| form(text).find(&format!("\"{name}\":")).unwrap()).collect();
    assert!(places.is_sorted(), "{places:?}");
}

#[test]
fn strings_are_escaped_as_the_standard_says() {
    // The sample of section 3.2.2.
    let text = r#"{ "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
        "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/", "literals": [null, true, false] }"#;
    // Its first number is one that the form changes.
    assert!(json::read(text.as_bytes()).is_err());
    let text = text.replace("333333333.33333329", "333333333.3333333");
    let expected = concat!(
        r#"{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"#,
        r#""string":"€$\u000f\nA'B\"\\\\\"/"}"#
    );
    assert_eq!(form(&text), expected);
    for control in 0_u8..0x20 {
        let short = match control {
            8 => "\\b".to_owned(),
            9 => "\\t".to_owned(),
            10 => "\\n".to_owned(),
            12 => "\\f".to_owned(),
            13 => "\\r".to_owned(),
            _ => format!("\\u{control:04x}"),
        };
        assert_eq!(form(&format!("\"\\u{control:04X}\"")), format!("\"{short}\""));
    }
    assert_eq!(form("\"\\u007f\\u2028\\/\""), "\"\u{7f}\u{2028}/\"");
}

#[test]
fn other_spellings_of_a_value_have_the_same_fingerprint() {
    let first = of(r#"{"amount":100,"to":"ü","tags":[1,2]}"#).unwrap();
    for text in [
        r#"{"to":"ü","tags":[1,2],"amount":100}"#,
        "\n{ \"tags\" : [ 1 , 2 ],\t\"amount\":1e2 ,\r\n\"to\":\"\\u00FC\" } ",
        r#"{"amount":100.0,"to":"\u00fc","tags":[1.0,20e-1]}"#,
    ] {
        assert_eq!(of(text).unwrap(), first, "{text}");
    }
    for text in [
        r#"{"amount":"100","to":"ü","tags":[1,2]}"#,
        r#"{"amount":100,"to":"ü","tags":[2,1]}"#,
        r#"{"amount":100,"to":"u\u0308","tags":[1,2]}"#,
        r#"{"amount":100,"to":"ü","tags":[1,2],"more":null}"#,
        r#"[{"amount":100,"to":"ü","tags":[1,2]}]"#,
    ] {
        assert_ne!(of(text).unwrap(), first, "{text}");
    }
}

#[test]
fn numbers_that_a_double_would_merge_are_refused() {
    // Each pair is one double, and its first is what ECMAScript writes.
    for (written, merged) in [
        ("9007199254740992", "9007199254740993"),
        ("-9007199254740992", "-9007199254740993"),
        ("18446744073709552000", "18446744073709551615"),
        ("0.1", "0.1000000000000000055511151231257827"),
        ("0.1", "0.10000000000000001"),
        ("1424953923781206.2", "1424953923781206.25"),
        ("0", "1e-400"),
    ] {
        let in_text = |number: &str| format!(r#"{{"text \" 9007199254740993":[{number}]}}"#);
        assert!(of(&in_text(written)).is_ok(), "{written}");
        let error = of(&in_text(merged)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(!error.to_string().contains(merged), "{error}");
    }
    assert!(of("1e309").is_err() && of("-1e309").is_err());
    // A value that another reader made has integers of its own.
    for value in [Value::from(u64::MAX), Value::from(i64::MAX), Value::from(i64::MIN + 1)] {
        assert_eq!(Fingerprint::of_json(&value).unwrap_err().kind(), ErrorKind::InvalidInput, "{value}");
    }
}

#[test]
fn a_repeated_name_is_refused_at_any_depth() {
    for text in
        [r#"{"a":1,"a":1}"#, r#"{"a":1,"b":2,"\u0061":3}"#, r#"[[{"x":{"a":null,"a":null}}]]"#, r#"{"x":[0,{"":1,"":2}]}"#]
    {
        let error = of(text).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("repeats a name"), "{error}");
    }
    assert!(of(r#"{"a":{"a":[{"a":1},{"a":1}]},"A":1}"#).is_ok());
}

#[test]
fn what_is_not_json_is_refused() {
    for text in
        ["", " ", "{", "[1,]", "{\"a\":1,}", "01", "1.", "+1", "NaN", "tru", "'a'", "1 2", "\"\\ud800\"", "\"\n\"", "\u{feff}1"]
    {
        assert_eq!(json::read(text.as_bytes()).unwrap_err().kind(), ErrorKind::InvalidInput, "{text:?}");
    }
    assert!(json::read(b"\"\xff\"").is_err());
}

#[test]
fn depth_is_bounded_in_texts_and_in_values() {
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    assert!(json::read(nested(JSON_DEPTH_MAX).as_bytes()).is_ok());
    for depth in [JSON_DEPTH_MAX + 1, 100_000] {
        assert!(json::read(nested(depth).as_bytes()).is_err());
        assert!(json::read(r#"{"":"#.repeat(depth).as_bytes()).is_err());
    }
    let value = |depth: usize| (0..depth).fold(Value::Null, |inner, _| Value::Array(vec![inner]));
    assert!(json::canonical(&value(JSON_DEPTH_MAX)).is_ok());
    let error = json::canonical(&value(JSON_DEPTH_MAX + 1)).unwrap_err();
    assert!(error.kind() == ErrorKind::InvalidInput && error.to_string().contains("127"), "{error}");
}

/// Values whose numbers are doubles, as a reader makes them.
fn values() -> impl Strategy<Value = Value> {
    let number = prop_oneof![
        any::<f64>().prop_filter_map("finite", |number| serde_json::Number::from_f64(number).map(Value::Number)),
        (-(1_i64 << 53)..=1 << 53).prop_map(Value::from),
    ];
    let leaf = prop_oneof![Just(Value::Null), any::<bool>().prop_map(Value::Bool), number, ".*".prop_map(Value::String)];
    leaf.prop_recursive(4, 48, 6, |inner| {
        let object = prop::collection::btree_map(".{0,3}", inner.clone(), 0..6);
        prop_oneof![
            prop::collection::vec(inner, 0..6).prop_map(Value::Array),
            object.prop_map(|members| Value::Object(members.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// The same value as another client would write it: members the other way round, white space, all strings escaped.
fn rewritten(value: &Value) -> String {
    let escaped = |text: &str| {
        let units: Vec<_> = text.encode_utf16().map(|unit| format!("\\u{unit:04X}")).collect();
        format!("\"{}\"", units.concat())
    };
    match value {
        Value::String(text) => escaped(text),
        Value::Array(items) => format!("[ {} ]", items.iter().map(rewritten).collect::<Vec<_>>().join("\n,")),
        Value::Object(members) => {
            let members: Vec<_> =
                members.iter().rev().map(|(name, value)| format!("{} : {}", escaped(name), rewritten(value))).collect();
            format!("{{\t{}}}", members.join(" , "))
        }
        other => other.to_string(),
    }
}

proptest! {
    #[test]
    fn the_form_of_the_form_is_itself(value in values()) {
        let form = json::canonical(&value).unwrap();
        prop_assert_eq!(json::canonical(&json::read(&form).unwrap()).unwrap(), form);
    }

    #[test]
    fn the_form_does_not_depend_on_who_wrote_it(value in values()) {
        let other = json::read(rewritten(&value).as_bytes()).unwrap();
        prop_assert_eq!(json::canonical(&other).unwrap(), json::canonical(&value).unwrap());
        prop_assert_eq!(Fingerprint::of_json(&other).unwrap(), Fingerprint::of_json(&value).unwrap());
    }

    #[test]
    fn what_is_read_is_what_others_read(text in prop_oneof!["[-0-9.eE\\[\\]{}\", ]{1,12}", "-?[0-9]{1,20}(\\.[0-9]{1,20})?"]) {
        if let Ok(value) = json::read(text.as_bytes()) {
            prop_assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
        }
    }
}
