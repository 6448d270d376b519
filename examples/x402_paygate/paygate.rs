//! Takes the money: demands a payment, has it verified, lets the handler run, has it settled, and adds the receipt. As the
//! official servers do, in that order, and like them without a memory: a payment that comes twice runs the handler twice.

use crate::facilitator::Facilitator;
use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderValue, StatusCode, Uri},
    middleware::Next,
    response::{IntoResponse, Response},
};
use idemstore::x402::{
    self, PAYMENT_IDENTIFIER, PAYMENT_REQUIRED_HEADER, PAYMENT_RESPONSE_HEADER, PAYMENT_SIGNATURE_HEADER, Settlement,
};
use serde_json::{Value, json};
use std::sync::Arc;

pub(crate) struct Paygate {
    facilitator: Facilitator,
    requirements: Value,
}

impl Paygate {
    pub(crate) fn new(facilitator: Facilitator) -> Self {
        let requirements = json!({
            "scheme": "exact",
            "network": "eip155:84532",
            "amount": "10000",
            "asset": "0x036CbD53842c5426634e7929541eC2318f3dCF7e",
            "payTo": "0x209693Bc6afc0C5328bA36FaF03C514EF312287C",
            "maxTimeoutSeconds": 300,
            "extra": {"name": "USDC", "version": "2"},
        });
        Self { facilitator, requirements }
    }

    fn challenge(&self, uri: &Uri, error: &str) -> Response {
        let required = json!({
            "x402Version": 2,
            "error": error,
            "resource": {"url": uri.to_string(), "description": "a report", "mimeType": "application/json"},
            "accepts": [self.requirements],
            "extensions": {PAYMENT_IDENTIFIER: x402::declare_payment_identifier_extension(true)},
        });
        let response = (StatusCode::PAYMENT_REQUIRED, json!({}).to_string()).into_response();
        with_header(response, PAYMENT_REQUIRED_HEADER, &required)
    }
}

/// The middleware of the paid routes.
pub(crate) async fn demand(State(paygate): State<Arc<Paygate>>, request: Request, next: Next) -> Response {
    let Some(header) = request.headers().get(PAYMENT_SIGNATURE_HEADER) else {
        return paygate.challenge(request.uri(), "Payment required");
    };
    let Ok(payment) = x402::decode_header(header.as_bytes()) else {
        return (StatusCode::BAD_REQUEST, "the payment cannot be read").into_response();
    };
    if payment["accepted"] != paygate.requirements {
        return paygate.challenge(request.uri(), "No matching payment requirements");
    }
    match paygate.facilitator.verify(&payment, &paygate.requirements).await {
        Ok(verdict) if verdict["isValid"] == true => (),
        Ok(verdict) => return paygate.challenge(request.uri(), verdict["invalidReason"].as_str().unwrap_or("invalid payment")),
        // Nothing has moved: the same payment may come again.
        Err(_) => return paygate.challenge(request.uri(), "the facilitator cannot be reached"),
    }
    let response = next.run(request).await;
    if !response.status().is_success() {
        return response;
    }
    let receipt = match paygate.facilitator.settle(&payment, &paygate.requirements).await {
        Ok(receipt) if receipt.is_object() => receipt,
        // The money may have moved. A receipt that said "failed" would invite the client to pay again.
        _ => json!({"success": false, "errorReason": "settlement_pending", "transaction": "",
                    "network": paygate.requirements["network"]}),
    };
    match Settlement::of(&receipt) {
        Settlement::Settled => with_header(response, PAYMENT_RESPONSE_HEADER, &receipt),
        Settlement::Failed | Settlement::Pending => {
            // What was bought is not handed out.
            let refused = (StatusCode::PAYMENT_REQUIRED, Body::from("{}")).into_response();
            with_header(refused, PAYMENT_RESPONSE_HEADER, &receipt)
        }
    }
}

fn with_header(mut response: Response, name: &'static str, value: &Value) -> Response {
    let encoded = x402::encode_header(value).ok().and_then(|header| HeaderValue::try_from(header).ok());
    let Some(encoded) = encoded else { return StatusCode::INTERNAL_SERVER_ERROR.into_response() };
    response.headers_mut().insert(name, encoded);
    response
}
