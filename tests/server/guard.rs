//! Who is let in.

use crate::program::{Place, begin};
use std::fs;

const TOKEN: &str = "s3cret-token";

#[test]
fn with_a_token_everything_but_health_needs_it() {
    let place = Place::new();
    let file = place.path("token");
    fs::write(&file, format!("{TOKEN}\n")).unwrap();
    let program = place.serve(&["--token-file", file.to_str().unwrap()]);
    let targets = ["/v1/begin", "/v1/record?scope=a&key=b", "/v1/records", "/v1/stats", "/metrics", "/", "/nowhere", "/v1/sweep"];
    let good = format!("Bearer {TOKEN}");
    for target in targets {
        for method in ["GET", "POST"] {
            let ask = |headers: &[(&str, &str)]| {
                program.connect().ask(method, target, headers, begin("a").to_string().as_bytes()).unwrap()
            };
            for wrong in ["", "Bearer", "Bearer wrong", "Bearer s3cret-toke", "Bearer s3cret-token2", "Basic s3cret-token", TOKEN]
            {
                let answer = ask(&[("authorization", wrong)]);
                answer.check_problem(401, "unauthorized");
                assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
                assert!(!answer.text().contains(TOKEN));
            }
            ask(&[]).check_problem(401, "unauthorized");
            assert_ne!(ask(&[("authorization", &good)]).status, 401, "{method} {target}");
        }
    }
    assert_eq!(program.get("/health").status, 200);
    // Only the one that had the token began anything.
    let records = program.connect().ask("GET", "/v1/records", &[("authorization", &good)], b"").unwrap().check(200);
    assert_eq!(records.field("records").as_array().unwrap().len(), 1);
    // With a token, a name is as good as an address.
    let named = [("host", "payments.internal:4040"), ("authorization", good.as_str())];
    program.connect().ask("GET", "/v1/stats", &named, b"").unwrap().check(200);
}

#[test]
fn a_browser_without_the_token_gets_the_page_and_no_data() {
    let place = Place::new();
    let file = place.path("token");
    fs::write(&file, TOKEN).unwrap();
    let program = place.serve(&["--token-file", file.to_str().unwrap()]);
    let page = program.connect().ask("GET", "/", &[("accept", "text/html,application/xhtml+xml")], b"").unwrap();
    assert_eq!(page.status, 401);
    assert_ne!(page.header("content-type"), Some("application/problem+json"));
    let data = program.connect().ask("GET", "/v1/records", &[("accept", "text/html")], b"").unwrap();
    data.check_problem(401, "unauthorized");
}

#[test]
fn a_page_of_another_site_can_do_nothing() {
    let place = Place::new();
    let program = place.serve(&[]);
    let own = program.address.to_string();
    let body = begin("a").to_string();
    let ask = |headers: &[(&str, &str)]| program.connect().ask("POST", "/v1/begin", headers, body.as_bytes()).unwrap();
    for headers in [
        &[("origin", "https://evil.example"), ("host", own.as_str())][..],
        &[("origin", "null"), ("host", &own)],
        &[("origin", "http://127.0.0.1:1"), ("host", &own)],
        &[("sec-fetch-site", "cross-site"), ("host", &own)],
        &[("host", "evil.example")],
        &[("host", "localhost.evil.example")],
    ] {
        ask(headers).check_problem(403, "forbidden");
    }
    program.get("/v1/record?scope=shop&key=a").check_problem(404, "not_found");
    let origin = format!("http://{own}");
    ask(&[("origin", &origin), ("host", &own), ("sec-fetch-site", "same-origin")]).check(201);
    ask(&[("host", "localhost")]).check(409);
}

#[test]
fn a_request_names_one_host() {
    let place = Place::new();
    let program = place.serve(&[]);
    for head in [
        "GET /v1/stats HTTP/1.1\r\n\r\n",
        "GET /v1/stats HTTP/1.1\r\nhost: 127.0.0.1\r\nhost: 127.0.0.1\r\n\r\n",
        "GET /v1/stats HTTP/1.1\r\nhost: a b\r\n\r\n",
    ] {
        let mut client = program.connect();
        client.send(head).unwrap();
        client.answer(false).unwrap().check_problem(400, "invalid_input");
    }
    let mut client = program.connect();
    client.send("GET /v1/stats HTTP/1.0\r\n\r\n").unwrap();
    client.answer(false).unwrap().check(200);
    let mut client = program.connect();
    client.send("GET http://evil.example/v1/stats HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n").unwrap();
    client.answer(false).unwrap().check_problem(403, "forbidden");
}
