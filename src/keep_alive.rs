use crate::{
    ErrorKind, FencingToken, Key, Result,
    queue::{Claim, Message, Request},
    shared::{Patience, Shared},
    sync::{
        Mutex,
        promise::{Fulfil, Promise, promise},
    },
    timer::Job,
    transition::Command,
};
use std::{
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

/// Resolves when the lease is lost: to `true`, or to `false` when renewal ended because the attempt did.
#[derive(Debug)]
pub struct LeaseLost(Promise<bool>);

/// A renewal that goes on.
pub(crate) struct Renewal {
    key: Key,
    token: FencingToken,
    lease: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// `Some(true)` when the lease was lost, `Some(false)` when nothing is left to renew.
    ended: Option<bool>,
    listeners: Vec<Fulfil<bool>>,
}

impl KeepAlive {
    pub(crate) fn start(shared: &Arc<Shared>, key: &Key, token: FencingToken, lease: Duration) -> Self {
        let renewal = Renewal { key: key.clone(), token, lease, state: Mutex::default() };
        let renewal = Arc::new(renewal);
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
        match state.ended {
            None => state.listeners.push(fulfil),
            Some(lost) => drop(fulfil.send(lost)),
        }
        LeaseLost(promise)
    }
}

impl Drop for KeepAlive {
    fn drop(&mut self) {
        self.0.end(false);
    }
}

impl LeaseLost {
    /// Blocks until the lease is lost (`true`) or renewal ended (`false`).
    pub fn wait(self) -> bool {
        self.0.wait().unwrap_or(false)
    }
}

impl Future for LeaseLost {
    type Output = bool;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<bool> {
        Pin::new(&mut self.0).poll(context).map(|lost| lost.unwrap_or(false))
    }
}

impl Renewal {
    /// Renews once, on the timer thread. The writer's reply plans the next.
    pub(crate) fn run(self: Arc<Self>, shared: &Arc<Shared>) {
        if self.state.lock().ended.is_some() {
            return;
        }
        let command = Command::Renew { token: self.token, lease: self.lease, retention: shared.settings.retention };
        let (this, again) = (self.clone(), shared.clone());
        let reply = Box::new(move |result: Result<Claim>| this.renewed(&again, result));
        let request = Request { key: self.key.clone(), command, reason: None, reply };
        if let Err(error) = shared.send(Message::Command(request), Patience::None) {
            self.renewed(shared, Err(error));
        }
    }

    fn renewed(self: Arc<Self>, shared: &Arc<Shared>, result: Result<Claim>) {
        use crate::transition::Answer::Renewed;
        match result.map(Claim::claim) {
            Ok(Renewed { .. }) => self.plan(shared, self.lease / RENEWALS_PER_LEASE),
            Err(error) if matches!(error.kind(), ErrorKind::Busy | ErrorKind::Full) => {
                self.plan(shared, self.lease / RETRIES_PER_LEASE);
            }
            Err(error) if error.kind() == ErrorKind::Closed => self.end(false),
            Ok(_) | Err(_) => self.end(true),
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
        for listener in listeners {
            let _ = listener.send(lost);
        }
    }
}

impl fmt::Debug for Renewal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Renewal({}, token {}, every {:?})", self.key, self.token, self.lease / RENEWALS_PER_LEASE)
    }
}
