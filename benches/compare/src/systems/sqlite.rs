//! SQLite in WAL mode with `synchronous=FULL`: one connection writes, each caller reads through its own.

use super::CACHE_BYTES;
use crate::{
    engine::{Engine, Reader},
    load::Request,
    record::{Command, Record, Step, expiry},
    system::Answer,
};
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

/// An ordinary table with rowids: the documentation advises against `WITHOUT ROWID` for rows over a twentieth of a page.
const SCHEMA: &str = "
    CREATE TABLE records (
        id TEXT NOT NULL PRIMARY KEY, request BLOB NOT NULL, expires_at INTEGER NOT NULL, payload BLOB
    ) STRICT";
const CLAIM: &str = "INSERT INTO records (id, request, expires_at) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
const COMPLETE: &str = "UPDATE records SET payload = ?2 WHERE id = ?1 AND payload IS NULL";
const GET: &str = "SELECT request, expires_at, payload FROM records WHERE id = ?1";

struct Sqlite {
    path: PathBuf,
    writer: Mutex<Connection>,
}

pub fn open(path: &Path) -> Arc<dyn Engine> {
    let writer = connect(path);
    let cache_kib = CACHE_BYTES >> 10;
    writer.pragma_update(None, "cache_size", format!("-{cache_kib}")).unwrap();
    writer.execute_batch(SCHEMA).unwrap();
    Arc::new(Sqlite { path: path.to_owned(), writer: Mutex::new(writer) })
}

fn connect(path: &Path) -> Connection {
    let connection = Connection::open(path).unwrap();
    let mode: String = connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0)).unwrap();
    assert_eq!(mode, "wal");
    connection.pragma_update(None, "synchronous", "FULL").unwrap();
    let synchronous: i64 = connection.pragma_query_value(None, "synchronous", |row| row.get(0)).unwrap();
    assert_eq!(synchronous, 2);
    connection.pragma_update(None, "mmap_size", CACHE_BYTES.to_string()).unwrap();
    connection
}

impl Engine for Sqlite {
    fn transact(&self, commands: &[Command]) -> Vec<Answer> {
        let mut writer = self.writer.lock().unwrap();
        if let [command] = commands {
            // A statement is a transaction.
            return vec![run(&writer, command)];
        }
        let transaction = writer.transaction().unwrap();
        let answers = commands.iter().map(|command| run(&transaction, command)).collect();
        transaction.commit().unwrap();
        answers
    }

    fn reader(&self) -> Box<dyn Reader + '_> {
        Box::new(SqliteReader(connect(&self.path)))
    }
}

fn run(writer: &Connection, command: &Command) -> Answer {
    match &command.step {
        Step::Begin(request) => claim(writer, &command.id, request),
        Step::Complete(payload) => {
            let changed = writer.prepare_cached(COMPLETE).unwrap().execute(params![command.id, payload]).unwrap();
            assert_eq!(changed, 1, "only what runs can be completed");
            Answer::Done
        }
    }
}

fn claim(writer: &Connection, id: &str, request: &Request) -> Answer {
    let changed = writer.prepare_cached(CLAIM).unwrap().execute(params![id, request, expiry()]).unwrap();
    match changed {
        0 => get(writer, id).expect("what conflicts is there").answer(request),
        _ => Answer::Fresh,
    }
}

fn get(connection: &Connection, id: &str) -> Option<Record> {
    connection.prepare_cached(GET).unwrap().query_row([id], record).optional().unwrap()
}

fn record(row: &Row<'_>) -> rusqlite::Result<Record> {
    Ok(Record { request: row.get(0)?, expires_at: row.get(1)?, payload: row.get(2)? })
}

struct SqliteReader(Connection);

impl Reader for SqliteReader {
    fn get(&mut self, id: &str) -> Option<Record> {
        get(&self.0, id)
    }
}
