//! A [`tower`](https://docs.rs/tower) layer that gives any HTTP service idempotency: a request with a key runs at most once, and a
//! retry gets the recorded response.

mod admit;
mod attempt;
mod body;
mod budget;
mod catch;
mod collect;
mod future;
mod header;
mod held;
mod hooks;
mod identify;
mod layer;
pub mod limits;
mod policy;
mod profile;
mod refusal;
mod replay;
mod response;
mod rules;
mod scope;
mod service;
mod settings;
mod spawn;
mod work;

pub use attempt::Attempt;
pub use body::{RequestBody, ResponseBody};
pub use budget::Budget;
pub use future::ResponseFuture;
pub use header::{IDEMPOTENCY_KEY, KeyError, parse_idempotency_key};
pub use hooks::{Duplicate, Hooks};
pub use layer::IdempotencyLayer;
pub use policy::{Answered, Conclusion, Reconcile, Reconciled, Recording, StoreFailure, Takeover, Unresolved};
pub use profile::Profile;
pub use refusal::Refusal;
pub use replay::Replayed;
pub use rules::NEVER_RECORDED;
pub use service::Idempotency;
pub use spawn::{Spawn, Task};
