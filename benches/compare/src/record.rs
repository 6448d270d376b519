//! What a peer stores for a key, and the least that makes a payment happen at most once. No leases, tokens or expiry: a peer
//! does less than idemstore here, which is in the peer's favour.

use crate::{load::Request, system::Answer};
use std::time::{Duration, SystemTime};

const DAY: Duration = Duration::from_hours(24);
const RUNNING: u8 = 1;
const COMPLETED: u8 = 2;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub request: Request,
    pub expires_at: i64,
    /// None while the payment runs.
    pub payload: Option<Vec<u8>>,
}

/// One step of a payment, as it waits for a writer.
pub struct Command {
    pub id: String,
    pub step: Step,
}

pub enum Step {
    Begin(Request),
    Complete(Vec<u8>),
}

impl Record {
    pub fn begun(request: &Request) -> Self {
        Self { request: *request, expires_at: expiry(), payload: None }
    }

    /// Answers somebody who asks for a key that is known.
    pub fn answer(self, request: &Request) -> Answer {
        match self.payload {
            _ if self.request != *request => Answer::Mismatch,
            Some(payload) => Answer::Replay(payload),
            None => Answer::Running,
        }
    }

    pub fn encode(&self) -> Vec<u8> {
        let payload = self.payload.as_deref();
        let mut bytes = vec![if payload.is_some() { COMPLETED } else { RUNNING }];
        bytes.extend(self.expires_at.to_le_bytes());
        bytes.extend(self.request);
        bytes.extend(payload.unwrap_or_default());
        bytes
    }

    pub fn decode(bytes: &[u8]) -> Self {
        let (state, rest) = bytes.split_first().expect("a state");
        let (expires_at, rest) = rest.split_first_chunk().expect("an expiry");
        let (request, payload) = rest.split_first_chunk().expect("a request");
        assert!([RUNNING, COMPLETED].contains(state));
        let payload = (*state == COMPLETED).then(|| payload.to_vec());
        Self { request: *request, expires_at: i64::from_le_bytes(*expires_at), payload }
    }
}

/// When a record made now may be forgotten, in milliseconds.
pub fn expiry() -> i64 {
    let since = SystemTime::UNIX_EPOCH.elapsed().expect("a clock after 1970") + DAY;
    i64::try_from(since.as_millis()).expect("a clock before the year 292 million")
}

/// Decides a step inside a transaction: the answer, and what to store.
pub fn decide(existing: Option<Record>, step: &Step) -> (Answer, Option<Record>) {
    match (step, existing) {
        (Step::Begin(request), None) => (Answer::Fresh, Some(Record::begun(request))),
        (Step::Begin(request), Some(record)) => (record.answer(request), None),
        (Step::Complete(payload), Some(record @ Record { payload: None, .. })) => {
            (Answer::Done, Some(Record { payload: Some(payload.clone()), ..record }))
        }
        (Step::Complete(_), existing) => panic!("only what runs can be completed, not {existing:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_survive_encoding() {
        for payload in [None, Some(vec![]), Some(vec![1, 2, 3])] {
            let record = Record { request: [9; 32], expires_at: 77, payload };
            assert_eq!(Record::decode(&record.encode()), record);
        }
    }

    #[test]
    fn a_key_is_claimed_once_and_then_replayed() {
        let begin = Step::Begin([1; 32]);
        let (answer, running) = decide(None, &begin);
        assert_eq!(answer, Answer::Fresh);
        assert_eq!(decide(running.clone(), &begin).0, Answer::Running);
        let (answer, completed) = decide(running, &Step::Complete(vec![5]));
        assert_eq!(answer, Answer::Done);
        assert_eq!(decide(completed.clone(), &begin), (Answer::Replay(vec![5]), None));
        assert_eq!(decide(completed, &Step::Begin([2; 32])), (Answer::Mismatch, None));
    }
}
