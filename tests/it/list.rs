//! Pages of records: complete, in order, bounded, and to be continued elsewhere.

use crate::support::*;
use idemstore::{Begin, Cursor, ErrorKind, Key, ListFilter, Scope, State, Store, limits::LIST_EXAMINED_MAX};
use std::time::Duration;

fn ids(store: &Store, filter: &ListFilter) -> (Vec<String>, usize) {
    let (mut ids, mut pages, mut cursor) = (Vec::new(), 0, None::<Cursor>);
    loop {
        let page = store.list(filter, cursor.as_ref()).unwrap();
        ids.extend(page.records.iter().map(|record| record.key.id().to_owned()));
        pages += 1;
        // As if another process went on.
        cursor = page.next.map(|next| next.to_string().parse().unwrap());
        if cursor.is_none() {
            return (ids, pages);
        }
    }
}

/// 30 records: a third in flight, a third completed, a third failed.
fn filled(lab: &Lab) -> Store {
    let store = lab.create();
    for n in 0..30 {
        let lease = fresh(&store, &format!("{n:02}"));
        match n % 3 {
            0 => (),
            1 => drop(lease.complete("receipt").unwrap()),
            _ => drop(lease.fail("").unwrap()),
        }
        lab.clock.advance(MS);
    }
    store
}

#[test]
fn pages_of_any_size_make_up_the_whole_in_order() {
    let store = filled(&Lab::new());
    let all: Vec<String> = (0..30).map(|n| format!("{n:02}")).collect();
    for limit in [1, 7, 29, 30, 31, 1000] {
        let (found, pages) = ids(&store, &ListFilter::new().limit(limit));
        assert_eq!(found, all, "limit {limit}");
        assert!((30_usize.div_ceil(limit)..=30 / limit + 1).contains(&pages), "limit {limit}: {pages} pages");
    }
}

#[test]
fn a_state_filter_finds_its_state_and_nothing_else() {
    let store = filled(&Lab::new());
    for (state, rest) in [(State::InFlight, 0), (State::Completed, 1), (State::Failed, 2)] {
        let expected: Vec<String> = (0..30).filter(|n| n % 3 == rest).map(|n| format!("{n:02}")).collect();
        for limit in [1, 3, 100] {
            let (mut found, _) = ids(&store, &ListFilter::new().state(state).limit(limit));
            // What is in flight comes in the order of its time.
            found.sort();
            assert_eq!(found, expected, "{state:?} by {limit}");
        }
    }
    let scope = Scope::new("shop/POST /payments").unwrap();
    assert_eq!(ids(&store, &ListFilter::new().scope(scope).state(State::Failed)).0.len(), 10);
    assert_eq!(ids(&store, &ListFilter::new().scope(Scope::new("shop").unwrap())).0.len(), 0);
}

#[test]
fn an_age_filter_counts_from_the_first_sight() {
    let lab = Lab::new();
    let store = filled(&lab);
    let older = |age| ids(&store, &ListFilter::new().older_than(Duration::from_millis(age))).0.len();
    assert_eq!((older(0), older(1), older(21), older(30), older(31)), (30, 30, 10, 1, 0));
}

#[test]
fn a_row_says_all_but_the_payload() {
    let lab = Lab::new();
    let store = lab.create();
    let lease = fresh(&store, "a");
    lease.checkpoint("mark").unwrap();
    lab.clock.advance(MS);
    fresh(&store, "b").complete("receipt").unwrap();
    let page = store.list(&ListFilter::new(), None).unwrap();
    let [held, done] = &page.records[..] else { panic!("{page:?}") };
    assert_eq!((held.state, held.token, held.attempt, held.has_checkpoint), (State::InFlight, lease.token(), 1, true));
    assert_eq!((held.first_seen_at, held.lease_expires_at, held.expires_at), (START, lease.expires_at(), None));
    let later = START.saturating_add(MS);
    assert_eq!((done.state, done.ended_at, done.payload_bytes), (State::Completed, Some(later), 7));
    assert_eq!((done.started_at, done.expires_at), (later, Some(later.saturating_add(DAY))));
}

#[test]
fn expired_records_are_listed_while_they_are_stored() {
    let lab = Lab::new();
    let store = filled(&lab);
    lab.clock.advance(DAY * 2);
    assert_eq!(ids(&store, &ListFilter::new()).0.len(), 30);
    store.sweep().unwrap();
    assert_eq!(ids(&store, &ListFilter::new()).0.len(), 0);
}

