use super::{
    super::{Body, Problem, body::Received, problem::retry_after_seconds},
    Api,
    fields::{BeginFields, millis, parse},
    show::{Shown, json, state},
};
use crate::{Begin, BeginOptions, Fingerprint, Grant, IdempotencyStore, Key, Outcome, Result, Store};
use http::{Response, StatusCode, header};
use serde::Serialize;
use serde_json::value::RawValue;
use std::time::Duration;

/// From this many bytes on a body takes longer to fingerprint than others should be held up.
const READ_APART_BYTES: usize = 64 * 1024;

#[derive(Serialize)]
struct FreshAnswer {
    answer: &'static str,
    token: u64,
    attempt: u32,
    lease_expires_at: u64,
}

#[derive(Serialize)]
struct TakeoverAnswer<'a> {
    answer: &'static str,
    token: u64,
    attempt: u32,
    checkpoint: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    checkpoint_base64: Option<String>,
    lease_expires_at: u64,
}

#[derive(Serialize)]
struct ReplayAnswer<'a> {
    answer: &'static str,
    state: &'static str,
    payload: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_base64: Option<String>,
    ended_at: u64,
    expires_at: u64,
}

#[derive(Serialize)]
struct InFlightAnswer {
    answer: &'static str,
    retry_after_ms: u64,
    lease_expires_at: u64,
}

#[derive(Serialize)]
struct MismatchAnswer {
    answer: &'static str,
}

impl Api {
    pub(super) async fn begin(&self, received: Received) -> Result<Response<Body>, Problem> {
        let (key, fingerprint, options) = self.read(received).await?;
        match self.ask(&key, fingerprint, options).await? {
            Begin::Fresh(grant) => fresh(&grant),
            Begin::Takeover(grant) => takeover(&grant),
            Begin::Replay(outcome) => replay(&outcome),
            Begin::InFlight { retry_after, lease_expires_at } => in_flight(retry_after, lease_expires_at.as_millis()),
            Begin::Mismatch => json(StatusCode::UNPROCESSABLE_ENTITY, &MismatchAnswer { answer: "mismatch" }),
        }
    }

    /// Reads a body, and lets go of it: whoever waits for another attempt keeps nothing that others need.
    async fn read(&self, received: Received) -> Result<(Key, Fingerprint, BeginOptions), Problem> {
        if received.bytes.len() < READ_APART_BYTES {
            return Ok(read(&received.bytes)?);
        }
        self.blocking(move |_| Ok(read(&received.bytes)?)).await
    }

    /// Waits as long as the client wants to, if there is a place for it and the server does not stop; otherwise the client is told how
    /// things stand.
    async fn ask(&self, key: &Key, fingerprint: Fingerprint, options: BeginOptions) -> Result<Begin<Grant>> {
        let at_once = || <Store as IdempotencyStore>::begin(&self.store, key, fingerprint, options.wait(Duration::ZERO));
        if options.wait_asked().is_zero() {
            return at_once().await;
        }
        let Ok(_place) = self.waits.try_acquire() else { return at_once().await };
        tokio::select! {
            biased;
            answer = <Store as IdempotencyStore>::begin(&self.store, key, fingerprint, options) => answer,
            () = self.stopping() => at_once().await,
        }
    }
}

fn read(body: &[u8]) -> Result<(Key, Fingerprint, BeginOptions)> {
    let fields: BeginFields<'_> = parse(body)?;
    let mut options = BeginOptions::new().wait(millis(fields.wait_ms).unwrap_or_default());
    if let Some(lease) = millis(fields.lease_ms) {
        options = options.lease(lease);
    }
    Ok((fields.key()?, fields.fingerprint()?, options))
}

fn fresh(grant: &Grant) -> Result<Response<Body>, Problem> {
    let Grant { token, attempt, lease_expires_at, .. } = grant;
    let answer =
        FreshAnswer { answer: "fresh", token: token.get(), attempt: *attempt, lease_expires_at: lease_expires_at.as_millis() };
    json(StatusCode::CREATED, &answer)
}

fn takeover(grant: &Grant) -> Result<Response<Body>, Problem> {
    let checkpoint = Shown::of_any(grant.checkpoint.as_deref());
    let answer = TakeoverAnswer {
        answer: "takeover",
        token: grant.token.get(),
        attempt: grant.attempt,
        checkpoint: checkpoint.json,
        checkpoint_base64: checkpoint.base64,
        lease_expires_at: grant.lease_expires_at.as_millis(),
    };
    json(StatusCode::CREATED, &answer)
}

fn replay(outcome: &Outcome) -> Result<Response<Body>, Problem> {
    let payload = Shown::of(outcome.payload());
    let answer = ReplayAnswer {
        answer: "replay",
        state: state(outcome.kind().into()),
        payload: payload.json,
        payload_base64: payload.base64,
        ended_at: outcome.ended_at().as_millis(),
        expires_at: outcome.expires_at().as_millis(),
    };
    json(StatusCode::OK, &answer)
}

fn in_flight(retry_after: Duration, lease_expires_at: u64) -> Result<Response<Body>, Problem> {
    let retry_after_ms = u64::try_from(retry_after.as_millis()).unwrap_or(u64::MAX);
    let answer = InFlightAnswer { answer: "in_flight", retry_after_ms, lease_expires_at };
    let mut response = json(StatusCode::CONFLICT, &answer)?;
    response.headers_mut().insert(header::RETRY_AFTER, retry_after_seconds(retry_after));
    Ok(response)
}
