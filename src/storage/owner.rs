//! A note beside the store that says who opened it last. It tells a second opener whom to ask, and it outlives the store
//! file: a file that is older than its note was restored from a copy.

use super::{disk::Disk, frame::StoreId};
use std::{fmt::Write as _, io};

const FIRST_LINE: &str = "idemstore owner";
/// Longer notes were not written by a store.
const NOTE_BYTES_MAX: u64 = 4096;

/// The contents of the note.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) store: StoreId,
    pub(crate) incarnation: u64,
    pub(crate) process: u32,
}

/// The note's name.
pub(crate) fn name_of(store: &str) -> String {
    format!("{store}.owner")
}

/// Reads the note; one that is missing or unreadable says nothing.
pub(crate) fn read(disk: &dyn Disk, store: &str) -> Option<Owner> {
    let file = disk.open(&name_of(store)).ok()?;
    let len = file.len().ok().filter(|&len| len <= NOTE_BYTES_MAX)?;
    let mut bytes = vec![0; usize::try_from(len).ok()?];
    file.read_at(0, &mut bytes).ok()?;
    parse(str::from_utf8(&bytes).ok()?)
}

/// Replaces the note, durably: after a crash there is the old one or the new one.
pub(crate) fn write(disk: &dyn Disk, store: &str, owner: &Owner) -> io::Result<()> {
    let (name, temporary) = (name_of(store), format!("{}.tmp", name_of(store)));
    match disk.remove(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => (),
    }
    let file = disk.create(&temporary)?;
    file.write_at(0, owner.to_text().as_bytes())?;
    file.sync()?;
    disk.rename_over(&temporary, &name)?;
    disk.sync()
}

impl Owner {
    fn to_text(&self) -> String {
        let mut store = String::new();
        for byte in self.store {
            // Writing to a string does not fail.
            let _ = write!(store, "{byte:02x}");
        }
        format!("{FIRST_LINE}\nstore {store}\nincarnation {}\nprocess {}\n", self.incarnation, self.process)
    }
}

fn parse(text: &str) -> Option<Owner> {
    let mut lines = text.lines();
    (lines.next()? == FIRST_LINE).then_some(())?;
    let store = u128::from_str_radix(lines.next()?.strip_prefix("store ")?, 16).ok()?.to_be_bytes();
    let incarnation = lines.next()?.strip_prefix("incarnation ")?.parse().ok()?;
    let process = lines.next()?.strip_prefix("process ")?.parse().ok()?;
    Some(Owner { store, incarnation, process })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::disk::MemoryDisk;

    #[test]
    fn a_note_comes_back_and_replaces_the_one_before() {
        let disk = MemoryDisk::new();
        assert_eq!(read(&disk, "s"), None);
        for incarnation in [1, 2] {
            let owner = Owner { store: [0xAB; 16], incarnation, process: 812 };
            write(&disk, "s", &owner).unwrap();
            assert_eq!(read(&disk, "s"), Some(owner));
        }
    }

    #[test]
    fn nonsense_says_nothing() {
        let disk = MemoryDisk::new();
        disk.create("s.owner").unwrap().write_at(0, b"idemstore owner\nstore xyz\n").unwrap();
        assert_eq!(read(&disk, "s"), None);
    }
}
