//! One thread for everything that happens at a time: waits that end, leases that are renewed, sweeps.

use crate::{
    Key, Signal,
    keep_alive::Renewal,
    shared::{Shared, StopOnPanic},
    storage::Position,
    sweep,
    sync::Mutex,
};
use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

/// What happens at a time.
pub(crate) enum Job {
    WakeWaiter { key: Key, id: u64 },
    Renew(Arc<Renewal>),
    Sweep { after: Option<Position> },
}

/// Names a job, to take it back.
pub(crate) type JobId = (Duration, u64);

/// Jobs in the order of their time, on the monotonic clock.
#[derive(Default)]
pub(crate) struct Timer {
    state: Mutex<State>,
    changed: Signal,
}

#[derive(Default)]
struct State {
    jobs: BTreeMap<JobId, Job>,
    next_id: u64,
    closed: bool,
}

impl Timer {
    /// Plans a job; `None` once the timer is closed.
    pub(crate) fn at(&self, time: Duration, job: Job) -> Option<JobId> {
        let (id, is_first) = {
            let mut state = self.state.lock();
            if state.closed {
                return None;
            }
            let id = (time, state.next_id);
            state.next_id += 1;
            state.jobs.insert(id, job);
            (id, state.jobs.first_key_value().is_some_and(|(&first, _)| first == id))
        };
        if is_first {
            self.changed.set();
        }
        Some(id)
    }

    /// Takes a job back.
    pub(crate) fn cancel(&self, id: JobId) {
        self.state.lock().jobs.remove(&id);
    }

    /// Ends the thread; jobs that have not run never do.
    pub(crate) fn close(&self) {
        let jobs = {
            let mut state = self.state.lock();
            state.closed = true;
            std::mem::take(&mut state.jobs)
        };
        drop(jobs);
        self.changed.set();
    }

    /// Returns the next job that is due, or when to look again; `None` when closed.
    fn next(&self, now: Duration) -> Option<Next> {
        let mut state = self.state.lock();
        if state.closed {
            return None;
        }
        match state.jobs.first_entry() {
            None => Some(Next::Wait(None)),
            Some(first) if first.key().0 > now => Some(Next::Wait(Some(first.key().0))),
            Some(first) => Some(Next::Run(first.remove())),
        }
    }
}

enum Next {
    Run(Job),
    Wait(Option<Duration>),
}

/// The timer thread.
pub(crate) fn run(shared: &Arc<Shared>) {
    let _stop = StopOnPanic { shared, what: "the timer thread" };
    while let Some(next) = shared.timer.next(shared.clock().monotonic()) {
        match next {
            Next::Wait(until) => shared.clock().wait(&shared.timer.changed, until),
            Next::Run(Job::WakeWaiter { key, id }) => shared.waiters.wake(&key, id),
            Next::Run(Job::Renew(renewal)) => renewal.run(),
            Next::Run(Job::Sweep { after }) => sweep::run(shared, after),
        }
    }
}

impl fmt::Debug for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Timer({} jobs)", self.state.lock().jobs.len())
    }
}
