//! What a system must do before it is measured, so that nobody measures one that does nothing.

use crate::{
    load::{self, REQUEST, Request},
    syncs,
    system::{Answer, Caller, System},
};
use std::{sync::Barrier, thread};

const OTHER: Request = [0x22; 32];
/// Callers that want the same key at the same time.
const RIVALS: usize = 8;
const RACES: usize = 10;

/// Panics if the system breaks a promise.
pub fn check(name: &str, system: &dyn System) {
    claims_once_and_replays(name, system);
    grants_one_of_many(name, system);
    if system.syncs_here() {
        syncs_each_step(name, system);
    }
}

fn claims_once_and_replays(name: &str, system: &dyn System) {
    let (mut first, mut second) = (system.caller(), system.caller());
    let number = load::new_number();
    let (id, payload) = (load::id(number), load::payload(number));
    assert_eq!(first.begin(&id, &REQUEST), Answer::Fresh, "{name}: a new key");
    assert_eq!(second.begin(&id, &REQUEST), Answer::Running, "{name}: the same key again");
    assert_eq!(second.begin(&id, &OTHER), Answer::Mismatch, "{name}: the same key for another request");
    first.complete(&id, &payload);
    assert_eq!(second.begin(&id, &REQUEST), Answer::Replay(payload.into()), "{name}: a completed key");
    assert_eq!(first.begin(&id, &OTHER), Answer::Mismatch, "{name}: a completed key for another request");
    let loaded = second.begin(&load::id(0), &REQUEST);
    assert_eq!(loaded, Answer::Replay(load::payload(0).into()), "{name}: a key loaded before");
}

fn grants_one_of_many(name: &str, system: &dyn System) {
    for _ in 0..RACES {
        let number = load::new_number();
        let (id, start) = (load::id(number), Barrier::new(RIVALS));
        let race = |mut caller: Box<dyn Caller + '_>| {
            start.wait();
            let answer = caller.begin(&id, &REQUEST);
            if answer == Answer::Fresh {
                caller.complete(&id, &load::payload(number));
            }
            answer
        };
        // Before anybody waits for the others: a caller that cannot be made must not leave them waiting.
        let callers: Vec<_> = (0..RIVALS).map(|_| system.caller()).collect();
        let answers: Vec<Answer> = thread::scope(|scope| {
            let rivals: Vec<_> = callers.into_iter().map(|caller| scope.spawn(|| race(caller))).collect();
            rivals.into_iter().map(|rival| rival.join().unwrap()).collect()
        });
        let fresh = answers.iter().filter(|answer| **answer == Answer::Fresh).count();
        assert_eq!(fresh, 1, "{name}: one of {RIVALS} callers gets the key, not {answers:?}");
    }
}

/// Each step must be durable before its answer.
fn syncs_each_step(name: &str, system: &dyn System) {
    let mut caller = system.caller();
    let number = load::new_number();
    let id = load::id(number);
    let start = syncs::count();
    assert_eq!(caller.begin(&id, &REQUEST), Answer::Fresh);
    let begun = syncs::count();
    caller.complete(&id, &load::payload(number));
    let ended = syncs::count();
    assert!(begun > start && ended > begun, "{name} answered without a sync: {start}, {begun}, {ended}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Command, Record, Step, decide};
    use std::{collections::HashMap, sync::Mutex};

    /// A system that does all right, but for what a test breaks.
    #[derive(Default)]
    struct Fake {
        records: Mutex<HashMap<String, Record>>,
        grants_twice: bool,
        cuts_payloads: bool,
        pretends_to_sync: bool,
    }

    impl Fake {
        fn run(&self, id: &str, step: Step) -> Answer {
            let command = Command { id: id.to_owned(), step };
            let mut records = self.records.lock().unwrap();
            let (answer, stored) = decide(records.get(id).cloned(), &command.step);
            records.extend(stored.map(|record| (command.id, record)));
            answer
        }
    }

    impl System for Fake {
        fn caller(&self) -> Box<dyn Caller + '_> {
            Box::new(self)
        }

        fn syncs_here(&self) -> bool {
            self.pretends_to_sync
        }
    }

    impl Caller for &Fake {
        fn begin(&mut self, id: &str, request: &Request) -> Answer {
            match self.run(id, Step::Begin(*request)) {
                Answer::Running if self.grants_twice => Answer::Fresh,
                answer => answer,
            }
        }

        fn complete(&mut self, id: &str, payload: &[u8]) {
            let bytes = payload.len() - usize::from(self.cuts_payloads);
            self.run(id, Step::Complete(payload[..bytes].to_vec()));
        }
    }

    fn is_caught(fake: &Fake) -> bool {
        let mut loader = fake;
        assert_eq!(loader.begin(&load::id(0), &REQUEST), Answer::Fresh);
        loader.complete(&load::id(0), &load::payload(0));
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| check("fake", fake))).is_err()
    }

    #[test]
    fn a_system_that_keeps_its_promises_passes() {
        assert!(!is_caught(&Fake::default()));
    }

    #[test]
    fn systems_that_do_not_are_caught() {
        assert!(is_caught(&Fake { grants_twice: true, ..Fake::default() }));
        assert!(is_caught(&Fake { cuts_payloads: true, ..Fake::default() }));
        assert!(is_caught(&Fake { pretends_to_sync: true, ..Fake::default() }));
    }
}
