//! What runs leave that no list names: inputs that another run has replaced, and outputs that were never finished.

use super::{Unread, run_of};
use crate::storage::table::{CHUNKS, RUN_SCOPES, Table, UNLISTED, guarded};
use redb::{ReadTransaction, ReadableDatabase, ReadableTable, WriteTransaction};
use std::{cell::Cell, collections::BTreeSet};

/// Rows of runs that no list names, as many as one commit removes.
#[derive(Debug, Default)]
pub(crate) struct Leftovers {
    chunks: Vec<Neighbours>,
    scopes: Vec<Neighbours>,
    bytes: usize,
    /// Nothing else is left of these.
    ended: Vec<u64>,
    /// All that these rows belong to.
    pub(crate) runs: Vec<u64>,
}

/// Rows with nothing between them: the keys of the first and the last.
type Neighbours = (Vec<u8>, Vec<u8>);

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
        for (definition, rows) in [(CHUNKS, &mut self.chunks), (RUN_SCOPES, &mut self.scopes)] {
            let (mut found, mut is_all) = (None, true);
            for row in read.open_table(definition)?.range::<&[u8]>(&from[..]..&to[..])? {
                if self.bytes >= bytes_max {
                    is_all = false;
                    break;
                }
                let (key, value) = row?;
                self.bytes += key.value().len() + value.value().len();
                let (_, last) = found.get_or_insert_with(|| (key.value().to_vec(), Vec::new()));
                last.clear();
                last.extend_from_slice(key.value());
            }
            rows.extend(found);
            if !is_all {
                return Ok(false);
            }
        }
        Ok(true)
    }

    pub(super) fn remove(&self, txn: &WriteTransaction) -> Result<(), redb::Error> {
        for (definition, rows) in [(CHUNKS, &self.chunks), (RUN_SCOPES, &self.scopes)] {
            let mut table = txn.open_table(definition)?;
            for (first, last) in rows {
                table.retain_in::<&[u8], _>(&first[..]..=&last[..], |_, _| false)?;
            }
        }
        let mut unlisted = txn.open_table(UNLISTED)?;
        for run in &self.ended {
            unlisted.remove(&run.to_be_bytes()[..])?;
        }
        Ok(())
    }
}
