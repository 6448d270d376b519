use std::time::Duration;

/// What a client may take of a server: how long it may keep it waiting, how much it may send, how many may come at a time.
///
/// Every one of them is armed on every connection.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// From the first byte of a request's head to its last. The connection is closed when it is over. 10 s unless set.
    pub head_wait: Duration,
    /// For a whole request's body, as [`read`](super::read) reads it. 30 s unless set.
    pub body_wait: Duration,
    /// Between two requests of a connection, and before the first. 75 s unless set: longer than clients commonly keep one.
    pub idle_wait: Duration,
    /// Without any progress while a response is written: a client that does not read is cut off. 30 s unless set.
    pub write_wait: Duration,
    /// From the order to stop to the end of the last connection, after which those left are cut off. 10 s unless set.
    pub stop_wait: Duration,
    /// Bytes of a request's head; 64 KiB unless set, 8 KiB at least. More is answered with 431.
    pub head_bytes_max: usize,
    /// Connections at a time; 1024 unless set. A further one waits until another ends; whoever has been idle for longest is closed to
    /// make room.
    pub connections_max: usize,
}

impl Limits {
    /// The least that `head_bytes_max` can be.
    pub(super) const HEAD_BYTES_MIN: usize = 8 * 1024;

    /// Starts from the defaults that each field names.
    pub fn new() -> Self {
        Self {
            head_wait: Duration::from_secs(10),
            body_wait: Duration::from_secs(30),
            idle_wait: Duration::from_secs(75),
            write_wait: Duration::from_secs(30),
            stop_wait: Duration::from_secs(10),
            head_bytes_max: 64 * 1024,
            connections_max: 1024,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::new()
    }
}
