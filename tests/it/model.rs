//! The whole store against a small model of it: random commands, clock steps, closes and crashes, shrunk to the shortest
//! sequence that tells the two apart.

use crate::support::*;
use idemstore::{Begin, BeginOptions, ErrorKind, FencingToken, ListFilter, OutcomeKind, Resolution, State, Store, Timestamp};
use proptest::{
    prelude::*,
    test_runner::{Config, RngSeed, TestError, TestRunner},
};
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest};
use std::{collections::BTreeMap, time::Duration};

const ATTEMPTS_MAX: u32 = 3;
const DAY_MS: u64 = 86_400_000;

#[derive(Clone, Copy, Debug)]
enum Step {
    Begin { id: u8, request: u8, lease: u64 },
    End { id: u8, stale: bool, failed: bool, payload: u8 },
    Release { id: u8, stale: bool },
    Renew { id: u8, stale: bool, lease: u64 },
    Checkpoint { id: u8, stale: bool, mark: u8 },
    Resolve { id: u8, payload: Option<u8> },
    Sweep,
    Advance(u64),
    SetBack(u64),
    Reopen,
    Crash,
}

#[derive(Clone, Debug, Default, PartialEq)]
enum Answer {
    #[default]
    Done,
    Fresh(u64),
    Takeover(u64, u32, Option<u8>),
    Replay(bool, u8),
    InFlight(u64),
    Mismatch,
    Refused(ErrorKind),
    Swept(u64),
}

/// The store, without a disk, threads or time of its own.
#[derive(Clone, Debug, Default)]
struct Model {
    records: BTreeMap<u8, Known>,
    granted: u64,
    now: u64,
    /// The time of the last change: what an open starts from.
    durable: u64,
    wall: u64,
    monotonic: u64,
    answer: Answer,
    /// Keys that were begun again after their record had expired, since the last sweep; each as often as that.
    left_over: Vec<u8>,
    /// What the last sweep may have removed, with those.
    swept_at_most: u64,
}

#[derive(Clone, Debug)]
struct Known {
    request: u8,
    token: u64,
    attempt: u32,
    /// On the monotonic clock; `None` after an open: its holder is dead.
    deadline: Option<u64>,
    expires: u64,
    mark: Option<u8>,
    /// Whether it failed, and with what.
    outcome: Option<(bool, u8)>,
}

impl Model {
    fn is_gone(&self, known: &Known) -> bool {
        known.outcome.is_some() && known.expires <= self.now
    }

    fn is_lapsed(&self, known: &Known) -> bool {
        known.deadline.is_none_or(|deadline| deadline <= self.monotonic)
    }

    fn begin(&mut self, id: u8, request: u8, lease: u64) -> Answer {
        let (now, monotonic, token) = (self.now, self.monotonic, self.granted + 1);
        let (deadline, expires) = (Some(monotonic + lease), now + lease + DAY_MS);
        let known = self.records.get(&id).filter(|known| !self.is_gone(known)).cloned();
        let Some(known) = known else {
            // What expired may stay where it is until the next sweep.
            self.left_over.extend(self.records.contains_key(&id).then_some(id));
            let fresh = Known { request, token, attempt: 1, deadline, expires, mark: None, outcome: None };
            self.granted = token;
            self.put(id, Some(fresh));
            return Answer::Fresh(token);
        };
        match known {
            _ if known.request != request => Answer::Mismatch,
            Known { outcome: Some((failed, payload)), .. } => Answer::Replay(failed, payload),
            _ if !self.is_lapsed(&known) => Answer::InFlight(known.deadline.unwrap() - monotonic),
            _ if known.attempt >= ATTEMPTS_MAX => Answer::Refused(ErrorKind::TooManyAttempts),
            _ => {
                self.granted = token;
                let answer = Answer::Takeover(token, known.attempt + 1, known.mark);
                self.put(id, Some(Known { token, attempt: known.attempt + 1, deadline, expires, ..known }));
                answer
            }
        }
    }

    /// What its holder does to a record in flight.
    fn hold(&mut self, id: u8, stale: bool, change: impl FnOnce(&Self, Known) -> Option<Known>) -> Answer {
        let known = self.records.get(&id).filter(|known| !stale && known.outcome.is_none()).cloned();
        let Some(known) = known else { return Answer::Refused(ErrorKind::LeaseLost) };
        let changed = change(self, known);
        self.put(id, changed);
        Answer::Done
    }

