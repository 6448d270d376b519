//! The first sector of a segment: whose it is, and which generation of frames follows.

use crate::storage::{
    disk::DiskFile,
    error::StorageError,
    frame::{CHECK_BYTES, CheckKey, StoreId},
};
use std::{
    hash::{BuildHasher, RandomState},
    io,
};

const MAGIC: &[u8; 16] = b"idemjournal\r\n\x1a\n\0";
const FORMAT: u32 = 2;
/// One sector, so that it is written whole; the frames start behind it.
pub(crate) const HEADER_BYTES: usize = 512;
const FORMAT_AT: usize = 16;
const STORE_AT: usize = 20;
const GENERATION_AT: usize = 36;
const SALT_AT: usize = 44;
const CHECK_AT: usize = 60;
const END: usize = CHECK_AT + CHECK_BYTES;

/// What the first sector says. A new generation has a new salt, so that no frame of an earlier one verifies, nor of another
/// segment that had the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) generation: u64,
    salt: [u8; 16],
}

/// What is found where a header should be.
#[derive(Debug)]
pub(crate) enum Found {
    /// Nothing was ever written there.
    Blank,
    Of(Header),
    /// Another store's.
    Foreign,
    Damaged,
}

impl Header {
    /// Makes the header of a new generation. The salt comes from the random numbers of the operating system.
    pub(crate) fn new(generation: u64) -> Self {
        let mut salt = [0; 16];
        for half in salt.chunks_mut(8) {
            half.copy_from_slice(&RandomState::new().hash_one(generation).to_le_bytes());
        }
        Self { generation, salt }
    }

    /// The key of the generation's frames.
    pub(crate) fn frames(&self, store: &StoreId) -> CheckKey {
        CheckKey::for_frames(store, self.generation, &self.salt)
    }

    pub(crate) fn write(&self, file: &dyn DiskFile, store: &StoreId) -> io::Result<()> {
        let mut sector = [0; HEADER_BYTES];
        sector[..FORMAT_AT].copy_from_slice(MAGIC);
        sector[FORMAT_AT..STORE_AT].copy_from_slice(&FORMAT.to_le_bytes());
        sector[STORE_AT..GENERATION_AT].copy_from_slice(store);
        sector[GENERATION_AT..SALT_AT].copy_from_slice(&self.generation.to_le_bytes());
        sector[SALT_AT..CHECK_AT].copy_from_slice(&self.salt);
        let check = check(&sector);
        sector[CHECK_AT..END].copy_from_slice(&check);
        file.write_at(0, &sector)
    }
}

/// Reads what a file starts with.
pub(crate) fn read(file: &dyn DiskFile, store: &StoreId) -> Result<Found, StorageError> {
    if file.len().map_err(StorageError::Io)? < HEADER_BYTES as u64 {
        return Ok(Found::Blank);
    }
    let mut sector = [0; HEADER_BYTES];
    file.read_at(0, &mut sector).map_err(StorageError::Io)?;
    parse(&sector, store)
}

fn parse(sector: &[u8; HEADER_BYTES], store: &StoreId) -> Result<Found, StorageError> {
    if sector.iter().all(|&byte| byte == 0) {
        return Ok(Found::Blank);
    }
    if sector[CHECK_AT..END] != check(sector) || sector[..FORMAT_AT] != *MAGIC {
        return Ok(Found::Damaged);
    }
    let format = sector[FORMAT_AT..].first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
    if format != FORMAT {
        let advice = format!("the journal has format {format} and this release reads {FORMAT}: use the idemstore that wrote it");
        return Err(StorageError::Unsupported(advice));
    }
    if sector[STORE_AT..GENERATION_AT] != *store {
        return Ok(Found::Foreign);
    }
    let generation = sector[GENERATION_AT..].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    let salt = sector[SALT_AT..].first_chunk().copied().unwrap_or_default();
    Ok(Found::Of(Header { generation, salt }))
}

/// Over everything but itself. It is not keyed, so that another store's header is told from a damaged one.
fn check(sector: &[u8; HEADER_BYTES]) -> [u8; CHECK_BYTES] {
    let mut check = [0; CHECK_BYTES];
    let mut hasher = blake3::Hasher::new_derive_key("idemstore 2026-11-21 journal header check v1");
    hasher.update(&sector[..CHECK_AT]).update(&sector[END..]).finalize_xof().fill(&mut check);
    check
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::disk::{Disk, MemoryDisk};

    #[test]
    fn a_header_comes_back_and_every_flipped_bit_is_noticed() {
        let file = MemoryDisk::new().create("j").unwrap();
        assert!(matches!(read(&*file, &[7; 16]).unwrap(), Found::Blank));
        let header = Header::new(3);
        assert_ne!(header, Header::new(3), "a salt is new each time");
        header.write(&*file, &[7; 16]).unwrap();
        assert!(matches!(read(&*file, &[7; 16]).unwrap(), Found::Of(found) if found == header));
        assert!(matches!(read(&*file, &[8; 16]).unwrap(), Found::Foreign));
        let mut sector = [0; HEADER_BYTES];
        file.read_at(0, &mut sector).unwrap();
        for bit in 0..HEADER_BYTES * 8 {
            let mut flipped = sector;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(matches!(parse(&flipped, &[7; 16]), Ok(Found::Damaged)), "bit {bit}");
        }
    }
}
