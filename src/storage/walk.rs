//! Looks at every record there is, also beside pages that cannot be read.

use super::{
    Storage,
    error::StorageError,
    keys::parse_storage_key,
    run::{self, Fence, Run},
    scan::{ScanFilter, ScanRow},
};
use std::collections::BTreeSet;

impl Storage {
    /// Hands every record to `each`, a piece at a time. Where a damaged page ends the scan in key order, it goes on page by page
    /// and reports what cannot be read.
    #[cfg(feature = "ndjson")]
    pub(crate) fn walk(&self, piece: usize, mut each: impl FnMut(&[ScanRow]) -> crate::Result<()>) -> crate::Result<()> {
        let mut after = None;
        loop {
            match self.scan(&ScanFilter::All, after.as_ref(), piece) {
                Ok(scan) => {
                    each(&scan.rows)?;
                    after = scan.next;
                    if after.is_none() {
                        return Ok(());
                    }
                }
                Err(StorageError::Damaged(_)) => {
                    let shown = after.map(|position: super::scan::Position| position.0);
                    let is_new = |row: &ScanRow| shown.as_ref().is_none_or(|shown| row.storage_key > *shown);
                    return self.walk_pages(piece, |run, mut rows| {
                        rows.retain(|row| is_new(row) && run.is_none_or(|run| self.answers(run, row)));
                        each(&rows)
                    });
                }
                Err(error) => return Err(error.into_error("reading records")),
            }
        }
    }

    /// Hands everything that is stored to `each`: what memory has and what is in flight through the index, what has ended chunk
    /// by chunk with the run that has it. Of a key that is used again, the record that expired as well.
    pub(crate) fn walk_pages(
        &self,
        piece: usize,
        mut each: impl FnMut(Option<u64>, Vec<ScanRow>) -> crate::Result<()>,
    ) -> crate::Result<()> {
        let failed = |error: StorageError| error.into_error("reading records");
        let mut after = None;
        loop {
            let scan = self.scan(&ScanFilter::ByIndex, after.as_ref(), piece).map_err(failed)?;
            each(None, scan.rows)?;
            after = scan.next;
            if after.is_none() {
                break;
            }
        }
        let mut visited = BTreeSet::new();
        // A merge may put another run in the place of some that were not visited yet.
        while let Some(run) = self.unvisited(&visited).map_err(failed)? {
            visited.insert(run.id);
            let fences = self.database.view(|view, _| view.fences(run.id));
            let fences = match fences {
                Ok(fences) => fences,
                Err(_) if !self.has_run(run.id) => continue,
                Err(StorageError::Damaged(what)) => {
                    let entries = u16::try_from(run.info.entries).unwrap_or(u16::MAX);
                    each(Some(run.id), ScanRow::lost(&[], entries, &what))?;
                    continue;
                }
                Err(error) => return Err(failed(error)),
            };
            for Fence { entries, start, first } in run::fences(&fences) {
                let rows = match self.database.view(|view, _| view.chunk(run.id, start)) {
                    Ok(rows) => rows.into_iter().map(ScanRow::stored).collect(),
                    // Another run has taken its place; what is left of it is still to come.
                    Err(_) if !self.has_run(run.id) => break,
                    Err(StorageError::Damaged(what)) => ScanRow::lost(first, entries, &what),
                    Err(error) => return Err(failed(error)),
                };
                each(Some(run.id), rows)?;
            }
        }
        Ok(())
    }

    fn unvisited(&self, visited: &BTreeSet<u64>) -> Result<Option<Run>, StorageError> {
        Ok(self.catalog()?.runs().iter().find(|run| !visited.contains(&run.id)).cloned())
    }

    fn has_run(&self, id: u64) -> bool {
        self.catalog().is_ok_and(|catalog| catalog.has(id))
    }

    /// Whether the record of a run is the one that answers for its key.
    #[cfg(feature = "ndjson")]
    fn answers(&self, run: u64, row: &ScanRow) -> bool {
        let Some(key) = &row.key else { return true };
        let in_table = self.database.view(|view, _| Ok(view.answers(run, &row.storage_key)));
        self.recent.get_unsettled(key).is_none() && in_table.unwrap_or(true)
    }
}

impl ScanRow {
    /// The records of a chunk that cannot be read. Only the first of them still has a name.
    fn lost(first: &[u8], entries: u16, what: &str) -> Vec<Self> {
        let row = |number: u16| {
            let key = (number == 0).then(|| parse_storage_key(first)).flatten();
            let record = Err(StorageError::Damaged(what.to_owned()));
            Self { key, record, bytes: 0, storage_key: first.to_vec() }
        };
        (0..entries).map(row).collect()
    }
}
