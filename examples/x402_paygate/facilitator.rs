//! The facilitator: somebody else's computer, which checks payments and moves money.

use axum::{
    body::{Body, to_bytes},
    http::{Request, header::CONTENT_TYPE},
};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::{Value, json};
use std::error::Error;

const ANSWER_BYTES_MAX: usize = 64 * 1024;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

pub(crate) struct Facilitator {
    client: Client<HttpConnector, Body>,
    url: String,
}

impl Facilitator {
    pub(crate) fn new(url: &str) -> Self {
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { client, url: url.trim_end_matches('/').to_owned() }
    }

    /// Asks whether the payment would be good. Moves nothing.
    pub(crate) async fn verify(&self, payment: &Value, requirements: &Value) -> Result<Value> {
        self.ask("verify", payment, requirements).await
    }

    /// Moves the money and returns the receipt. After an error **nobody knows** whether it has moved.
    pub(crate) async fn settle(&self, payment: &Value, requirements: &Value) -> Result<Value> {
        self.ask("settle", payment, requirements).await
    }

    async fn ask(&self, what: &str, payment: &Value, requirements: &Value) -> Result<Value> {
        let question = json!({"x402Version": 2, "paymentPayload": payment, "paymentRequirements": requirements});
        let request = Request::post(format!("{}/{what}", self.url)).header(CONTENT_TYPE, "application/json");
        let response = self.client.request(request.body(question.to_string().into())?).await?;
        if !response.status().is_success() {
            return Err(format!("the facilitator answered {what} with {}", response.status()).into());
        }
        let answer = to_bytes(Body::new(response.into_body()), ANSWER_BYTES_MAX).await?;
        Ok(serde_json::from_slice(&answer)?)
    }
}
