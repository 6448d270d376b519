//! Another engine: a map behind a lock, right unless it is given a defect.

use idemstore::{
    Begin, BeginOptions, Clock as _, Ended, Error, ErrorKind, FencingToken, Fingerprint, Grant, IdempotencyStore, Key,
    ManualClock, Outcome, OutcomeKind, Renewing, Result, Timestamp,
};
use std::{
    collections::HashMap,
    future::{Future, poll_fn},
    sync::{Arc, Mutex, MutexGuard, Weak},
    task::{Poll, Waker},
    time::Duration,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defect {
    None,
    FencingForgotten,
    ReplayForAnotherRequest,
    TwoHolders,
    WakeUpLost,
    DeadlineForgotten,
    LapseNotSeenByWaiters,
    TakeoverTakenForFresh,
    LapseForgotten,
    ReleaseKeepsTheKey,
    PayloadTruncated,
    KindForgotten,
    TokensReused,
    TokensPerKey,
    CheckpointLost,
    CheckpointNotHandedOn,
    CheckpointNotReplaced,
    AttemptWithCheckpointSwept,
    ExpiredTooEarly,
    NeverExpired,
    RenewalIgnored,
    RenewalOfAnyLengthTheSame,
    LeaseOfAnyLengthTheSame,
    RenewalOfEndedAllowed,
    GuardRenewsNothing,
    GuardOutlivesItself,
    GuardSilent,
    EndNotRepeatable,
    EndOverwritten,
    LapsedHolderRefused,
    ScopesMixed,
    RetryAfterWrong,
}

struct Entry {
    fingerprint: Fingerprint,
    token: u64,
    attempt: u32,
    lapses: Duration,
    checkpoint: Option<Arc<[u8]>>,
    outcome: Option<Outcome>,
}

#[derive(Default)]
struct State {
    entries: HashMap<(String, String), Entry>,
    tokens: u64,
    waiting: Vec<((String, String), Waker)>,
    guards: Vec<(Weak<Guard>, Key)>,
}

/// A clone of the engine is the engine.
#[derive(Clone)]
pub struct Engine {
    state: Arc<Mutex<State>>,
    clock: ManualClock,
    defect: Defect,
}

#[derive(Clone)]
pub struct KeepAlive(Arc<Guard>);

struct Guard {
    token: FencingToken,
    lease: Duration,
    lost: Mutex<bool>,
}

impl Engine {
    pub fn new(clock: ManualClock, defect: Defect) -> Self {
        Self { state: Arc::default(), clock, defect }
    }

    fn is(&self, defect: Defect) -> bool {
        self.defect == defect
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn place(&self, key: &Key) -> (String, String) {
        if self.is(Defect::ScopesMixed) {
            return (String::new(), format!("{}{}", key.scope().as_str(), key.id()));
        }
        (key.scope().as_str().to_owned(), key.id().to_owned())
    }

    /// What a timer would do: called after every step of the clock.
    pub fn tick(&self) {
        let guards: Vec<_> = self.lock().guards.drain(..).collect();
        for (guard, key) in guards {
            let Some(alive) = guard.upgrade() else { continue };
            if !self.is(Defect::GuardRenewsNothing) && self.renew_now(&key, alive.token, alive.lease).is_err() {
                *alive.lost.lock().unwrap() = !self.is(Defect::GuardSilent);
            } else {
                self.lock().guards.push((guard, key));
            }
        }
        if !self.is(Defect::DeadlineForgotten) {
            self.wake(None);
        }
    }

    /// Wakes who waits for a key, or everybody.
    fn wake(&self, place: Option<&(String, String)>) {
        let waiting = std::mem::take(&mut self.lock().waiting);
        let (woken, others) = waiting.into_iter().partition::<Vec<_>, _>(|(of, _)| place.is_none_or(|place| place == of));
        self.lock().waiting.extend(others);
        for (_, waker) in woken {
            waker.wake();
        }
    }

    fn begin_now(&self, key: &Key, fingerprint: Fingerprint, lease: Duration) -> Begin<Grant> {
        let (now, wall) = (self.clock.monotonic(), self.clock.wall());
        let mut state = self.lock();
        let place = self.place(key);
        let mut earlier = state.entries.remove(&place);
        if let Some(outcome) = earlier.as_ref().and_then(|entry| entry.outcome.clone()) {
            let expires_at = match self.defect {
                Defect::ExpiredTooEarly => outcome.ended_at().saturating_add(Duration::from_secs(60)),
                Defect::NeverExpired => Timestamp::from_millis(u64::MAX),
                _ => outcome.expires_at(),
            };
            if expires_at <= wall {
                earlier = None;
            }
        }
        if let Some(entry) = &earlier
            && entry.outcome.is_none()
            && self.is(Defect::AttemptWithCheckpointSwept)
            && now > entry.lapses + Duration::from_secs(86_400)
        {
            earlier = None;
        }
        let answer = match earlier.as_ref() {
            Some(entry) if entry.fingerprint != fingerprint && !self.is(Defect::ReplayForAnotherRequest) => Some(Begin::Mismatch),
            Some(Entry { outcome: Some(outcome), .. }) => Some(Begin::Replay(outcome.clone())),
            Some(entry) if (now < entry.lapses || self.is(Defect::LapseForgotten)) && !self.is(Defect::TwoHolders) => {
                let mut retry_after = entry.lapses.saturating_sub(now);
                if self.is(Defect::RetryAfterWrong) {
                    retry_after *= 2;
                }
                Some(Begin::InFlight { retry_after, lease_expires_at: wall.saturating_add(retry_after) })
            }
            Some(_) | None => None,
        };
        if let Some(answer) = answer {
            state.entries.extend(earlier.map(|entry| (place, entry)));
            return answer;
        }
        let fresh = earlier.is_none() || self.is(Defect::TakeoverTakenForFresh) || self.is(Defect::TwoHolders);
        let earlier = earlier.filter(|_| !fresh);
        if !self.is(Defect::TokensReused) {
            state.tokens += 1;
        }
        let token =
            if self.is(Defect::TokensPerKey) { earlier.as_ref().map_or(1, |entry| entry.token + 1) } else { state.tokens.max(1) };
        let checkpoint = earlier.as_ref().and_then(|entry| entry.checkpoint.clone()).filter(|_| !self.is(Defect::CheckpointLost));
        let grant = Grant {
            token: FencingToken::new(token),
            attempt: earlier.as_ref().map_or(1, |entry| entry.attempt + 1),
            lease_expires_at: wall.saturating_add(lease),
            checkpoint: checkpoint.clone(),
        };
        let entry = Entry {
            fingerprint,
            token,
            attempt: grant.attempt,
            lapses: now + lease,
            checkpoint: checkpoint.filter(|_| !self.is(Defect::CheckpointNotHandedOn)),
            outcome: None,
        };
        state.entries.insert(place, entry);
        if fresh { Begin::Fresh(grant) } else { Begin::Takeover(grant) }
    }

    /// Changes the entry of a holder.
    fn held<T>(&self, key: &Key, token: FencingToken, change: impl FnOnce(&mut Entry) -> Option<T>) -> Result<T> {
        let lost = || Error::new(ErrorKind::LeaseLost, "the token is not the current one");
        let now = self.clock.monotonic();
        let mut state = self.lock();
        let entry = state.entries.get_mut(&self.place(key)).ok_or_else(lost)?;
        if entry.token != token.get() && !self.is(Defect::FencingForgotten) {
            return Err(lost());
        }
        if self.is(Defect::LapsedHolderRefused) && entry.outcome.is_none() && now >= entry.lapses {
            return Err(lost());
        }
        change(entry).ok_or_else(lost)
    }

    fn renew_now(&self, key: &Key, token: FencingToken, lease: Duration) -> Result<Timestamp> {
        let lease = if self.is(Defect::RenewalOfAnyLengthTheSame) { Duration::from_secs(30) } else { lease };
        let (now, wall) = (self.clock.monotonic(), self.clock.wall());
        self.held(key, token, |entry| {
            let allowed = entry.outcome.is_none() || self.is(Defect::RenewalOfEndedAllowed);
            if allowed && !self.is(Defect::RenewalIgnored) {
                entry.lapses = now + lease;
            }
            allowed.then(|| wall.saturating_add(lease))
        })
    }
}

impl IdempotencyStore for Engine {
    type KeepAlive = KeepAlive;

    async fn begin(&self, key: &Key, fingerprint: Fingerprint, options: BeginOptions) -> Result<Begin<Grant>> {
        let deadline = self.clock.monotonic() + options.wait_asked();
        let asked_lease = options.lease_asked().filter(|_| !self.is(Defect::LeaseOfAnyLengthTheSame));
        let lease = asked_lease.unwrap_or(Duration::from_secs(30));
        let mut asked = false;
        poll_fn(|context| {
            if asked && self.is(Defect::LapseNotSeenByWaiters) && self.clock.monotonic() < deadline {
                let ended = self.lock().entries.get(&self.place(key)).is_none_or(|entry| entry.outcome.is_some());
                if !ended {
                    self.lock().waiting.push((self.place(key), context.waker().clone()));
                    return Poll::Pending;
                }
            }
            asked = true;
            let answer = self.begin_now(key, fingerprint, lease);
            if matches!(answer, Begin::InFlight { .. }) && self.clock.monotonic() < deadline {
                self.lock().waiting.push((self.place(key), context.waker().clone()));
                return Poll::Pending;
            }
            Poll::Ready(Ok(answer))
        })
        .await
    }

    async fn end(
        &self,
        key: &Key,
        token: FencingToken,
        kind: OutcomeKind,
        payload: &[u8],
        retention: Option<Duration>,
    ) -> Result<Ended> {
        let wall = self.clock.wall();
        let payload =
            if self.is(Defect::PayloadTruncated) { payload.split_last().map_or(payload, |(_, rest)| rest) } else { payload };
        let kind = if self.is(Defect::KindForgotten) { OutcomeKind::Completed } else { kind };
        let ended = self.held(key, token, |entry| {
            if let Some(outcome) = entry.outcome.as_ref().filter(|_| !self.is(Defect::EndOverwritten)) {
                let same = outcome.kind() == kind && outcome.payload() == payload && !self.is(Defect::EndNotRepeatable);
                return same.then(|| Ended { kind, expires_at: outcome.expires_at() });
            }
            let expires_at = wall.saturating_add(retention.unwrap_or(Duration::from_secs(86_400)));
            entry.outcome = Some(Outcome::new(kind, payload, wall, expires_at));
            Some(Ended { kind, expires_at })
        });
        if !self.is(Defect::WakeUpLost) {
            self.wake(Some(&self.place(key)));
        }
        ended
    }

    async fn release(&self, key: &Key, token: FencingToken) -> Result<()> {
        self.held(key, token, |entry| entry.outcome.is_none().then_some(()))?;
        if !self.is(Defect::ReleaseKeepsTheKey) {
            self.lock().entries.remove(&self.place(key));
        }
        self.wake(Some(&self.place(key)));
        Ok(())
    }

    async fn renew(&self, key: &Key, token: FencingToken, lease: Duration) -> Result<Timestamp> {
        self.renew_now(key, token, lease)
    }

    async fn checkpoint(&self, key: &Key, token: FencingToken, data: &[u8]) -> Result<()> {
        self.held(key, token, |entry| {
            if entry.checkpoint.is_none() || !self.is(Defect::CheckpointNotReplaced) {
                entry.checkpoint = Some(data.into());
            }
            entry.outcome.is_none().then_some(())
        })
    }

    fn keep_alive(&self, key: &Key, token: FencingToken, lease: Duration) -> KeepAlive {
        let guard = Arc::new(Guard { token, lease, lost: Mutex::new(false) });
        self.lock().guards.push((Arc::downgrade(&guard), key.clone()));
        if self.is(Defect::GuardOutlivesItself) {
            std::mem::forget(guard.clone());
        }
        KeepAlive(guard)
    }
}

impl Renewing for KeepAlive {
    fn is_lost(&self) -> bool {
        *self.0.lost.lock().unwrap()
    }
}

/// Futures of the engine can be sent to other threads.
fn _is_send(engine: &Engine, key: &Key) -> impl Future<Output = Result<Begin<Grant>>> + Send {
    engine.begin(key, Fingerprint::of(&[]), BeginOptions::new())
}
