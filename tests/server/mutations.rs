//! Every field of every command, with every kind of wrong value: refused with a problem, and no state changes.

use crate::program::{Place, Program};
use serde_json::{Value, json};

/// What a field may be, and so which values of the table are wrong for it.
#[derive(Clone, Copy, PartialEq)]
enum Form {
    Text,
    Number,
    /// May be left out, or be `null`.
    OptionalNumber,
    /// Any JSON.
    Any,
    Outcome,
}

const COMMANDS: &[(&str, &[(&str, Form)])] = &[
    (
        "begin",
        &[
            ("scope", Form::Text),
            ("key", Form::Text),
            ("request", Form::Any),
            ("lease_ms", Form::OptionalNumber),
            ("wait_ms", Form::OptionalNumber),
        ],
    ),
    ("complete", END),
    ("fail", END),
    ("renew", &[("scope", Form::Text), ("key", Form::Text), ("token", Form::Number), ("lease_ms", Form::OptionalNumber)]),
    ("checkpoint", &[("scope", Form::Text), ("key", Form::Text), ("token", Form::Number), ("data", Form::Any)]),
    ("release", &[("scope", Form::Text), ("key", Form::Text), ("token", Form::Number)]),
    (
        "resolve",
        &[("scope", Form::Text), ("key", Form::Text), ("outcome", Form::Outcome), ("payload", Form::Any), ("reason", Form::Text)],
    ),
];
const END: &[(&str, Form)] = &[
    ("scope", Form::Text),
    ("key", Form::Text),
    ("token", Form::Number),
    ("payload", Form::Any),
    ("retention_ms", Form::OptionalNumber),
];

fn values() -> Vec<Value> {
    vec![
        Value::Null,
        json!(true),
        json!(-1),
        json!(1.5),
        json!(1e30),
        json!(7),
        json!(""),
        json!("text"),
        json!("1"),
        json!([]),
        json!(["shop"]),
        json!({}),
        json!({"$gt": ""}),
    ]
}

fn is_wrong(form: Form, value: &Value) -> bool {
    match form {
        Form::Text => value.as_str().is_none_or(str::is_empty),
        Form::Number => !value.is_u64(),
        Form::OptionalNumber => !value.is_u64() && !value.is_null(),
        Form::Any => false,
        Form::Outcome => true,
    }
}

fn good(token: u64) -> Value {
    json!({
        "scope": "shop", "key": "held", "token": token, "request": 1, "payload": 1, "data": 1, "lease_ms": 60_000, "wait_ms": 0,
        "retention_ms": 60_000, "outcome": "completed", "reason": "because",
    })
}

fn records(program: &Program) -> Value {
    program.get("/v1/records").check(200).field("records")
}

#[test]
fn a_wrong_value_anywhere_is_refused_and_changes_nothing() {
    let place = Place::new();
    let program = place.serve(&[]);
    let held = json!({"scope": "shop", "key": "held", "request": 1, "lease_ms": 3_600_000});
    let token = program.post_json("/v1/begin", &held).check(201).field("token").as_u64().unwrap();
    let (before, good) = (records(&program), good(token));
    let mut connection = program.connect();
    let (mut refused, mut let_through) = (0, 0);
    for (command, fields) in COMMANDS {
        let target = format!("/v1/{command}");
        let body: serde_json::Map<_, _> = fields.iter().map(|(name, _)| ((*name).to_owned(), good[*name].clone())).collect();
        let mut refuse = |body: &serde_json::Map<String, Value>| {
            let answer = connection.post(&target, Value::from(body.clone()).to_string()).unwrap();
            answer.check_problem(400, "invalid_input");
            refused += 1;
        };
        for (name, form) in *fields {
            for value in values().into_iter().filter(|value| is_wrong(*form, value)) {
                let mut body = body.clone();
                body.insert((*name).to_owned(), value);
                refuse(&body);
            }
            if matches!(form, Form::Text | Form::Number | Form::Outcome) || (*form == Form::Any && *command != "resolve") {
                let mut body = body.clone();
                body.remove(*name);
                refuse(&body);
            }
            let mut body = body.clone();
            let value = body.remove(*name).unwrap();
            body.insert(name.to_uppercase(), value);
            refuse(&body);
        }
        let mut body = body.clone();
        body.insert("unknown".to_owned(), Value::Null);
        refuse(&body);
    }
    assert!(refused > 250, "{refused}");
    assert_eq!(records(&program), before);
    // The control: with nothing wrong, the same bodies get through to the store.
    for (command, fields) in COMMANDS {
        let mut body: serde_json::Map<_, _> = fields.iter().map(|(name, _)| ((*name).to_owned(), good[*name].clone())).collect();
        if *command == "resolve" {
            // The other commands have ended the attempt.
            body.insert("key".to_owned(), json!("none"));
        }
        let answer = connection.post(&format!("/v1/{command}"), Value::from(body).to_string()).unwrap();
        assert_ne!(answer.status, 400, "{command}: {}", answer.text());
        let_through += 1;
    }
    assert_eq!(let_through, COMMANDS.len());
    assert_ne!(records(&program), before);
}
