//! What an operator does to a store.

use super::{
    super::{Body, Problem, reports::Swept},
    Api,
    fields::{NoFields, ResolveFields, ResolveOutcome, check_length, parse},
    show::json,
};
use crate::{Error, Resolution};
use bytes::Bytes;
use http::{Response, StatusCode};
use serde::Serialize;

#[derive(Serialize)]
struct ResolvedAnswer {
    state: &'static str,
}

impl Api {
    pub(super) async fn resolve(&self, body: Bytes) -> Result<Response<Body>, Problem> {
        // The store's call waits for the disk.
        self.blocking(move |store| {
            let fields: ResolveFields<'_> = parse(&body)?;
            let key = fields.key()?;
            if let Some(payload) = fields.payload {
                check_length("payload", payload, store.payload_bytes_max())?;
            }
            let payload = fields.payload.map_or("null", |payload| payload.get()).as_bytes();
            let (resolution, state) = match fields.outcome {
                ResolveOutcome::Completed => (Resolution::Completed(payload), "completed"),
                ResolveOutcome::Failed => (Resolution::Failed(payload), "failed"),
                ResolveOutcome::Released if fields.payload.is_some() => {
                    return Err(Error::invalid("payload is there, and a released key has none: leave it out").into());
                }
                ResolveOutcome::Released => (Resolution::Released, "released"),
            };
            match fields.token() {
                Some(token) => store.resolve_attempt(&key, token, resolution, &fields.reason)?,
                None => store.resolve(&key, resolution, &fields.reason)?,
            }
            json(StatusCode::OK, &ResolvedAnswer { state })
        })
        .await
    }

    pub(super) async fn sweep(&self, body: Bytes) -> Result<Response<Body>, Problem> {
        if !body.trim_ascii().is_empty() {
            let NoFields {} = parse(&body)?;
        }
        self.blocking(|store| json(StatusCode::OK, &Swept::from(store.sweep()?))).await
    }
}
