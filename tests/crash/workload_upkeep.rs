//! What operators ask of the store in a [`Workload`].

use super::{
    super::ledger::{Held, LEASE, key},
    KEYS, Workload,
    commands::ended,
    is_not_done,
};
use idemstore::{ListFilter, OutcomeKind, Resolution};
use std::ops::ControlFlow;

impl Workload {
    pub(super) fn resolve(&mut self, number: usize) {
        let (held, now) = {
            let ledger = self.ledger();
            (ledger.settled(number).clone(), ledger.now)
        };
        let Held::InFlight(attempt) = held else { return self.begin(number) };
        if !self.is_lapsed(&attempt, now) {
            self.advance_by(LEASE * 2);
        }
        let now = self.ledger().now;
        let payload = self.rng.bytes(40);
        let (resolution, pending) = match self.rng.below(3) {
            0 => (Resolution::Completed(&payload), ended(&attempt, OutcomeKind::Completed, &payload, now)),
            1 => (Resolution::Failed(&payload), ended(&attempt, OutcomeKind::Failed, &payload, now)),
            _ => (Resolution::Released, Held::Unseen),
        };
        self.ledger().pend(number, pending.clone());
        self.ledger().audit_rows.1 += 1;
        let result = self.store().resolve(&key(number), resolution, "the provider was asked");
        match &result {
            Ok(()) => self.ledger().audit_rows.0 += 1,
            Err(error) if error.is_indeterminate() => (),
            Err(_) => self.ledger().audit_rows.1 -= 1,
        }
        self.end_change(number, pending, result);
    }

    pub(super) fn sweep(&mut self) {
        let due: Vec<usize> = (0..KEYS).filter(|&number| self.is_due(number)).collect();
        for &number in &due {
            self.ledger().pend(number, Held::Unseen);
        }
        let swept = self.store().sweep();
        if due.is_empty() {
            self.count(swept.as_ref().err());
        }
        let result = match &swept {
            Ok(report) => {
                let left = self.listed(&due);
                if report.paused || !left.is_empty() {
                    self.violation(format!("{report:?} left {left:?} where keys {due:?} were due"));
                }
                Ok(())
            }
            Err(error) => Err(error.clone()),
        };
        for number in due {
            self.end_change(number, Held::Unseen, result.clone());
        }
    }

    /// Which of these keys are still stored, expired or not.
    fn listed(&self, numbers: &[usize]) -> Vec<usize> {
        let filter = ListFilter::new().limit(1000);
        // A failing disk may not tell.
        let Ok(page) = self.store().list(&filter, None) else { return vec![] };
        numbers.iter().copied().filter(|&number| page.records.iter().any(|record| record.key == key(number))).collect()
    }

    fn is_due(&self, number: usize) -> bool {
        let ledger = self.ledger();
        match ledger.settled(number) {
            Held::InFlight(attempt) => {
                attempt.checkpoint.is_none() && self.is_lapsed(attempt, ledger.now) && attempt.expires_at <= ledger.now
            }
            Held::Ended(end) => end.expires_at <= ledger.now,
            Held::Unseen => false,
        }
    }

    pub(crate) fn compact(&mut self) {
        let compacted = self.store().compact(|_| ControlFlow::Continue(()));
        self.count(compacted.as_ref().err());
        if let Err(error) = compacted
            && !is_not_done(&error)
            && !error.is_indeterminate()
        {
            self.violation(format!("compaction: {error:?}"));
        }
    }
}
