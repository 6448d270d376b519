//! The `payment-identifier` extension of x402, as pure functions: no HTTP, no I/O but the random bytes of a new id.
//!
//! x402 lets a client pay for an HTTP request: the server answers 402 with what it wants, the client sends the request again with
//! a signed `PaymentPayload`, and gets the response with a receipt. When that response is lost on its way, the client cannot tell
//! whether it has paid. The extension gives the payment an id, so that the client can ask again and the server can answer with
//! what it has stored, instead of charging twice. The server's side of that is a [`Store`](crate::Store).
//!
//! The public texts are those of the repository x402-foundation/x402: `specs/x402-specification-v2.md`,
//! `specs/transports-v2/http.md` and `specs/extensions/payment_identifier.md`. The functions have the names and the meaning that
//! they have in the official SDKs; where those disagree, a table in `tests/it/x402.rs` says what was decided.
//!
//! | | version 1 | version 2 |
//! |---|---|---|
//! | what has to be paid | body of the 402 | [`PAYMENT_REQUIRED_HEADER`] |
//! | payment | [`X_PAYMENT_HEADER`] | [`PAYMENT_SIGNATURE_HEADER`] |
//! | receipt | [`X_PAYMENT_RESPONSE_HEADER`] | [`PAYMENT_RESPONSE_HEADER`] |
//! | payment id | none | [`PAYMENT_IDENTIFIER`] in `extensions` |
//!
//! Over MCP the same values travel as JSON, the payment in `_meta["x402/payment"]`: leave out [`decode_header`] there, and read
//! the text with [`json::read`](crate::json::read).
//!
//! Feature `x402`.
//!
//! # A client
//!
//! ```
//! use idemstore::x402;
//! # let challenge = x402::encode_header(&serde_json::json!({"x402Version": 2, "accepts": [{"scheme": "exact"}],
//! #     "extensions": {"payment-identifier": x402::declare_payment_identifier_extension(true)}}))?;
//! # let sign = |_: &serde_json::Value| serde_json::json!({"signature": "0x2d6a"});
//!
//! // The 402 says what to pay, and that it takes an id.
//! let required = x402::decode_header(&challenge)?;
//! let mut extensions = required["extensions"].as_object().cloned().unwrap_or_default();
//! x402::append_payment_identifier_to_extensions(&mut extensions, None)?;
//!
//! // Sign and build the payload once, and send these very bytes with every retry: an id belongs to one payload.
//! let payload = serde_json::json!({
//!     "x402Version": 2,
//!     "accepted": required["accepts"][0],
//!     "payload": sign(&required["accepts"][0]),
//!     "extensions": extensions,
//! });
//! let header = x402::encode_header(&payload)?; // of PAYMENT-SIGNATURE
//! # assert!(x402::extract_payment_identifier(&x402::decode_header(&header)?).is_some());
//! # Ok::<(), idemstore::Error>(())
//! ```
//!
//! # A server
//!
//! Ask the store before the payment is verified, or the retry of a paid request is refused for its used nonce. Nobody has been
//! authenticated at that point, so the [fingerprint](payment_fingerprint) covers the whole signed payload: who knows only the id
//! gets nothing.
//!
//! ```
//! use idemstore::{Begin, Key, Store, x402};
//! # struct Response { status: u16, receipt: Option<String>, body: &'static str }
//! # impl Response { fn to_bytes(&self) -> Vec<u8> { self.body.into() } }
//! # fn answer(status: u16) -> Response { Response { status, receipt: None, body: "" } }
//! # fn stored(_: &[u8]) -> Response { Response { status: 200, receipt: None, body: "replayed" } }
//! # fn verify_run_and_settle(_: &serde_json::Value) -> Response {
//! #     let receipt = x402::encode_header(&serde_json::json!({"success": true, "transaction": "0x12"})).ok();
//! #     Response { status: 200, receipt, body: "report" }
//! # }
//!
//! fn paid(store: &Store, header: &str, query: Option<&str>, body: &[u8]) -> Result<Response, idemstore::Error> {
//!     let Ok(payload) = x402::decode_header(header) else { return Ok(answer(400)) };
//!     let id = match x402::extract_and_validate_payment_identifier(&payload) {
//!         Ok(Some(id)) => id,
//!         Ok(None) => return Ok(verify_run_and_settle(&payload)), // or 400, if an id is required
//!         Err(_) => return Ok(answer(400)),
//!     };
//!     let request = x402::payment_fingerprint(&payload, "POST", "/report", query, body)?;
//!     match store.begin(&Key::new("shop-7/POST /report", &id)?, request)? {
//!         Begin::Replay(outcome) => Ok(stored(outcome.payload())),
//!         Begin::Mismatch => Ok(answer(409)),          // the id was used for another payment
//!         Begin::InFlight { .. } => Ok(answer(409)),   // with Retry-After; never a new 402
//!         Begin::Takeover(lease) => {
//!             drop(lease);                             // an attempt died: it may have settled. Ask the chain first
//!             Ok(answer(503))
//!         }
//!         Begin::Fresh(lease) => {
//!             let response = verify_run_and_settle(&payload);
//!             match response.receipt.as_ref().map(x402::Settlement::of_header) {
//!                 Some(x402::Settlement::Settled) => drop(lease.complete(response.to_bytes())?),
//!                 Some(x402::Settlement::Pending) => drop(lease), // in flight until somebody knows
//!                 Some(x402::Settlement::Failed) | None => lease.release()?,
//!             }
//!             Ok(response)
//!         }
//!     }
//! }
//! # let store = Store::in_memory()?;
//! # let extensions = serde_json::json!({"payment-identifier": {"info": {"id": "pay_0123456789abcdef"}}});
//! # let header = x402::encode_header(&serde_json::json!({"x402Version": 2, "extensions": extensions}))?;
//! # assert_eq!(paid(&store, &header, None, b"")?.body, "report");
//! # assert_eq!(paid(&store, &header, None, b"")?.body, "replayed");
//! # assert_eq!(paid(&store, &header, Some("a"), b"")?.status, 409);
//! # Ok::<(), idemstore::Error>(())
//! ```

mod extension;
mod fingerprint;
mod header;
mod id;
mod payload;
mod settlement;

pub use extension::{
    append_payment_identifier_to_extensions, declare_payment_identifier_extension, is_payment_identifier_extension,
    is_payment_identifier_required, validate_payment_identifier,
};
pub use fingerprint::payment_fingerprint;
pub use header::{
    PAYMENT_REQUIRED_HEADER, PAYMENT_RESPONSE_HEADER, PAYMENT_SIGNATURE_HEADER, X_PAYMENT_HEADER, X_PAYMENT_RESPONSE_HEADER,
    decode_header, encode_header,
};
pub use id::{
    PAYMENT_ID_MAX_LENGTH, PAYMENT_ID_MIN_LENGTH, PAYMENT_ID_PATTERN, PAYMENT_ID_PREFIX, PAYMENT_IDENTIFIER, PaymentId,
    PaymentIdError, generate_payment_id, is_valid_payment_id,
};
pub use payload::{
    extract_and_validate_payment_identifier, extract_payment_identifier, has_payment_identifier,
    validate_payment_identifier_requirement,
};
pub use settlement::Settlement;
