//! The memory that stored records take, apart from the caches and the journal: that of a process which opens a store that was closed,
//! with hardly a cache.

use super::memory_bytes;
use idemstore::Options;
use std::{
    env,
    path::Path,
    process::{Command, Stdio},
};

const CACHE_BYTES: usize = 1 << 20;

/// Opens a store and says by how much that made the process grow.
pub(super) fn say(path: &Path) {
    let before = memory_bytes();
    let store = Options::new().cache_bytes(CACHE_BYTES).open(path).unwrap();
    println!("{}", memory_bytes().saturating_sub(before));
    store.close().unwrap();
}

/// Asks a process of its own.
pub(super) fn of_open_store(path: &Path) -> u64 {
    let child = Command::new(env::current_exe().unwrap())
        .args(["sustained", "--opened"])
        .arg(path)
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    String::from_utf8(child.stdout).unwrap().trim().parse().unwrap()
}
