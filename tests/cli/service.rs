//! The routes of long work: wrong orders are refused with a reason, and every answer has an end that says how it went.

use http_body_util::BodyExt as _;
use idemstore::{
    Begin, Fingerprint, Key, Store,
    server::{Api, Body, Owner},
};
use serde_json::{Value, json};

struct Answer {
    status: u16,
    allow: Option<String>,
    body: String,
}

fn ask(owner: &Owner, method: &str, path: &str, body: Body) -> Answer {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let request = http::Request::builder().method(method).uri(path).header("host", "localhost").body(body).unwrap();
        let response = owner.answer(request).await;
        let allow = response.headers().get("allow").map(|allow| allow.to_str().unwrap().to_owned());
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        Answer { status, allow, body: String::from_utf8(body.to_vec()).unwrap() }
    })
}

fn owner() -> (Store, Owner) {
    let store = Store::in_memory().unwrap();
    for id in ["a", "b"] {
        if let Begin::Fresh(lease) = store.begin(&Key::new("shop", id).unwrap(), Fingerprint::of(&[b"1"])).unwrap() {
            lease.complete("1").unwrap();
        }
    }
    (store.clone(), Owner::new(Api::new(store)))
}

#[test]
fn a_wrong_order_is_refused_before_anything_is_done() {
    let (_store, owner) = owner();
    for (method, path, body, status, kind) in [
        ("GET", "/v1/verify", "", 405, "method_not_allowed"),
        ("POST", "/v1/owner", "", 405, "method_not_allowed"),
        ("POST", "/v1/backup", "", 400, "invalid_input"),
        ("POST", "/v1/backup", r#"{"to": 7}"#, 400, "invalid_input"),
        ("POST", "/v1/backup", r#"{"to": "relative"}"#, 400, "invalid_input"),
        ("POST", "/v1/backup", r#"{"to": "/tmp/x", "force": true}"#, 400, "invalid_input"),
        ("POST", "/v1/find", "[]", 400, "invalid_input"),
        ("POST", "/v1/frobnicate", "", 404, "unknown_route"),
    ] {
        let answer = ask(&owner, method, path, Body::full(body));
        let problem: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!((answer.status, &problem["kind"], &problem["status"]), (status, &json!(kind), &json!(status)), "{path}");
        assert_eq!(answer.allow.is_some(), status == 405);
    }
    let long = format!(r#"{{"key": "{}"}}"#, "x".repeat(1 << 20));
    assert_eq!(ask(&owner, "POST", "/v1/find", Body::full(long)).status, 413);
}

#[test]
fn every_work_ends_with_a_report_or_an_error() {
    let (store, owner) = owner();
    let last = |path: &str, body: &str| -> Value {
        let answer = ask(&owner, "POST", path, Body::full(body.to_owned()));
        assert_eq!(answer.status, 200, "{}", answer.body);
        serde_json::from_str(answer.body.lines().last().unwrap()).unwrap()
    };
    assert_eq!(last("/v1/verify", "")["report"]["records"], 2);
    assert_eq!(last("/v1/preview-sweep", "")["report"], json!({ "examined": 2, "removed": 0, "paused": false }));
    assert_eq!(last("/v1/find", r#"{"key": "a"}"#)["report"], json!({ "scopes": ["shop"], "damaged": 0 }));
    assert_eq!(last("/v1/export", "")["report"], json!({ "exported": 2, "damaged": 0 }));
    assert_eq!(last("/v1/import", "nonsense")["error"]["kind"], "invalid_input");
    store.close().unwrap();
    assert_eq!(last("/v1/export", "")["error"]["kind"], "closed");
}

#[test]
fn an_upload_that_breaks_off_is_not_taken_for_a_whole_one() {
    let (_store, owner) = owner();
    let lines = ask(&owner, "POST", "/v1/export", Body::empty()).body;
    let record = lines.lines().next().unwrap().strip_prefix(r#"{"record":"#).unwrap().strip_suffix('}').unwrap();
    let import = |is_whole: bool| {
        let (pieces, body) = Body::channel(4);
        pieces.try_send(Ok(format!("{record}\n").into())).unwrap();
        if !is_whole {
            pieces.try_send(Err(std::io::Error::other("the client died"))).unwrap();
        }
        drop(pieces);
        ask(&owner, "POST", "/v1/import", body).body
    };
    assert!(import(true).contains(r#""known":1"#));
    let broken = import(false);
    assert!(broken.contains("broke off") && !broken.contains("report"), "{broken}");
}
