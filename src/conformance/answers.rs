use super::{
    Failure, Harness,
    subject::{LEASE, MS, Step, case, ensure, key, request, wrong},
    watched::Watched,
};
use crate::{Begin, BeginOptions, Fingerprint, IdempotencyStore, Key, OutcomeKind};

/// A key that was never used is granted as attempt 1.
///
/// # Errors
/// When it does not hold.
pub fn a_new_key_is_fresh<H: Harness>(harness: &H) -> Result<(), Failure> {
    case(harness, "a_new_key_is_fresh", async |subject| {
        let first = subject.fresh("a new key", "pay-1").await?;
        let second = subject.fresh("another new key", "pay-2").await?;
        ensure(first.token != second.token, || format!("two grants have the token {}", first.token))
    })
}

/// A key whose attempt ended is answered with exactly what it ended with, also long after the lease.
///
/// # Errors
/// When it does not hold.
pub fn an_ended_key_replays<H: Harness>(harness: &H) -> Result<(), Failure> {
    case(harness, "an_ended_key_replays", async |subject| {
        let every_byte: Vec<u8> = (0..=u8::MAX).collect();
        for (kind, payload) in
            [(OutcomeKind::Completed, &every_byte[..]), (OutcomeKind::Failed, b"declined"), (OutcomeKind::Completed, b"")]
        {
            let id = format!("{kind:?}-{}", payload.len());
            let grant = subject.fresh("a new key", &id).await?;
            let ended = subject.store.end(&key(&id)?, grant.token, kind, payload, None).await;
            let ended = ended.or_else(|error| wrong("the end of an attempt", "done", error))?;
            let outcome = subject.replay("a retry", &id, kind, payload).await?;
            ensure(outcome.expires_at() == ended.expires_at, || "the replay names another expiry than the end did".to_owned())?;
            subject.advance(LEASE + MS);
            subject.replay("a retry after the lease would have lapsed", &id, kind, payload).await?;
        }
        Ok(())
    })
}

/// A key that was used for one request is refused to another, in flight, lapsed and ended, and nothing is revealed or changed.
///
/// # Errors
/// When it does not hold.
pub fn another_request_is_a_mismatch<H: Harness>(harness: &H) -> Result<(), Failure> {
    case(harness, "another_request_is_a_mismatch", async |subject| {
        let mismatch = async |what: &str| -> Step {
            let asked = subject.store.begin(&key("pay")?, request("another"), BeginOptions::new().lease(LEASE)).await;
            if matches!(asked, Ok(Begin::Mismatch)) { Ok(()) } else { wrong(what, "a mismatch", asked) }
        };
        let grant = subject.fresh("a new key", "pay").await?;
        mismatch("another request, in flight").await?;
        subject.advance(LEASE + MS);
        mismatch("another request, lapsed").await?;
        subject.complete("the holder that nobody replaced", "pay", grant.token, b"receipt").await?;
        mismatch("another request, ended").await?;
        subject.replay("the first request", "pay", OutcomeKind::Completed, b"receipt").await.map(drop)
    })
}

/// While an attempt runs, a duplicate is told so, and how long the lease lasts.
///
/// # Errors
/// When it does not hold.
pub fn a_key_in_flight_is_in_flight<H: Harness>(harness: &H) -> Result<(), Failure> {
    case(harness, "a_key_in_flight_is_in_flight", async |subject| {
        subject.fresh("a new key", "pay").await?;
        let left = subject.in_flight("a duplicate", "pay").await?;
        ensure(left <= LEASE && left + LEASE / 10 >= LEASE, || {
            format!("of a lease of {LEASE:?} just granted, {left:?} are left")
        })?;
        subject.advance(LEASE / 2);
        let left = subject.in_flight("a duplicate in the middle of the lease", "pay").await?;
        ensure(left <= LEASE / 2, || format!("after half of a lease of {LEASE:?}, {left:?} are left"))
    })
}

/// A released key is granted anew, as if it had never been used, also to another request.
///
/// # Errors
/// When it does not hold.
pub fn a_released_key_is_fresh<H: Harness>(harness: &H) -> Result<(), Failure> {
    case(harness, "a_released_key_is_fresh", async |subject| {
        let grant = subject.fresh("a new key", "pay").await?;
        subject.release("the holder", "pay", grant.token).await?;
        let again = subject.fresh("the released key", "pay").await?;
        subject.refuses_all("the token of the released attempt", "pay", grant.token).await?;
        subject.release("the second holder", "pay", again.token).await?;
        let asked = subject.store.begin(&key("pay")?, request("another"), BeginOptions::new()).await;
        if matches!(asked, Ok(Begin::Fresh(_))) {
            Ok(())
        } else {
            wrong("another request after a release", "a fresh grant", asked)
        }
    })
}

/// The same id in two scopes is two keys, however scope and id are cut.
///
/// # Errors
/// When it does not hold.
pub fn scopes_are_apart<H: Harness>(harness: &H) -> Result<(), Failure> {
    case(harness, "scopes_are_apart", async |subject| {
        for (scope, id) in [("ab", "c"), ("a", "bc"), ("abc", "c"), ("ab", "bc"), ("AB", "c"), ("ab ", "c")] {
            let key = Key::new(scope, id).map_err(|error| error.to_string())?;
            let asked = subject.store.begin(&key, Fingerprint::of(&[scope.as_bytes(), id.as_bytes()]), BeginOptions::new()).await;
            let Ok(Begin::Fresh(grant)) = asked else {
                return wrong(&format!("scope {scope:?}, id {id:?}"), "a fresh grant", asked);
            };
            subject.store.complete(&key, grant.token, scope.as_bytes()).await.map_err(|error| error.to_string())?;
        }
        Ok(())
    })
}

/// A caller that goes away while it asks does not hold the key for longer than a lease.
///
/// # Errors
/// When it does not hold.
pub fn a_dropped_begin_does_not_hold_its_key<H: Harness>(harness: &H) -> Result<(), Failure> {
    case(harness, "a_dropped_begin_does_not_hold_its_key", async |subject| {
        let mut asking = Watched::new(subject.begin("pay"));
        asking.look().await;
        drop(asking);
        subject.fresh("an unrelated key", "other").await?;
        subject.advance(LEASE + MS);
        match subject.begin("pay").await {
            Ok(Begin::Fresh(_) | Begin::Takeover(_)) => Ok(()),
            other => wrong("the key, a lease later", "fresh or a takeover", other),
        }
    })
}
