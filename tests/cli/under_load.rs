//! Long work while clients go on: nobody loses anything, and it can be stopped.

use crate::support::*;
use serde_json::json;
use std::{
    collections::BTreeSet,
    io::Read as _,
    process::Stdio,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

#[test]
fn an_export_under_load_has_all_that_was_there_before() {
    let place = Place::new();
    let store = place.open();
    let before: BTreeSet<String> = (0..3000).map(|n| format!("before-{n}")).collect();
    for id in &before {
        begin(&store, id).complete(r#""receipt""#).unwrap();
    }
    store.close().unwrap();
    let server = place.serve();
    let is_over = AtomicBool::new(false);
    let (exports, begun) = thread::scope(|scope| {
        let loading = scope.spawn(|| {
            let mut begun = 0;
            while !is_over.load(Ordering::Relaxed) {
                let (status, answer) = server.begin(&format!("during-{begun}"));
                assert_eq!(status, 201, "{answer}");
                begun += 1;
                let end = json!({ "scope": SCOPE, "key": answer_key(begun - 1), "token": answer["token"], "payload": begun });
                assert_eq!(server.post("/v1/complete", &end).0, 200);
            }
            begun
        });
        let exports: Vec<_> = (0..3).map(|_| place.run(&["export"])).collect();
        for command in ["verify", "compact"] {
            assert_eq!(place.run(&[command]).code, Some(0));
        }
        is_over.store(true, Ordering::Relaxed);
        (exports, loading.join().unwrap())
    });
    assert!(begun > 0);
    for export in exports {
        let ids: BTreeSet<String> = export.lines().iter().map(|line| line["id"].as_str().unwrap().to_owned()).collect();
        assert!(before.is_subset(&ids));
    }
    assert_eq!(place.run(&["stats", "--json"]).json()["completed"], json!(3000 + begun));
    server.stop();
}

fn answer_key(number: u64) -> String {
    format!("during-{number}")
}

#[test]
fn work_is_done_one_at_a_time_and_ends_with_its_client() {
    let place = Place::large();
    let server = place.serve();
    let mut export = place.begin_export();
    // It has begun, and its reader stops.
    export.stdout.as_mut().unwrap().read_exact(&mut [0; 100]).unwrap();
    assert!(place.run(&["verify"]).failed(1).contains("other long work"));
    // Everything else goes on.
    assert_eq!(server.begin("meanwhile").0, 201);
    place.run(&["stats"]).done();
    export.kill().unwrap();
    export.wait().unwrap();
    until("the work has ended with its client", || place.run(&["verify"]).code == Some(0));
    server.stop();
}

#[test]
fn an_interrupt_ends_a_command_and_the_store_is_closed() {
    let place = Place::new();
    let store = place.open();
    for n in 0..200 {
        begin(&store, &n.to_string()).complete(vec![b'x'; 100_000]).unwrap();
    }
    store.close().unwrap();
    let mut command = program();
    // It waits for lines that do not come.
    command.args(["import", "-", "--db"]).arg(&place.db).stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut import = command.spawn().unwrap();
    let mut said = std::io::BufReader::new(import.stderr.take().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut said, &mut line).unwrap();
    assert!(line.starts_with("opened "), "{line}");
    signal(import.id(), "INT");
    assert_eq!(wait(import).status.code(), Some(1));
    let report = place.run(&["verify", "--json"]).json();
    assert_eq!((&report["records"], &report["is_sound"]), (&json!(200), &json!(true)));
}
