//! Requests that are wrong as HTTP, or that ask for what there is not.

use crate::{
    client::request,
    program::{Place, begin},
};

#[test]
fn unknown_routes_and_wrong_methods_are_told_apart() {
    let place = Place::new();
    let program = place.serve(&[]);
    for target in
        ["/v1", "/v1/", "/v1/begin/", "/v1/Begin", "/v2/begin", "//v1/begin", "/v1/../v1/stats", "/favicon.ico", "/%76%31/stats"]
    {
        program.get(target).check_problem(404, "unknown_route");
        program.post(target, "{}").check_problem(404, "unknown_route");
    }
    let posts =
        ["begin", "complete", "fail", "renew", "checkpoint", "release", "resolve", "sweep"].map(|name| format!("/v1/{name}"));
    let gets = ["/v1/record", "/v1/records", "/v1/audit", "/v1/stats", "/metrics", "/health", "/"].map(str::to_owned);
    for (targets, good, allow) in [(posts.to_vec(), &["POST"][..], "POST"), (gets.to_vec(), &["GET", "HEAD"][..], "GET, HEAD")] {
        for target in targets {
            for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"] {
                let answer = program.connect().ask(method, &target, &[], b"").unwrap();
                if good.contains(&method) {
                    assert_ne!(answer.status, 405, "{method} {target}");
                } else {
                    answer.check_problem(405, "method_not_allowed");
                    assert_eq!(answer.header("allow"), Some(allow));
                }
            }
        }
    }
}

/// These never reach a route: the answer is HTTP's own, without a body, and the connection is closed.
#[test]
fn what_is_not_http_is_refused_and_the_next_client_is_served() {
    let place = Place::new();
    let program = place.serve(&[]);
    let long = format!("GET / HTTP/1.1\r\nhost: 127.0.0.1\r\nx: {}\r\n\r\n", "x".repeat(70_000));
    let many = format!("GET / HTTP/1.1\r\nhost: 127.0.0.1\r\n{}\r\n", "a: b\r\n".repeat(200));
    for bytes in [
        &b"hello\r\n\r\n"[..],
        b"GET /\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\nbad name: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: 127.0.0.1\r\nx: a\0b\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n\x00",
        b"POST /v1/begin HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: x\r\n\r\n",
        b"POST /v1/begin HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: -1\r\n\r\n",
        b"POST /v1/begin HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        b"POST /v1/begin HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 99999999999999999999\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        long.as_bytes(),
        many.as_bytes(),
        b"\r\n\r\n\r\n\r\n",
        b"",
    ] {
        let mut client = program.connect();
        client.send(bytes).unwrap();
        client.end_sending().unwrap();
        // Either an answer that blames the client, or none.
        if let Ok(answer) = client.answer(false) {
            assert!((400..500).contains(&answer.status), "{bytes:?}: {answer:?}");
        }
        assert_eq!(program.get("/health").status, 200);
    }
}

#[test]
fn a_body_and_its_length_have_to_fit() {
    let place = Place::new();
    let program = place.serve(&[]);
    let body = begin("a").to_string();
    // Chunked, in small pieces.
    let chunk = |bytes: &[u8]| format!("{:x}\r\n{}\r\n", bytes.len(), String::from_utf8_lossy(bytes));
    let chunked = [body.as_bytes().chunks(3).map(chunk).collect::<Vec<_>>().concat(), chunk(b"")].concat();
    let answer = program.connect().ask("POST", "/v1/begin", &[("transfer-encoding", "chunked")], chunked.as_bytes()).unwrap();
    answer.check(201);
    // One that breaks off begins nothing.
    let body = begin("b").to_string();
    for head in [("content-length", "1000"), ("transfer-encoding", "chunked")] {
        let sent = if head.0 == "transfer-encoding" { format!("{:x}\r\n{body}\r\n", body.len()) } else { body.clone() };
        let mut client = program.connect();
        client.send(request("POST", "/v1/begin", &[head], sent.as_bytes())).unwrap();
        client.end_sending().unwrap();
        if let Ok(answer) = client.answer(false) {
            answer.check_problem(400, "invalid_input");
        }
        program.get("/v1/record?scope=shop&key=b").check_problem(404, "not_found");
    }
    // Smuggling: two lengths that disagree.
    let both = [("content-length", "4"), ("transfer-encoding", "chunked")];
    let mut client = program.connect();
    client.send(request("POST", "/v1/begin", &both, b"0\r\n\r\nGET /health HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n")).unwrap();
    let answer = client.answer(false).unwrap();
    assert!((400..500).contains(&answer.status), "{answer:?}");
}

#[test]
fn a_connection_serves_many_requests_also_when_they_come_at_once() {
    let place = Place::new();
    let program = place.serve(&[]);
    let mut client = program.connect();
    for n in 0..100 {
        client.post("/v1/begin", begin(&format!("k{n}")).to_string()).unwrap().check(201);
        client.post("/v1/begin", "{").unwrap().check_problem(400, "invalid_input");
    }
    let three: Vec<u8> =
        (0..3).flat_map(|n| request("POST", "/v1/begin", &[], begin(&format!("p{n}")).to_string().as_bytes())).collect();
    client.send(three).unwrap();
    for _ in 0..3 {
        client.answer(false).unwrap().check(201);
    }
    let expecting = request("POST", "/v1/begin", &[("expect", "100-continue"), ("content-length", "2")], b"");
    client.send(expecting).unwrap();
    let go_on = "HTTP/1.1 100 Continue\r\n\r\n";
    let mut first = vec![0; go_on.len()];
    client.read_exact(&mut first).unwrap();
    assert_eq!(first, go_on.as_bytes());
    client.send("{}").unwrap();
    client.answer(false).unwrap().check_problem(400, "invalid_input");
}
