//! What runs leave that no list names: inputs that another run has replaced, and outputs that were never finished.

use super::{Unread, run_of};
use crate::storage::table::{CHUNKS, RUN_SCOPES, Table, UNLISTED, guarded};
use redb::{ReadTransaction, ReadableDatabase, ReadableTable, WriteTransaction};
use std::{cell::Cell, collections::BTreeSet};

/// Rows of runs that no list names, as many as one commit removes.
#[derive(Debug, Default)]
pub(crate) struct Leftovers {
    /// Runs, and the last row of each that is to be removed with all before it.
    chunks: Vec<(u64, Vec<u8>)>,
    scopes: Vec<(u64, Vec<u8>)>,
    bytes: usize,
    /// Nothing else is left of these.
    ended: Vec<u64>,
    /// All that these rows belong to.
    pub(crate) runs: Vec<u64>,
}

impl Leftovers {
    /// Reads which rows are to be removed next, of about so many bytes; `None` if there are none.
    pub(crate) fn read(table: &Table, bytes_max: usize, except: &BTreeSet<u64>) -> Result<Option<Self>, Unread> {
        let at = Cell::new(None);
        let read = guarded(|| {
            let read = table.db()?.begin_read()?;
            let mut found = Self::default();
            for row in read.open_table(UNLISTED)?.iter()? {
                let Some(run) = run_of(row?.0.value()) else { continue };
                if found.bytes >= bytes_max {
                    break;
                }
                if !except.contains(&run) {
                    at.set(Some(run));
                    found.runs.push(run);
                    let is_all = found.add(&read, run, bytes_max)?;
                    found.ended.extend(is_all.then_some(run));
                }
            }
            Ok((!found.runs.is_empty()).then_some(found))
        });
        read.map_err(|cause| Unread { run: at.get(), cause })
    }

    /// Adds rows of one run; returns whether that is all of it.
    fn add(&mut self, read: &ReadTransaction, run: u64, bytes_max: usize) -> Result<bool, redb::Error> {
        let (from, to) = (run.to_be_bytes(), run.saturating_add(1).to_be_bytes());
        for (definition, ends) in [(CHUNKS, &mut self.chunks), (RUN_SCOPES, &mut self.scopes)] {
            let mut rows = read.open_table(definition)?.range::<&[u8]>(&from[..]..&to[..])?;
            let mut last = None;
            let is_all = loop {
                let Some(row) = rows.next() else { break true };
                if self.bytes >= bytes_max {
                    break false;
                }
                let (key, value) = row?;
                self.bytes += key.value().len() + value.value().len();
                last = Some(key);
            };
            ends.extend(last.map(|key| (run, key.value().to_vec())));
            if !is_all {
                return Ok(false);
            }
        }
        Ok(true)
    }

    pub(super) fn remove(&self, txn: &WriteTransaction) -> Result<(), redb::Error> {
        for (definition, ends) in [(CHUNKS, &self.chunks), (RUN_SCOPES, &self.scopes)] {
            let mut table = txn.open_table(definition)?;
            for (run, last) in ends {
                table.retain_in::<&[u8], _>(&run.to_be_bytes()[..]..=&last[..], |_, _| false)?;
            }
        }
        let mut unlisted = txn.open_table(UNLISTED)?;
        for run in &self.ended {
            unlisted.remove(&run.to_be_bytes()[..])?;
        }
        Ok(())
    }
}
