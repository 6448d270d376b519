//! SIGKILL of the server under load from several client processes: nothing that was acknowledged is lost, and no key ever has two
//! holders.

use crate::{
    load_worker::{self, KEYS, MARK},
    program::{Place, Program},
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead, BufReader},
    os::unix::process::ExitStatusExt,
    process::Child,
    sync::mpsc::{Receiver, channel},
    thread,
};

const KILLS: u64 = 20;
const PROCESSES: u64 = 3;

/// Worker processes that are killed when this goes.
struct Workers(Vec<Child>);

impl Drop for Workers {
    fn drop(&mut self) {
        for worker in &mut self.0 {
            let _ = worker.kill();
            let _ = worker.wait();
        }
    }
}

/// What the server has acknowledged, kept outside of it.
#[derive(Default)]
struct Acknowledged {
    tokens: BTreeSet<u64>,
    /// By key: token, attempt, and whether it was fresh.
    grants: BTreeMap<String, BTreeMap<u64, (u64, bool)>>,
    completed: BTreeMap<String, (u64, Value)>,
    marked: BTreeMap<String, u64>,
    replays: u64,
}

impl Acknowledged {
    fn note(&mut self, line: &Value) {
        let text = |name: &str| line[name].as_str().map(str::to_owned);
        let token = line["token"].as_u64().unwrap_or_default();
        if let Some(key) = text("granted") {
            assert!(self.tokens.insert(token), "a token was given twice: {line}");
            let grant = (line["attempt"].as_u64().unwrap(), line["answer"] == "fresh");
            self.grants.entry(key).or_default().insert(token, grant);
        } else if let Some(key) = text("completed") {
            let earlier = self.completed.insert(key, (token, line["payload"].clone()));
            assert!(earlier.is_none(), "a key was completed twice: {earlier:?} and {line}");
        } else if let Some(key) = text("marked") {
            let mark = self.marked.entry(key).or_default();
            *mark = token.max(*mark);
        } else if let Some(key) = text("replayed") {
            self.replays += 1;
            // It may have been completed by one who did not hear of it.
            if let Some((_, payload)) = self.completed.get(&key) {
                assert_eq!(payload, &line["payload"], "{key}");
            }
        } else {
            panic!("the server refused what it may not: {line}");
        }
    }

    /// Checks that no key had two holders: attempts rise with tokens, the first is the only fresh one, and nothing was granted after the
    /// end.
    fn check_holders(&self) {
        for (key, grants) in &self.grants {
            let attempts: Vec<_> = grants.values().map(|(attempt, _)| *attempt).collect();
            assert!(attempts.is_sorted_by(|a, b| a < b), "{key}: {grants:?}");
            let fresh: Vec<_> = grants.values().map(|(attempt, is_fresh)| (*attempt == 1, *is_fresh)).collect();
            assert!(fresh.iter().all(|(is_first, is_fresh)| is_first == is_fresh), "{key}: {grants:?}");
            if let Some((token, _)) = self.completed.get(key) {
                assert_eq!(grants.last_key_value().map(|(last, _)| last), Some(token), "{key}: granted after its end");
            }
        }
    }

    /// Checks that a server knows everything of it.
    fn check_known_to(&self, program: &Program) {
        let mut client = program.connect();
        for (key, grants) in &self.grants {
            let record = client.get(&format!("/v1/record?scope=shop&key={key}&payload=true")).unwrap().check(200).json();
            let granted = grants.last_key_value().map(|(token, _)| *token);
            assert!(record["token"].as_u64() >= granted, "{key}: {granted:?} was lost: {record}");
            if let Some((token, payload)) = self.completed.get(key) {
                assert_eq!((record["token"].as_u64(), &record["payload"]), (Some(*token), payload), "{key}");
            }
            if let Some(mark) = self.marked.get(key).filter(|_| record["state"] == "in_flight") {
                assert!(record["checkpoint"]["by"].as_u64() >= Some(*mark), "{key}: the mark of {mark} was lost: {record}");
            }
        }
    }
}

fn journal(workers: &mut [Child]) -> Receiver<Value> {
    let (sender, lines) = channel();
    for worker in workers {
        let (out, sender) = (worker.stdout.take().unwrap(), sender.clone());
        thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                let line = line.strip_prefix(MARK).map(|line| serde_json::from_str(line).unwrap());
                if line.is_some_and(|line| sender.send(line).is_err()) {
                    return;
                }
            }
        });
    }
    lines
}

#[test]
fn killed_twenty_times_under_load_it_loses_nothing_and_has_no_two_holders() {
    let place = Place::new();
    let (mut acknowledged, mut kills, mut in_flight_at_kill) = (Acknowledged::default(), 0, 0);
    for round in 0..KILLS {
        let program = place.serve(&[]);
        acknowledged.check_known_to(&program);
        let mut workers = Workers((0..PROCESSES).map(|n| load_worker::start(program.address, round * PROCESSES + n)).collect());
        let lines = journal(&mut workers.0);
        // At another moment in each round.
        let acknowledgements = 40 + 37 * (round % 7);
        for line in lines.iter().take(usize::try_from(acknowledgements).unwrap()) {
            acknowledged.note(&line);
        }
        assert_eq!(program.kill().signal(), Some(9));
        kills += 1;
        // To the end of all journals: workers end when the server is gone.
        for line in &lines {
            acknowledged.note(&line);
        }
        for worker in &mut workers.0 {
            assert!(worker.wait().unwrap().success());
        }
        acknowledged.check_holders();
        in_flight_at_kill += acknowledged.grants.len() - acknowledged.completed.len();
    }
    let program = place.serve(&[]);
    acknowledged.check_known_to(&program);
    let grants: usize = acknowledged.grants.values().map(BTreeMap::len).sum();
    let takeovers = grants - acknowledged.grants.len();
    println!(
        "{kills} kills: {grants} grants on {} keys, {takeovers} takeovers, {} ends, {} replays",
        acknowledged.grants.len(),
        acknowledged.completed.len(),
        acknowledged.replays
    );
    assert!(kills == KILLS && in_flight_at_kill > 0 && takeovers > 0 && acknowledged.replays > 0);
    assert!(acknowledged.grants.len() as u64 > KEYS / 4 && acknowledged.completed.len() > 100);
}

/// The checks report what they are for.
#[test]
fn a_loss_or_a_second_holder_would_be_noticed() {
    let line = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    let noted = |lines: &[&str]| {
        std::panic::catch_unwind(|| {
            let mut acknowledged = Acknowledged::default();
            for text in lines {
                acknowledged.note(&line(text));
            }
            acknowledged.check_holders();
            acknowledged
        })
    };
    let first = r#"{"granted":"a","token":1,"answer":"fresh","attempt":1}"#;
    let end = r#"{"completed":"a","token":1,"payload":7}"#;
    for bad in [
        &[first, first][..],
        &[first, r#"{"granted":"a","token":2,"answer":"fresh","attempt":1}"#],
        &[first, r#"{"granted":"a","token":2,"answer":"fresh","attempt":2}"#],
        &[first, end, r#"{"granted":"a","token":2,"answer":"takeover","attempt":2}"#],
        &[first, end, r#"{"completed":"a","token":2,"payload":7}"#],
        &[first, end, r#"{"replayed":"a","payload":8}"#],
        &[r#"{"unexpected":500}"#],
    ] {
        assert!(noted(bad).is_err(), "{bad:?}");
    }
    let acknowledged = noted(&[first, end, r#"{"replayed":"a","payload":7}"#]).unwrap();
    let place = Place::new();
    let program = place.serve(&[]);
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| acknowledged.check_known_to(&program))).is_err());
}
