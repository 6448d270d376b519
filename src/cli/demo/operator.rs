//! Whoever looks after the shop: ends what is unknown, by the provider's books.

use super::books::Books;
use crate::{
    Options,
    cli::{failure::Failure, service::Service, target::Target},
};
use serde::Deserialize;
use serde_json::json;
use std::{path::Path, time::Duration};
use tokio::time::sleep;

/// Somebody who asked a moment ago holds the key for that long.
const PAUSE: Duration = Duration::from_millis(20);
const TRIES_MAX: usize = 100;

/// What was found out.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Settled {
    pub(super) charged: usize,
    pub(super) not_charged: usize,
}

#[derive(Deserialize)]
struct Page {
    records: Vec<Listed>,
}

#[derive(Deserialize)]
struct Listed {
    scope: String,
    key: String,
}

/// Looks up each payment that did not end, and says how it did: what `idemstore stuck` and `idemstore resolve` do.
pub(super) async fn settle(db: &Path, books: &Books) -> Result<Settled, Failure> {
    let target = Target { db: db.to_owned(), json: false, accept_restored: false };
    let mut service = Service::find_quietly(&target, &Options::new()).await?;
    let page = service.get("/v1/records?state=in_flight&limit=1000").await?;
    let page: Page = serde_json::from_slice(&page).map_err(|error| Failure::new(format_args!("reading the records: {error}")))?;
    let charges = books.read()?;
    let mut settled = Settled::default();
    for Listed { scope, key } in page.records {
        let charge = charges.get(&key).and_then(|charges| charges.first());
        let order = if let Some(charge) = charge {
            settled.charged += 1;
            let response = json!({ "status": 201, "body": charge });
            json!({ "scope": scope, "key": key, "outcome": "completed", "payload": response, "reason": "it is in the books" })
        } else {
            settled.not_charged += 1;
            json!({ "scope": scope, "key": key, "outcome": "released", "reason": "it is not in the books" })
        };
        resolve(&mut service, &order).await?;
    }
    Ok(settled)
}

async fn resolve(service: &mut Service, order: &serde_json::Value) -> Result<(), Failure> {
    for _ in 0..TRIES_MAX {
        match service.post("/v1/resolve", order).await {
            Err(failure) if failure.is_kind("in_flight") => sleep(PAUSE).await,
            answer => return answer.map(drop),
        }
    }
    Err(Failure::new("an attempt of the demo does not lapse"))
}
