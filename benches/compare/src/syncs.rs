//! Counts, and on demand slows down, every sync of this process, whichever library makes it.
//!
//! The program defines `fsync` and `fdatasync` itself. The linker takes these for every library that is linked in (the
//! standard library and all engines), so no engine has to be asked and none can hide a sync. Writes to files opened with
//! `O_DSYNC` are not calls of these functions: LMDB makes one such write per commit.
#![allow(unsafe_code)]

use libc::{c_int, c_long};
use std::{
    fs::File,
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Duration,
};

static COUNT: AtomicU64 = AtomicU64::new(0);
static EXTRA_US: AtomicU64 = AtomicU64::new(0);

/// Returns how many syncs there were.
pub fn count() -> u64 {
    COUNT.load(Ordering::Relaxed)
}

/// Makes every sync from now on take `extra` more.
pub fn slow_down(extra: Duration) {
    let extra = u64::try_from(extra.as_micros()).expect("a short time");
    EXTRA_US.store(extra, Ordering::Relaxed);
}

/// Makes sure that the count counts, whatever linker was used.
pub fn check(directory: &Path) {
    let before = count();
    let file = File::create(directory.join("sync-check")).unwrap();
    file.sync_data().unwrap();
    file.sync_all().unwrap();
    assert_eq!(count() - before, 2, "this linker did not take the counting syncs");
}

/// As libc's.
#[unsafe(no_mangle)]
pub extern "C" fn fdatasync(file: c_int) -> c_int {
    counted(libc::SYS_fdatasync, file)
}

/// As libc's.
#[unsafe(no_mangle)]
pub extern "C" fn fsync(file: c_int) -> c_int {
    counted(libc::SYS_fsync, file)
}

fn counted(call: c_long, file: c_int) -> c_int {
    COUNT.fetch_add(1, Ordering::Relaxed);
    match EXTRA_US.load(Ordering::Relaxed) {
        0 => {}
        extra => thread::sleep(Duration::from_micros(extra)),
    }
    // SAFETY: the system call that libc's function of the same name makes. It takes a number, reads no memory, and `syscall`
    // sets errno as that function does.
    let result = unsafe { libc::syscall(call, file) };
    c_int::try_from(result).unwrap_or(-1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn syncs_of_the_standard_library_are_counted() {
        let directory = tempfile::tempdir().unwrap();
        let before = count();
        File::create(directory.path().join("file")).unwrap().sync_data().unwrap();
        assert!(count() > before);
    }
}
