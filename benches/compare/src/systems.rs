//! Everything that is compared, by name.

mod fjall;
mod floor;
#[cfg(feature = "idempotent")]
mod idempotent;
mod idemstore;
mod lmdb;
mod postgres;
mod redb;
mod redis;
#[cfg(feature = "redis-async")]
mod redis_async;
#[cfg(feature = "rocksdb")]
mod rocksdb;
mod sqlite;

pub use floor::Floor;
pub use idemstore::fill as fill_idemstore;

use crate::{
    engine::{self, Direct, Engine, Grouped},
    system::System,
};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Each engine gets the same: enough for all of a million records, so that nobody is measured by what a small cache misses.
const CACHE_BYTES: usize = 1 << 30;

/// In the order of the table.
pub const ALL: [&str; 19] = [
    "idemstore",
    "idemstore-async",
    "floor",
    "floor-group",
    "redb-group",
    "redb-txn",
    "sqlite",
    "sqlite-group",
    "fjall",
    "fjall-txn",
    "lmdb",
    "lmdb-group",
    "rocksdb",
    "redis-always",
    "redis-always-tcp",
    "redis-always-async",
    "postgres",
    "idempotent-valkey",
    "idempotent-memory",
];

pub const QUICK: [&str; 5] = ["idemstore", "idemstore-async", "floor", "redb-group", "redis-always"];

/// Keeps nothing: there to show what durability costs.
pub const NOT_DURABLE: &str = "idempotent-memory";

/// Whether each sync of a system is a call in this process: not a server's, nor LMDB's writes to a file that is always synced.
pub fn can_be_slowed(name: &str) -> bool {
    !["lmdb", "redis", "postgres", "idempotent"].iter().any(|other| name.starts_with(other))
}

/// Where the systems of one run keep their files.
pub struct Place {
    directory: PathBuf,
    records: u64,
    /// Filled once, used by a transaction for each step and by group commit.
    engines: BTreeMap<&'static str, Arc<dyn Engine>>,
}

impl Place {
    pub fn new(directory: &Path, records: u64) -> Self {
        Self { directory: directory.to_owned(), records, engines: BTreeMap::new() }
    }

    fn engine(&mut self, name: &'static str, open: impl FnOnce(&Path) -> Arc<dyn Engine>) -> Arc<dyn Engine> {
        let (directory, records) = (&self.directory, self.records);
        let open_and_fill = || {
            let engine = open(&directory.join(name));
            engine::timed(name, records, || engine::fill(&*engine, records));
            engine
        };
        self.engines.entry(name).or_insert_with(open_and_fill).clone()
    }

    /// Starts and fills a system.
    ///
    /// # Errors
    /// What to install, if something is missing.
    pub fn open(&mut self, name: &str) -> Result<Box<dyn System>, String> {
        let direct = |engine| Ok(Box::new(Direct(engine)) as Box<dyn System>);
        let grouped = |engine| Ok(Box::new(Grouped::new(engine)) as Box<dyn System>);
        let (own, records) = (self.directory.join(name), self.records);
        match name {
            "idemstore" => Ok(Box::new(idemstore::Idemstore::open(&own, records, false))),
            "idemstore-async" => Ok(Box::new(idemstore::Idemstore::open(&own, records, true))),
            "floor-group" => grouped(self.engine("floor-group", floor::open_group)),
            "redb-txn" => direct(self.engine("redb", redb::open)),
            "redb-group" => grouped(self.engine("redb", redb::open)),
            "sqlite" => direct(self.engine("sqlite", sqlite::open)),
            "sqlite-group" => grouped(self.engine("sqlite", sqlite::open)),
            "fjall" => grouped(self.engine("fjall", fjall::open)),
            "fjall-txn" => direct(self.engine("fjall", fjall::open)),
            "lmdb" => direct(self.engine("lmdb", lmdb::open)),
            "lmdb-group" => grouped(self.engine("lmdb", lmdb::open)),
            #[cfg(feature = "rocksdb")]
            "rocksdb" => direct(self.engine("rocksdb", rocksdb::open)),
            #[cfg(not(feature = "rocksdb"))]
            "rocksdb" => Err("build with `--features rocksdb`; that needs libclang-dev".to_owned()),
            "redis-always" => Ok(Box::new(redis::Redis::open(&own, records, redis::Socket::Unix)?)),
            "redis-always-tcp" => Ok(Box::new(redis::Redis::open(&own, records, redis::Socket::Loopback)?)),
            #[cfg(feature = "redis-async")]
            "redis-always-async" => Ok(Box::new(redis_async::RedisAsync::open(&own, records)?)),
            #[cfg(not(feature = "redis-async"))]
            "redis-always-async" => Err("build with `--features redis-async`".to_owned()),
            "postgres" => Ok(Box::new(postgres::Postgres::open(&own, records)?)),
            #[cfg(feature = "idempotent")]
            "idempotent-valkey" => Ok(Box::new(idempotent::Idempotent::valkey(&own, records)?)),
            #[cfg(feature = "idempotent")]
            "idempotent-memory" => Ok(Box::new(idempotent::Idempotent::memory(records))),
            #[cfg(not(feature = "idempotent"))]
            "idempotent-valkey" | "idempotent-memory" => Err("build with `--features idempotent`".to_owned()),
            other => Err(format!("there is no such system; there are {}, not {other}", ALL.join(", "))),
        }
    }
}
