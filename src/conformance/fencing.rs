use super::{
    Failure, Harness,
    subject::{LEASE, MS, case, ensure, key, lease_lost},
};
use crate::{FencingToken, IdempotencyStore, OutcomeKind};

/// Whoever was replaced can do nothing to the record, before and after its new holder ends; nor can a made-up token.
///
/// # Errors
/// When it does not hold.
pub fn a_stale_token_changes_nothing<H: Harness>(harness: &H) -> Result<(), Failure> {
    case(harness, "a_stale_token_changes_nothing", async |subject| {
        let stale = subject.fresh("a new key", "pay").await?;
        subject.advance(LEASE + MS);
        let holder = subject.takeover("after the lease lapsed", "pay", 2).await?;
        subject.refuses_all("a stale token", "pay", stale.token).await?;
        subject.refuses_all("a token of the future", "pay", FencingToken::new(holder.token.get() + 1)).await?;
        subject.refuses_all("a token for a key that does not exist", "no such key", holder.token).await?;
        subject.in_flight("after the stale commands", "pay").await?;
        subject.complete("the holder", "pay", holder.token, b"receipt").await?;
        subject.refuses_all("a stale token after the end", "pay", stale.token).await?;
        subject.replay("a retry", "pay", OutcomeKind::Completed, b"receipt").await.map(drop)
    })
}

/// An attempt that ended is not released, renewed, marked or ended otherwise.
///
/// # Errors
/// When it does not hold.
pub fn an_ended_attempt_cannot_go_on<H: Harness>(harness: &H) -> Result<(), Failure> {
    case(harness, "an_ended_attempt_cannot_go_on", async |subject| {
        let grant = subject.fresh("a new key", "pay").await?;
        subject.complete("the holder", "pay", grant.token, b"receipt").await?;
        subject.refuses_all("the token of an ended attempt", "pay", grant.token).await?;
        let (store, key) = (&subject.store, key("pay")?);
        lease_lost("an ended attempt", "fail with the same payload", store.fail(&key, grant.token, b"receipt").await)?;
        subject.replay("a retry", "pay", OutcomeKind::Completed, b"receipt").await.map(drop)
    })
}

/// Whoever lost the answer to its end may say it again and is told the same.
///
/// # Errors
/// When it does not hold.
pub fn an_end_can_be_repeated<H: Harness>(harness: &H) -> Result<(), Failure> {
    case(harness, "an_end_can_be_repeated", async |subject| {
        let grant = subject.fresh("a new key", "pay").await?;
        let key = key("pay")?;
        let first = subject.store.complete(&key, grant.token, b"receipt").await.map_err(|error| error.to_string())?;
        subject.advance(LEASE + MS);
        let again = subject.store.complete(&key, grant.token, b"receipt").await;
        ensure(again.as_ref().is_ok_and(|again| *again == first), || {
            format!("the second time: expected {first:?}, got {again:?}")
        })
    })
}

/// Every grant has a higher token than every earlier one, of whatever key, also after releases.
///
/// # Errors
/// When it does not hold.
pub fn tokens_rise<H: Harness>(harness: &H) -> Result<(), Failure> {
    case(harness, "tokens_rise", async |subject| {
        let mut highest = 0;
        for id in ["a", "b", "a", "c", "b", "a"] {
            let grant = subject.fresh("a free key", id).await?;
            ensure(grant.token.get() > highest, || format!("token {} follows {highest}", grant.token))?;
            highest = grant.token.get();
            subject.release("the holder", id, grant.token).await?;
        }
        Ok(())
    })
}
