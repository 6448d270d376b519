//! P7: no scope observes, blocks or replays another scope's key.

use crate::support::*;
use idemstore::{Begin, ErrorKind, Key, Lease, ListFilter, Scope, Store};

fn run(store: &Store, key: &Key) -> Lease {
    match store.begin(key, request("same")).unwrap() {
        Begin::Fresh(lease) => lease,
        other => panic!("{key}: {other:?}"),
    }
}

#[test]
fn the_same_id_in_two_scopes_is_two_operations() {
    let lab = Lab::new();
    let store = lab.create();
    let (ours, theirs) = (Key::new("tenant-1", "pay").unwrap(), Key::new("tenant-2", "pay").unwrap());
    let first = run(&store, &ours);
    let second = run(&store, &theirs);
    first.complete("of tenant 1").unwrap();
    assert!(matches!(store.begin(&theirs, request("same")).unwrap(), Begin::InFlight { .. }));
    assert!(matches!(store.begin(&theirs, request("another")).unwrap(), Begin::Mismatch));
    second.fail("of tenant 2").unwrap();
    for (key, payload) in [(&ours, "of tenant 1"), (&theirs, "of tenant 2")] {
        let Begin::Replay(outcome) = store.begin(key, request("same")).unwrap() else { panic!("a replay") };
        assert_eq!(outcome.payload(), payload.as_bytes());
    }
}

#[test]
fn scope_and_id_do_not_run_into_each_other() {
    let store = Lab::new().create();
    let names = [("ab", "c"), ("a", "bc"), ("abc", "c"), ("a", "b\0c"), ("a\0b", "c"), ("a", "c"), ("A", "c")];
    for (scope, id) in names {
        run(&store, &Key::new(scope, id).unwrap()).complete(format!("{scope}/{id}")).unwrap();
    }
    for (scope, id) in names {
        let record = store.get(&Key::new(scope, id).unwrap()).unwrap().unwrap();
        assert_eq!(record.outcome().unwrap().payload(), format!("{scope}/{id}").as_bytes());
    }
}

#[test]
fn a_token_of_one_scope_is_stale_in_another() {
    let store = Lab::new().create();
    let (ours, theirs) = (Key::new("tenant-1", "pay").unwrap(), Key::new("tenant-2", "pay").unwrap());
    let (first, second) = (run(&store, &ours), run(&store, &theirs));
    refused(store.complete(&theirs, first.token(), "stolen"), ErrorKind::LeaseLost);
    refused(store.release(&ours, second.token()), ErrorKind::LeaseLost);
    first.complete("").unwrap();
    second.complete("").unwrap();
}

#[test]
fn a_list_of_one_scope_shows_nothing_of_its_neighbours() {
    let store = Lab::new().create();
    let scopes = ["tenant-1", "tenant-1/POST", "tenant-10", "tenant", "tenant-2"];
    for scope in scopes {
        for id in ["a", "b", "c"] {
            run(&store, &Key::new(scope, id).unwrap());
        }
    }
    for scope in scopes {
        let page = store.list(&ListFilter::new().scope(Scope::new(scope).unwrap()), None).unwrap();
        let found: Vec<_> = page.records.iter().map(|record| (record.key.scope().as_str(), record.key.id())).collect();
        assert_eq!(found, [(scope, "a"), (scope, "b"), (scope, "c")]);
        assert!(page.next.is_none() && page.damaged.is_empty());
    }
}

#[test]
fn a_scope_that_fills_its_quota_does_not_fill_anothers() {
    let lab = Lab::with(|options| options.scope_records_max(2));
    let store = lab.create();
    let greedy = Scope::new("greedy").unwrap();
    run(&store, &greedy.key("1").unwrap());
    run(&store, &greedy.key("2").unwrap()).complete("").unwrap();
    let message = refused(store.begin(&greedy.key("3").unwrap(), request("same")), ErrorKind::Full);
    assert!(message.contains("greedy"), "{message}");
    run(&store, &Key::new("greedy-2", "1").unwrap());
    run(&store, &Key::new("modest", "1").unwrap());
    assert!(matches!(store.begin(&greedy.key("2").unwrap(), request("same")).unwrap(), Begin::Replay(_)));
}

#[test]
fn a_message_to_one_scope_names_no_key_of_another() {
    let store = Lab::new().create();
    run(&store, &Key::new("tenant-1", "confidential-payment-id").unwrap());
    let theirs = Key::new("tenant-2", "confidential-payment-id").unwrap();
    let message = refused(store.complete(&theirs, idemstore::FencingToken::new(1), ""), ErrorKind::LeaseLost);
    assert!(!message.contains("tenant-1") && !message.contains("payment-id"), "{message}");
}
