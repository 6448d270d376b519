//! One kind of operation so many times, for a tool that counts what a machine does instead of timing it.
//!
//! `benches/instructions.py` runs it under callgrind. `cargo bench --bench operations -- KIND COUNT`, where KIND is `payment`,
//! `replay`, `mismatch` or `in-flight`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
#![allow(clippy::cast_precision_loss, unreachable_pub)]

mod support;

use idemstore::{Begin, Fingerprint, Options, Store};
use std::{env, hint::black_box, time::Duration};
use support::load;

/// Small enough for several checkpoints in a count that callgrind gets through, large enough for runs of a usual size.
const JOURNAL_BYTES: u64 = 8 << 20;
/// Stored before, so that keys are looked for in something.
const RECORDS: u64 = 5000;

fn main() {
    let arguments: Vec<String> = env::args().filter(|argument| argument != "--bench").skip(1).collect();
    // `cargo test --all-targets` and a plain `cargo bench` come without.
    let [kind, count] = &arguments[..] else { return };
    let directory = support::directory();
    let options = Options::new().sweep_interval(None).reserve_bytes(0).journal_bytes(JOURNAL_BYTES);
    let store = options.create(directory.path().join("payments.idem")).unwrap();
    load::fill(&store, RECORDS, Duration::from_secs(7 * 86_400));
    run(&store, kind, count.parse().unwrap());
    store.close().unwrap();
}

fn run(store: &Store, kind: &str, count: u64) {
    let (request, other, payload) = (load::request(), Fingerprint::of(&[b"another request"]), load::payload());
    let (done, running) = (load::new_key(), load::new_key());
    load::fresh(store.begin(&done, request).unwrap()).complete(&payload).unwrap();
    let _lease = load::fresh(store.begin(&running, request).unwrap());
    for _ in 0..count {
        match kind {
            "payment" => load::pay(store, request, &payload),
            "replay" => assert!(matches!(black_box(store.begin(&done, request)), Ok(Begin::Replay(_)))),
            "mismatch" => assert!(matches!(black_box(store.begin(&done, other)), Ok(Begin::Mismatch))),
            "in-flight" => assert!(matches!(black_box(store.begin(&running, request)), Ok(Begin::InFlight { .. }))),
            unknown => panic!("there is no {unknown}"),
        }
    }
}
