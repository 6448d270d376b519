//! The store over HTTP: a JSON API for programs in any language, and a reverse proxy that gives the server behind it
//! idempotency. Feature `server`.

mod exposition;
mod metrics;
mod page;

pub use metrics::{METRICS_CONTENT_TYPE, metrics};
pub use page::page;
