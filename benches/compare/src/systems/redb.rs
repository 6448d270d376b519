//! redb with its defaults: immediate durability, one-phase commit.

use super::CACHE_BYTES;
use crate::{
    engine::{Engine, Reader},
    record::{Command, Record, decide},
    system::Answer,
};
use redb::{Database, ReadableDatabase as _, ReadableTable as _, TableDefinition};
use std::{path::Path, sync::Arc};

const RECORDS: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("records");

struct Redb(Database);

pub fn open(path: &Path) -> Arc<dyn Engine> {
    Arc::new(Redb(Database::builder().set_cache_size(CACHE_BYTES).create(path).unwrap()))
}

impl Engine for Redb {
    fn transact(&self, commands: &[Command]) -> Vec<Answer> {
        let transaction = self.0.begin_write().unwrap();
        let mut table = transaction.open_table(RECORDS).unwrap();
        let mut run = |command: &Command| {
            let existing = table.get(&*command.id).unwrap().map(|value| Record::decode(value.value()));
            let (answer, stored) = decide(existing, &command.step);
            if let Some(record) = stored {
                table.insert(&*command.id, &*record.encode()).unwrap();
            }
            answer
        };
        let answers = commands.iter().map(&mut run).collect();
        drop(table);
        transaction.commit().unwrap();
        answers
    }

    fn reader(&self) -> Box<dyn Reader + '_> {
        Box::new(RedbReader(&self.0))
    }
}

struct RedbReader<'d>(&'d Database);

impl Reader for RedbReader<'_> {
    fn get(&mut self, id: &str) -> Option<Record> {
        let table = self.0.begin_read().unwrap().open_table(RECORDS).unwrap();
        table.get(id).unwrap().map(|value| Record::decode(value.value()))
    }
}