#[test]
fn a_cursor_survives_changes_around_it() {
    let store = filled(&Lab::new());
    let first = store.list(&ListFilter::new().limit(10), None).unwrap();
    let cursor = first.next.unwrap();
    // The record that the cursor stands on goes, and one behind it comes.
    store.release(&key("09"), first.records[9].token).unwrap();
    fresh(&store, "095");
    let next = store.list(&ListFilter::new().limit(2), Some(&cursor)).unwrap();
    let found: Vec<_> = next.records.iter().map(|record| record.key.id()).collect();
    assert_eq!(found, ["095", "10"]);
}

#[test]
fn a_page_examines_a_bounded_number_of_records() {
    let store = Lab::new().create();
    let many = LIST_EXAMINED_MAX + 500;
    for piece in (0..many).collect::<Vec<_>>().chunks(512) {
        begin_all(&store, piece.iter().map(|n| format!("{n:06}")));
    }
    let rare = ListFilter::new().state(State::Completed).limit(1000);
    let page = store.list(&rare, None).unwrap();
    assert!(page.records.is_empty() && page.next.is_some(), "an empty page with a successor");
    assert!(store.list(&rare, page.next.as_ref()).unwrap().next.is_none());
    fresh(&store, "9").complete("").unwrap();
    assert_eq!(ids(&store, &rare).0, ["9"]);
}

#[test]
fn limits_and_cursors_out_of_range_are_refused() {
    let store = Lab::new().create();
    for limit in [0, 1001] {
        refused(store.list(&ListFilter::new().limit(limit), None), ErrorKind::InvalidInput);
        refused(store.audit(0, limit), ErrorKind::InvalidInput);
    }
    for text in ["x", "abc", "0g", "é0"] {
        refused(text.parse::<Cursor>(), ErrorKind::InvalidInput);
    }
}

#[test]
fn a_cursor_from_elsewhere_is_no_panic() {
    let store = filled(&Lab::new());
    for text in ["", "00", "ff", "0102030405060708", &"ff".repeat(1000)] {
        let cursor: Cursor = text.parse().unwrap();
        for filter in
            [ListFilter::new(), ListFilter::new().state(State::InFlight), ListFilter::new().scope(Scope::new("a").unwrap())]
        {
            let page = store.list(&filter, Some(&cursor)).unwrap();
            assert!(page.records.len() <= 30);
        }
    }
}

#[test]
fn an_attempt_whose_lease_lapsed_or_whose_process_is_gone_is_shown_as_lapsed() {
    let lab = Lab::new();
    let store = lab.create();
    let (_old, ended) = (fresh(&store, "old"), fresh(&store, "ended"));
    ended.complete("receipt").unwrap();
    lab.clock.advance(LEASE);
    let _new = fresh(&store, "new");
    let lapsed = |store: &Store| -> Vec<(String, bool)> {
        let records = store.list(&ListFilter::new(), None).unwrap().records;
        records.iter().map(|record| (record.key.id().to_owned(), record.is_lapsed)).collect()
    };
    let named = |id: &str, is_lapsed| (id.to_owned(), is_lapsed);
    assert_eq!(lapsed(&store), [named("ended", false), named("new", false), named("old", true)]);
    store.close().unwrap();
    assert_eq!(lapsed(&lab.open()), [named("ended", false), named("new", true), named("old", true)]);
}

/// A cursor is text that a client brings back, perhaps with another filter.
#[test]
fn a_cursor_of_another_scope_shows_only_what_the_filter_asks_for() {
    let store = Lab::new().create();
    for scope in ["aa", "bb", "cc"] {
        for id in ["1", "2", "3"] {
            let Begin::Fresh(lease) = store.begin(&Key::new(scope, id).unwrap(), request(id)).unwrap() else {
                panic!("a new key")
            };
            lease.complete("receipt").unwrap();
        }
    }
    store.sweep().unwrap();
    let of = |scope: &str| ListFilter::new().scope(Scope::new(scope).unwrap());
    for (first, then, expected) in [("aa", "bb", 3), ("cc", "bb", 0), ("bb", "bb", 2)] {
        let cursor = store.list(&of(first).limit(1), None).unwrap().next;
        let page = store.list(&of(then), cursor.as_ref()).unwrap();
        let scopes: Vec<_> = page.records.iter().map(|record| record.key.scope().as_str()).collect();
        assert_eq!(scopes, vec![then; expected], "{first}");
    }
}
