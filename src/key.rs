use crate::{
    Error, Result,
    limits::{KEY_ID_BYTES_MAX, SCOPE_BYTES_MAX},
};
use std::{
    fmt,
    hash::{BuildHasher, Hash, Hasher, RandomState},
    sync::{Arc, LazyLock},
};

/// Random, so that nobody can choose ids whose hashes collide.
static HASHING: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// The required namespace of a [`Key`]: who asks (the principal) and for what (the endpoint).
///
/// Two scopes never see, block or replay each other's keys. Take the principal from what was authenticated, never from
/// what the client merely claims. 1 to 512 bytes of UTF-8.
///
/// ```
/// let scope = idemstore::Scope::new("tenant-7/POST /payments")?;
/// assert_eq!(scope.as_str(), "tenant-7/POST /payments");
/// # Ok::<(), idemstore::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope(Arc<str>);

/// Names one operation: a [`Scope`] and the id that the client sent (`Idempotency-Key`, an x402 payment id, ...).
///
/// The id is 1 to 255 bytes of UTF-8, compared byte by byte. `Debug` and `Display` show its first half at most, so that logs hold
/// no whole key.
///
/// ```
/// use idemstore::Key;
///
/// let key = Key::new("tenant-7/POST /payments", "pay_7d5d747be160e280504c099d984bcfe0")?;
/// assert_eq!(key.id(), "pay_7d5d747be160e280504c099d984bcfe0");
/// assert_eq!(key.to_string(), "tenant-7/POST /payments pay_7d5d74...");
/// // The parts cannot run into each other.
/// assert_ne!(Key::new("ab", "c")?, Key::new("a", "bc")?);
/// # Ok::<(), idemstore::Error>(())
/// ```
#[derive(Clone, Eq, PartialOrd, Ord)]
pub struct Key {
    scope: Scope,
    id: Arc<str>,
    /// Of both. On its way through the store a key is looked up some thirty times.
    hash: u64,
}

impl Scope {
    /// Makes a scope of `name`.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) when it is empty or longer than [`SCOPE_BYTES_MAX`].
    pub fn new(name: impl AsRef<str>) -> Result<Self> {
        let name = name.as_ref();
        match name.len() {
            0 => Err(Error::invalid("scope is empty: name the principal and the endpoint")),
            1..=SCOPE_BYTES_MAX => Ok(Self(name.into())),
            len => Err(Error::invalid(format!("scope has {len} bytes: give 1 to {SCOPE_BYTES_MAX}"))),
        }
    }

    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Key {
    /// Makes a key of a scope and the client's id.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) when a part is empty or over [`SCOPE_BYTES_MAX`] or [`KEY_ID_BYTES_MAX`].
    pub fn new(scope: impl AsRef<str>, id: impl AsRef<str>) -> Result<Self> {
        Scope::new(scope)?.key(id)
    }

    /// Returns the scope.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// Returns the client's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns a number that is the key's own in this process.
    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }
}

impl Scope {
    /// Makes a key of this scope and the client's id.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) when the id is empty or over [`KEY_ID_BYTES_MAX`].
    pub fn key(&self, id: impl AsRef<str>) -> Result<Key> {
        let id = id.as_ref();
        match id.len() {
            0 => Err(Error::invalid(format!("key id is empty: give 1 to {KEY_ID_BYTES_MAX} bytes"))),
            1..=KEY_ID_BYTES_MAX => Ok(Key { scope: self.clone(), id: id.into(), hash: HASHING.hash_one((&*self.0, id)) }),
            len => Err(Error::invalid(format!("key id has {len} bytes: give 1 to {KEY_ID_BYTES_MAX}"))),
        }
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash && self.id == other.id && self.scope == other.scope
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN_CHARS_MAX: usize = 10;
        let shown = SHOWN_CHARS_MAX.min(self.id.chars().count() / 2);
        let shown: String = self.id.chars().take(shown).flat_map(char::escape_debug).collect();
        write!(f, "{} {shown}...", self.scope.0.escape_debug())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({self})")
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scope({:?})", self.0)
    }
}
