//! What the fuzz targets share. Run one with `cargo fuzz run -s none TARGET`.

use idemstore::{
    ManualClock, Options, Timestamp,
    disk::{Disk as _, MemoryDisk},
};
use std::{panic, process};

/// When every target begins: late enough that times before it exist.
pub const START: Timestamp = Timestamp::from_millis(1_700_000_000_000);

/// Says what is wrong and dies, from any thread. The fuzzer keeps the input.
pub fn wrong(what: std::fmt::Arguments<'_>) -> ! {
    eprintln!("WRONG: {what}");
    process::abort()
}

/// As `assert!`, without a panic that somebody could catch.
#[macro_export]
macro_rules! ensure {
    ($holds:expr, $($what:tt)+) => {
        if !$holds {
            $crate::wrong(format_args!($($what)+));
        }
    };
}

/// Replaces the hook of libFuzzer, which aborts on every panic. On damaged files redb panics and idemstore catches it: that
/// is expected. A panic anywhere else is a bug, even on a thread of the store. Those that the standard library raises on
/// redb's behalf look alike; if idemstore did not catch one, it ends the target after all.
pub fn expect_panics_of_redb() {
    panic::set_hook(Box::new(|info| {
        let file = info.location().map_or("", |location| location.file());
        if !file.contains("/redb-") && !file.starts_with("/rustc/") {
            wrong(format_args!("{info}"));
        }
    }));
}

/// All files of a store with this name.
pub fn files_of(name: &str) -> [String; 4] {
    ["", ".owner", ".journal-0", ".journal-1"].map(|ending| format!("{name}{ending}"))
}

/// What a crash at this instant leaves: every answer is durable, so that is the files as they are.
pub fn crash_image(disk: &MemoryDisk, name: &str) -> MemoryDisk {
    let files = files_of(name);
    let files: Vec<_> = files.iter().map(|file| (&file[..], bytes_of(disk, file))).collect();
    disk_of(&files)
}

/// A store's options without background work, and with a journal that is full after some dozen batches; and its clock.
pub fn options() -> (Options, ManualClock) {
    let clock = ManualClock::new(START);
    let options = Options::new().journal_bytes(16 << 10).background_checkpoints(false);
    let options = options.clock(clock.clone()).sweep_interval(None).reserve_bytes(0).cache_bytes(1 << 20);
    (options, clock)
}

/// Reads a whole file.
pub fn bytes_of(disk: &MemoryDisk, name: &str) -> Vec<u8> {
    let file = disk.open(name).unwrap();
    let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
    file.read_at(0, &mut bytes).unwrap();
    bytes
}

/// Makes a disk with these files.
pub fn disk_of(files: &[(&str, Vec<u8>)]) -> MemoryDisk {
    let disk = MemoryDisk::new();
    for (name, bytes) in files {
        disk.create(name).unwrap().write_at(0, bytes).unwrap();
    }
    disk
}
