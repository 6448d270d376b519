//! What a durable store has to do at least. Without group commit: write the bytes to a preallocated file, sync, twice per payment. With
//! it: the same once for all who wait, and a hash map; what is left is the disk, the queue and the wake-ups. Neither can be opened again.

use crate::{
    engine::{Engine, Reader},
    load::PAYLOAD_BYTES,
    record::{Command, Record, decide},
    slice::{Slice, Stopwatch},
    system::{Answer, Io},
};
use std::{
    collections::HashMap,
    fs::{self, File},
    os::unix::fs::FileExt,
    path::Path,
    sync::{Arc, Mutex, RwLock},
    time::Duration,
};

const FILE_BYTES: u64 = 64 << 20;
const MIB: usize = 1 << 20;
/// A key, a fingerprint and a header.
const BEGIN_BYTES: usize = 36 + 32 + 16;

/// A file of a fixed length that is written over and over.
struct Log {
    file: File,
    position: u64,
}

impl Log {
    fn create(path: &Path) -> Self {
        let file = File::create_new(path).unwrap();
        // Written, not just allocated: the sync must not have to change the file's metadata.
        let zeros = vec![0; MIB];
        (0..FILE_BYTES).step_by(MIB).for_each(|offset| file.write_all_at(&zeros, offset).unwrap());
        file.sync_all().unwrap();
        Self { file, position: 0 }
    }

    /// Makes bytes durable.
    fn append(&mut self, bytes: &[u8]) {
        if self.position + bytes.len() as u64 > FILE_BYTES {
            self.position = 0;
        }
        self.file.write_all_at(bytes, self.position).unwrap();
        self.position += bytes.len() as u64;
        self.file.sync_data().unwrap();
    }
}

pub struct Floor(Log);

impl Floor {
    pub fn open(directory: &Path) -> Self {
        Self(Log::create(&directory.join("floor")))
    }

    /// One caller pays.
    pub fn slice(&mut self, slice: Duration) -> (Slice, Io) {
        let bytes = [0x5a; BEGIN_BYTES + PAYLOAD_BYTES];
        let before = Io::of_this_process();
        let mut watch = Stopwatch::start(slice);
        while watch.is_running() {
            watch.time(|| {
                self.0.append(&bytes[..BEGIN_BYTES]);
                self.0.append(&bytes);
            });
        }
        let took = watch.elapsed();
        (Slice::of([watch.into_latencies()], took), Io::of_this_process().since(&before))
    }
}

struct LogAndMap {
    log: Mutex<Log>,
    records: RwLock<HashMap<String, Record>>,
}

pub fn open_group(path: &Path) -> Arc<dyn Engine> {
    fs::create_dir(path).unwrap();
    Arc::new(LogAndMap { log: Mutex::new(Log::create(&path.join("log"))), records: RwLock::default() })
}

impl LogAndMap {
    fn get(&self, id: &str) -> Option<Record> {
        self.records.read().unwrap().get(id).cloned()
    }
}

impl Engine for LogAndMap {
    fn transact(&self, commands: &[Command]) -> Vec<Answer> {
        let (mut changed, mut bytes) = (HashMap::<&str, Record>::new(), Vec::new());
        let mut answers = Vec::with_capacity(commands.len());
        for Command { id, step } in commands {
            let (answer, stored) = decide(changed.get(id.as_str()).cloned().or_else(|| self.get(id)), step);
            if let Some(record) = stored {
                bytes.extend(id.as_bytes());
                bytes.extend(record.encode());
                changed.insert(id, record);
            }
            answers.push(answer);
        }
        self.log.lock().unwrap().append(&bytes);
        // Only now: what others find is durable.
        self.records.write().unwrap().extend(changed.into_iter().map(|(id, record)| (id.to_owned(), record)));
        answers
    }

    fn reader(&self) -> Box<dyn Reader + '_> {
        Box::new(MapReader(self))
    }
}

struct MapReader<'s>(&'s LogAndMap);

impl Reader for MapReader<'_> {
    fn get(&mut self, id: &str) -> Option<Record> {
        self.0.get(id)
    }
}
