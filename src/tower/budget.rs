use bytes::Bytes;
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

/// How many bytes of requests and responses may be in memory at a time, over all services that share it.
///
/// A request takes what its body has as that is read, and one that is to run takes, before it does, as much again as a response may
/// have; so a response that is within its limit can always be stored. A replay takes what it has. When the budget is spent, further
/// requests are told to come back.
///
/// Bytes count until the last who holds them lets go: a handler that took them out of the body, or a connection whose client reads slowly.
///
/// A duplicate that waits for the first to end keeps its body, for it may be the one that runs, and nothing else. The bodies of those
/// who wait are half of the budget at most; who would exceed that does not wait.
///
/// ```
/// let budget = idemstore::tower::Budget::new(64 * 1024 * 1024);
/// assert_eq!(budget.clone().used_bytes(), 0); // clones share it
/// ```
#[derive(Clone, Debug)]
pub struct Budget(Arc<Account>);

#[derive(Debug)]
struct Account {
    bytes_max: usize,
    /// Guards no other memory, only its own sum.
    used: AtomicUsize,
    /// Of what is used, the bodies of those who may be waiting.
    waiting: AtomicUsize,
}

/// The right to wait with so many bytes, given back when this is dropped.
#[derive(Debug)]
pub(super) struct Waiting {
    account: Arc<Account>,
    bytes: usize,
}

/// A part of the budget, given back when this is dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    account: Arc<Account>,
    bytes: usize,
}

impl Budget {
    /// Makes a budget of `bytes_max` bytes.
    pub fn new(bytes_max: usize) -> Self {
        Self(Arc::new(Account { bytes_max, used: AtomicUsize::new(0), waiting: AtomicUsize::new(0) }))
    }

    /// Returns how many bytes are taken.
    pub fn used_bytes(&self) -> usize {
        self.0.used.load(Relaxed)
    }

    /// Returns whether so many bytes are left. By the time that they are taken they may not be.
    pub(super) fn has(&self, bytes: usize) -> bool {
        self.used_bytes().checked_add(bytes).is_some_and(|sum| sum <= self.0.bytes_max)
    }

    /// Lets a request wait that has taken `bytes`, unless those who wait would have more than half of the budget.
    pub(super) fn wait_with(&self, bytes: usize) -> Option<Waiting> {
        let more = |waiting: usize| waiting.checked_add(bytes).filter(|sum| *sum <= self.0.bytes_max / 2);
        self.0.waiting.fetch_update(Relaxed, Relaxed, more).ok()?;
        Some(Waiting { account: self.0.clone(), bytes })
    }

    /// Takes bytes, unless that would overdraw it.
    pub(crate) fn take(&self, bytes: usize) -> Option<Permit> {
        let mut permit = Permit { account: self.0.clone(), bytes: 0 };
        permit.grow(bytes).then_some(permit)
    }
}

impl Permit {
    /// Takes more bytes; returns whether they were there.
    pub(crate) fn grow(&mut self, bytes: usize) -> bool {
        let max = self.account.bytes_max;
        let more = |used: usize| used.checked_add(bytes).filter(|sum| *sum <= max);
        let is_taken = self.account.used.fetch_update(Relaxed, Relaxed, more).is_ok();
        if is_taken {
            self.bytes += bytes;
        }
        is_taken
    }

    /// Gives back all but `bytes`.
    pub(super) fn shrink_to(&mut self, bytes: usize) {
        let back = self.bytes.saturating_sub(bytes);
        self.account.used.fetch_sub(back, Relaxed);
        self.bytes -= back;
    }
}

/// Counts bytes as taken by `permit` for as long as anybody holds them.
pub(super) fn counted(data: Bytes, permit: &Arc<Permit>) -> Bytes {
    struct Counted(Bytes, #[expect(dead_code, reason = "it is held, and that is all")] Arc<Permit>);

    impl AsRef<[u8]> for Counted {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }

    if data.is_empty() { data } else { Bytes::from_owner(Counted(data, permit.clone())) }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.account.waiting.fetch_sub(self.bytes, Relaxed);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.shrink_to(0);
    }
}
