//! The store over HTTP: a JSON API for programs in any language, and a reverse proxy that gives the server behind it
//! idempotency. Feature `server`.
//!
//! [`Api`] answers requests; [`serve`] runs it, or any handler of requests, on any [`Listener`]s, within [`Limits`]. It needs a tokio runtime.
//!
//! ```
//! use idemstore::server::{Body, Limits, Listener, serve};
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
//! # runtime.block_on(async {
//! let listener = Listener::tcp("127.0.0.1:0".parse()?).await?;
//! let hello = |_request| async { http::Response::new(Body::full("hello")) };
//! let stop = async { /* until a signal comes */ };
//! serve(vec![listener], Limits::new(), hello, stop).await;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod accept;
mod api;
mod body;
mod connection;
mod exposition;
mod figures;
mod guard;
mod limits;
mod listen;
mod maintain;
mod metrics;
mod owner;
mod page;
mod pieces;
mod problem;
pub mod proxy;
mod recent;
pub(crate) mod reports;
mod stall;

pub use accept::serve;
pub use api::Api;
pub use body::{Body, BoxError, read};
pub use connection::Peer;
pub use guard::Guard;
pub use limits::Limits;
pub use listen::Listener;
pub use owner::{Owner, OwnerInfo, OwnerSocket, owner_socket_path};
pub use problem::Problem;
