//! What becomes of a generation of the journal in the table: what has ended is a new run, what is in flight stands among the
//! others.

use super::{
    Storage,
    checkpoint::Tail,
    error::StorageError,
    keys::{Class, IndexEntry, Place, scope_prefix, storage_key},
    meta::Meta,
    recent::{Base, Slot, Slots},
    run::{EndedRow, RunRows},
    scan,
    table::{RowChange, Rows},
    view::View,
};
use std::{mem, sync::Arc};

/// Puts together what a checkpoint writes of the frozen generation, whose keys are in `shards`.
pub(crate) fn settled<'s>(
    storage: &Storage,
    shards: &'s [Arc<Slots>],
    tail: &Tail,
    meta: Meta,
) -> Result<Rows<'s>, StorageError> {
    storage.database.view(|view, _| {
        let table = view.meta()?;
        let mut made = Made { stale: tail.stale.clone(), ..Made::default() };
        for (key, slot) in shards.iter().flat_map(|shard| shard.iter()) {
            made.add(&view, storage_key(key), slot)?;
        }
        let run = made.run(table.next_run);
        made.records.sort_unstable_by(|a, b| a.storage_key.cmp(&b.storage_key));
        let scopes = tail.scopes.iter().filter(|&(_, &delta)| delta != 0);
        let scopes = scopes.map(|(scope, delta)| {
            let prefix = scope_prefix(scope);
            let records = view.scope_records(&prefix)?.saturating_add_signed(*delta);
            Ok((prefix, records))
        });
        let scopes = scopes.collect::<Result<_, StorageError>>()?;
        let audit_removed = (table.audit_first..meta.audit_first).collect();
        let audit = tail.audit.iter().filter(|(number, _)| *number >= meta.audit_first).cloned().collect();
        let meta = Meta {
            incarnation: table.incarnation,
            is_backup: table.is_backup,
            counts: table.counts.changed(tail.counts),
            next_run: table.next_run + u64::from(!run.ended.is_empty()),
            runs_version: table.runs_version + u64::from(!run.ended.is_empty()),
            ..meta
        };
        Ok(Rows { records: made.records, run, index_removed: made.stale, scopes, audit, audit_removed, meta })
    })
}

/// What becomes of the keys of a generation.
#[derive(Default)]
struct Made<'s> {
    records: Vec<RowChange>,
    ended: Vec<EndedRow<'s>>,
    stale: Vec<Vec<u8>>,
}

impl<'s> Made<'s> {
    fn add(&mut self, view: &View<'_>, storage_key: Vec<u8>, slot: &'s Slot) -> Result<(), StorageError> {
        let ended = |place: &Place| place.class == Class::Terminal;
        // Where the table has it among those in flight. What it has in a run stays there: it has expired, and the newer run or
        // the attempt in flight is found first.
        let before = match slot.base {
            Base::At(place) if !ended(&place) => Some(place),
            Base::Absent | Base::At(_) => None,
            Base::Damaged => {
                self.free_damaged(view, &storage_key)?;
                None
            }
        };
        let place = slot.record.as_ref().map(Place::of);
        let ends = place.filter(ended);
        let after = slot.record.as_ref().filter(|_| ends.is_none());
        if before.is_some() || after.is_some() || matches!(slot.base, Base::Damaged) {
            self.records.push(RowChange { storage_key: storage_key.clone(), before, after: after.cloned() });
        }
        if let Some(place) = ends {
            self.ended.push(EndedRow { storage_key, record: slot.record.as_ref(), expires_ms: place.time.as_millis() });
        }
        Ok(())
    }

    /// A damaged record does not say which index entry is its own. One in a run is hidden until that run has gone, which nobody
    /// knows.
    fn free_damaged(&mut self, view: &View<'_>, storage_key: &[u8]) -> Result<(), StorageError> {
        let entries = scan::in_flight_entries_of(view, storage_key)?;
        self.stale.extend(entries.iter().map(IndexEntry::to_bytes));
        if view.is_in_a_run(storage_key)? {
            self.ended.push(EndedRow { storage_key: storage_key.to_vec(), record: None, expires_ms: scan::FOREVER.as_millis() });
        }
        Ok(())
    }

    fn run(&mut self, id: u64) -> RunRows<'s> {
        let mut ended = mem::take(&mut self.ended);
        // A key that was freed and used again has both.
        ended.sort_unstable_by(|a, b| (&a.storage_key, a.record.is_none()).cmp(&(&b.storage_key, b.record.is_none())));
        ended.dedup_by(|later, first| later.storage_key == first.storage_key);
        RunRows { ended, id }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        State,
        storage::{
            Batch, Before, DueEntry, OpenMode,
            checkpoint::tests::{NOW, change, open, put, stored},
            disk::MemoryDisk,
        },
    };

    /// A store with a run that has a key, which is then freed because its record is damaged.
    fn freed() -> Storage {
        let storage = open(&MemoryDisk::new(), OpenMode::New);
        put(&storage, "a", State::Completed, b"old");
        storage.settle_all().unwrap();
        change(&storage, NOW, "a", Before::Damaged, None);
        storage
    }

    #[test]
    fn a_damaged_record_that_was_freed_stays_hidden_after_a_sweep() {
        let storage = freed();
        storage.settle_all().unwrap();
        assert_eq!(stored(&storage, "a"), None);
        storage.sweep_all(NOW).unwrap();
        assert_eq!(stored(&storage, "a"), None);
    }

    #[test]
    fn a_key_that_is_freed_and_used_again_before_a_checkpoint_has_its_new_record() {
        let storage = freed();
        put(&storage, "a", State::Completed, b"new");
        storage.settle_all().unwrap();
        assert_eq!(&stored(&storage, "a").unwrap().payload[..], b"new");
    }

    #[test]
    fn an_index_entry_that_belongs_to_no_record_goes_with_the_next_checkpoint() {
        let storage = open(&MemoryDisk::new(), OpenMode::New);
        put(&storage, "a", State::InFlight, &[]);
        storage.settle_all().unwrap();
        let index = || storage.database.view(|view, _| view.index_rows(None, 10)).unwrap().rows;
        let (entry, _) = index().remove(0);
        let (stale, next_token) = (vec![DueEntry { key: None, entry }], storage.next_token());
        storage.apply(Batch { changes: vec![], audit: vec![], stale, next_token, now: NOW }).unwrap();
        storage.settle_all().unwrap();
        assert!(index().is_empty());
    }
}
