//! Reads what is kept in memory of a table: which runs there are, and which keys are in flight.
//!
//! A damaged page must not refuse more than what it holds. Filters only save reads, so without one its run is asked for every key;
//! and where the keys in flight cannot be read every key is looked for, which fails for those of the damaged page and for no
//! other. The list of runs is another matter: without it nobody can say which keys are new. Nor can the store do without its metadata.

use super::{
    codec,
    error::StorageError,
    meta::Meta,
    run::{Catalog, Filter, Info, binding, run_of},
    table::{FILTERS, META, META_KEY, RECORDS, RUNS, Table, guarded},
};
use redb::{ReadableDatabase, ReadableTable};

/// As it is stored: key and value.
type Row = (Vec<u8>, Vec<u8>);

impl Table {
    /// Reads all of it.
    pub(super) fn load(&self) -> Result<(), StorageError> {
        let runs = self.read_runs()?.into_iter().map(|(key, info)| self.decode_run(&key, &info));
        let runs = runs.collect::<Result<Vec<_>, _>>()?;
        let meta = guarded(|| {
            let meta = self.db()?.begin_read()?.open_table(META)?.get(META_KEY)?;
            Ok(meta.map(|meta| meta.value().to_vec()))
        })?;
        // A new file has none yet.
        let version = meta.map_or(Ok(0), |meta| Meta::decode(self.values(), &meta).map(|meta| meta.runs_version))?;
        self.set_catalog(Catalog::new(version, runs));
        match self.read_in_flight() {
            Ok(hashes) => self.in_flight().add(hashes),
            Err(StorageError::Damaged(_)) => self.in_flight().give_up(),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn read_runs(&self) -> Result<Vec<Row>, StorageError> {
        guarded(|| {
            let rows = self.db()?.begin_read()?.open_table(RUNS)?;
            let rows = rows.iter()?.map(|row| row.map(|(key, info)| (key.value().to_vec(), info.value().to_vec())));
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    fn read_in_flight(&self) -> Result<Vec<u64>, StorageError> {
        guarded(|| {
            let records = self.db()?.begin_read()?.open_table(RECORDS)?;
            let hashes = records.iter()?.map(|row| row.map(|(key, _)| self.hash_of(key.value())));
            Ok(hashes.collect::<Result<_, _>>()?)
        })
    }

    fn decode_run(&self, key: &[u8], info: &[u8]) -> Result<(u64, Info, Filter), StorageError> {
        let damaged = || StorageError::Damaged("the list of runs does not match its check".into());
        let id = run_of(key).ok_or_else(damaged)?;
        let info = codec::decode(self.values().open(&binding(b"run", id), info).ok_or_else(damaged)?)?;
        Ok((id, info, self.read_filter(id)?))
    }

    fn read_filter(&self, run: u64) -> Result<Filter, StorageError> {
        let sealed = guarded(|| {
            let filter = self.db()?.begin_read()?.open_table(FILTERS)?.get(&run.to_be_bytes()[..])?;
            Ok(filter.map(|filter| filter.value().to_vec()).unwrap_or_default())
        });
        match sealed {
            Ok(sealed) => Ok(self.values().open(&binding(b"filter", run), &sealed).map_or(Filter::Unknown, Filter::from_bytes)),
            Err(StorageError::Damaged(_)) => Ok(Filter::Unknown),
            Err(error) => Err(error),
        }
    }
}
