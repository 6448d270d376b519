//! RocksDB with pessimistic transactions and a synced write-ahead log. Callers write for themselves: RocksDB lets one of those
//! who commit at the same time write and sync for all of them.

use super::CACHE_BYTES;
use crate::{
    engine::{Engine, Reader},
    record::{Command, Record, decide},
    system::Answer,
};
use rocksdb::{BlockBasedOptions, Cache, Options, TransactionDB, TransactionDBOptions, TransactionOptions, WriteOptions};
use std::{path::Path, sync::Arc};

struct RocksDb(TransactionDB);

pub fn open(path: &Path) -> Arc<dyn Engine> {
    let mut blocks = BlockBasedOptions::default();
    blocks.set_block_cache(&Cache::new_lru_cache(CACHE_BYTES));
    blocks.set_bloom_filter(10.0, false);
    let mut options = Options::default();
    options.create_if_missing(true);
    options.set_block_based_table_factory(&blocks);
    Arc::new(RocksDb(TransactionDB::open(&options, &TransactionDBOptions::default(), path).unwrap()))
}

impl Engine for RocksDb {
    fn transact(&self, commands: &[Command]) -> Vec<Answer> {
        let mut write = WriteOptions::default();
        write.set_sync(true);
        let transaction = self.0.transaction_opt(&write, &TransactionOptions::default());
        let run = |command: &Command| {
            let existing = transaction.get_for_update(&command.id, true).unwrap().map(|value| Record::decode(&value));
            let (answer, stored) = decide(existing, &command.step);
            if let Some(record) = stored {
                transaction.put(&command.id, record.encode()).unwrap();
            }
            answer
        };
        let answers = commands.iter().map(run).collect();
        transaction.commit().unwrap();
        answers
    }

    fn reader(&self) -> Box<dyn Reader + '_> {
        Box::new(RocksDbReader(&self.0))
    }
}

struct RocksDbReader<'d>(&'d TransactionDB);

impl Reader for RocksDbReader<'_> {
    fn get(&mut self, id: &str) -> Option<Record> {
        self.0.get(id).unwrap().map(|value| Record::decode(&value))
    }
}
