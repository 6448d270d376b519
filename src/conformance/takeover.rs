use super::{
    Failure, Harness,
    subject::{LEASE, MS, NEARLY_A_LEASE, case, ensure},
};
use crate::OutcomeKind;

/// A key whose lease lapsed is granted as a takeover, once, with a higher token, the next attempt and the last checkpoint.
///
/// # Errors
/// When it does not hold.
pub fn a_lapsed_lease_is_a_takeover<H: Harness>(harness: &H) -> Result<(), Failure> {
    case(harness, "a_lapsed_lease_is_a_takeover", async |subject| {
        let first = subject.fresh("a new key", "pay").await?;
        subject.checkpoint("the holder", "pay", first.token, b"customer found").await?;
        subject.checkpoint("the holder, later", "pay", first.token, b"charge requested").await?;
        subject.advance(NEARLY_A_LEASE);
        subject.in_flight("just before the lease lapses", "pay").await?;
        subject.advance(MS + MS);
        let second = subject.takeover("after the lease lapsed", "pay", 2).await?;
        ensure(second.token > first.token, || format!("the takeover's token {} is not above {}", second.token, first.token))?;
        ensure(second.checkpoint.as_deref() == Some(b"charge requested"), || {
            format!("the takeover has the checkpoint {:?}, and not the last one", second.checkpoint)
        })?;
        subject.in_flight("a duplicate of the takeover", "pay").await?;
        subject.complete("the second holder", "pay", second.token, b"receipt").await?;
        subject.replay("a retry", "pay", OutcomeKind::Completed, b"receipt").await.map(drop)
    })
}

/// A takeover that dies without a checkpoint of its own hands on the one that it was given.
///
/// # Errors
/// When it does not hold.
pub fn a_checkpoint_outlives_a_takeover_without_one<H: Harness>(harness: &H) -> Result<(), Failure> {
    case(harness, "a_checkpoint_outlives_a_takeover_without_one", async |subject| {
        let first = subject.fresh("a new key", "pay").await?;
        subject.checkpoint("the holder", "pay", first.token, b"charge requested").await?;
        for attempt in 2..=4 {
            subject.advance(LEASE + MS);
            let grant = subject.takeover("after the lease lapsed", "pay", attempt).await?;
            ensure(grant.checkpoint.as_deref() == Some(b"charge requested"), || {
                format!("attempt {attempt} lacks the checkpoint")
            })?;
        }
        Ok(())
    })
}

/// A holder whose lease lapsed, but who was not replaced, ends its attempt.
///
/// # Errors
/// When it does not hold.
pub fn a_lapsed_holder_may_still_end<H: Harness>(harness: &H) -> Result<(), Failure> {
    case(harness, "a_lapsed_holder_may_still_end", async |subject| {
        let grant = subject.fresh("a new key", "pay").await?;
        subject.advance(LEASE + MS);
        subject.complete("the holder that nobody replaced", "pay", grant.token, b"receipt").await?;
        subject.replay("a retry", "pay", OutcomeKind::Completed, b"receipt").await.map(drop)
    })
}
