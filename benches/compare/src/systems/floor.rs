//! What no durable store without group commit can beat: write the bytes to a preallocated file, sync, twice per payment.

use crate::{
    load::PAYLOAD_BYTES,
    slice::{Slice, Stopwatch},
    system::Io,
};
use std::{fs::File, os::unix::fs::FileExt, path::Path, time::Duration};

const FILE_BYTES: u64 = 64 << 20;
const MIB: usize = 1 << 20;
/// A key, a fingerprint and a header.
const BEGIN_BYTES: usize = 36 + 32 + 16;

pub struct Floor {
    file: File,
    position: u64,
}

impl Floor {
    pub fn open(directory: &Path) -> Self {
        let file = File::create_new(directory.join("floor")).unwrap();
        // Written, not just allocated: the sync must not have to change the file's metadata.
        let zeros = vec![0; MIB];
        (0..FILE_BYTES).step_by(MIB).for_each(|offset| file.write_all_at(&zeros, offset).unwrap());
        file.sync_all().unwrap();
        Self { file, position: 0 }
    }

    /// One caller pays.
    pub fn slice(&mut self, slice: Duration) -> (Slice, Io) {
        let before = Io::of_this_process();
        let mut watch = Stopwatch::start(slice);
        while watch.is_running() {
            watch.time(|| {
                self.append(BEGIN_BYTES);
                self.append(BEGIN_BYTES + PAYLOAD_BYTES);
            });
        }
        let took = watch.elapsed();
        (Slice::of([watch.into_latencies()], took), Io::of_this_process().since(&before))
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
