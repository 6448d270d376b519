//! The store over HTTP: a JSON API for programs in any language, and a reverse proxy that gives the server behind it
//! idempotency. Feature `server`.

mod page;

pub use page::page;
