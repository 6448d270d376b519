//! The first bytes of a store file: what it is, which format it has, whose it is. Written once, when the file is created.

use super::{
    disk::DiskFile,
    error::StorageError,
    frame::{CHECK_BYTES, StoreId},
};

const MAGIC: &[u8; 16] = b"idemstore\r\n\x1a\n\0\0\0";
const FORMAT: u32 = 1;
/// The superblock's bytes: one disk sector, so that it is written whole.
const SUPERBLOCK_BYTES: usize = 512;
const FORMAT_AT: usize = 16;
const STORE_ID_AT: usize = 20;
const CHECK_AT: usize = 36;
const END: usize = CHECK_AT + CHECK_BYTES;

/// Writes the superblock of a new file.
pub(crate) fn write(file: &dyn DiskFile, id: &StoreId) -> std::io::Result<()> {
    let mut block = [0; SUPERBLOCK_BYTES];
    block[..FORMAT_AT].copy_from_slice(MAGIC);
    block[FORMAT_AT..STORE_ID_AT].copy_from_slice(&FORMAT.to_le_bytes());
    block[STORE_ID_AT..CHECK_AT].copy_from_slice(id);
    let check = check(&block);
    block[CHECK_AT..END].copy_from_slice(&check);
    file.write_at(0, &block)
}

/// Reads the superblock and says what is wrong with a file that is no store of this format.
pub(crate) fn read(file: &dyn DiskFile) -> Result<StoreId, StorageError> {
    let len = file.len().map_err(StorageError::Io)?;
    if len == 0 {
        let advice = "the file is empty (0 bytes), not a store: restore it from a backup; if no store was ever here, \
                      remove the file and create one";
        return Err(StorageError::Unsupported(advice.into()));
    }
    if len < SUPERBLOCK_BYTES as u64 {
        return Err(StorageError::Unsupported(format!("the file has {len} bytes, too few for a store: is the path right?")));
    }
    let mut block = [0; SUPERBLOCK_BYTES];
    file.read_at(0, &mut block).map_err(StorageError::Io)?;
    parse(&block)
}

fn parse(block: &[u8; SUPERBLOCK_BYTES]) -> Result<StoreId, StorageError> {
    if block[..FORMAT_AT] != *MAGIC {
        return Err(StorageError::Unsupported("the file is not an idemstore file: is the path right?".into()));
    }
    let format = block[FORMAT_AT..].first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
    if format > FORMAT {
        let advice = format!("the file has format {format} and this release reads up to {FORMAT}: use a newer idemstore");
        return Err(StorageError::Unsupported(advice));
    }
    if block[CHECK_AT..END] != check(block) || format != FORMAT {
        return Err(StorageError::Damaged("the file's first block is damaged: restore a backup".into()));
    }
    block[STORE_ID_AT..].first_chunk().copied().ok_or_else(|| StorageError::Damaged("the first block is cut short".into()))
}

fn check(block: &[u8; SUPERBLOCK_BYTES]) -> [u8; CHECK_BYTES] {
    let mut check = [0; CHECK_BYTES];
    let rest = [&block[..CHECK_AT], &block[END..]].concat();
    blake3::Hasher::new_derive_key("idemstore 2026-11-21 superblock check v1").update(&rest).finalize_xof().fill(&mut check);
    check
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::disk::{Disk, MemoryDisk};

    #[test]
    fn every_flipped_bit_of_the_superblock_is_noticed() {
        let file = MemoryDisk::new().create("store").unwrap();
        write(&*file, &[7; 16]).unwrap();
        assert_eq!(read(&*file).unwrap(), [7; 16]);
        let mut block = [0; SUPERBLOCK_BYTES];
        file.read_at(0, &mut block).unwrap();
        for bit in 0..SUPERBLOCK_BYTES * 8 {
            let mut flipped = block;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(parse(&flipped).is_err(), "bit {bit}");
        }
    }
}
