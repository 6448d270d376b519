//! Removes expired records, a bounded step at a time. Each step is decided by the writer in the same order as all commands,
//! so a sweep cannot remove what a caller has just been granted.

use crate::{
    Progress, Result, Store,
    maintain::proceed,
    queue::{Message, SweepStep},
    shared::{Patience, Shared},
    storage::Position,
    timer::Job,
    transition::is_sweepable,
};
use std::{ops::ControlFlow, sync::Arc, time::Duration};

/// Records that a preview looks at in one view.
const PREVIEW_RECORDS: usize = 512;

/// Between two steps of one sweep at least, so that callers' commits get through; and as long as the step took, so that a
/// sweep never has more than half of a slow disk.
const STEP_PAUSE_MIN: Duration = Duration::from_millis(1);
/// When the queue has no room, there is more urgent work.
const BUSY_PAUSE: Duration = Duration::from_millis(100);

/// What a sweep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SweepReport {
    /// Attempts that were looked at because their time had come, and ended records that were removed.
    pub examined: u64,
    /// Records that were removed; among them expired ones whose key has been used again since.
    pub removed: u64,
    /// Nothing was removed, because the wall clock leapt ahead and is not believed yet.
    pub paused: bool,
}

impl Store {
    /// Removes all records that have expired, and lapsed attempts without a checkpoint whose retention is over.
    ///
    /// The background does the same, but leaves a run of ended records alone until half of it has expired. This is for tests, for
    /// operators, and for a store opened with [`sweep_interval(None)`](crate::Options::sweep_interval). It begins with a checkpoint and
    /// writes again what has not expired of the runs in which anything has.
    ///
    /// ```
    /// # use idemstore::{Begin, Fingerprint, Key, ManualClock, Options, Timestamp};
    /// # use std::time::Duration;
    /// let clock = ManualClock::new(Timestamp::from_millis(1_700_000_000_000));
    /// let options = Options::new().clock(clock.clone()).retention(Duration::from_secs(60));
    /// let store = options.sweep_interval(None).in_memory()?;
    /// let key = Key::new("shop", "pay_1")?;
    /// if let Begin::Fresh(lease) = store.begin(&key, Fingerprint::of(&[b"1"]))? {
    ///     lease.complete("done")?;
    /// }
    /// clock.advance(Duration::from_secs(60));
    /// assert_eq!(store.sweep()?.removed, 1);
    /// # Ok::<(), idemstore::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Busy`](crate::ErrorKind::Busy), [`Poisoned`](crate::ErrorKind::Poisoned), [`Closed`](crate::ErrorKind::Closed) and
    /// those of a write.
    pub fn sweep(&self) -> Result<SweepReport> {
        let shared = self.shared();
        let mut report = SweepReport::default();
        shared.check_writable()?;
        // In this order: looking at the clock may settle its doubt.
        let now = shared.now().wall;
        if shared.clock_doubted().is_none() {
            let removed = shared.storage.sweep_all(now);
            let removed = removed.map_err(|error| shared.failed_to_write("sweeping", error))?;
            shared.stats.swept(removed);
            (report.examined, report.removed) = (removed, removed);
        }
        let mut after = None;
        loop {
            let limit = shared.settings.sweep_batch;
            let step = shared.ask(|reply| Message::Sweep { after: after.take(), limit, reply })?;
            report.examined += step.examined;
            report.removed += step.removed;
            report.paused |= step.paused;
            match step.next {
                Some(next) => after = Some(next),
                None => return Ok(report),
            }
        }
    }

    /// Counts what a [`sweep`](Store::sweep) would remove now, and removes nothing. Looks at every record, while the store works.
    ///
    /// ```
    /// # use idemstore::{Begin, Fingerprint, Key, ManualClock, Options, Timestamp};
    /// # use std::{ops::ControlFlow, time::Duration};
    /// # let clock = ManualClock::new(Timestamp::from_millis(1_700_000_000_000));
    /// # let options = Options::new().clock(clock.clone()).retention(Duration::from_secs(60));
    /// # let store = options.sweep_interval(None).in_memory()?;
    /// # if let Begin::Fresh(lease) = store.begin(&Key::new("shop", "pay_1")?, Fingerprint::of(&[b"1"]))? {
    /// #     lease.complete("done")?;
    /// # }
    /// # clock.advance(Duration::from_secs(60));
    /// let preview = store.preview_sweep(|_| ControlFlow::Continue(()))?;
    /// assert_eq!(preview.removed, 1);
    /// assert_eq!(store.stats()?.completed, 1); // it is still there
    /// # Ok::<(), idemstore::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Corrupted`](crate::ErrorKind::Corrupted), [`Io`](crate::ErrorKind::Io), [`Closed`](crate::ErrorKind::Closed);
    /// [`Stopped`](crate::ErrorKind::Stopped) by `on_progress`.
    pub fn preview_sweep(&self, mut on_progress: impl FnMut(Progress) -> ControlFlow<()>) -> Result<SweepReport> {
        let shared = self.shared();
        let (now, total) = (shared.now(), shared.storage.counts().records());
        let paused = shared.clock_doubted().is_some();
        let mut report = SweepReport { paused, ..SweepReport::default() };
        shared.storage.walk_pages(PREVIEW_RECORDS, |_, rows| {
            report.examined += rows.len() as u64;
            let removable = rows.iter().filter(|row| row.record.as_ref().is_ok_and(|record| is_sweepable(record, now)));
            report.removed += if paused { 0 } else { removable.count() as u64 };
            proceed(&mut on_progress, report.examined, total)
        })?;
        Ok(report)
    }
}

/// Plans the first sweep of an open store.
pub(crate) fn plan(shared: &Shared) {
    if let Some(interval) = shared.settings.sweep_interval {
        plan_after(shared, interval, None);
    }
}

/// One step, on the timer thread. The writer's reply plans the next.
pub(crate) fn run(shared: &Arc<Shared>, after: Option<Position>) {
    let again = shared.clone();
    let started = shared.clock().monotonic();
    let reply = Box::new(move |result: Result<SweepStep>| match result.ok().and_then(|step| step.next) {
        Some(next) => {
            let took = again.clock().monotonic().saturating_sub(started);
            plan_after(&again, took.max(STEP_PAUSE_MIN), Some(next));
        }
        None => plan(&again),
    });
    let limit = shared.settings.sweep_batch;
    if shared.send(Message::Sweep { after, limit, reply }, Patience::None).is_err() {
        plan_after(shared, BUSY_PAUSE, None);
    }
}

fn plan_after(shared: &Shared, pause: Duration, after: Option<Position>) {
    let at = shared.clock().monotonic().saturating_add(pause);
    // A timer that has closed takes no more jobs, and needs none.
    let _ = shared.timer.at(at, Job::Sweep { after });
}
