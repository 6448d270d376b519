//! fjall with transactions of a single writer, each synced (`PersistMode::SyncData`: "for ACID transactions").

use super::CACHE_BYTES;
use crate::{
    engine::{Engine, Reader},
    record::{Command, Record, decide},
    system::Answer,
};
use fjall::{KeyspaceCreateOptions, PersistMode, Readable as _, SingleWriterTxDatabase, SingleWriterTxKeyspace};
use std::{path::Path, sync::Arc};

struct Fjall {
    database: SingleWriterTxDatabase,
    records: SingleWriterTxKeyspace,
}

pub fn open(path: &Path) -> Arc<dyn Engine> {
    let database = SingleWriterTxDatabase::builder(path).cache_size(CACHE_BYTES as u64).open().unwrap();
    let records = database.keyspace("records", KeyspaceCreateOptions::default).unwrap();
    Arc::new(Fjall { database, records })
}

impl Engine for Fjall {
    fn transact(&self, commands: &[Command]) -> Vec<Answer> {
        let mut transaction = self.database.write_tx().durability(Some(PersistMode::SyncData));
        let mut run = |command: &Command| {
            let existing = transaction.get(&self.records, &command.id).unwrap().map(|value| Record::decode(&value));
            let (answer, stored) = decide(existing, &command.step);
            if let Some(record) = stored {
                transaction.insert(&self.records, &*command.id, record.encode());
            }
            answer
        };
        let answers = commands.iter().map(&mut run).collect();
        transaction.commit().unwrap();
        answers
    }

    fn reader(&self) -> Box<dyn Reader + '_> {
        Box::new(FjallReader(&self.records))
    }
}

struct FjallReader<'d>(&'d SingleWriterTxKeyspace);

impl Reader for FjallReader<'_> {
    fn get(&mut self, id: &str) -> Option<Record> {
        self.0.get(id).unwrap().map(|value| Record::decode(&value))
    }
}
