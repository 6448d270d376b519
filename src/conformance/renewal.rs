use super::{
    Failure, Harness,
    subject::{LEASE, MS, NEARLY_A_LEASE, case, ensure, key, request, wrong},
};
use crate::{Begin, BeginOptions, IdempotencyStore, Renewing};

/// A renewal starts the lease anew.
///
/// # Errors
/// When it does not hold.
pub fn a_renewed_lease_lasts<H: Harness>(harness: &H) -> Result<(), Failure> {
    case(harness, "a_renewed_lease_lasts", async |subject| {
        let grant = subject.fresh("a new key", "pay").await?;
        for _ in 0..3 {
            subject.advance(NEARLY_A_LEASE);
            let renewed = subject.store.renew(&key("pay")?, grant.token, LEASE).await;
            let until = renewed.or_else(|error| wrong("a renewal in time", "done", error))?;
            ensure(until > grant.lease_expires_at, || "a renewed lease ends no later than before".to_owned())?;
            subject.in_flight("after the renewal", "pay").await?;
        }
        subject.advance(NEARLY_A_LEASE);
        subject.in_flight("just before the renewed lease lapses", "pay").await?;
        subject.advance(MS + MS);
        subject.takeover("after it lapsed", "pay", 2).await.map(drop)
    })
}

/// A grant and a renewal last as long as was asked, be that longer or shorter than before: who leaves an attempt cuts its lease so.
///
/// # Errors
/// When it does not hold.
pub fn a_lease_is_as_long_as_it_was_asked_for<H: Harness>(harness: &H) -> Result<(), Failure> {
    case(harness, "a_lease_is_as_long_as_it_was_asked_for", async |subject| {
        let (key, options) = (key("pay")?, BeginOptions::new().lease(LEASE * 3));
        let asked = subject.store.begin(&key, request("pay"), options).await;
        let Ok(Begin::Fresh(grant)) = asked else { return wrong("a new key", "a fresh grant", asked) };
        subject.advance(LEASE * 2);
        subject.in_flight("in the last third of a long lease", "pay").await?;
        for lease in [LEASE * 2, LEASE / 10] {
            let renewed = subject.store.renew(&key, grant.token, lease).await;
            renewed.or_else(|error| wrong("a renewal in time", "done", error))?;
            subject.advance(lease.saturating_sub(MS));
            subject.in_flight("just before the renewed lease lapses", "pay").await?;
        }
        subject.advance(MS + MS);
        subject.takeover("after the short renewal lapsed", "pay", 2).await.map(drop)
    })
}

/// A guard renews the lease for as long as it is kept.
///
/// # Errors
/// When it does not hold.
pub fn a_guard_renews_the_lease<H: Harness>(harness: &H) -> Result<(), Failure> {
    case(harness, "a_guard_renews_the_lease", async |subject| {
        let grant = subject.fresh("a new key", "pay").await?;
        let guard = subject.store.keep_alive(&key("pay")?, grant.token, LEASE);
        for _ in 0..6 {
            subject.advance(LEASE / 2);
            let renewed = subject.soon("a renewal half a lease later", async |subject| {
                let left = subject.in_flight("a key that is kept alive", "pay").await?;
                Ok((left > LEASE * 3 / 4).then_some(()))
            });
            renewed.await?;
            ensure(!guard.is_lost(), || "the guard says that a renewed lease is lost".to_owned())?;
        }
        subject.complete("the holder", "pay", grant.token, b"receipt").await
    })
}

/// Renewal ends with its guard.
///
/// # Errors
/// When it does not hold.
pub fn a_dropped_guard_renews_no_more<H: Harness>(harness: &H) -> Result<(), Failure> {
    case(harness, "a_dropped_guard_renews_no_more", async |subject| {
        let grant = subject.fresh("a new key", "pay").await?;
        drop(subject.store.keep_alive(&key("pay")?, grant.token, LEASE));
        subject.advance(LEASE + MS);
        subject.pause();
        subject.takeover("after the lease lapsed", "pay", 2).await.map(drop)
    })
}

/// A guard says that its lease is lost once somebody else has the key.
///
/// # Errors
/// When it does not hold.
pub fn a_guard_tells_that_the_lease_is_lost<H: Harness>(harness: &H) -> Result<(), Failure> {
    case(harness, "a_guard_tells_that_the_lease_is_lost", async |subject| {
        let grant = subject.fresh("a new key", "pay").await?;
        let guard = subject.store.keep_alive(&key("pay")?, grant.token, LEASE);
        ensure(!guard.is_lost(), || "the guard of a live lease says that it is lost".to_owned())?;
        subject.release("somebody with the token", "pay", grant.token).await?;
        let usurper = subject.fresh("the released key", "pay").await?;
        subject.advance(LEASE / 2);
        subject.soon("the news that the lease is lost", async |_| Ok(guard.is_lost().then_some(()))).await?;
        subject.complete("the holder", "pay", usurper.token, b"receipt").await
    })
}
