//! Redis for tasks: all of them share one connection, which sends what they ask for in pipelines, as the client's documentation has
//! it for asynchronous programs. The connection's own task runs on their thread.

use super::redis::{Redis, Socket, check_stored, claim, store};
use crate::{
    load::Request,
    record::Record,
    system::{Answer, Awaited, Awaiting, Caller, Io, System},
};
use redis::aio::MultiplexedConnection;
use std::{future::Future, path::Path, pin::Pin};
use tokio::runtime::Runtime;

pub struct RedisAsync {
    redis: Redis,
    connection: MultiplexedConnection,
    runtime: Runtime,
}

impl RedisAsync {
    /// Starts a server and fills it.
    ///
    /// # Errors
    /// What to install.
    pub fn open(directory: &Path, records: u64) -> Result<Self, String> {
        let redis = Redis::open(directory, records, Socket::Unix)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let connection = runtime.block_on(redis.0.client.get_multiplexed_async_connection()).unwrap();
        Ok(Self { redis, connection, runtime })
    }

    async fn claim(&self, id: &str, record: &Record) -> Option<Vec<u8>> {
        claim(id, record).query_async(&mut self.connection.clone()).await.unwrap()
    }
}

impl System for RedisAsync {
    fn caller(&self) -> Box<dyn Caller + '_> {
        self.redis.caller()
    }

    fn awaited(&self) -> Option<&dyn Awaited> {
        Some(self)
    }

    fn io(&self) -> Io {
        self.redis.io()
    }

    fn syncs_here(&self) -> bool {
        self.redis.syncs_here()
    }
}

impl Awaited for RedisAsync {
    fn block_on(&self, tasks: Pin<&mut dyn Future<Output = ()>>) {
        self.runtime.block_on(tasks);
    }

    fn pay<'s>(&'s self, id: &'s str, request: &'s Request, payload: &'s [u8]) -> Awaiting<'s, ()> {
        Box::pin(async move {
            let begun = Record::begun(request);
            assert_eq!(self.claim(id, &begun).await, None, "a new key");
            let is_stored: Option<String> = store(id, &begun, payload).query_async(&mut self.connection.clone()).await.unwrap();
            check_stored(is_stored.as_deref());
        })
    }

    fn begin<'s>(&'s self, id: &'s str, request: &'s Request) -> Awaiting<'s, Answer> {
        Box::pin(async move {
            let existing = self.claim(id, &Record::begun(request)).await;
            existing.map_or(Answer::Fresh, |existing| Record::decode(&existing).answer(request))
        })
    }
}
