use crate::{
    cli::values::{address, bytes, duration},
    server::{Limits, proxy::Upstream},
    tower::{Profile, Takeover},
};
use clap::{Args as ArgsOf, ValueEnum};
use http::{HeaderName, Method};
use std::{net::SocketAddr, path::PathBuf, time::Duration};

/// Put idempotency in front of any HTTP server.
///
/// A request with a key runs at most once; a retry gets the recorded response. The upstream needs no change. When it cannot be
/// reached the answer is 502 and the key stays free; when it was sent the request and fails, the answer is 504, and what became of
/// the request is unknown until it is resolved. A key that was used at one host is refused at another; where
/// hosts are tenants with keys of their own, give `--scope-header Host`.
#[derive(Debug, ArgsOf)]
pub(in crate::cli) struct Proxy {
    /// The store file; made if there is none.
    #[arg(long, value_name = "PATH")]
    pub(super) db: PathBuf,
    /// Where clients connect; port 0 picks one.
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    pub(super) listen: SocketAddr,
    /// The server to put idempotency in front of.
    #[arg(long, value_name = "http://HOST:PORT")]
    pub(super) upstream: Upstream,
    /// The contract: which header has the key, and what the proxy's own answers look like.
    #[arg(long, value_enum, default_value_t = Contract::Ietf)]
    pub(super) profile: Contract,
    /// Refuse requests without a key with 400; otherwise they pass, unprotected.
    #[arg(long)]
    pub(super) require_key: bool,
    /// The methods that a key counts for [default: POST,PATCH; all for x402]
    #[arg(long, value_name = "METHODS", value_delimiter = ',', value_parser = method)]
    pub(super) methods: Vec<Method>,
    /// Take the key from this header, instead of the one that the profile names.
    #[arg(long, value_name = "NAME")]
    pub(super) key_header: Option<HeaderName>,
    /// Tell clients apart by this header; may be repeated. Of its value a digest without a secret is stored, so whoever reads the
    /// store can try guesses: tell clients apart by names, or by secrets that nobody guesses, not by passwords. A request with a key and without
    /// the header is refused with 403. Without this option all clients share their keys.
    ///
    /// A header that one client changes between retries, as with credentials that are renewed, makes two clients of it: the retry
    /// would run again.
    #[arg(long, value_name = "NAME")]
    pub(super) scope_header: Vec<HeaderName>,
    /// How long a response is replayed.
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = duration)]
    pub(super) retention: Duration,
    /// How long the right to run a request lasts unless it is renewed, which it is while the upstream works.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    pub(super) lease: Duration,
    /// How long a duplicate waits for the first to end, before it is told that it is in flight, and not beyond a stop of
    /// the proxy. Those who wait have half of the memory for bodies at most; beyond that they are told at once.
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = duration)]
    pub(super) wait: Duration,
    /// What to do with a request whose earlier attempt never ended.
    #[arg(long, value_enum, value_name = "POLICY", default_value_t = OnTakeover::Refuse)]
    pub(super) on_takeover: OnTakeover,
    /// The longest body of a request with a key.
    #[arg(long, value_name = "SIZE", default_value = "1MiB", value_parser = bytes)]
    pub(super) max_body: u64,
    /// The longest body of a response that is stored, up to 15MiB. A longer one is passed on, and not replayed.
    #[arg(long, value_name = "SIZE", default_value = "1MiB", value_parser = bytes)]
    pub(super) max_response: u64,
    /// How long the upstream may take to answer, and be silent in the middle of an answer that is stored.
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration)]
    pub(super) upstream_timeout: Duration,
    /// Where the operator page, the API behind it, and `/_idemstore/health` and `/_idemstore/metrics` are; nowhere unless given.
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    pub(super) admin_listen: Option<SocketAddr>,
    /// A file with the token that the admin address asks for. Needed unless that address is a loopback one.
    #[arg(long, value_name = "FILE", requires = "admin_listen")]
    pub(super) token_file: Option<PathBuf>,
    /// Connections of clients at a time; further ones wait.
    #[arg(long, value_name = "CONNECTIONS", default_value_t = Limits::new().connections_max)]
    pub(super) max_connections: usize,
    /// Use a store file that is a backup or an older copy: keys that were begun after it was made are not known.
    #[arg(long)]
    pub(super) accept_restored: bool,
}

/// The contracts, by the names that the command has for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Contract {
    /// `Idempotency-Key`, as the IETF drafts it.
    Ietf,
    /// The payment-identifier extension of x402.
    X402,
    /// As Stripe answers.
    Stripe,
    /// As Lift answers.
    Lift,
}

impl Contract {
    pub(super) fn profile(self) -> Profile {
        match self {
            Self::Ietf => Profile::Ietf,
            Self::X402 => Profile::X402,
            Self::Stripe => Profile::Stripe,
            Self::Lift => Profile::Lift,
        }
    }
}

/// What happens to a request whose earlier attempt never ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum OnTakeover {
    /// Answer 503: what became of it is unknown.
    Refuse,
    /// Run it: for upstreams that do no harm when they run twice.
    Rerun,
    /// Run it if nothing was sent to the upstream before; costs another sync per request.
    RerunUnlessCheckpointed,
}

impl OnTakeover {
    pub(super) fn takeover(self) -> Takeover {
        match self {
            Self::Refuse => Takeover::Refuse,
            Self::Rerun => Takeover::Rerun,
            Self::RerunUnlessCheckpointed => Takeover::RerunUnlessCheckpointed,
        }
    }
}

/// Their case does not count: a client's `post` is covered by POST too.
fn method(text: &str) -> Result<Method, String> {
    text.trim().to_ascii_uppercase().parse().map_err(|_| "not a method: write them as in POST,PATCH".to_owned())
}
