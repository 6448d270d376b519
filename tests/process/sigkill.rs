//! What was acknowledged survives kill -9, and a key never has two holders, over many kills of one store under load.

use crate::{
    child::{self, Child},
    count,
    history::History,
    jobs::{self, OLD_KEYS, ROUND, SEED},
    journal::{self, Ack, Change, End, Intent, Line},
    key, options,
    random::Random,
};
use idemstore::{Begin, Store};
use std::{fs, ops::ControlFlow, path::Path, thread, time::Duration};

const ACKS_PER_KILL_MAX: u64 = 150;

/// What the rounds have shown.
#[derive(Debug, Default)]
struct Shown {
    kills: u64,
    takeovers: u64,
    checkpoints: u64,
    replays: u64,
    compactions: u64,
    /// Kills in the middle of a compaction.
    cut_compactions: u64,
    /// Of the store's own journal, in the children.
    journal_checkpoints: u64,
}

impl Shown {
    fn saw(&mut self, journal: &[String]) {
        let count = |said: &str| journal.iter().filter(|line| line[journal::MARK.len()..] == *said).count() as u64;
        let (begun, done) = (count("COMPACTING"), count("COMPACTED"));
        self.kills += 1;
        self.compactions += done;
        self.cut_compactions += begun - done;
        self.journal_checkpoints += count(jobs::CHECKPOINTED);
    }
}

#[test]
fn acknowledged_transitions_survive_kill_minus_nine() {
    let (seed, kills) = (Random::seed(), count("IDEMSTORE_KILLS", 32));
    println!("IDEMSTORE_SEED={seed} IDEMSTORE_KILLS={kills}");
    let directory = tempfile::tempdir().unwrap();
    let (mut random, mut history, mut shown) = (Random::new(seed), History::new(), Shown::default());
    while shown.kills < kills {
        let lines = killed_under_load(directory.path(), shown.kills, &history, &mut random);
        shown.saw(&lines);
        feed(&mut history, lines);
        verify_and_take_over(&directory.path().join("s.idem"), &mut history, &mut shown, &mut random);
    }
    println!("{shown:?}, {} acknowledgments, {} keys", history.acks(), history.keys());
    assert!(history.acks() > kills * 50, "{} acknowledgments is no load", history.acks());
    assert!(shown.compactions > 0 && shown.cut_compactions > 0, "{shown:?}");
    assert!(shown.journal_checkpoints > kills, "kills do not fall into checkpoints: {shown:?}");
    assert!(shown.takeovers > kills && shown.checkpoints > 0 && shown.replays > kills, "{shown:?}");
    assert_eq!(history.errors("Indeterminate") + history.errors("Poisoned") + history.errors("Io") + history.errors("Full"), 0);
    checker_notices_invented_acknowledgments(&directory.path().join("s.idem"), &history);
}

/// Runs a child for a random time and kills it while it works; returns its journal.
fn killed_under_load(directory: &Path, round: u64, history: &History, random: &mut Random) -> Vec<String> {
    let old = directory.join("old-keys");
    fs::write(&old, history.in_flight().join("\n")).unwrap();
    let settings = [(ROUND, round.to_string()), (SEED, random.next().to_string()), (OLD_KEYS, old.to_str().unwrap().to_owned())];
    let child: Child = child::start(&[], "load", &directory.join("s.idem"), &settings);
    let mut lines = child.wait_for("READY");
    lines.extend(child.work(1 + random.below(ACKS_PER_KILL_MAX)));
    // Spreads the moments of the kill between two acknowledgments; nothing depends on how long it is.
    thread::sleep(Duration::from_micros(random.below(10_000)));
    lines.extend(child.kill());
    lines
}

fn feed(history: &mut History, lines: Vec<String>) {
    for line in lines {
        let parsed = journal::parse(&line).unwrap_or_else(|| panic!("not a line of the journal: {line}"));
        history.feed(parsed).unwrap();
    }
    history.cut().unwrap();
}

/// Opens the store, compares every key with the history, and takes over what is in flight.
fn verify_and_take_over(path: &Path, history: &mut History, shown: &mut Shown, random: &mut Random) {
    let store = options().create_if_missing(false).open(path).unwrap();
    check(history, &store);
    assert!(store.verify(|_| ControlFlow::Continue(())).unwrap().is_sound());
    let mut operator = Operator { store: &store, history, operations: 0, round: shown.kills };
    for id in operator.history.in_flight() {
        let Some((lease, had_checkpoint)) = operator.begin(&id) else { panic!("{id} is in flight and was not taken over") };
        shown.takeovers += 1;
        shown.checkpoints += u64::from(had_checkpoint);
        match random.below(10) {
            0..4 => operator.change(&lease, &Change::End(End::Complete)),
            4..6 => operator.change(&lease, &Change::Release),
            // Left to the next child.
            _ => (),
        }
    }
    let ended = operator.history.ended();
    for _ in 0..ended.len().min(20) {
        let at = usize::try_from(random.below(ended.len() as u64)).unwrap();
        assert!(operator.begin(&ended[at]).is_none(), "{} has ended and was granted", ended[at]);
        shown.replays += 1;
    }
    history.cut().unwrap();
    check(history, &store);
    store.close().unwrap();
}