    fn end(&mut self, id: u8, stale: bool, outcome: (bool, u8)) -> Answer {
        if !stale && self.records.get(&id).is_some_and(|known| known.outcome == Some(outcome)) {
            return Answer::Done;
        }
        self.hold(id, stale, |model, known| Some(model.ended(&known, outcome)))
    }

    fn ended(&self, known: &Known, outcome: (bool, u8)) -> Known {
        Known { outcome: Some(outcome), mark: None, expires: self.now + DAY_MS, ..known.clone() }
    }

    fn resolve(&mut self, id: u8, payload: Option<u8>) -> Answer {
        let refusal = match self.records.get(&id) {
            None => ErrorKind::NotFound,
            Some(known) if self.is_gone(known) => ErrorKind::NotFound,
            Some(Known { outcome: Some(_), .. }) => ErrorKind::InvalidInput,
            Some(known) if !self.is_lapsed(known) => ErrorKind::InFlight,
            Some(known) => {
                let ended = payload.map(|payload| self.ended(known, (false, payload)));
                self.put(id, ended);
                return Answer::Done;
            }
        };
        Answer::Refused(refusal)
    }

    fn sweep(&mut self) -> Answer {
        let before = self.records.len();
        let stays = |known: &Known| match known.outcome {
            Some(_) => !self.is_gone(known),
            None => known.mark.is_some() || !self.is_lapsed(known) || known.expires > self.now,
        };
        let left: BTreeMap<_, _> = self.records.clone().into_iter().filter(|(_, known)| stays(known)).collect();
        let swept = (before - left.len()) as u64;
        if swept > 0 {
            self.durable = self.now;
        }
        self.records = left;
        self.swept_at_most = swept + std::mem::take(&mut self.left_over).len() as u64;
        Answer::Swept(swept)
    }

    fn put(&mut self, id: u8, known: Option<Known>) {
        self.durable = self.now;
        match known {
            Some(known) => drop(self.records.insert(id, known)),
            None => drop(self.records.remove(&id)),
        }
    }

    fn reopen(&mut self) -> Answer {
        self.now = self.durable;
        self.records.values_mut().for_each(|known| known.deadline = None);
        Answer::Done
    }
}

impl Model {
    fn step(mut self, step: Step) -> Self {
        self.answer = match step {
            Step::Begin { id, request, lease } => self.begin(id, request, lease),
            Step::End { id, stale, failed, payload } => self.end(id, stale, (failed, payload)),
            Step::Release { id, stale } => self.hold(id, stale, |_, _| None),
            Step::Renew { id, stale, lease } => self.hold(id, stale, |model, known| {
                let (deadline, expires) = (Some(model.monotonic + lease), model.now + lease + DAY_MS);
                Some(Known { deadline, expires, ..known })
            }),
            Step::Checkpoint { id, stale, mark } => self.hold(id, stale, |_, known| Some(Known { mark: Some(mark), ..known })),
            Step::Resolve { id, payload } => self.resolve(id, payload),
            Step::Sweep => self.sweep(),
            Step::Advance(by) => {
                (self.wall, self.monotonic) = (self.wall + by, self.monotonic + by);
                Answer::Done
            }
            Step::SetBack(by) => {
                self.wall -= by;
                Answer::Done
            }
            Step::Reopen | Step::Crash => self.reopen(),
        };
        // Time never runs backwards, and each step looks at the clock.
        self.now = self.now.max(self.wall);
        self
    }
}

impl ReferenceStateMachine for Model {
    type State = Self;
    type Transition = Step;

    fn init_state() -> BoxedStrategy<Self> {
        let start = START.as_millis();
        Just(Self { now: start, durable: start, wall: start, ..Self::default() }).boxed()
    }

