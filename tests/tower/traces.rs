//! What a person has to look at is an event, and no event shows a whole key or a payload.

use crate::support::*;
use std::{
    fmt::Debug,
    fmt::Write as _,
    sync::{Arc, Mutex},
    thread::{self, ThreadId},
};
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span,
    subscriber::set_global_default,
};

/// Writes the events of a thread down, a line each.
#[derive(Clone)]
struct Lines(Arc<Mutex<Vec<String>>>, ThreadId);

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, " {field}={value:?}").unwrap();
    }
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("idemstore")
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        if thread::current().id() != self.1 {
            return;
        }
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

/// Everything that is an event, once.
fn story(key: &str) {
    let lab = Lab::new();
    let store = lab.store.clone();
    let shop = lab.shop_of(&lab.layer().require_key(), move |charge, request| {
        let store = store.clone();
        async move {
            match request.uri().query() {
                Some("fails") => return Err("broken".into()),
                Some("closes") => store.close().unwrap(),
                _ => (),
            }
            Ok(receipt(charge))
        }
    });
    let ask = |id: &str, query: &str| {
        let mut request = post(&format!("{id}-{key}"), "4111 1111");
        *request.uri_mut() = format!("/payments?{query}").parse().unwrap();
        let _ = lab.try_send(&shop, request);
    };
    lab.send(&shop, without_key("4111 1111"));
    ask("1", "");
    ask("1", "other");
    ask("2", "fails");
    lab.advance(LEFT);
    ask("2", "fails");
    ask("3", "closes");
    ask("4", "");
}

#[test]
fn takeovers_mismatches_refusals_and_failures_are_events_without_keys_or_payloads() {
    let (lines, key) = (Lines(Arc::default(), thread::current().id()), "a-secret-that-finds-a-receipt");
    // For the whole process, because whether a place is listened to is remembered for all threads; what others do is left out.
    set_global_default(lines.clone()).unwrap();
    story(key);
    tracing::callsite::rebuild_interest_cache();
    story(key);
    let lines = lines.0.lock().unwrap().clone();
    for (level, what) in [
        ("DEBUG", "idempotency_key_required"),
        ("INFO", "a key was used for another request"),
        ("WARN", "an earlier attempt did not end"),
        ("ERROR", "a handler ran, and its end could not be stored"),
        ("ERROR", "the store cannot say whether a request may run"),
    ] {
        assert!(lines.iter().any(|line| line.starts_with(level) && line.contains(what)), "{what}: {lines:#?}");
    }
    assert!(lines.iter().all(|line| !line.contains(key) && !line.contains("4111") && !line.contains("receipt 1")), "{lines:#?}");
}
