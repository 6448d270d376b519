//! Who watches is told of duplicates, takeovers and mismatches, and never sees a payload.

use crate::support::*;
use idemstore::tower::{Duplicate, Hooks};
use std::sync::{Arc, Mutex};

#[test]
fn every_kind_of_event_is_told_once() {
    let lab = Lab::new();
    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = |what: &'static str| {
        let told = told.clone();
        move |key: &idemstore::Key| told.lock().unwrap().push((what, key.id().to_owned()))
    };
    let (replayed, in_flight, not_stored) = (tell("replayed"), tell("in flight"), tell("not stored"));
    let (takeover, mismatch) = (tell("takeover"), tell("mismatch"));
    let hooks = Hooks::new()
        .on_duplicate(move |key, duplicate| match duplicate {
            Duplicate::Replayed => replayed(key),
            Duplicate::InFlight => in_flight(key),
            Duplicate::NotStored => not_stored(key),
            _ => panic!("{duplicate:?}"),
        })
        .on_takeover(move |key, attempt| {
            assert_eq!(attempt, 2);
            takeover(key);
        })
        .on_mismatch(mismatch);
    let shop =
        lab.shop_of(&lab.layer().hooks(hooks).response_bytes_max(20), async |charge, request| match request.uri().query() {
            Some("long") => Ok(response(200, &"x".repeat(21))),
            Some("fails") => Err("broken".into()),
            Some("hangs") => std::future::pending().await,
            _ => Ok(receipt(charge)),
        });
    let ask = |key: &str, query: &str| {
        let mut request = post(key, "100");
        *request.uri_mut() = format!("/payments?{query}").parse().unwrap();
        request
    };
    for _ in 0..2 {
        let _ = lab.try_send(&shop, ask("a", ""));
        let _ = lab.try_send(&shop, ask("l", "long"));
        let _ = lab.try_send(&shop, ask("f", "fails"));
        lab.advance(LEFT);
    }
    let hanging = lab.begin(&shop, ask("h", "hangs"));
    let _ = lab.try_send(&shop, ask("h", "hangs"));
    let _ = lab.try_send(&shop, ask("a", "other"));
    drop(hanging);
    lab.runtime.abort();
    let events = [("replayed", "a"), ("not stored", "l"), ("takeover", "f"), ("in flight", "h"), ("mismatch", "a")];
    assert_eq!(*told.lock().unwrap(), events.map(|(what, id)| (what, id.to_owned())));
}