    fn transitions(_: &Self) -> BoxedStrategy<Step> {
        let (id, few, lease) = (|| 0..3_u8, || 0..2_u8, || prop_oneof![Just(10_u64), Just(30_000)]);
        let stale = || prop::bool::weighted(0.15);
        prop_oneof![
            6 => (id(), prop_oneof![9 => Just(0_u8), 1 => Just(1)], lease())
                .prop_map(|(id, request, lease)| Step::Begin { id, request, lease }),
            3 => (id(), stale(), any::<bool>(), few())
                .prop_map(|(id, stale, failed, payload)| Step::End { id, stale, failed, payload }),
            1 => (id(), stale()).prop_map(|(id, stale)| Step::Release { id, stale }),
            1 => (id(), stale(), lease()).prop_map(|(id, stale, lease)| Step::Renew { id, stale, lease }),
            2 => (id(), stale(), few()).prop_map(|(id, stale, mark)| Step::Checkpoint { id, stale, mark }),
            2 => (id(), prop::option::of(few())).prop_map(|(id, payload)| Step::Resolve { id, payload }),
            2 => Just(Step::Sweep),
            4 => prop_oneof![Just(1_u64), Just(10), Just(30_000), Just(DAY_MS / 2), Just(DAY_MS)].prop_map(Step::Advance),
            1 => prop_oneof![Just(1_u64), Just(60_000), Just(DAY_MS)].prop_map(Step::SetBack),
            1 => Just(Step::Reopen),
            2 => Just(Step::Crash),
        ]
        .boxed()
    }

    fn apply(model: Self, step: &Step) -> Self {
        model.step(*step)
    }
}

/// The store. With `AMNESIA` a crash loses the latest change: a model that does not notice proves nothing.
struct Real<const AMNESIA: bool> {
    lab: Lab,
    store: Store,
    earlier: idemstore::disk::MemoryDisk,
}

impl<const AMNESIA: bool> Real<AMNESIA> {
    fn token(&self, id: u8, stale: bool) -> FencingToken {
        let page = self.store.list(&ListFilter::new(), None).unwrap();
        let row = page.records.iter().find(|row| row.key == key(&id.to_string()));
        let current = row.map_or(1, |row| row.token.get());
        FencingToken::new(if stale { current - 1 } else { current })
    }

    fn begin(&self, id: u8, wanted: u8, lease: u64) -> idemstore::Result<Answer> {
        let options = BeginOptions::new().lease(Duration::from_millis(lease));
        Ok(match self.store.begin_with(&key(&id.to_string()), request(&wanted.to_string()), options)? {
            Begin::Fresh(lease) => Answer::Fresh(lease.token().get()),
            Begin::Takeover(lease) => {
                Answer::Takeover(lease.token().get(), lease.attempt(), lease.earlier_checkpoint().map(|mark| mark[0]))
            }
            Begin::Replay(outcome) => Answer::Replay(!outcome.is_completed(), outcome.payload()[0]),
            Begin::InFlight { retry_after, .. } => Answer::InFlight(u64::try_from(retry_after.as_millis()).unwrap()),
            Begin::Mismatch => Answer::Mismatch,
        })
    }

    fn run(&mut self, step: Step) -> idemstore::Result<Answer> {
        let name = |id: u8| key(&id.to_string());
        let store = &self.store;
        match step {
            Step::Begin { id, request, lease } => return self.begin(id, request, lease),
            Step::End { id, stale, failed, payload } => {
                let kind = if failed { OutcomeKind::Failed } else { OutcomeKind::Completed };
                store.end(&name(id), self.token(id, stale), kind, &[payload], None)?;
            }
            Step::Release { id, stale } => store.release(&name(id), self.token(id, stale))?,
            Step::Renew { id, stale, lease } => {
                store.renew(&name(id), self.token(id, stale), Duration::from_millis(lease))?;
            }
            Step::Checkpoint { id, stale, mark } => store.checkpoint(&name(id), self.token(id, stale), [mark])?,
            Step::Resolve { id, payload } => {
                let payload = payload.map(|payload| [payload]);
                let resolution = payload.as_ref().map_or(Resolution::Released, |payload| Resolution::Completed(payload));
                store.resolve(&name(id), resolution, "reason")?;
            }
            Step::Sweep => return Ok(Answer::Swept(store.sweep()?.removed)),
            Step::Advance(by) => self.lab.clock.advance(Duration::from_millis(by)),
            Step::SetBack(by) => {
                let wall = idemstore::Clock::wall(&self.lab.clock).as_millis();
                self.lab.clock.set_wall(Timestamp::from_millis(wall - by));
            }
            Step::Reopen => {
                store.close()?;
                self.store = self.lab.open();
            }
            Step::Crash => {
                self.lab.disk = if AMNESIA { self.earlier.clone() } else { crash_image(&self.lab.disk) };
                self.store = self.lab.open();
            }
        }
        Ok(Answer::Done)
    }
}

struct Test<const AMNESIA: bool>;

impl<const AMNESIA: bool> StateMachineTest for Test<AMNESIA> {
    type SystemUnderTest = Real<AMNESIA>;
    type Reference = Model;

