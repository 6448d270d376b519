//! Panics on damaged pages, which the store catches.

use std::{
    any::Any,
    cell::Cell,
    panic::{self, AssertUnwindSafe},
};

thread_local! {
    static IS_CATCHING: Cell<bool> = const { Cell::new(false) };
}

/// Runs code that may panic on damage.
pub(super) fn catching<T>(run: impl FnOnce() -> T) -> Result<T, Box<dyn Any + Send>> {
    let was_catching = IS_CATCHING.replace(true);
    let result = panic::catch_unwind(AssertUnwindSafe(run));
    IS_CATCHING.set(was_catching);
    result
}

/// Keeps panics that the store catches from the panic hook: they are how a damaged page shows, and come back as
/// [`Corrupted`](crate::ErrorKind::Corrupted). All others reach the hook that is set when this is called. For programs; call it
/// once, at the start.
///
/// ```
/// idemstore::hide_caught_panics();
/// ```
pub fn hide_caught_panics() {
    let hook = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if !IS_CATCHING.get() {
            hook(info);
        }
    }));
}
