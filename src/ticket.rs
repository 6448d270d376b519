use crate::{Result, queue::Claim, shared::Shared, sync::promise::Promise, transition::Answer};
use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

type Interpret<T> = Box<dyn FnOnce(Answer) -> Result<T> + Send>;

/// An operation that was handed to the store. Await it, or block on it with [`wait`](Ticket::wait).
///
/// The operation happens whether or not the ticket is kept: dropping it gives up the answer, not the operation.
///
/// ```
/// # use idemstore::{Begin, Fingerprint, Key, Store};
/// # let store = Store::in_memory()?;
/// # let Begin::Fresh(lease) = store.begin(&Key::new("shop", "pay_1")?, Fingerprint::of(&[]))? else { panic!() };
/// let ticket = lease.complete_async("receipt 7");
/// // ... other work, or `ticket.await` in an async function ...
/// ticket.wait()?;
/// # Ok::<(), idemstore::Error>(())
/// ```
#[must_use = "the ticket is the only way to learn whether the operation took effect"]
pub struct Ticket<T>(Inner<T>);

enum Inner<T> {
    Ready(Result<T>),
    Sent { promise: Promise<Result<Claim>>, shared: Arc<Shared>, interpret: Interpret<T> },
    Spent,
}

impl<T> Ticket<T> {
    pub(crate) fn ready(result: Result<T>) -> Self {
        Self(Inner::Ready(result))
    }

    pub(crate) fn sent(
        submitted: Result<Promise<Result<Claim>>>,
        shared: &Arc<Shared>,
        interpret: impl FnOnce(Answer) -> Result<T> + Send + 'static,
    ) -> Self {
        match submitted {
            Ok(promise) => Self(Inner::Sent { promise, shared: shared.clone(), interpret: Box::new(interpret) }),
            Err(error) => Self::ready(Err(error)),
        }
    }

    /// Blocks until the store answers.
    ///
    /// # Errors
    /// Those of the operation that made the ticket.
    pub fn wait(self) -> Result<T> {
        match self.0 {
            Inner::Ready(result) => result,
            Inner::Sent { promise, shared, interpret } => finish(promise.wait(), &shared, interpret),
            Inner::Spent => Err(crate::queue::closed()),
        }
    }
}

fn finish<T>(delivered: Option<Result<Claim>>, shared: &Shared, interpret: Interpret<T>) -> Result<T> {
    match delivered {
        Some(Ok(claim)) => interpret(claim.claim()),
        Some(Err(error)) => Err(error),
        None => Err(shared.broken_promise()),
    }
}

impl<T: Unpin> Future for Ticket<T> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<T>> {
        match std::mem::replace(&mut self.0, Inner::Spent) {
            Inner::Ready(result) => Poll::Ready(result),
            Inner::Sent { mut promise, shared, interpret } => match Pin::new(&mut promise).poll(context) {
                Poll::Ready(delivered) => Poll::Ready(finish(delivered, &shared, interpret)),
                Poll::Pending => {
                    self.0 = Inner::Sent { promise, shared, interpret };
                    Poll::Pending
                }
            },
            Inner::Spent => Poll::Ready(Err(crate::queue::closed())),
        }
    }
}

impl<T> fmt::Debug for Ticket<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ticket")
    }
}
