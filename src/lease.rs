use crate::{
    Ended, Error, ErrorKind, FencingToken, Grant, KeepAlive, Key, OutcomeKind, Result, Store, Ticket, Timestamp, limits::LEASE,
    options::within,
};
use std::{fmt, time::Duration};

/// The time-bounded right to run one attempt of one operation.
///
/// End it with [`complete`](Lease::complete), [`fail`](Lease::fail) or [`release`](Lease::release). Dropping it writes
/// nothing: the attempt stays in flight until the lease lapses, and the next caller is told that its effect is unknown,
/// which is the truth. A holder whose lease has lapsed may still end it, until somebody else is granted the key.
///
/// ```
/// # let store = idemstore::Store::in_memory()?;
/// use idemstore::{Begin, Fingerprint, Key};
///
/// let (key, request) = (Key::new("shop/POST /payments", "pay_1")?, Fingerprint::of(&[b"100 EUR"]));
/// let Begin::Fresh(lease) = store.begin(&key, request)? else { panic!() };
/// let _renewing = lease.keep_alive(); // while the provider takes its time
/// lease.checkpoint("charge requested")?; // from here on the effect may have started
/// lease.complete("receipt 7")?;
/// # Ok::<(), idemstore::Error>(())
/// ```
pub struct Lease {
    store: Store,
    key: Key,
    grant: Grant,
}

impl Lease {
    pub(crate) fn new(store: &Store, key: &Key, grant: Grant) -> Self {
        Self { store: store.clone(), key: key.clone(), grant }
    }

    /// Takes the plain values out. Nothing is written.
    pub fn into_grant(self) -> Grant {
        self.grant
    }

    /// Returns the key that this lease is for.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// Returns the token of this grant. Pass it to whatever the operation acts on, if that can refuse lower ones.
    pub fn token(&self) -> FencingToken {
        self.grant.token
    }

    /// Returns which grant of the key this is, counting from 1.
    pub fn attempt(&self) -> u32 {
        self.grant.attempt
    }

    /// Returns until when the lease lasts unless it is renewed, as it was when it was granted.
    pub fn expires_at(&self) -> Timestamp {
        self.grant.lease_expires_at
    }

    /// Returns the progress mark of the earlier attempt, on a takeover.
    pub fn earlier_checkpoint(&self) -> Option<&[u8]> {
        self.grant.checkpoint.as_deref()
    }

    /// Ends the attempt with success: from now on every caller gets this payload. Repeating it with the same payload is
    /// harmless, for a caller that lost the answer.
    ///
    /// # Errors
    /// [`LeaseLost`](ErrorKind::LeaseLost) when somebody else holds or ended the key; [`InvalidInput`](ErrorKind::InvalidInput)
    /// for a payload over the limit; [`Busy`](ErrorKind::Busy), [`Full`](ErrorKind::Full), [`Io`](ErrorKind::Io),
    /// [`Corrupted`](ErrorKind::Corrupted), [`Poisoned`](ErrorKind::Poisoned), [`Closed`](ErrorKind::Closed): the attempt is
    /// still in flight; [`Indeterminate`](ErrorKind::Indeterminate).
    pub fn complete(&self, payload: impl AsRef<[u8]>) -> Result<Ended> {
        self.store.complete(&self.key, self.token(), payload)
    }

    /// As [`complete`](Lease::complete), replayed for `retention` instead of the store's setting.
    ///
    /// # Errors
    /// As [`complete`](Lease::complete).
    pub fn complete_for(&self, payload: impl AsRef<[u8]>, retention: Duration) -> Result<Ended> {
        self.store.end(&self.key, self.token(), OutcomeKind::Completed, payload.as_ref(), Some(retention))
    }

    /// Ends the attempt with failure, for good: every later caller gets this payload instead of another run.
    ///
    /// # Errors
    /// As [`complete`](Lease::complete).
    pub fn fail(&self, payload: impl AsRef<[u8]>) -> Result<Ended> {
        self.store.fail(&self.key, self.token(), payload)
    }

