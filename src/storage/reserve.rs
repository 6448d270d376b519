//! Disk space kept for finishing. When the disk fills up, the reserve is given back to the file system, so that attempts in
//! flight can still end while new keys are refused.

use super::disk::Disk;
use crate::sync::Mutex;
use std::{io, sync::Arc};

const PIECE_BYTES: usize = 64 * 1024;

/// A file that does nothing but take up space.
#[derive(Debug)]
pub(crate) struct Reserve {
    disk: Arc<dyn Disk>,
    name: String,
    bytes: u64,
    filled: Mutex<bool>,
}

impl Reserve {
    pub(crate) fn new(disk: Arc<dyn Disk>, store: &str, bytes: u64) -> Self {
        Self { disk, name: format!("{store}.reserve"), bytes, filled: Mutex::new(false) }
    }

    /// Takes up the space, if there is enough.
    pub(crate) fn fill(&self) -> bool {
        let mut filled = self.filled.lock();
        if !*filled {
            *filled = self.bytes == 0 || self.try_fill().is_ok();
            if !*filled {
                // Half a reserve would only be space that nobody can use.
                let _ = self.disk.remove(&self.name);
            }
        }
        *filled
    }

    /// Returns whether the space is taken up: as far as is known, the disk is not full.
    pub(crate) fn is_filled(&self) -> bool {
        *self.filled.lock()
    }

    /// Gives the space back to the file system. When this returns, it is free: whoever finds the file gone while another thread
    /// removes it has to wait until the file system has taken the space back.
    pub(crate) fn release(&self) {
        let mut filled = self.filled.lock();
        *filled = false;
        let _ = self.disk.remove(&self.name);
    }

    fn try_fill(&self) -> io::Result<()> {
        let file = match self.disk.open(&self.name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.disk.create(&self.name)?,
            opened => opened?,
        };
        let mut at = file.len()?;
        if at > self.bytes {
            return file.set_len(self.bytes);
        }
        // A file system that compresses stores zeros in no space at all.
        let mut noise = blake3::Hasher::new().update(self.name.as_bytes()).finalize_xof();
        let mut piece = vec![0; PIECE_BYTES];
        while at < self.bytes {
            noise.fill(&mut piece);
            let wanted = usize::try_from(self.bytes - at).unwrap_or(PIECE_BYTES).min(PIECE_BYTES);
            file.write_at(at, &piece[..wanted])?;
            at += wanted as u64;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::disk::MemoryDisk;

    #[test]
    fn a_reserve_takes_its_space_and_gives_it_back() {
        let disk = MemoryDisk::new();
        let reserve = Reserve::new(Arc::new(disk.clone()), "s", 100_000);
        assert!(reserve.fill());
        assert_eq!(disk.open("s.reserve").unwrap().len().unwrap(), 100_000);
        reserve.release();
        assert!(disk.open("s.reserve").is_err());
        assert!(reserve.fill());
    }
}
