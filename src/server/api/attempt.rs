//! What the holder of an attempt may do.

use super::{
    super::{Body, Problem},
    Api,
    fields::{CheckpointFields, EndFields, ReleaseFields, RenewFields, check_length, millis, parse},
    show::{json, state},
};
use crate::{OutcomeKind, limits::CHECKPOINT_BYTES_MAX};
use http::{Response, StatusCode};
use serde::Serialize;

#[derive(Serialize)]
struct EndedAnswer {
    state: &'static str,
    expires_at: u64,
}

#[derive(Serialize)]
struct RenewedAnswer {
    lease_expires_at: u64,
}

#[derive(Serialize)]
pub(super) struct DoneAnswer {}

impl Api {
    pub(super) async fn end(&self, kind: OutcomeKind, body: &[u8]) -> Result<Response<Body>, Problem> {
        let fields: EndFields<'_> = parse(body)?;
        let (key, token) = fields.attempt()?;
        check_length("payload", fields.payload, self.store.payload_bytes_max())?;
        let payload = fields.payload.get().as_bytes();
        let ended = self.store.end_async(&key, token, kind, payload, millis(fields.retention_ms)).await?;
        json(StatusCode::OK, &EndedAnswer { state: state(ended.kind.into()), expires_at: ended.expires_at.as_millis() })
    }

    pub(super) async fn renew(&self, body: &[u8]) -> Result<Response<Body>, Problem> {
        let fields: RenewFields = parse(body)?;
        let (key, token) = fields.attempt()?;
        let lease = millis(fields.lease_ms).unwrap_or_else(|| self.store.default_lease());
        let lease_expires_at = self.store.renew_async(&key, token, lease).await?;
        json(StatusCode::OK, &RenewedAnswer { lease_expires_at: lease_expires_at.as_millis() })
    }

    pub(super) async fn checkpoint(&self, body: &[u8]) -> Result<Response<Body>, Problem> {
        let fields: CheckpointFields<'_> = parse(body)?;
        let (key, token) = fields.attempt()?;
        check_length("data", fields.data, CHECKPOINT_BYTES_MAX)?;
        self.store.checkpoint_async(&key, token, fields.data.get()).await?;
        json(StatusCode::OK, &DoneAnswer {})
    }

    pub(super) async fn release(&self, body: &[u8]) -> Result<Response<Body>, Problem> {
        let fields: ReleaseFields = parse(body)?;
        let (key, token) = fields.attempt()?;
        self.store.release_async(&key, token).await?;
        json(StatusCode::OK, &DoneAnswer {})
    }
}
