//! LMDB with its defaults: each commit syncs its data, then writes a meta page through a file opened with `O_DSYNC`.

use crate::{
    engine::{Engine, Reader},
    record::{Command, Record, decide},
    system::Answer,
};
use heed::{
    Database, Env, EnvOpenOptions,
    types::{Bytes, Str},
};
use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// The file's greatest size; only address space.
const MAP_BYTES: usize = 64 << 30;
const READERS: u32 = 1024;

struct Lmdb {
    environment: Env,
    records: Database<Str, Bytes>,
    meta_pages: AtomicU64,
}

pub fn open(path: &Path) -> Arc<dyn Engine> {
    fs::create_dir(path).unwrap();
    let mut options = EnvOpenOptions::new();
    options.map_size(MAP_BYTES).max_readers(READERS);
    #[allow(unsafe_code)]
    // SAFETY: nobody else opens or changes the files of this private directory while they are mapped.
    let environment = unsafe { options.open(path) }.unwrap();
    let mut transaction = environment.write_txn().unwrap();
    let records = environment.create_database(&mut transaction, None).unwrap();
    transaction.commit().unwrap();
    Arc::new(Lmdb { environment, records, meta_pages: AtomicU64::new(0) })
}

impl Engine for Lmdb {
    fn transact(&self, commands: &[Command]) -> Vec<Answer> {
        let mut transaction = self.environment.write_txn().unwrap();
        let mut run = |command: &Command| {
            let existing = self.records.get(&transaction, &command.id).unwrap().map(Record::decode);
            let (answer, stored) = decide(existing, &command.step);
            if let Some(record) = stored {
                self.records.put(&mut transaction, &command.id, &record.encode()).unwrap();
            }
            answer
        };
        let answers = commands.iter().map(&mut run).collect();
        transaction.commit().unwrap();
        self.meta_pages.fetch_add(1, Ordering::Relaxed);
        answers
    }

    fn synced_writes(&self) -> u64 {
        self.meta_pages.load(Ordering::Relaxed)
    }

    fn reader(&self) -> Box<dyn Reader + '_> {
        Box::new(LmdbReader(self))
    }
}

struct LmdbReader<'d>(&'d Lmdb);

impl Reader for LmdbReader<'_> {
    fn get(&mut self, id: &str) -> Option<Record> {
        let transaction = self.0.environment.read_txn().unwrap();
        self.0.records.get(&transaction, id).unwrap().map(Record::decode)
    }
}
