//! The tables in redb. The only file that knows redb's transactions.
//!
//! Keys and values are plain bytes, so that no type name of redb becomes part of the format. Every commit is two-phase: with
//! one-phase commit, a failed sync followed by a new open can lose the whole database. Every commit saves the
//! allocator's state (quick repair), so that an open after a crash need not walk the file.

use super::{
    blocks::{Blocks, Caches, Health, Shares, has_problem, take_problem},
    caught::catching,
    codec::encode_record,
    disk::DiskFile,
    error::StorageError,
    frame::{CheckKey, StoreId},
    in_flight::InFlight,
    keys::Place,
    meta::Meta,
    row_key::RowKey,
    run::{Catalog, CatalogChange, RunRows},
    seal::ValueCheck,
    snapshot::{Latest, Snapshot},
    sorted::insert_sorted,
    trace::Trace,
    view::View,
};
use crate::{record::Record, sync::RwLock};
use redb::{Database, ReadOnlyTable, ReadableDatabase, TableDefinition, WriteTransaction};
use std::sync::Arc;

/// How often a view is tried while the list of runs changes.
const VIEW_TRIES: usize = 10_000;

pub(super) type Bytes = &'static [u8];
pub(super) type Definition = TableDefinition<'static, RowKey, Bytes>;
pub(super) type Reading = ReadOnlyTable<RowKey, Bytes>;
pub(super) type Writing<'t> = redb::Table<'t, RowKey, Bytes>;

pub(super) const RECORDS: Definition = TableDefinition::new("records");
pub(super) const CHUNKS: Definition = TableDefinition::new("chunks");
pub(super) const RUNS: Definition = TableDefinition::new("runs");
pub(super) const FILTERS: Definition = TableDefinition::new("filters");
pub(super) const FENCES: Definition = TableDefinition::new("fences");
pub(super) const RUN_SCOPES: Definition = TableDefinition::new("run-scopes");
pub(super) const INDEX: Definition = TableDefinition::new("index");
pub(super) const SCOPES: Definition = TableDefinition::new("scopes");
pub(super) const AUDIT: Definition = TableDefinition::new("audit");
/// Runs whose rows are there and that `runs` does not name.
pub(super) const UNLISTED: Definition = TableDefinition::new("unlisted");
pub(super) const META: Definition = TableDefinition::new("meta");
pub(super) const META_KEY: &[u8] = b"meta";

/// The tables, for a copy of everything but what is unlisted.
pub(crate) const COPIED: [&str; 9] = ["records", "index", "chunks", "runs", "filters", "fences", "run-scopes", "scopes", "audit"];

/// Those of them whose keys start with the id of a run and go on.
pub(crate) const OF_RUNS: [&str; 2] = ["chunks", "run-scopes"];

/// One record in flight, before and after.
#[derive(Debug)]
pub(crate) struct RowChange {
    pub(crate) storage_key: Vec<u8>,
    /// Where it stood in the index.
    pub(crate) before: Option<Place>,
    pub(crate) after: Option<Record>,
}

/// What one commit writes.
#[derive(Debug)]
pub(crate) struct Rows<'s> {
    /// In key order: neighbours share pages.
    pub(crate) records: Vec<RowChange>,
    /// The new run.
    pub(crate) run: RunRows<'s>,
    /// Entries that belong to no record.
    pub(crate) index_removed: Vec<Vec<u8>>,
    /// The new count of each scope that changed; zero removes it.
    pub(crate) scopes: Vec<(Vec<u8>, u64)>,
    pub(crate) audit: Vec<(u64, Vec<u8>)>,
    pub(crate) audit_removed: Vec<u64>,
    pub(crate) meta: Meta,
}

impl Rows<'_> {
    /// No record changes, only what the store knows about itself.
    pub(crate) fn meta_only(meta: Meta) -> Self {
        Self {
            records: vec![],
            run: RunRows::default(),
            index_removed: vec![],
            scopes: vec![],
            audit: vec![],
            audit_removed: vec![],
            meta,
        }
    }
}

/// An open database.
#[derive(Debug)]
pub(crate) struct Table {
    /// `None` only while it is dropped.
    db: Option<Database>,
    health: Arc<Health>,
    caches: Arc<Caches>,
    values: ValueCheck,
    pub(super) hashes: CheckKey,
    catalog: RwLock<Arc<Catalog>>,
    latest: Latest,
    in_flight: InFlight,
}

impl Table {
    /// Makes the tables in a file that has a superblock and nothing else.
    pub(crate) fn create(file: Arc<dyn DiskFile>, id: &StoreId, meta: &Meta) -> Result<Self, StorageError> {
        let table = Self::attach(file, id, 1024 * 1024)?;
        guarded(|| {
            let txn = table.begin_write()?;
            for definition in [RECORDS, INDEX, CHUNKS, RUNS, FILTERS, FENCES, RUN_SCOPES, UNLISTED, SCOPES, AUDIT, META] {
                txn.open_table(definition)?;
            }
            table.finish(txn)
        })?;
        table.commit(&Rows::meta_only(*meta))?;
        Ok(table)
    }