    /// As [`fail`](Lease::fail), replayed for `retention` instead of the store's setting.
    ///
    /// # Errors
    /// As [`complete`](Lease::complete).
    pub fn fail_for(&self, payload: impl AsRef<[u8]>, retention: Duration) -> Result<Ended> {
        self.store.end(&self.key, self.token(), OutcomeKind::Failed, payload.as_ref(), Some(retention))
    }

    /// Declares that nothing happened: the key is free, and the next caller runs the operation afresh.
    ///
    /// # Errors
    /// As [`complete`](Lease::complete).
    pub fn release(&self) -> Result<()> {
        self.store.release(&self.key, self.token())
    }

    /// Starts the lease anew for `lease` from now; returns until when it lasts.
    ///
    /// # Errors
    /// As [`complete`](Lease::complete); [`InvalidInput`](ErrorKind::InvalidInput) for a length out of range.
    pub fn renew(&self, lease: Duration) -> Result<Timestamp> {
        self.store.renew(&self.key, self.token(), lease)
    }

    /// Stores a progress mark of at most 4 KiB and thereby declares that the effect may have started: the record is then
    /// kept until the attempt ends or is resolved.
    ///
    /// # Errors
    /// As [`complete`](Lease::complete); [`InvalidInput`](ErrorKind::InvalidInput) for a mark over the limit.
    pub fn checkpoint(&self, data: impl AsRef<[u8]>) -> Result<()> {
        self.store.checkpoint(&self.key, self.token(), data)
    }

    /// As [`complete`](Lease::complete), to be awaited. It happens whether or not it is.
    pub fn complete_async(&self, payload: impl AsRef<[u8]>) -> Ticket<Ended> {
        self.store.complete_async(&self.key, self.token(), payload)
    }

    /// As [`fail`](Lease::fail), to be awaited. It happens whether or not it is.
    pub fn fail_async(&self, payload: impl AsRef<[u8]>) -> Ticket<Ended> {
        self.store.fail_async(&self.key, self.token(), payload)
    }

    /// As [`release`](Lease::release), to be awaited. It happens whether or not it is.
    pub fn release_async(&self) -> Ticket<()> {
        self.store.release_async(&self.key, self.token())
    }

    /// As [`renew`](Lease::renew), to be awaited. It happens whether or not it is.
    pub fn renew_async(&self, lease: Duration) -> Ticket<Timestamp> {
        self.store.renew_async(&self.key, self.token(), lease)
    }

    /// As [`checkpoint`](Lease::checkpoint), to be awaited. It happens whether or not it is.
    pub fn checkpoint_async(&self, data: impl AsRef<[u8]>) -> Ticket<()> {
        self.store.checkpoint_async(&self.key, self.token(), data)
    }

    /// Renews the lease in the background, by the store's lease length, until the guard is dropped or the attempt ends.
    pub fn keep_alive(&self) -> KeepAlive {
        KeepAlive::start(self.store.shared(), &self.key, self.token(), self.store.shared().settings.lease)
    }

    /// As [`keep_alive`](Lease::keep_alive), by `lease` each time.
    ///
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput) for a length out of range.
    pub fn keep_alive_by(&self, lease: Duration) -> Result<KeepAlive> {
        within("lease", lease, &LEASE)?;
        Ok(KeepAlive::start(self.store.shared(), &self.key, self.token(), lease))
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("key", &self.key)
            .field("token", &self.grant.token)
            .field("attempt", &self.grant.attempt)
            .field("expires_at", &self.grant.lease_expires_at)
            .finish_non_exhaustive()
    }
}

pub(crate) fn lease_lost(key: &Key) -> Error {
    let message = format!("{key}: the token is not the record's current one; stop working under this lease");
    Error::new(ErrorKind::LeaseLost, message)
}
