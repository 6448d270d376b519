//! Keys, fingerprints and cursors: refused or understood, and understood as what they were.
#![no_main]

use idemstore::{
    Begin, Cursor, Fingerprint, Key, ListFilter, Scope, State, Store, fuzzing,
    limits::{KEY_ID_BYTES_MAX, SCOPE_BYTES_MAX},
};
use idemstore_fuzz::{ensure, options};
use libfuzzer_sys::fuzz_target;
use std::sync::OnceLock;

#[derive(arbitrary::Arbitrary, Debug)]
struct Input<'a> {
    scope: &'a str,
    id: &'a str,
    digits: &'a str,
    position: &'a [u8],
    digest: [u8; 32],
    state: u8,
    limit: u16,
    in_scope: bool,
}

fuzz_target!(|input: Input<'_>| {
    key(&input);
    fingerprint(&input);
    cursor(&input);
});

fn key(input: &Input<'_>) {
    let fits = (1..=SCOPE_BYTES_MAX).contains(&input.scope.len()) && (1..=KEY_ID_BYTES_MAX).contains(&input.id.len());
    let key = Key::new(input.scope, input.id);
    ensure!(key.is_ok() == fits, "{key:?}");
    let Ok(key) = key else { return };
    ensure!(key.scope().as_str() == input.scope && key.id() == input.id, "{key:?} changed");
    // Ten characters, each escaped, and three dots.
    let shown = key.to_string();
    ensure!(shown.len() <= input.scope.escape_debug().count() * 4 + 1 + 10 * 10 + 3, "{shown} is too long");
    ensure!(input.id.chars().count() <= 10 || shown.ends_with("..."), "{shown} shows a whole key");
    fuzzing::storage_key(&key);
    ensure!(fuzzing::parse_storage_key(input.position).is_none_or(|other| !other.id().is_empty()), "an empty id");
}

fn fingerprint(input: &Input<'_>) {
    let fingerprint = Fingerprint::from_bytes(input.digest);
    let parsed = fingerprint.to_string().parse::<Fingerprint>();
    ensure!(parsed.as_ref().is_ok_and(|parsed| *parsed == fingerprint), "{fingerprint} became {parsed:?}");
    if let Ok(parsed) = input.digits.parse::<Fingerprint>() {
        ensure!(parsed.to_string().eq_ignore_ascii_case(input.digits), "{parsed} was {}", input.digits);
    }
}

fn cursor(input: &Input<'_>) {
    let text: String = input.position.iter().map(|byte| format!("{byte:02x}")).collect();
    for text in [&text, input.digits] {
        let Ok(cursor) = text.parse::<Cursor>() else { continue };
        ensure!(cursor.to_string().eq_ignore_ascii_case(text), "{cursor} was {text}");
        list(input, &cursor);
    }
}

/// Any cursor gives a page, and every page leads on.
fn list(input: &Input<'_>, cursor: &Cursor) {
    let mut filter = ListFilter::new().limit(usize::from(input.limit % 7) + 1);
    filter = match input.state % 4 {
        0 => filter,
        1 => filter.state(State::InFlight),
        2 => filter.state(State::Completed),
        _ => filter.state(State::Failed),
    };
    if let (true, Ok(scope)) = (input.in_scope, Scope::new(input.scope)) {
        filter = filter.scope(scope);
    }
    let (mut cursor, mut seen) = (Some(cursor.clone()), 0);
    while let Some(after) = cursor {
        let page = store().list(&filter, Some(&after));
        ensure!(page.is_ok(), "listing after {after}: {page:?}");
        let Ok(page) = page else { return };
        seen += page.records.len();
        ensure!(page.damaged.is_empty() && seen <= RECORDS, "{page:?} after {after}, {seen} seen");
        cursor = page.next;
    }
}

const RECORDS: usize = 24;

fn store() -> &'static Store {
    static STORE: OnceLock<Store> = OnceLock::new();
    STORE.get_or_init(|| {
        let store = options().0.in_memory().unwrap();
        for number in 0..RECORDS {
            let scope = ["a", "b", "\0", "\u{10ffff}"][number % 4];
            let key = Key::new(scope, format!("key {number}")).unwrap();
            let Begin::Fresh(lease) = store.begin(&key, Fingerprint::of(&[])).unwrap() else { panic!() };
            match number % 3 {
                0 => drop(lease.complete("x").unwrap()),
                1 => lease.checkpoint("y").unwrap(),
                _ => (),
            }
        }
        store
    })
}
