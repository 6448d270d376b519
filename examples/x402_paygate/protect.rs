//! Where idempotency goes in: around the paid routes, as one layer. What a payment id has bought is kept and handed out again;
//! nothing is verified, run or settled twice.

use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    extract::{Request, State},
    http::{
        HeaderName, HeaderValue, StatusCode,
        header::{CONTENT_TYPE, RETRY_AFTER},
        response::Parts,
    },
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use idemstore::{
    Begin, BeginOptions, Key, Lease, Store,
    x402::{self, PAYMENT_REQUIRED_HEADER, PAYMENT_RESPONSE_HEADER, PAYMENT_SIGNATURE_HEADER, Settlement},
};
use serde_json::{Value, json};
use std::{error::Error, time::Duration};

/// Who sells. A server of many merchants takes it from what it has authenticated.
const SELLER: &str = "shop-7";
const BODY_BYTES_MAX: usize = 64 * 1024;
/// How long a duplicate waits for the first one to end before it is told to come back.
const WAIT: Duration = Duration::from_secs(1);
/// The headers of a response that are kept with it.
const KEPT: [HeaderName; 2] = [CONTENT_TYPE, HeaderName::from_static(PAYMENT_RESPONSE_HEADER)];

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Gives routes that are paid for with x402 idempotency.
pub(crate) fn with_store(routes: Router, store: Store) -> Router {
    routes.layer(middleware::from_fn_with_state(store, once))
}

async fn once(State(store): State<Store>, request: Request, next: Next) -> Response {
    let Some(header) = request.headers().get(PAYMENT_SIGNATURE_HEADER) else {
        // Nothing is bought yet; the paygate says what it costs.
        return next.run(request).await;
    };
    let Ok(payment) = x402::decode_header(header.as_bytes()) else {
        return (StatusCode::BAD_REQUEST, "the payment cannot be read").into_response();
    };
    let Ok(Some(id)) = x402::extract_and_validate_payment_identifier(&payment) else {
        return (StatusCode::BAD_REQUEST, "a payment with a valid payment identifier is needed").into_response();
    };
    // In a task of its own: a client that goes away does not stop a payment between the money and its record.
    let paid = tokio::spawn(async move { pay(&store, &payment, id.as_str(), request, next).await });
    paid.await.map_err(Into::into).flatten().unwrap_or_else(|error| later(StatusCode::SERVICE_UNAVAILABLE, &error.to_string()))
}

async fn pay(store: &Store, payment: &Value, id: &str, request: Request, next: Next) -> Result<Response> {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, BODY_BYTES_MAX).await?;
    let (method, path) = (head.method.as_str(), head.uri.path());
    let key = Key::new(format!("{SELLER}/{method} {path}"), id)?;
    let fingerprint = x402::payment_fingerprint(payment, method, path, head.uri.query(), &body)?;
    match store.begin_with_async(&key, fingerprint, BeginOptions::new().wait(WAIT)).await? {
        Begin::Fresh(lease) => record(&lease, next.run(Request::from_parts(head, Body::from(body))).await).await,
        Begin::Replay(outcome) => replay(outcome.payload()),
        Begin::InFlight { .. } => Ok(later(StatusCode::CONFLICT, "the payment is being made")),
        // It may have settled before it died. The lease is dropped, not released: only the chain knows.
        Begin::Takeover(_) => Ok(later(StatusCode::SERVICE_UNAVAILABLE, "the outcome of the payment is not known")),
        Begin::Mismatch => {
            let refusal = json!({"error": "payment identifier already used with different payload", "paymentId": id});
            Ok((StatusCode::CONFLICT, refusal.to_string()).into_response())
        }
    }
}

/// Makes durable what has become of the money, and only then lets the response go.
async fn record(lease: &Lease, response: Response) -> Result<Response> {
    let (head, body) = response.into_parts();
    let body = to_bytes(body, BODY_BYTES_MAX).await?;
    match outcome(&head) {
        Settlement::Settled => {
            let kept: Vec<_> = KEPT.iter().map(|name| head.headers.get(name).and_then(|value| value.to_str().ok())).collect();
            let stored = json!({"status": head.status.as_u16(), "kept": kept, "body": String::from_utf8_lossy(&body)});
            lease.complete_async(stored.to_string()).await?;
        }
        // In flight until somebody knows.
        Settlement::Pending => (),
        Settlement::Failed => lease.release_async().await?,
    }
    Ok(Response::from_parts(head, Body::from(body)))
}

/// Decides what a response says about the money. What does not say that nothing has moved leaves it open.
fn outcome(head: &Parts) -> Settlement {
    if let Some(receipt) = head.headers.get(PAYMENT_RESPONSE_HEADER) {
        return Settlement::of_header(receipt.as_bytes());
    }
    // Without a receipt nothing was settled where the paygate names its terms again, or where the handler refused.
    let is_unpaid = head.status == StatusCode::PAYMENT_REQUIRED && head.headers.contains_key(PAYMENT_REQUIRED_HEADER);
    let is_refused = head.status.is_client_error() && head.status != StatusCode::PAYMENT_REQUIRED;
    if is_unpaid || is_refused { Settlement::Failed } else { Settlement::Pending }
}

fn replay(stored: &[u8]) -> Result<Response> {
    let stored: Value = serde_json::from_slice(stored)?;
    let status =
        stored["status"].as_u64().and_then(|status| u16::try_from(status).ok()).ok_or("a stored response has no status")?;
    let body = stored["body"].as_str().unwrap_or_default();
    let mut response = Response::new(Body::from(Bytes::copy_from_slice(body.as_bytes())));
    *response.status_mut() = StatusCode::from_u16(status)?;
    for (name, value) in KEPT.iter().zip(stored["kept"].as_array().into_iter().flatten()) {
        if let Some(value) = value.as_str() {
            response.headers_mut().insert(name, HeaderValue::try_from(value)?);
        }
    }
    Ok(response)
}

fn later(status: StatusCode, why: &str) -> Response {
    (status, [(RETRY_AFTER, "1")], json!({"error": why}).to_string()).into_response()
}
