//! Lists and the audit: filters, pages, nothing left out.

use crate::program::{Place, Program};
use serde_json::{Value, json};
use std::collections::BTreeSet;

fn keys(program: &Program, parameters: &str) -> BTreeSet<String> {
    let (mut keys, mut after) = (BTreeSet::new(), String::new());
    loop {
        let page = program.get(&format!("/v1/records?{parameters}{after}")).check(200).json();
        assert_eq!(page["damaged"], json!([]));
        for record in page["records"].as_array().unwrap() {
            let name = format!("{}/{}", record["scope"].as_str().unwrap(), record["key"].as_str().unwrap());
            assert!(keys.insert(name), "no record is on two pages: {record}");
            assert!(record.get("payload").is_none() && record["payload_bytes"].is_u64());
        }
        match &page["next"] {
            Value::Null => return keys,
            next => after = format!("&after={}", next.as_str().unwrap()),
        }
    }
}

#[test]
fn pages_hold_every_record_that_the_filter_admits_once() {
    let place = Place::new();
    let program = place.serve(&[]);
    for n in 0..10 {
        for scope in ["s1", "s2"] {
            let key = format!("k{n}");
            let begun = program.post_json("/v1/begin", &json!({"scope": scope, "key": key, "request": n})).check(201);
            let end = json!({"scope": scope, "key": key, "token": begun.field("token"), "payload": n});
            match n % 3 {
                0 => drop(program.post_json("/v1/complete", &end).check(200)),
                1 => drop(program.post_json("/v1/fail", &end).check(200)),
                _ => (),
            }
        }
    }
    let count = |parameters: &str| keys(&program, parameters).len();
    for limit in [1, 3, 1000] {
        assert_eq!(count(&format!("limit={limit}")), 20);
        assert_eq!(count(&format!("limit={limit}&scope=s1")), 10);
        assert_eq!(count(&format!("limit={limit}&state=completed")), 8);
        assert_eq!(count(&format!("limit={limit}&state=failed&scope=s2")), 3);
        assert_eq!(count(&format!("limit={limit}&state=in_flight")), 6);
        assert_eq!(count(&format!("limit={limit}&older_ms=3600000")), 0);
    }
    assert_eq!((count(""), count("older_ms=0"), count("scope=none")), (20, 20, 0));
    assert_eq!(program.get("/v1/records?limit=7").field("records").as_array().unwrap().len(), 7);
}

#[test]
fn the_audit_is_filtered_by_key_and_paged() {
    let place = Place::new();
    let program = place.serve(&["--lease", "10ms"]);
    for n in 0..6 {
        let key = ["a", "b"][n % 2];
        program.granted(key);
        let body = json!({"scope": "shop", "key": key, "outcome": "released", "reason": format!("reason {n}")});
        // Until the lease of 10 ms has lapsed.
        while program.post_json("/v1/resolve", &body).status == 409 {}
    }
    let rows = |parameters: &str| program.get(&format!("/v1/audit?{parameters}")).check(200).json();
    let all = rows("");
    assert_eq!((all["rows"].as_array().unwrap().len(), &all["next"]), (6, &Value::Null));
    let first = &all["rows"][0];
    assert_eq!((&first["key"], &first["scope"], &first["outcome"]), (&json!("a"), &json!("shop"), &json!("released")));
    assert_eq!((&first["reason"], &first["number"]), (&json!("reason 0"), &json!(0)));
    assert!(first["at"].is_u64() && first["token"].is_u64());
    for (filter, wanted) in [("", 6), ("scope=shop&key=b&", 3), ("key=none&", 0), ("scope=none&", 0)] {
        let (mut seen, mut from) = (0, 0);
        loop {
            let page = rows(&format!("{filter}limit=2&from={from}"));
            seen += page["rows"].as_array().unwrap().len();
            let Some(next) = page["next"].as_u64() else { break };
            assert!(next > from);
            from = next;
        }
        assert_eq!(seen, wanted, "{filter}");
    }
}