    /// Opens a file that [`create`](Self::create) made. The caller has read its superblock.
    pub(crate) fn open(file: Arc<dyn DiskFile>, id: &StoreId, cache_bytes: usize) -> Result<Self, StorageError> {
        // redb makes a new database in what looks empty to it, which would make every key new. The superblock and the first
        // checks are not part of what it sees; with less than a whole block after them it sees nothing.
        if file.len().map_err(StorageError::Io)? < 3 * 4096 {
            return Err(StorageError::Damaged("the file is cut short: restore a backup".into()));
        }
        let table = Self::attach(file, id, cache_bytes)?;
        table.load()?;
        Ok(table)
    }

    fn attach(file: Arc<dyn DiskFile>, id: &StoreId, cache_bytes: usize) -> Result<Self, StorageError> {
        let health = Arc::new(Health::default());
        let shares = Shares::of(cache_bytes);
        let caches = Arc::new(Caches::new(&shares));
        let blocks = Blocks::new(file, id, caches.clone(), health.clone());
        let db = guarded(|| Ok(Database::builder().set_cache_size(shares.pages).create_with_backend(blocks)?))?;
        let (values, hashes) = (ValueCheck::new(id), CheckKey::for_filters(id));
        let (catalog, latest, in_flight) = Default::default();
        Ok(Self { db: Some(db), health, caches, values, hashes, catalog, latest, in_flight })
    }

    /// Makes lookups read blocks of the file that were read before, but for pages in redb's own cache.
    pub(crate) fn forget_blocks(&self) {
        self.caches.clear();
    }

    pub(crate) fn health(&self) -> &Health {
        &self.health
    }

    pub(super) fn db(&self) -> Result<&Database, redb::Error> {
        self.db.as_ref().ok_or(redb::Error::DatabaseClosed)
    }

    /// Starts a consistent look at all tables.
    pub(crate) fn view(&self) -> Result<View<'_>, StorageError> {
        let since = match self.latest.get() {
            Ok(snapshot) => return Ok(View::new(self, snapshot)),
            Err(since) => since,
        };
        for _ in 0..VIEW_TRIES {
            let catalog = self.catalog();
            let snapshot = guarded(|| {
                let txn = self.db()?.begin_read()?;
                let (records, chunks) = (txn.open_table(RECORDS)?, txn.open_table(CHUNKS)?);
                Ok(Arc::new(Snapshot { catalog: catalog.clone(), txn, records, chunks }))
            })?;
            let view = View::new(self, snapshot.clone());
            // Between a commit and the new catalog it can be the one without the other.
            if view.meta()?.runs_version == catalog.version {
                self.latest.keep(&snapshot, since);
                return Ok(view);
            }
            crate::sync::yield_now();
        }
        Err(StorageError::Engine("the list of runs does not fit the table".into()))
    }

    /// Returns which runs there are.
    pub(crate) fn catalog(&self) -> Arc<Catalog> {
        self.catalog.read().clone()
    }

    pub(super) fn set_catalog(&self, catalog: Catalog) {
        *self.catalog.write() = Arc::new(catalog);
    }

    pub(super) fn in_flight(&self) -> &InFlight {
        &self.in_flight
    }

    /// Returns where a key may be; `None` only if the table does not have it.
    pub(crate) fn trace(&self, storage_key: &[u8]) -> Option<Trace> {
        Trace::of(self.hash_of(storage_key), &self.in_flight, || self.catalog())
    }

    pub(crate) fn hash_of(&self, storage_key: &[u8]) -> u64 {
        self.hashes.hash(storage_key)
    }

    /// Makes rows durable, all or none.
    pub(crate) fn commit(&self, rows: &Rows<'_>) -> Result<(), StorageError> {
        let meta = rows.meta.encode(self.values)?;
        let (built, gone) = guarded(|| {
            let txn = self.begin_write()?;
            let (new, gone) = self.write_records(&txn, &rows.records)?;
            let built = self.write_run(&txn, &rows.run)?;
            if !rows.index_removed.is_empty() {
                let mut index = txn.open_table(INDEX)?;
                for entry in &rows.index_removed {
                    index.remove(&entry[..])?;
                }
            }
            if !rows.scopes.is_empty() {
                write_scopes(&txn, &rows.scopes)?;
            }
            if !rows.audit.is_empty() {
                let mut table = txn.open_table(AUDIT)?;
                for (number, frame) in &rows.audit {
                    table.insert(&number.to_be_bytes()[..], &frame[..])?;
                }
                for number in &rows.audit_removed {
                    table.remove(&number.to_be_bytes()[..])?;
                }
            }
            txn.open_table(META)?.insert(META_KEY, &meta[..])?;
            // Before anybody can find them: a key that is not among these is not looked for.
            self.in_flight.add(new);
            self.finish(txn)?;
            Ok((built, gone))
        })?;
        let added = built.map(|built| (rows.run.id, built));
        self.change_catalog(rows.meta.runs_version, CatalogChange { added, removed: vec![] });
        self.in_flight.remove(gone);
        Ok(())
    }

    pub(super) fn change_catalog(&self, version: u64, change: CatalogChange) {
        let mut catalog = self.catalog.write();
        if catalog.version != version {
            *catalog = Arc::new(catalog.after(version, change));
        }
    }

    /// Returns the hashes of the keys that are new here, and of those that are gone.
    fn write_records(&self, txn: &WriteTransaction, changes: &[RowChange]) -> Result<(Vec<u64>, Vec<u64>), redb::Error> {
        let (mut new, mut gone) = (Vec::new(), Vec::new());
        if changes.is_empty() {
            return Ok((new, gone));
        }
        let mut records = txn.open_table(RECORDS)?;
        let mut index = txn.open_table(INDEX)?;
        for RowChange { storage_key, before, after } in changes {
            if let Some(record) = after {
                let frame = encode_record(self.values, storage_key, record);
                let frame = frame.map_err(|error| redb::Error::Corrupted(error.to_string()))?;
                let is_new = records.insert(&storage_key[..], &frame[..])?.is_none();
                new.extend(is_new.then(|| self.hash_of(storage_key)));
            } else {
                let is_gone = records.remove(&storage_key[..])?.is_some();
                gone.extend(is_gone.then(|| self.hash_of(storage_key)));
            }
            let place = after.as_ref().map(Place::of);
            if *before == place {
                continue;
            }
            if let Some(before) = before {
                index.remove(&before.entry(storage_key).to_bytes()[..])?;
            }
            if let (Some(place), Some(record)) = (place, after) {
                let entry = place.entry(storage_key).to_bytes();
                index.insert(&entry[..], &record.first_seen_at.as_millis().to_le_bytes()[..])?;
            }
        }
        Ok((new, gone))
    }

    /// Copies rows as they are, in order, for a backup.
    pub(crate) fn insert_rows(&self, table: &'static str, rows: &[(Vec<u8>, Vec<u8>)]) -> Result<(), StorageError> {
        guarded(|| {
            let txn = self.begin_write()?;
            insert_sorted(&mut txn.open_table(Definition::new(table))?, rows.iter().map(|(key, value)| (key, value)))?;
            self.finish(txn)
        })
    }

    pub(super) fn begin_write(&self) -> Result<WriteTransaction, redb::Error> {
        let mut txn = self.db()?.begin_write()?;
        txn.set_two_phase_commit(true);
        txn.set_quick_repair(true);
        Ok(txn)
    }

    /// Commits, unless the transaction touched damaged bytes: whatever redb made of them must not become durable.
    pub(super) fn finish(&self, txn: WriteTransaction) -> Result<(), redb::Error> {
        if has_problem() {
            return Err(redb::Error::Corrupted("the transaction met damaged blocks".into()));
        }
        // However it ends: it may be there all the same.
        let _forget = self.latest.forget_then();
        Ok(txn.commit()?)
    }

    pub(crate) fn values(&self) -> ValueCheck {
        self.values
    }
}

