//! redb used directly, as somebody would without this crate: no block checks, no two-phase commit, no fencing.

use super::{
    alternate::{self, Slice},
    load,
};
use redb::{Database, ReadableDatabase as _, TableDefinition};
use std::{
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::Duration,
};

const RECORDS: TableDefinition<'static, &[u8], &[u8]> = TableDefinition::new("records");
const BEGUN: [u8; 128] = [1; 128];
const ENDED: [u8; 128 + load::PAYLOAD_BYTES] = [2; 128 + load::PAYLOAD_BYTES];
/// As many as this crate's writer puts into one commit.
const BATCH_MAX: usize = 1024;

static NEXT: AtomicU64 = AtomicU64::new(1 << 40);

fn new_id() -> Vec<u8> {
    load::id(NEXT.fetch_add(1, Ordering::Relaxed)).into_bytes()
}

pub fn database(directory: &Path, name: &str, records: u64) -> Database {
    let db = Database::builder().set_cache_size(64 << 20).create(directory.join(name)).unwrap();
    let txn = db.begin_write().unwrap();
    {
        let mut table = txn.open_table(RECORDS).unwrap();
        (0..records).for_each(|_| drop(table.insert(&new_id()[..], &ENDED[..]).unwrap()));
    }
    txn.commit().unwrap();
    db
}

/// One transaction for each operation.
pub fn one_by_one(db: &Database, callers: usize, slice: Duration) -> Slice {
    let put = |id: &[u8], value: &[u8]| {
        let txn = db.begin_write().unwrap();
        drop(txn.open_table(RECORDS).unwrap().insert(id, value).unwrap());
        txn.commit().unwrap();
    };
    let (payments, took) = alternate::callers(callers, slice, || {
        let id = new_id();
        let seen = db.begin_read().unwrap().open_table(RECORDS).unwrap().get(&id[..]).unwrap().is_some();
        assert!(!seen);
        put(&id, &BEGUN);
        put(&id, &ENDED);
    });
    Slice { payments, took, io: None }
}

struct Put {
    id: Vec<u8>,
    value: &'static [u8],
    done: SyncSender<()>,
}

/// One writer thread that commits whatever has queued up.
pub fn grouped(db: &Database, callers: usize, slice: Duration) -> Slice {
    let (sender, receiver) = sync_channel::<Put>(4096);
    let (payments, took) = thread::scope(|scope| {
        scope.spawn(move || write_groups(db, &receiver));
        let sender = Mutex::new(Some(sender));
        let result = alternate::callers(callers, slice, || {
            let sender = sender.lock().unwrap().clone().unwrap();
            let id = new_id();
            for value in [&BEGUN[..], &ENDED[..]] {
                let (done, is_done) = sync_channel(1);
                sender.send(Put { id: id.clone(), value, done }).unwrap();
                is_done.recv().unwrap();
            }
        });
        sender.lock().unwrap().take();
        result
    });
    Slice { payments, took, io: None }
}

fn write_groups(db: &Database, receiver: &Receiver<Put>) {
    while let Ok(first) = receiver.recv() {
        let group: Vec<Put> = std::iter::once(first).chain(receiver.try_iter().take(BATCH_MAX - 1)).collect();
        let txn = db.begin_write().unwrap();
        {
            let mut table = txn.open_table(RECORDS).unwrap();
            for put in &group {
                drop(table.insert(&put.id[..], put.value).unwrap());
            }
        }
        txn.commit().unwrap();
        for put in &group {
            let _ = put.done.send(());
        }
    }
}
