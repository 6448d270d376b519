use crate::{
    ErrorKind, FencingToken, Key, Result, State,
    queue::{Claim, Message, Request},
    shared::{Patience, Shared},
    sync::{
        Mutex,
        promise::{Fulfil, Promise, promise},
    },
    timer::Job,
    transition::{Answer, Command},
};
use std::{
    collections::BTreeMap,
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

/// A lease is renewed when a third of it has passed, so that two renewals may fail before it lapses.
const RENEWALS_PER_LEASE: u32 = 3;
/// A renewal that found no room is tried again after this part of the lease.
const RETRIES_PER_LEASE: u32 = 20;

/// Renews a lease in the background until it is dropped, the attempt ends, or the lease is lost.
///
/// Made by [`Lease::keep_alive`](crate::Lease::keep_alive). Renewals stop with the process, so a crash still makes the
/// attempt a takeover at once.
#[must_use = "renewal stops when this is dropped"]
#[derive(Debug)]
pub struct KeepAlive(Arc<Renewal>);

/// Resolves when the lease is lost: to `true`, or to `false` when renewal ended because the attempt did, the guard was dropped
/// or the store was closed.
#[derive(Debug)]
pub struct LeaseLost {
    promise: Promise<bool>,
    renewal: Arc<Renewal>,
    id: u64,
}

/// A renewal that goes on.
pub(crate) struct Renewal {
    key: Key,
    token: FencingToken,
    lease: Duration,
    state: Mutex<Progress>,
}

#[derive(Default)]
struct Progress {
    /// `Some(true)` when the lease was lost, `Some(false)` when nothing is left to renew.
    ended: Option<bool>,
    /// When the lease lapses unless it is renewed, on the monotonic clock.
    lapses: Duration,
    listeners: BTreeMap<u64, Fulfil<bool>>,
    next_id: u64,
}

/// Hands the writer's answer to the renewal, or the lack of one.
struct Report {
    renewal: Option<Arc<Renewal>>,
    shared: Arc<Shared>,
}

impl Report {
    fn tell(mut self, result: Result<Claim>) {
        if let Some(renewal) = self.renewal.take() {
            renewal.renewed(&self.shared, result);
        }
    }
}

impl Drop for Report {
    /// There was no room, or the writer is gone.
    fn drop(&mut self) {
        if let Some(renewal) = self.renewal.take() {
            let kind = self.shared.check_writable().err().map_or(ErrorKind::Busy, |error| error.kind());
            renewal.retry(&self.shared, kind);
        }
    }
}

impl KeepAlive {
    pub(crate) fn start(shared: &Arc<Shared>, key: &Key, token: FencingToken, lease: Duration) -> Self {
        let lapses = shared.clock().monotonic().saturating_add(lease);
        let state = Mutex::new(Progress { lapses, ..Progress::default() });
        let renewal = Arc::new(Renewal { key: key.clone(), token, lease, state });
        renewal.plan(shared, lease / RENEWALS_PER_LEASE);
        Self(renewal)
    }

    /// Returns whether the lease was lost: stop working under it. Also true when renewal cannot be made durable any more.
    pub fn is_lost(&self) -> bool {
        self.0.state.lock().ended == Some(true)
    }

    /// Returns what resolves when the lease is lost, to be raced against the work.
    pub fn lost(&self) -> LeaseLost {
        let (fulfil, promise) = promise();
        let mut state = self.0.state.lock();
        let id = state.next_id;
        state.next_id += 1;
        match state.ended {
            None => drop(state.listeners.insert(id, fulfil)),
            Some(lost) => drop(fulfil.send(lost)),
        }
        LeaseLost { promise, renewal: self.0.clone(), id }
    }
}

impl Drop for KeepAlive {
    fn drop(&mut self) {
        self.0.end(false);
    }
}

impl LeaseLost {
    /// Blocks until the lease is lost (`true`) or renewal ended (`false`).
    pub fn wait(mut self) -> bool {
        let (_, spent) = promise();
        std::mem::replace(&mut self.promise, spent).wait().unwrap_or(false)
    }
}

impl Future for LeaseLost {
    type Output = bool;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<bool> {
        Pin::new(&mut self.promise).poll(context).map(|lost| lost.unwrap_or(false))
    }
}

impl Drop for LeaseLost {
    fn drop(&mut self) {
        let listener = self.renewal.state.lock().listeners.remove(&self.id);
        drop(listener);
    }
}

impl Renewal {
    /// Renews once, on the timer thread. The writer's reply plans the next.
    pub(crate) fn run(self: Arc<Self>, shared: &Arc<Shared>) {
        if self.state.lock().ended.is_some() {
            return;
        }
        let command = Command::Renew { token: self.token, lease: self.lease, retention: shared.settings.retention };
        let report = Report { renewal: Some(self.clone()), shared: shared.clone() };
        let reply = Box::new(move |result: Result<Claim>| report.tell(result));
        let request = Request { key: self.key.clone(), command, reason: None, reply };
        // A request that cannot be sent is dropped, and its report tells the renewal.
        let _ = shared.send(Message::Command(request), Patience::None);
    }

    fn renewed(self: Arc<Self>, shared: &Arc<Shared>, result: Result<Claim>) {
        match result.map(Claim::claim) {
            Ok(Answer::Renewed { .. }) => {
                self.state.lock().lapses = shared.clock().monotonic().saturating_add(self.lease);
                self.plan(shared, self.lease / RENEWALS_PER_LEASE);
            }
            Ok(_) => self.end(!self.is_ended_by_its_holder(shared)),
            Err(error) => self.retry(shared, error.kind()),
        }
    }

    fn is_ended_by_its_holder(&self, shared: &Shared) -> bool {
        let record = shared.storage.read(|reader| reader.get(&self.key)).ok().flatten();
        record.is_some_and(|record| record.token == self.token && record.state != State::InFlight)
    }

    /// A renewal that did not happen is tried again while the lease lasts.
    fn retry(self: Arc<Self>, shared: &Arc<Shared>, kind: ErrorKind) {
        let is_hopeless = matches!(kind, ErrorKind::Poisoned | ErrorKind::Indeterminate | ErrorKind::Closed);
        let has_lapsed = shared.clock().monotonic() >= self.state.lock().lapses;
        if is_hopeless || has_lapsed {
            self.end(kind != ErrorKind::Closed);
        } else {
            self.plan(shared, self.lease / RETRIES_PER_LEASE);
        }
    }

    fn plan(self: &Arc<Self>, shared: &Shared, pause: Duration) {
        if self.state.lock().ended.is_none() {
            let at = shared.clock().monotonic().saturating_add(pause);
            if shared.timer.at(at, Job::Renew(self.clone())).is_none() {
                self.end(false);
            }
        }
    }

    /// Ends the renewal and tells those who listen.
    pub(crate) fn end(&self, lost: bool) {
        let listeners = {
            let mut state = self.state.lock();
            state.ended.get_or_insert(lost);
            std::mem::take(&mut state.listeners)
        };
        for listener in listeners.into_values() {
            let _ = listener.send(lost);
        }
    }
}

impl fmt::Debug for Renewal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Renewal({}, token {}, every {:?})", self.key, self.token, self.lease / RENEWALS_PER_LEASE)
    }
}
