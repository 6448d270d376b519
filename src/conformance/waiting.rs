use super::{
    Failure, Harness,
    subject::{LEASE, MS, Step, Subject, case, key, request, wrong},
    watched::Watched,
};
use crate::{Begin, BeginOptions, Grant, IdempotencyStore, Result as Answered};
use std::time::Duration;

const WAIT: Duration = Duration::from_secs(60);

type Waiter<'s> = Watched<'s, Answered<Begin<Grant>>>;

impl<H: Harness> Subject<'_, H> {
    /// Starts a duplicate that waits, and makes sure that it does.
    async fn waiter(&self, wait: Duration) -> Step<Waiter<'_>> {
        let key = key("pay")?;
        let options = BeginOptions::new().lease(LEASE).wait(wait);
        let mut waiter = Watched::new(async move { self.store.begin(&key, request("pay"), options).await });
        for _ in 0..8 {
            waiter.alongside(self.unrelated_commands()).await?;
            if let Some(answer) = waiter.look().await {
                return wrong("a duplicate that may wait", "no answer yet", answer);
            }
        }
        Ok(waiter)
    }

    async fn answer_of(&self, what: &str, mut waiter: Waiter<'_>) -> Step<Answered<Begin<Grant>>> {
        self.soon(what, async |_| Ok(waiter.look().await)).await
    }
}

/// A duplicate that waits is woken when the attempt ends, and gets the outcome.
///
/// # Errors
/// When it does not hold.
pub fn a_waiter_gets_the_outcome<H: Harness>(harness: &H) -> Result<(), Failure> {
    case(harness, "a_waiter_gets_the_outcome", async |subject| {
        let grant = subject.fresh("a new key", "pay").await?;
        let mut waiters = Vec::new();
        for _ in 0..3 {
            waiters.push(subject.waiter(WAIT).await?);
        }
        subject.complete("the holder", "pay", grant.token, b"receipt").await?;
        for waiter in waiters {
            match subject.answer_of("the answer to a waiter after the end", waiter).await? {
                Ok(Begin::Replay(outcome)) if outcome.payload() == b"receipt" => (),
                other => return wrong("a waiter after the end", "a replay", other),
            }
        }
        Ok(())
    })
}

/// A duplicate that waits is granted the key when it is released.
///
/// # Errors
/// When it does not hold.
pub fn a_waiter_runs_a_released_key<H: Harness>(harness: &H) -> Result<(), Failure> {
    case(harness, "a_waiter_runs_a_released_key", async |subject| {
        let grant = subject.fresh("a new key", "pay").await?;
        let waiter = subject.waiter(WAIT).await?;
        subject.release("the holder", "pay", grant.token).await?;
        match subject.answer_of("the answer to a waiter after the release", waiter).await? {
            Ok(Begin::Fresh(_)) => Ok(()),
            other => wrong("a waiter after the release", "a fresh grant", other),
        }
    })
}

/// A duplicate that waits takes over when the lease lapses.
///
/// # Errors
/// When it does not hold.
pub fn a_waiter_takes_over_a_lapsed_key<H: Harness>(harness: &H) -> Result<(), Failure> {
    case(harness, "a_waiter_takes_over_a_lapsed_key", async |subject| {
        subject.fresh("a new key", "pay").await?;
        let waiter = subject.waiter(WAIT).await?;
        subject.advance(LEASE + MS + MS);
        match subject.answer_of("the answer to a waiter after the lease lapsed", waiter).await? {
            Ok(Begin::Takeover(grant)) if grant.attempt == 2 => Ok(()),
            other => wrong("a waiter after the lease lapsed", "a takeover, attempt 2", other),
        }
    })
}

/// A duplicate waits no longer than it asked for.
///
/// # Errors
/// When it does not hold.
pub fn a_waiter_is_told_when_its_time_is_up<H: Harness>(harness: &H) -> Result<(), Failure> {
    case(harness, "a_waiter_is_told_when_its_time_is_up", async |subject| {
        subject.fresh("a new key", "pay").await?;
        let waiter = subject.waiter(LEASE / 2).await?;
        subject.advance(LEASE / 2 + MS);
        match subject.answer_of("the answer to a waiter whose time is up", waiter).await? {
            Ok(Begin::InFlight { .. }) => Ok(()),
            other => wrong("a waiter whose time is up", "in flight", other),
        }
    })
}
