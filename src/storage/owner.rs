//! A note beside the store that says who opened it last and how far it has got. It tells a second opener whom to ask, and it
//! outlives the store file: a file that is older than its note, or another one, was put there by somebody.
//!
//! The note is written after what it tells is durable, so a crash never makes it say more than the files hold.

use super::{disk::Disk, frame::StoreId};
use std::{fmt::Write as _, io};

const FIRST_LINE: &str = "idemstore owner";
/// Longer notes were not written by a store.
const NOTE_BYTES_MAX: usize = 4096;

/// The contents of the note.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) store: StoreId,
    pub(crate) incarnation: u64,
    /// The latest batch when the note was written.
    pub(crate) batch: u64,
    pub(crate) process: u32,
}

/// What is found under the note's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Note {
    Missing,
    /// Something that no store wrote, or that was damaged since.
    Unreadable,
    Of(Owner),
}

/// The note's name.
pub(crate) fn name_of(store: &str) -> String {
    format!("{store}.owner")
}

/// Reads the note.
pub(crate) fn read(disk: &dyn Disk, store: &str) -> io::Result<Note> {
    let file = match disk.open(&name_of(store)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Note::Missing),
        opened => opened?,
    };
    let Some(len) = usize::try_from(file.len()?).ok().filter(|&len| len <= NOTE_BYTES_MAX) else {
        return Ok(Note::Unreadable);
    };
    let mut bytes = vec![0; len];
    file.read_at(0, &mut bytes)?;
    Ok(str::from_utf8(&bytes).ok().and_then(parse).map_or(Note::Unreadable, Note::Of))
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
        let Self { incarnation, batch, process, .. } = self;
        format!("{FIRST_LINE}\nstore {store}\nincarnation {incarnation}\nbatch {batch}\nprocess {process}\n")
    }
}

fn parse(text: &str) -> Option<Owner> {
    let mut lines = text.lines();
    (lines.next()? == FIRST_LINE).then_some(())?;
    let store = u128::from_str_radix(lines.next()?.strip_prefix("store ")?, 16).ok()?.to_be_bytes();
    let incarnation = lines.next()?.strip_prefix("incarnation ")?.parse().ok()?;
    let batch = lines.next()?.strip_prefix("batch ")?.parse().ok()?;
    let process = lines.next()?.strip_prefix("process ")?.parse().ok()?;
    Some(Owner { store, incarnation, batch, process })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::disk::MemoryDisk;

    #[test]
    fn a_note_comes_back_and_replaces_the_one_before() {
        let disk = MemoryDisk::new();
        assert_eq!(read(&disk, "s").unwrap(), Note::Missing);
        for incarnation in [1, 2] {
            let owner = Owner { store: [0xAB; 16], incarnation, batch: 9, process: 812 };
            write(&disk, "s", &owner).unwrap();
            assert_eq!(read(&disk, "s").unwrap(), Note::Of(owner));
        }
    }

    #[test]
    fn nonsense_is_noticed() {
        let disk = MemoryDisk::new();
        disk.create("s.owner").unwrap().write_at(0, b"idemstore owner\nstore xyz\n").unwrap();
        assert_eq!(read(&disk, "s").unwrap(), Note::Unreadable);
    }
}
