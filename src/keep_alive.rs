use crate::{
    ErrorKind, FencingToken, Key, Result,
    queue::{Claim, Message, Request},
    shared::{Patience, Shared},
    sync::{
        Mutex,
        promise::{Fulfil, Promise, promise},
    },
    timer::Job,
    transition::{Answer, Command, held_by, lease_left},
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
///
/// ```
/// # use idemstore::{Begin, Fingerprint, Key, Store};
/// # let store = Store::in_memory()?;
/// # let Begin::Fresh(lease) = store.begin(&Key::new("shop", "pay_1")?, Fingerprint::of(&[]))? else { panic!() };
/// let renewing = lease.keep_alive();
/// for _step in 0..3 {
///     if renewing.is_lost() {
///         break; // somebody else decides now
///     }
/// }
/// drop(renewing);
/// lease.complete("done")?;
/// # Ok::<(), idemstore::Error>(())
/// ```
#[must_use = "renewal stops when this is dropped"]
#[derive(Debug)]
pub struct KeepAlive(Arc<Status>);

/// Resolves when the lease is lost: to `true`, or to `false` when renewal ended because the attempt got its outcome, the
/// guard was dropped or the store closed.
#[derive(Debug)]
pub struct LeaseLost {
    promise: Promise<bool>,
    status: Arc<Status>,
    id: u64,
}

/// A renewal that goes on: held by whatever drives it next, a timer's job or the writer's reply. When nothing does any more,
/// because the store closed or one of its threads died, it ends, so that nobody listens for ever.
pub(crate) struct Renewal {
    shared: Arc<Shared>,
    key: Key,
    token: FencingToken,
    lease: Duration,
    status: Arc<Status>,
}

/// What became of a renewal.
#[derive(Default)]
struct Status(Mutex<State>);

#[derive(Default)]
struct State {
    /// `Some(true)` when the lease was lost, `Some(false)` when nothing is left to renew.
    ended: Option<bool>,
    /// When the lease lapses unless it is renewed, on the monotonic clock.
    lapses: Duration,
    listeners: BTreeMap<u64, Fulfil<bool>>,
    next_id: u64,
}

impl KeepAlive {
    pub(crate) fn start(shared: &Arc<Shared>, key: &Key, token: FencingToken, lease: Duration) -> Self {
        // The lease that runs now may be a shorter one, or nearly over.
        let left = left_of(shared, key, token);
        let state = State { lapses: shared.clock().monotonic().saturating_add(left), ..State::default() };
        let status = Arc::new(Status(Mutex::new(state)));
        let renewal = Renewal { shared: shared.clone(), key: key.clone(), token, lease, status: status.clone() };
        Arc::new(renewal).plan(lease.min(left) / RENEWALS_PER_LEASE);
        Self(status)
    }

    /// Returns whether the lease was lost: stop working under it. Also true when renewal cannot be made durable any more.
    pub fn is_lost(&self) -> bool {
        self.0.ended() == Some(true)
    }

    /// Returns what resolves when the lease is lost, to be raced against the work.
    pub fn lost(&self) -> LeaseLost {
        let (fulfil, promise) = promise();
        let mut state = self.0.0.lock();
        let id = state.next_id;
        state.next_id += 1;
        match state.ended {
            None => drop(state.listeners.insert(id, fulfil)),
            Some(lost) => drop(fulfil.send(lost)),
        }
        LeaseLost { promise, status: self.0.clone(), id }
    }
}

/// Returns for how long a lease still lasts; if that cannot be told, nothing of it is taken for granted.
fn left_of(shared: &Shared, key: &Key, token: FencingToken) -> Duration {
    let record = shared.storage.get(key).ok().flatten();
    held_by(record.as_ref(), token).map_or(Duration::ZERO, |record| lease_left(record, shared.now()))
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
        let listener = self.status.0.lock().listeners.remove(&self.id);
        drop(listener);
    }
}

impl Renewal {
    /// Renews once, on the timer thread. The writer's reply plans the next.
    pub(crate) fn run(self: Arc<Self>) {
        if self.status.ended().is_some() {
            return;
        }
        let command = Command::Renew { token: self.token, lease: self.lease, retention: self.shared.settings.retention };
        let this = self.clone();
        let reply = Box::new(move |result: Result<Claim>| this.renewed(result));
        let request = Request { key: self.key.clone(), command, reason: None, seen: None, reply };
        if let Err(error) = self.shared.send(Message::Command(request), Patience::None) {
            self.renewed(Err(error));
        }
    }

    fn renewed(self: Arc<Self>, result: Result<Claim>) {
        match result.map(Claim::claim) {
            Ok(Answer::Renewed { .. }) => {
                self.status.0.lock().lapses = self.shared.clock().monotonic().saturating_add(self.lease);
                let pause = self.lease / RENEWALS_PER_LEASE;
                self.plan(pause);
            }
            Ok(_) => self.status.end(!self.has_outcome()),
            Err(error) => self.failed(error.kind()),
        }
    }

    /// A renewal that did not happen is tried again while the lease lasts.
    fn failed(self: Arc<Self>, kind: ErrorKind) {
        let is_hopeless = matches!(kind, ErrorKind::Poisoned | ErrorKind::Indeterminate | ErrorKind::Closed);
        let has_lapsed = self.shared.clock().monotonic() >= self.status.0.lock().lapses;
        if is_hopeless || has_lapsed {
            self.status.end(kind != ErrorKind::Closed);
        } else {
            let pause = self.lease / RETRIES_PER_LEASE;
            self.plan(pause);
        }
    }

    /// Returns whether the attempt ended under its own token: then nothing was lost.
    fn has_outcome(&self) -> bool {
        let record = self.shared.storage.get(&self.key);
        matches!(record, Ok(Some(record)) if record.token() == self.token && record.outcome().is_some())
    }

    fn plan(self: Arc<Self>, pause: Duration) {
        if self.status.ended().is_none() {
            let shared = self.shared.clone();
            let at = shared.clock().monotonic().saturating_add(pause);
            let _ = shared.timer.at(at, Job::Renew(self));
        }
    }
}

impl Drop for Renewal {
    fn drop(&mut self) {
        self.status.end(!self.shared.queue().is_closed());
    }
}

impl Status {
    fn ended(&self) -> Option<bool> {
        self.0.lock().ended
    }

    /// Ends the renewal, if it has not ended, and tells everybody.
    fn end(&self, lost: bool) {
        let (lost, listeners) = {
            let mut state = self.0.lock();
            (*state.ended.get_or_insert(lost), std::mem::take(&mut state.listeners))
        };
        for listener in listeners.into_values() {
            let _ = listener.send(lost);
        }
    }
}

impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Status({:?})", self.ended())
    }
}
