//! The `idempotent` crate: its store in memory, which keeps nothing, and its store in Valkey or Redis, all callers through one
//! pipelined connection as its documentation has it. The server is Redis with the same settings as the others'.

use super::redis::{RedisServer, Socket};
use crate::{
    engine::timed,
    load::{self, REQUEST, Request},
    system::{Answer, Caller, Io, System},
};
use futures_util::future::join_all;
use idempotent::{
    CachedResponse, Fingerprint, IdempotencyEntry, IdempotencyKey, Metadata,
    entry::{ExistingEntry, FencingToken, Processing},
    fingerprint::{DefaultFingerprintStrategy, FingerprintStrategy as _},
    store::{IdempotencyStore, InsertResult, memory::MemoryStore, valkey::ValkeyStore},
};
use std::{path::Path, time::Duration};
use tokio::runtime::Runtime;

const DAY: Duration = Duration::from_hours(24);
const MINUTE: Duration = Duration::from_mins(1);
/// Payments in flight while a store is filled.
const FILL: u64 = 200;
/// Actions that wait for the task of the store in memory.
const BUFFER: usize = 4096;
const OK: u16 = 200;

pub struct Idempotent<S> {
    store: S,
    server: Option<RedisServer>,
    runtime: Runtime,
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap()
}

impl Idempotent<ValkeyStore> {
    /// Starts a server and fills it.
    ///
    /// # Errors
    /// What to install.
    pub fn valkey(directory: &Path, records: u64) -> Result<Self, String> {
        let server = RedisServer::start(directory, Socket::Unix)?;
        let runtime = runtime();
        let store = runtime.block_on(ValkeyStore::new(server.client.clone())).unwrap();
        let system = Self { store, server: Some(server), runtime };
        timed("idempotent-valkey", records, || system.fill(records));
        system.server.as_ref().into_iter().for_each(RedisServer::settle);
        Ok(system)
    }
}

impl Idempotent<MemoryStore> {
    pub fn memory(records: u64) -> Self {
        let runtime = runtime();
        let entered = runtime.enter();
        let store = MemoryStore::new(BUFFER, MINUTE);
        drop(entered);
        let system = Self { store, server: None, runtime };
        timed("idempotent-memory", records, || system.fill(records));
        system
    }
}

impl<S: IdempotencyStore> Idempotent<S> {
    fn fill(&self, records: u64) {
        for first in (0..records).step_by(usize::try_from(FILL).unwrap()) {
            let pay = |number| async move {
                let (key, entry) = (key(&load::id(number)), entry(&REQUEST));
                let claim = self.store.try_insert(&key, entry.clone()).await.unwrap();
                let InsertResult::Claimed { fencing_token } = claim else { panic!("a new key is claimed") };
                let completed = entry.complete(response(&load::payload(number)));
                self.store.complete(&key, completed, fencing_token).await.unwrap();
            };
            self.runtime.block_on(join_all((first..records.min(first + FILL)).map(pay)));
        }
    }
}

fn key(id: &str) -> IdempotencyKey {
    IdempotencyKey::new(id).unwrap()
}

fn fingerprint(request: &Request) -> Fingerprint {
    DefaultFingerprintStrategy.compute("POST /payments", request)
}

fn entry(request: &Request) -> IdempotencyEntry<Processing> {
    IdempotencyEntry::new(fingerprint(request), DAY)
}

fn response(payload: &[u8]) -> CachedResponse {
    CachedResponse { status_code: OK, metadata: Metadata::default(), body: bytes::Bytes::copy_from_slice(payload) }
}

impl<S: IdempotencyStore> System for Idempotent<S> {
    fn caller(&self) -> Box<dyn Caller + '_> {
        Box::new(IdempotentCaller { system: self, begun: None })
    }

    fn io(&self) -> Io {
        self.server.as_ref().map(RedisServer::io).unwrap_or_default()
    }

    fn syncs_here(&self) -> bool {
        false
    }
}

struct IdempotentCaller<'s, S> {
    system: &'s Idempotent<S>,
    begun: Option<(IdempotencyEntry<Processing>, FencingToken)>,
}

impl<S: IdempotencyStore> Caller for IdempotentCaller<'_, S> {
    fn begin(&mut self, id: &str, request: &Request) -> Answer {
        let (key, entry) = (key(id), entry(request));
        let claim = self.system.store.try_insert(&key, entry.clone());
        let existing = match self.system.runtime.block_on(claim).unwrap() {
            InsertResult::Claimed { fencing_token } => {
                self.begun = Some((entry, fencing_token));
                return Answer::Fresh;
            }
            InsertResult::Exists(existing) => existing,
        };
        match existing {
            ExistingEntry::Completed(entry) if entry.fingerprint_matches(fingerprint(request)) => {
                Answer::Replay(entry.response().body.to_vec())
            }
            ExistingEntry::Processing(entry) if entry.fingerprint_matches(fingerprint(request)) => Answer::Running,
            _ => Answer::Mismatch,
        }
    }

    fn complete(&mut self, id: &str, payload: &[u8]) {
        let (entry, token) = self.begun.take().expect("begun by this caller");
        let completed = entry.complete(response(payload));
        self.system.runtime.block_on(self.system.store.complete(&key(id), completed, token)).unwrap();
    }
}
