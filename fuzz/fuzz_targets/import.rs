//! Lines of any kind are refused or imported; what is imported is sound, comes out as it went in, and is never a new key.
#![no_main]

use arbitrary::{Arbitrary, Unstructured};
use idemstore::{Begin, Cursor, ErrorKind, Fingerprint, ListFilter, RecordInfo, State, Store};
use idemstore_fuzz::{START, ensure, options};
use libfuzzer_sys::fuzz_target;
use std::{fmt::Write as _, ops::ControlFlow};

#[derive(Arbitrary, Debug)]
enum Input<'a> {
    Bytes(&'a [u8]),
    Lines(Vec<Line>, Vec<Edit>),
}

/// A line that is valid but for some of its numbers.
#[derive(Arbitrary, Debug)]
struct Line {
    scope: u8,
    id: u8,
    state: u8,
    fingerprint: u8,
    token: u64,
    attempt: u32,
    times: [Time; 5],
    checkpoint: Option<[u8; 3]>,
    payload: [u8; 3],
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Time {
    Any(u64),
    Before(u32),
    After(u32),
}

/// Replaces a byte.
#[derive(Arbitrary, Debug)]
struct Edit {
    at: u16,
    byte: u8,
}

fuzz_target!(|data: &[u8]| {
    // Plain text reaches the parser as it is, so that its corpus can be read.
    let text = match data.split_first() {
        Some((b'{', _)) => data.to_vec(),
        _ => match Unstructured::new(data).arbitrary() {
            Ok(input) => text_of(&input),
            Err(_) => return,
        },
    };
    check(&text);
});

fn text_of(input: &Input<'_>) -> Vec<u8> {
    match input {
        Input::Bytes(bytes) => bytes.to_vec(),
        Input::Lines(lines, edits) => {
            let mut text = lines.iter().fold(String::new(), |text, line| text + &line.text()).into_bytes();
            for edit in edits {
                let len = text.len().max(1);
                if let Some(byte) = text.get_mut(usize::from(edit.at) % len) {
                    *byte = edit.byte;
                }
            }
            text
        }
    }
}

impl Time {
    fn get(self) -> u64 {
        match self {
            Self::Any(millis) => millis,
            Self::Before(millis) => START.as_millis() - u64::from(millis),
            Self::After(millis) => START.as_millis() + u64::from(millis),
        }
    }
}

impl Line {
    fn text(&self) -> String {
        let [first_seen, started, ended, lease, expires] = self.times.map(Time::get);
        let is_terminal = !self.state.is_multiple_of(3);
        let state = ["in_flight", "completed", "failed"][usize::from(self.state % 3)];
        let fingerprint = format!("{:02x}", self.fingerprint).repeat(32);
        let (scope, id) = (self.scope % 3, self.id % 8);
        let (token, attempt) = (self.token % ((1 << 53) / 2), self.attempt.max(1));
        let mut text = format!(
            r#"{{"v":1,"scope":"s{scope}","id":"i{id}","state":"{state}","fingerprint":"{fingerprint}","token":{token},"attempt":{attempt},"first_seen_at":{first_seen},"started_at":{started},"lease_expires_at":{lease},"expires_at":{expires}"#
        );
        // Three bytes are four digits without padding.
        let base64 = |bytes: [u8; 3]| bytes.map(|byte| char::from(b'A' + byte % 26)).iter().chain(&['A']).collect::<String>();
        if is_terminal {
            write!(text, r#","ended_at":{ended},"payload":"{}""#, base64(self.payload)).unwrap();
        } else if let Some(mark) = self.checkpoint {
            write!(text, r#","checkpoint":"{}""#, base64(mark)).unwrap();
        }
        text + "}\n"
    }
}

fn check(text: &[u8]) {
    let store = options().0.in_memory().unwrap();
    let go_on = |_| ControlFlow::Continue(());
    let report = store.import(text, go_on);
    if let Err(error) = &report {
        ensure!(error.kind() == ErrorKind::InvalidInput, "import failed with {error:?}");
    }
    let records = list(&store, &ListFilter::new().limit(3));
    if let Ok(report) = &report {
        // An expired record makes room for a line of the same key.
        ensure!(records.len() as u64 <= report.imported, "{report:?}, but {} records", records.len());
    }
    if records.is_empty() {
        return;
    }
    let sound = store.verify(go_on).unwrap();
    let counts_match = sound.counts_match == Some(true);
    ensure!(sound.is_sound() && sound.astray == 0 && counts_match, "{sound:?} after {report:?}");
    let in_flight = records.iter().filter(|record| record.state == State::InFlight).count();
    let found = list(&store, &ListFilter::new().state(State::InFlight).limit(3)).len();
    ensure!(found == in_flight, "{in_flight} in flight, but the list of those has {found}");
    copy(&store, &records);
    records.iter().for_each(|record| begin(&store, record));
    ensure!(store.sweep().is_ok() && store.close().is_ok(), "the store broke");
}

fn list(store: &Store, filter: &ListFilter) -> Vec<RecordInfo> {
    let (mut records, mut cursor): (_, Option<Cursor>) = (Vec::new(), None);
    loop {
        let page = store.list(filter, cursor.as_ref()).unwrap();
        ensure!(page.damaged.is_empty(), "imported records are damaged: {:?}", page.damaged);
        records.extend(page.records);
        cursor = page.next;
        if cursor.is_none() {
            return records;
        }
    }
}

/// A second store takes the export as it is and exports the same.
fn copy(store: &Store, records: &[RecordInfo]) {
    let go_on = |_| ControlFlow::Continue(());
    let (mut first, mut second) = (Vec::new(), Vec::new());
    store.export(&mut first, go_on).unwrap();
    let copy = options().0.in_memory().unwrap();
    let report = copy.import(&first[..], go_on);
    ensure!(report.as_ref().is_ok_and(|report| report.imported == records.len() as u64), "{report:?} of {}", records.len());
    copy.export(&mut second, go_on).unwrap();
    ensure!(first == second, "{} became {}", String::from_utf8_lossy(&first), String::from_utf8_lossy(&second));
}

/// A key that was imported and has not expired is never new.
fn begin(store: &Store, record: &RecordInfo) {
    let is_expired = record.state != State::InFlight && record.expires_at.is_some_and(|at| at <= START);
    let answer = store.begin(&record.key, Fingerprint::of(&[b"nobody's"]));
    match (&answer, is_expired) {
        (Ok(Begin::Fresh(lease)), true) => ensure!(lease.token() > record.token, "token {} was imported", record.token),
        (Ok(Begin::Mismatch), false) => (),
        _ => ensure!(false, "{record:?} was answered {answer:?}"),
    }
}
