//! The bytes of a simulated file, in shared pages: a copy of a whole disk costs next to nothing.

use std::{io, sync::Arc};

pub(crate) const PAGE_BYTES: usize = 4096;

type Page = [u8; PAGE_BYTES];

/// Bytes; pages that were never written are zeros and take no space.
#[derive(Clone, Debug, Default)]
pub(crate) struct Content {
    len: usize,
    pages: Vec<Option<Arc<Page>>>,
}

impl Content {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn set_len(&mut self, len: usize) {
        if len < self.len {
            let zeros = vec![0; (len.next_multiple_of(PAGE_BYTES) - len).min(self.len - len)];
            self.write(len, &zeros);
        }
        self.len = len;
        self.pages.resize(len.div_ceil(PAGE_BYTES), None);
    }

    pub(crate) fn write(&mut self, offset: usize, bytes: &[u8]) {
        if offset + bytes.len() > self.len {
            self.set_len(offset + bytes.len());
        }
        let (mut at, mut rest) = (offset, bytes);
        while !rest.is_empty() {
            let start = at % PAGE_BYTES;
            let (now, later) = rest.split_at(rest.len().min(PAGE_BYTES - start));
            let page = self.pages[at / PAGE_BYTES].get_or_insert_with(|| Arc::new([0; PAGE_BYTES]));
            Arc::make_mut(page)[start..start + now.len()].copy_from_slice(now);
            (at, rest) = (at + now.len(), later);
        }
    }

    pub(crate) fn read(&self, offset: usize, into: &mut [u8]) -> io::Result<()> {
        if offset + into.len() > self.len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let (mut at, mut rest) = (offset, into);
        while !rest.is_empty() {
            let start = at % PAGE_BYTES;
            let now = rest.len().min(PAGE_BYTES - start);
            match &self.pages[at / PAGE_BYTES] {
                Some(page) => rest[..now].copy_from_slice(&page[start..start + now]),
                None => rest[..now].fill(0),
            }
            (at, rest) = (at + now, &mut rest[now..]);
        }
        Ok(())
    }

    /// Pages that a write to this place would newly take up.
    pub(crate) fn pages_missing(&self, offset: usize, len: usize) -> usize {
        let pages = offset / PAGE_BYTES..(offset + len).div_ceil(PAGE_BYTES);
        pages.filter(|&page| self.pages.get(page).is_none_or(Option::is_none)).count()
    }

    pub(crate) fn pages_taken(&self) -> usize {
        self.pages.iter().flatten().count()
    }
}

#[test]
fn content_reads_back_across_pages_and_cuts_leave_zeros() {
    let mut content = Content::default();
    content.write(5000, &[7; 5000]);
    let mut read = vec![1; 10_000];
    content.read(0, &mut read).unwrap();
    assert!(read[..5000].iter().all(|&byte| byte == 0) && read[5000..].iter().all(|&byte| byte == 7));
    content.set_len(6000);
    content.set_len(10_000);
    content.read(0, &mut read).unwrap();
    assert!(read[6000..].iter().all(|&byte| byte == 0) && read[5999] == 7);
    assert!(content.read(9_999, &mut [0; 2]).is_err());
    assert_eq!((content.pages_taken(), content.pages_missing(0, 10_000)), (1, 2));
}
