//! What no durable store without group commit can beat: append the bytes to a preallocated file, sync, twice per payment.

use super::{
    alternate::{Io, Slice},
    load::PAYLOAD_BYTES,
};
use std::{
    fs::File,
    os::unix::fs::FileExt,
    path::Path,
    time::{Duration, Instant},
};

const FILE_BYTES: u64 = 64 << 20;
/// Key and record without its payload, as this store writes them.
const BEGIN_BYTES: usize = 61 + 128;

pub struct Floor {
    file: File,
    position: u64,
}

impl Floor {
    pub fn new(directory: &Path) -> Self {
        let file = File::create_new(directory.join("floor")).unwrap();
        // Written, not just allocated: the sync must not have to change the file's metadata.
        let zeros = vec![0; 1 << 20];
        (0..FILE_BYTES >> 20).for_each(|mib| file.write_all_at(&zeros, mib << 20).unwrap());
        file.sync_all().unwrap();
        Self { file, position: 0 }
    }

    pub fn slice(&mut self, slice: Duration) -> Slice {
        let started = Instant::now();
        let mut payments = 0;
        while started.elapsed() < slice {
            self.append(BEGIN_BYTES);
            self.append(BEGIN_BYTES + PAYLOAD_BYTES);
            payments += 1;
        }
        let bytes = (2 * BEGIN_BYTES + PAYLOAD_BYTES) as u64 * payments;
        Slice { payments, took: started.elapsed(), io: Some(Io { syncs: 2 * payments, bytes, commits: 2 * payments }) }
    }

    fn append(&mut self, bytes: usize) {
        if self.position + bytes as u64 > FILE_BYTES {
            self.position = 0;
        }
        self.file.write_all_at(&[0x5a; BEGIN_BYTES + PAYLOAD_BYTES][..bytes], self.position).unwrap();
        self.position += bytes as u64;
        self.file.sync_data().unwrap();
    }
}
