//! P2 for concurrent callers: every history of begins and ends has an order in which a single thread could have made it.

use crate::support::*;
use idemstore::{Begin, ErrorKind, FencingToken, OutcomeKind, Store};
use stateright::semantics::{ConsistencyTester as _, LinearizabilityTester, SequentialSpec};
use std::{collections::BTreeMap, sync::Mutex, thread};

type Id = u8;

/// A token stands for its grant, whatever its number.
#[derive(Clone, Debug, PartialEq)]
enum Op {
    Begin(Id),
    End(Id, u64, OutcomeKind),
    Release(Id, u64),
}

#[derive(Clone, Debug, PartialEq)]
enum Ret {
    Fresh(u64),
    InFlight,
    Replay(u64, OutcomeKind),
    Done,
    LeaseLost,
}

/// What one key is, to a single thread.
#[derive(Clone, Debug, PartialEq)]
enum Known {
    Held(u64),
    Ended(u64, OutcomeKind),
}

/// The store in a dozen lines. Which token a grant has is up to the store, as long as it is the highest so far.
#[derive(Clone, Debug, Default)]
struct Spec {
    keys: BTreeMap<Id, Known>,
    last_token: u64,
}

impl SequentialSpec for Spec {
    type Op = Op;
    type Ret = Ret;

    fn invoke(&mut self, op: &Op) -> Ret {
        match *op {
            Op::Begin(id) => match self.keys.get(&id) {
                None => {
                    self.last_token += 1;
                    self.keys.insert(id, Known::Held(self.last_token));
                    Ret::Fresh(self.last_token)
                }
                Some(Known::Held(_)) => Ret::InFlight,
                Some(&Known::Ended(token, kind)) => Ret::Replay(token, kind),
            },
            Op::End(id, token, kind) => match self.keys.get(&id) {
                Some(&Known::Held(held)) if held == token => {
                    self.keys.insert(id, Known::Ended(token, kind));
                    Ret::Done
                }
                Some(&Known::Ended(held, ended)) if (held, ended) == (token, kind) => Ret::Done,
                _ => Ret::LeaseLost,
            },
            Op::Release(id, token) => match self.keys.get(&id) {
                Some(&Known::Held(held)) if held == token => {
                    self.keys.remove(&id);
                    Ret::Done
                }
                _ => Ret::LeaseLost,
            },
        }
    }
}

fn run(store: &Store, op: &Op) -> Ret {
    let name = |id: Id| key(&id.to_string());
    let done = |result: idemstore::Result<()>| match result {
        Ok(()) => Ret::Done,
        Err(error) if error.kind() == ErrorKind::LeaseLost => Ret::LeaseLost,
        Err(error) => panic!("{error}"),
    };
    match *op {
        Op::Begin(id) => match begin(store, &id.to_string()).unwrap() {
            Begin::Fresh(lease) => Ret::Fresh(lease.token().get()),
            Begin::InFlight { .. } => Ret::InFlight,
            Begin::Replay(outcome) => {
                let token = u64::from_le_bytes(outcome.payload().try_into().unwrap());
                Ret::Replay(token, outcome.kind())
            }
            other => panic!("{other:?}"),
        },
        Op::End(id, token, kind) => {
            done(store.end(&name(id), FencingToken::new(token), kind, &token.to_le_bytes(), None).map(drop))
        }
        Op::Release(id, token) => done(store.release(&name(id), FencingToken::new(token))),
    }
}

/// Random numbers that come again with their seed (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

type History = LinearizabilityTester<usize, Spec>;

/// What one caller does: asks for a key, and uses the last token that it saw, which may be stale.
fn caller(store: &Store, history: &Mutex<History>, me: usize, seed: u64, ops: usize) -> usize {
    let (mut random, mut seen, mut overlaps) = (Random(seed), BTreeMap::new(), 0);
    for _ in 0..ops {
        let id = u8::try_from(random.below(2)).unwrap();
        let op = match (random.below(5), seen.get(&id).copied()) {
            (2, Some(token)) => Op::End(id, token, OutcomeKind::Completed),
            (3, Some(token)) => Op::End(id, token, OutcomeKind::Failed),
            (1 | 4, Some(token)) => Op::Release(id, token),
            _ => Op::Begin(id),
        };
        history.lock().unwrap().on_invoke(me, op.clone()).unwrap();
        let ret = run(store, &op);
        if let Ret::Fresh(token) | Ret::Replay(token, _) = ret {
            seen.insert(id, token);
        }
        overlaps += usize::from(!matches!(ret, Ret::Fresh(_)));
        history.lock().unwrap().on_return(me, ret).unwrap();
    }
    overlaps
}

#[test]
fn every_concurrent_history_has_a_sequential_order() {
    const CALLERS: usize = 3;
    const OPS: usize = 6;
    let setting = |name: &str, default: u64| std::env::var(name).map_or(default, |value| value.parse().unwrap());
    let histories = setting("IDEMSTORE_HISTORIES", 60);
    let first = setting("IDEMSTORE_SEED", 1);
    let mut overlaps = 0;
    for seed in first..first + histories {
        let store = Lab::new().create();
        let history = Mutex::new(History::new(Spec::default()));
        thread::scope(|scope| {
            let (store, history) = (&store, &history);
            let start = |me: usize| scope.spawn(move || caller(store, history, me, (seed << 8) + me as u64 + 1, OPS));
            let callers: Vec<_> = (0..CALLERS).map(start).collect();
            overlaps += callers.into_iter().map(|caller| caller.join().unwrap()).sum::<usize>();
        });
        let history = history.into_inner().unwrap();
        assert_eq!(history.len(), CALLERS * OPS);
        assert!(history.is_consistent(), "IDEMSTORE_SEED={seed}: {history:#?}");
    }
    assert!(overlaps > 0, "callers got into each other's way");
}

#[test]
fn the_checker_rejects_two_holders_a_lost_outcome_and_a_second_run() {
    let history = |steps: &[(usize, Op, Ret)]| {
        let mut history = History::new(Spec::default());
        for (who, op, ret) in steps {
            history.on_invret(*who, op.clone(), ret.clone()).unwrap();
        }
        history.is_consistent()
    };
    let (began, done) = ((0, Op::Begin(0), Ret::Fresh(1)), (0, Op::End(0, 1, OutcomeKind::Completed), Ret::Done));
    assert!(history(&[began.clone(), done.clone(), (1, Op::Begin(0), Ret::Replay(1, OutcomeKind::Completed))]));
    assert!(!history(&[began.clone(), (1, Op::Begin(0), Ret::Fresh(2))]), "two holders");
    assert!(!history(&[began.clone(), done.clone(), (1, Op::Begin(0), Ret::Fresh(2))]), "a second run");
    assert!(!history(&[began.clone(), done.clone(), (1, Op::Begin(0), Ret::InFlight)]), "a stale read");
    assert!(!history(&[began.clone(), done, (1, Op::Release(0, 1), Ret::Done)]), "a lost outcome");
    assert!(!history(&[began, (1, Op::Begin(1), Ret::Fresh(1))]), "a token given twice");
}

#[test]
fn the_checker_rejects_a_double_grant_among_concurrent_callers() {
    let mut history = History::new(Spec::default());
    for who in 0..3 {
        history.on_invoke(who, Op::Begin(0)).unwrap();
    }
    history.on_return(0, Ret::Fresh(1)).unwrap();
    history.on_return(1, Ret::InFlight).unwrap();
    assert!(history.is_consistent());
    history.on_return(2, Ret::Fresh(2)).unwrap();
    assert!(!history.is_consistent());
}