    fn init_test(_: &Model) -> Self::SystemUnderTest {
        let lab = Lab::with(|options| options.attempts_max(ATTEMPTS_MAX).downtime_max(DAY * 3000).sweep_batch(2));
        let store = lab.create();
        Real { earlier: crash_image(&lab.disk), store, lab }
    }

    fn apply(mut real: Self::SystemUnderTest, model: &Model, step: Step) -> Self::SystemUnderTest {
        let image = AMNESIA.then(|| crash_image(&real.lab.disk));
        let answer = real.run(step).unwrap_or_else(|error| Answer::Refused(error.kind()));
        match (answer, model.answer.clone()) {
            (Answer::Swept(swept), Answer::Swept(at_least)) => {
                assert!((at_least..=model.swept_at_most).contains(&swept), "{swept}: {at_least} to {}", model.swept_at_most);
            }
            (answer, expected) => assert_eq!(answer, expected, "{step:?}"),
        }
        real.earlier = image.unwrap_or(real.earlier);
        real
    }

    fn check_invariants(real: &Self::SystemUnderTest, model: &Model) {
        for id in 0..3 {
            let record = real.store.get(&key(&id.to_string())).unwrap();
            let known = model.records.get(&id).filter(|known| !model.is_gone(known));
            assert_eq!(record.is_some(), known.is_some(), "{id}");
            let (Some(record), Some(known)) = (record, known) else { continue };
            let outcome = record.outcome().map(|outcome| (!outcome.is_completed(), outcome.payload()[0]));
            assert_eq!((record.token().get(), record.attempt(), outcome), (known.token, known.attempt, known.outcome));
            assert_eq!(record.checkpoint().map(|mark| mark[0]), known.mark);
            let expires = (known.mark.is_none() || known.outcome.is_some()).then_some(known.expires);
            assert_eq!(record.expires_at().map(Timestamp::as_millis), expires);
        }
        let stored = real.store.list(&ListFilter::new(), None).unwrap().records;
        let ids: Vec<String> = model.records.keys().map(u8::to_string).collect();
        let is_left_over =
            |id: &str| model.left_over.iter().any(|left| left.to_string() == id) && !ids.iter().any(|known| known == id);
        let (left_over, stored): (Vec<_>, Vec<_>) = stored.into_iter().partition(|row| is_left_over(row.key.id()));
        assert!(left_over.iter().all(|row| row.expires_at.is_some_and(|at| at.as_millis() <= model.now)), "{left_over:?}");
        assert_eq!(stored.iter().map(|row| row.key.id()).collect::<Vec<_>>(), ids);
        let in_flight = stored.iter().filter(|row| row.state == State::InFlight).count() as u64;
        assert_eq!(real.store.stats().unwrap().in_flight, in_flight);
    }

    fn teardown(real: Self::SystemUnderTest, _: Model) {
        assert!(real.store.verify(go_on).unwrap().is_sound());
    }
}

/// Runs the test; returns the shortest sequence that fails.
fn shortest_failure<const AMNESIA: bool>(cases: u32, seed: u64) -> Result<(), (String, Vec<Step>)> {
    let rng_seed = RngSeed::Fixed(seed);
    let config = Config { cases, rng_seed, failure_persistence: None, ..Config::default() };
    let strategy = Model::sequential_strategy(1..40);
    let ran = TestRunner::new(config.clone()).run(&strategy, |(initial, steps, seen)| {
        Test::<AMNESIA>::test_sequential(config.clone(), initial, steps, seen);
        Ok(())
    });
    ran.map_err(|error| match error {
        TestError::Fail(reason, (_, steps, _)) => (reason.to_string(), steps),
        TestError::Abort(reason) => (reason.to_string(), Vec::new()),
    })
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().unwrap())
}

#[test]
fn the_store_does_what_the_model_says() {
    let seed = setting("IDEMSTORE_SEED", 1);
    let cases = u32::try_from(setting("IDEMSTORE_CASES", 60)).unwrap();
    if let Err((reason, steps)) = shortest_failure::<false>(cases, seed) {
        panic!("IDEMSTORE_SEED={seed}: {reason}\n{steps:#?}");
    }
}

#[test]
fn a_store_that_forgets_in_a_crash_is_found_out_in_few_steps() {
    let (_, steps) = shortest_failure::<true>(200, 1).expect_err("the model notices");
    assert!(steps.len() <= 3, "{steps:?}");
}
