//! The one place that names a lock, a channel or a thread, so that a model checker can take all of them over.
//!
//! A build with `--cfg shuttle` swaps every primitive for a scheduled one; the code above does not change.

#[cfg(not(shuttle))]
mod native;
#[cfg(not(shuttle))]
pub(crate) use native::*;

#[cfg(shuttle)]
mod model;
#[cfg(shuttle)]
pub(crate) use model::*;

/// A lock for what redb calls while it holds locks of its own, of which the model checker knows nothing. It never switches there.
pub(crate) use parking_lot::{Mutex as BelowRedb, MutexGuard as BelowRedbGuard};
