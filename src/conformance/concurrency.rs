use super::{
    Failure, Harness,
    subject::{LEASE, MS, case, ensure, wrong},
    watched::Watched,
};
use crate::{Begin, OutcomeKind};

const CALLERS: usize = 64;

/// Of many callers at once exactly one gets the key: when it is new, and again when it lapsed.
///
/// # Errors
/// When it does not hold.
pub fn many_callers_get_one_holder<H: Harness>(harness: &H) -> Result<(), Failure> {
    case(harness, "many_callers_get_one_holder", async |subject| {
        for attempt in 1..=3 {
            let callers = (0..CALLERS).map(|_| Watched::new(subject.begin("pay"))).collect();
            let mut holders = Vec::new();
            for answer in Watched::all(callers).await {
                match answer {
                    Ok(Begin::Fresh(grant) | Begin::Takeover(grant)) => holders.push(grant),
                    Ok(Begin::InFlight { .. }) => (),
                    other => return wrong("one of many callers", "a grant or in flight", other),
                }
            }
            let [holder] = &holders[..] else { return wrong("many callers at once", "one holder", holders) };
            ensure(holder.attempt == attempt, || format!("expected attempt {attempt}, got {}", holder.attempt))?;
            subject.advance(LEASE + MS);
        }
        Ok(())
    })
}

/// Many keys at once are granted, ended and replayed, each with its own payload.
///
/// # Errors
/// When it does not hold.
pub fn many_keys_do_not_disturb_each_other<H: Harness>(harness: &H) -> Result<(), Failure> {
    case(harness, "many_keys_do_not_disturb_each_other", async |subject| {
        let payments = (0..CALLERS).map(|number| {
            Watched::new(async move {
                let id = format!("pay-{number}");
                let grant = subject.fresh("a new key among many", &id).await?;
                subject.complete("a holder among many", &id, grant.token, id.as_bytes()).await?;
                subject.replay("a retry among many", &id, OutcomeKind::Completed, id.as_bytes()).await
            })
        });
        for payment in Watched::all(payments.collect()).await {
            payment?;
        }
        Ok(())
    })
}