fn check(history: &mut History, store: &Store) {
    let mut violations = Vec::new();
    history.check(store, &mut violations);
    assert!(violations.is_empty(), "{} violations: {:#?}", violations.len(), &violations[..violations.len().min(5)]);
}

/// The parent at work on the store, under the same rules as its children.
struct Operator<'o> {
    store: &'o Store,
    history: &'o mut History,
    operations: u64,
    round: u64,
}

impl Operator<'_> {
    /// Returns the lease of a takeover, and whether it came with a checkpoint; `None` for a replay.
    fn begin(&mut self, id: &str) -> Option<(idemstore::Lease, bool)> {
        let op = self.start(Intent::Begin { key: id.to_owned(), is_short: false });
        let begun = self.store.begin(&key(id), jobs::fingerprint(id));
        self.history.feed(Line::Ack(op, jobs::begin_ack(&begun))).unwrap();
        match begun.unwrap() {
            Begin::Takeover(lease) => {
                let had_checkpoint = lease.earlier_checkpoint().is_some();
                Some((lease, had_checkpoint))
            }
            Begin::Replay(_) => None,
            other => panic!("{id}: {other:?}"),
        }
    }

    fn change(&mut self, lease: &idemstore::Lease, change: &Change) {
        let (id, token) = (lease.key().id().to_owned(), lease.token().get());
        let op = self.start(Intent::Change { key: id, token, change: change.clone() });
        let result = jobs::apply(lease, change);
        self.history.feed(Line::Ack(op, jobs::change_ack(&result))).unwrap();
        result.unwrap();
    }

    fn start(&mut self, intent: Intent) -> String {
        self.operations += 1;
        let op = format!("parent.{}.{}", self.round, self.operations);
        self.history.feed(Line::Intent(op.clone(), intent)).unwrap();
        op
    }
}

/// Negative control: each of these never happened, so each must be reported.
fn checker_notices_invented_acknowledgments(path: &Path, history: &History) {
    let store = options().create_if_missing(false).open(path).unwrap();
    let token = 1 << 40;
    let begin = |id: &str| Intent::Begin { key: id.to_owned(), is_short: false };
    let change = |id: &str, change| Intent::Change { key: id.to_owned(), token, change };
    let fresh = (begin("invented"), Ack::Fresh { token });
    let invented = [
        vec![fresh.clone()],
        vec![fresh.clone(), (change("invented", Change::End(End::Complete)), Ack::Done)],
        vec![(begin(&history.ended()[0]), Ack::Fresh { token })],
        vec![(begin(&history.in_flight()[0]), Ack::Fresh { token })],
        vec![(begin("another"), Ack::Fresh { token: 1 })],
        vec![fresh, (begin("invented"), Ack::Fresh { token: token + 1 })],
    ];
    for acknowledgments in invented {
        let (mut history, mut violations) = (history.clone(), Vec::new());
        for (number, (intent, ack)) in acknowledgments.iter().cloned().enumerate() {
            history.feed_tolerantly(Line::Intent(number.to_string(), intent), &mut violations);
            history.feed_tolerantly(Line::Ack(number.to_string(), ack), &mut violations);
        }
        history.feed_tolerantly(Line::Cut, &mut violations);
        history.check(&store, &mut violations);
        assert!(!violations.is_empty(), "nobody noticed {acknowledgments:?}");
    }
}

#[test]
fn a_lost_transition_of_each_kind_is_noticed() {
    let after = |change: Option<Change>| {
        let store = options().in_memory().unwrap();
        let (mut history, id) = (History::new(), "k");
        let Begin::Fresh(lease) = store.begin(&key(id), jobs::fingerprint(id)).unwrap() else { panic!() };
        let token = lease.token().get();
        history.feed(Line::Intent("1".into(), Intent::Begin { key: id.into(), is_short: false })).unwrap();
        history.feed(Line::Ack("1".into(), Ack::Fresh { token })).unwrap();
        if let Some(change) = change {
            // Acknowledged, and never done.
            history.feed(Line::Intent("2".into(), Intent::Change { key: id.into(), token, change })).unwrap();
            history.feed(Line::Ack("2".into(), Ack::Done)).unwrap();
        }
        history.cut().unwrap();
        let mut violations = Vec::new();
        history.check(&store, &mut violations);
        violations.len()
    };
    assert_eq!(after(None), 0);
    let changes = [Change::End(End::Complete), Change::End(End::Fail), Change::Release, Change::Checkpoint("mark".into())];
    for change in changes {
        assert_eq!(after(Some(change.clone())), 1, "a lost {change:?} went unnoticed");
    }
}
