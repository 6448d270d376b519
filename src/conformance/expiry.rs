use super::{
    Failure, Harness,
    subject::{LEASE, MS, RETENTION, case, ensure},
};
use crate::OutcomeKind;

/// An outcome is replayed until its retention is over, and not a moment less.
///
/// # Errors
/// When it does not hold.
pub fn an_outcome_lasts_for_its_retention<H: Harness>(harness: &H) -> Result<(), Failure> {
    case(harness, "an_outcome_lasts_for_its_retention", async |subject| {
        let grant = subject.fresh("a new key", "pay").await?;
        subject.complete("the holder", "pay", grant.token, b"receipt").await?;
        subject.advance(RETENTION.saturating_sub(MS * 2));
        let outcome = subject.replay("just before the expiry", "pay", OutcomeKind::Completed, b"receipt").await?;
        let kept = outcome.expires_at().saturating_since(outcome.ended_at());
        ensure(kept >= RETENTION, || format!("a retention of {RETENTION:?} was asked for, {kept:?} is published"))
    })
}

/// A key past its retention is granted anew.
///
/// # Errors
/// When it does not hold.
pub fn an_expired_key_is_fresh<H: Harness>(harness: &H) -> Result<(), Failure> {
    case(harness, "an_expired_key_is_fresh", async |subject| {
        let first = subject.fresh("a new key", "pay").await?;
        subject.complete("the holder", "pay", first.token, b"receipt").await?;
        subject.advance(RETENTION + MS);
        let second = subject.fresh("after the retention", "pay").await?;
        ensure(second.token > first.token, || format!("token {} follows {}", second.token, first.token))?;
        subject.refuses_all("the token of the expired attempt", "pay", first.token).await
    })
}

/// An attempt that said that its effect may have started is never forgotten, however long nobody ends it.
///
/// # Errors
/// When it does not hold.
pub fn a_checkpointed_attempt_outlives_every_retention<H: Harness>(harness: &H) -> Result<(), Failure> {
    case(harness, "a_checkpointed_attempt_outlives_every_retention", async |subject| {
        let grant = subject.fresh("a new key", "pay").await?;
        subject.checkpoint("the holder", "pay", grant.token, b"charge requested").await?;
        subject.advance(LEASE + RETENTION * 24 * 400);
        subject.takeover("400 days later", "pay", 2).await.map(drop)
    })
}