impl Drop for Table {
    /// Errors and panics of a damaged file end here, whoever drops the table and on whatever path: a clean close only saves
    /// work at the next open, nothing depends on it.
    fn drop(&mut self) {
        // A transaction that is open would keep the database from closing.
        drop(self.latest.forget_then());
        let db = self.db.take();
        let _ = guarded(|| {
            drop(db);
            Ok(())
        });
    }
}

/// Runs code of redb. Where it meets bytes that it never wrote it may panic; that is damage, and ends here. So does any
/// operation that touched a damaged block, whatever redb made of it.
pub(super) fn guarded<T>(run: impl FnOnce() -> Result<T, redb::Error>) -> Result<T, StorageError> {
    drop(take_problem());
    let result = catching(run);
    match (result, take_problem()) {
        (Ok(Ok(value)), None) => Ok(value),
        (_, Some(problem)) => Err(problem),
        (Ok(Err(error)), None) => Err(sort(error)),
        (Err(_), None) => Err(StorageError::Damaged("the database is damaged".into())),
    }
}

fn sort(error: redb::Error) -> StorageError {
    match error {
        redb::Error::Io(error) => StorageError::from_io(error),
        redb::Error::Corrupted(what) => StorageError::Damaged(what),
        redb::Error::TableDoesNotExist(_) | redb::Error::RepairAborted => StorageError::Damaged(error.to_string()),
        redb::Error::UpgradeRequired(_) => StorageError::Unsupported(error.to_string()),
        error => StorageError::Engine(error.to_string()),
    }
}

fn write_scopes(txn: &WriteTransaction, scopes: &[(Vec<u8>, u64)]) -> Result<(), redb::Error> {
    let mut table = txn.open_table(SCOPES)?;
    scopes.iter().try_for_each(|(prefix, records)| set_scope(&mut table, prefix, *records))
}

/// A scope without records has no row.
pub(super) fn set_scope(table: &mut Writing<'_>, prefix: &[u8], records: u64) -> Result<(), redb::Error> {
    match records {
        0 => drop(table.remove(prefix)?),
        records => drop(table.insert(prefix, &records.to_le_bytes()[..])?),
    }
    Ok(())
}
