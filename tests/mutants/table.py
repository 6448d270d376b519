"""What is broken, and which tests have to notice.

Left out, because nothing that is promised depends on them:
- the directory sync at the end of `create`: before anything is acknowledged, that of the journal's files follows;
- the directory sync behind the owner's note: a note that is older after a power cut only recognises fewer old copies, and the
  generations of the journal tell those as well;
- the sync of `scrub`: erased payloads that are back after a power cut are behind the end, and the next compaction erases them.
"""

import dataclasses

JOURNAL = "src/storage/journal/mod.rs"
SEGMENT = "src/storage/journal/segment.rs"
OPEN = "src/storage/journal/open.rs"
REPLAY = "src/storage/journal/replay.rs"
CHECKPOINT = "src/storage/checkpoint.rs"
RECOVERY = "src/storage/recovery.rs"
LIFECYCLE = "src/storage/lifecycle.rs"
STORAGE = "src/storage/mod.rs"
COPY = "src/storage/copy.rs"
OWNER = "src/storage/owner.rs"
RECENT = "src/storage/recent.rs"
SETTLED = "src/storage/settled.rs"
STEP = "src/storage/run/step.rs"
RUN_BUILD = "src/storage/run/build.rs"
RUN_REWRITE = "src/storage/run/rewrite.rs"
LEFTOVERS = "src/storage/run/leftovers.rs"
BLOCKS = "src/storage/blocks/mod.rs"
FRAME = "src/storage/frame.rs"

POWER_LOSS = "power_loss::acknowledged"
CREATION = "every_cut::a_cut_at_any_operation_of_a_creation"
CHECKPOINTS = "every_cut::a_cut_at_any_operation_of_a_checkpoint"
COMPACTION = "every_cut::a_cut_at_any_operation_of_a_compaction"
DAMAGE = "journal::damage"
MERGE = "rewrites::a_cut_at_any_operation_of_a_merge"
SWEEP = "rewrites::a_cut_at_any_operation_of_a_sweep"
STRESS = "stress::payments"
MEMORY = "storage::recent"
BOUND = "storage::journal::segment"
REWRITE = "storage::rewrite"
SETTLING = "storage::settled"


@dataclasses.dataclass
class Mutant:
    name: str
    why: str
    """What goes wrong if the source is like that."""
    edits: list
    """File, text, replacement; the text occurs once."""
    tests: list

    def check_matches(self, tree):
        for path, old, _ in self.edits:
            count = (tree / path).read_text().count(old)
            if count != 1:
                raise SystemExit(f"{self.name}: the text occurs {count} times in {path}: bring the table up to date\n{old}")

    def apply(self, tree):
        for path, old, new in self.edits:
            text = (tree / path).read_text()
            (tree / path).write_text(text.replace(old, new))


MUTANTS = [
    Mutant(
        "append_without_sync",
        "a batch is acknowledged that only the page cache has",
        [(SEGMENT, "        self.file.sync().map_err(|error| ApplyError::Indeterminate(StorageError::Io(error)))?;\n        self.position +=", "        self.position +=")],
        [POWER_LOSS],
    ),
    Mutant(
        "take_back_without_erasing",
        "a batch that was refused is found after a crash",
        [(SEGMENT, "let is_kept = zero(&*self.file, self.position, end).and_then(", "let is_kept = zero(&*self.file, end, end).and_then(")],
        ["journal::torn"],
    ),
    Mutant(
        "take_back_without_sync",
        "a batch that was refused is found after a power cut",
        [(SEGMENT, "            self.allocated = self.position;\n        }\n        self.file.sync()\n", "            self.allocated = self.position;\n        }\n        Ok(())\n")],
        ["journal::torn"],
    ),
    Mutant(
        "start_without_sync",
        "the table counts on a generation whose header a power cut takes away",
        [(SEGMENT, "        file.sync().map_err(|error| ApplyError::Indeterminate(StorageError::Io(error)))?;\n        let started", "        let started")],
        [CREATION, CHECKPOINTS],
    ),
    Mutant(
        "write_again_without_write",
        "what a failed sync has lost is shown to readers and is not on the disk",
        [(SEGMENT, "            self.file.write_at(frame.position as u64, bytes)?;\n        }\n        self.file.sync()\n", "            let _ = bytes;\n        }\n        self.file.sync()\n")],
        ["failed_sync"],
    ),
    Mutant(
        "write_again_without_sync",
        "what a killed process had not synced is shown to readers and lost afterwards",
        [(SEGMENT, "            self.file.write_at(frame.position as u64, bytes)?;\n        }\n        self.file.sync()\n", "            self.file.write_at(frame.position as u64, bytes)?;\n        }\n        Ok(())\n")],
        ["journal::revealed"],
    ),
    Mutant(
        "spare_not_started_anew",
        "a generation is used whose header a failed sync has lost",
        [(OPEN, "                let spare = self.options.start(first.generation + 1)?;\n", "                let spare = match second {\n                    Some(second) => second.resume(&self.options)?,\n                    None => self.options.start(first.generation + 1)?,\n                };\n")],
        ["journal::revealed"],
    ),
    Mutant(
        "journal_created_without_directory_sync",
        "the table is in use and its journal has no name after a power cut",
        [(OPEN, "            self.disk.sync().map_err(unsure)?;\n", "")],
        [CREATION],
    ),
    Mutant(
        "create_renames_before_writing",
        "a power cut leaves a store file that is not whole",
        [
            (LIFECYCLE, "    write_new(unfinished.file(), &id, now, false).map_err(|error| error.into_error(format!(\"creating {path}\")))?;\n    let file = unfinished.name_new().map_err(context)?;",
             "    let file = unfinished.name_new().map_err(context)?;\n    write_new(&file, &id, now, false).map_err(|error| error.into_error(format!(\"creating {path}\")))?;"),
        ],
        [CREATION],
    ),
    Mutant(
        "compaction_without_directory_sync",
        "the old file is back after a power cut, without what was brought into the new one",
        [(COPY, "        self.disk.sync().map_err(unsure)", "        Ok::<(), io::Error>(()).map_err(unsure)")],
        [COMPACTION],
    ),
    Mutant(
        "compaction_renames_after_directory_sync",
        "the new name is not durable when the compaction is",
        [
            (COPY, "        let file = copy.name_over().map_err(failed)?;\n", "        self.disk.sync().map_err(failed)?;\n        let file = copy.name_over().map_err(failed)?;\n"),
            (COPY, "        self.disk.sync().map_err(unsure)", "        Ok::<(), io::Error>(()).map_err(unsure)"),
        ],
        [COMPACTION],
    ),
    Mutant(
        "note_without_sync",
        "a power cut leaves a note that cannot be read, and the store is refused",
        [(OWNER, "    file.sync()?;\n    disk.rename_over", "    disk.rename_over")],
        [CREATION],
    ),
    Mutant(
        "table_without_sync",
        "a segment is freed whose records the disk does not have in the table",
        [(BLOCKS, "        self.file.sync().map_err(|error| {", "        Ok(()).map_err(|error| {")],
        [CHECKPOINTS],
    ),
    Mutant(
        "recycle_before_commit",
        "a crash in between loses a whole generation",
        [(CHECKPOINT, "        self.settle().map_err(|error| journal.failed(error))?;\n", "        journal.recycle(u64::MAX)?;\n        self.settle().map_err(|error| journal.failed(error))?;\n")],
        [CHECKPOINTS],
    ),
    Mutant(
        "frozen_segment_freed_though_the_commit_failed",
        "a full disk loses a whole generation",
        [(CHECKPOINT, "        self.settle().map_err(|error| journal.failed(error))?;\n", "        let _ = self.settle().map_err(|error| journal.failed(error));\n"),
         (CHECKPOINT, "        journal.recycle(taken_over)\n", "        journal.recycle(taken_over.max(u64::MAX))\n")],
        ["journal::full"],
    ),
    Mutant(
        "memory_settled_before_commit",
        "a commit that fails is tried again without its records",
        [(CHECKPOINT, "        self.database.commit(&rows, &self.reserve)?;\n        self.recent.settle();", "        self.recent.settle();\n        self.database.commit(&rows, &self.reserve)?;")],
        ["journal::full"],
    ),
    Mutant(
        "shown_before_durable",
        "readers see a batch that is refused",
        [
            (STORAGE, "        journal.append(&mut active, frame, logged.meta.batch)?;\n", "        let number = logged.meta.batch;\n        self.take_in(logged);\n        journal.append(&mut active, frame, number)?;\n"),
            (STORAGE, "        // Only now: what readers see is durable.\n        self.take_in(logged);\n", ""),
        ],
        ["fail_nth"],
    ),
    Mutant(
        "file_not_checked_to_be_in_place",
        "a batch is acknowledged that went into a file without a name",
        [(STORAGE, "        self.check_still_in_place(&journal, &active).map_err(|error| journal.failed(error))?;\n", "")],
        ["replaced_file"],
    ),
    Mutant(
        "shown_before_the_file_is_known_to_be_in_place",
        "readers see a batch that went into a file without a name",
        [
            (STORAGE, "        self.check_still_in_place(&journal, &active).map_err(|error| journal.failed(error))?;\n", ""),
            (STORAGE, "        // Only now: what readers see is durable.\n        self.take_in(logged);\n", "        self.take_in(logged);\n        self.check_still_in_place(&journal, &active).map_err(|error| journal.failed(error))?;\n"),
        ],
        ["replaced_file"],
    ),
    Mutant(
        "records_dropped_an_hour_before_they_expire",
        "a sweep forgets records that are still replayed",
        [(RUN_REWRITE, "if entry.expires_ms > self.now.as_millis() {", "if entry.expires_ms > self.now.as_millis() + 3_600_000 {")],
        ["runs::a_sweep_keeps"],
    ),
    Mutant(
        "filter_without_every_third_key",
        "a key that is stored is taken for new",
        [(RUN_BUILD, "        self.hashes.push(self.hashes_of.hash(entry.storage_key));\n", "        if self.info.entries % 3 != 2 {\n            self.hashes.push(self.hashes_of.hash(entry.storage_key));\n        }\n")],
        ["power_loss"],
    ),
    Mutant(
        "runs_swapped_before_the_last_part_is_durable",
        "a crash in between leaves a run without its last records",
        [
            (STEP, "                    write_part(&txn, swap.run.id, &swap.part)?;\n                    self.swap(&txn, swap)?;\n", "                    self.swap(&txn, swap)?;\n"),
            (STEP, "        self.change_catalog(after.runs_version, step.into_change());\n",
             "        if let Step::Swap(swap) = &step {\n            guarded(|| {\n                let txn = self.begin_write()?;\n                write_part(&txn, swap.run.id, &swap.part)?;\n                self.finish(txn)\n            })?;\n        }\n        self.change_catalog(after.runs_version, step.into_change());\n"),
        ],
        [MERGE],
    ),
    Mutant(
        "runs_removed_before_the_swap",
        "a crash in between leaves a list of runs that are not there",
        [(STEP, "        let meta = after.encode(self.values())?;\n        guarded(|| {\n",
          "        let meta = after.encode(self.values())?;\n        if let Step::Swap(swap) = &step {\n            guarded(|| {\n                let txn = self.begin_write()?;\n                for input in &swap.inputs {\n                    let (from, to) = (input.id.to_be_bytes(), (input.id + 1).to_be_bytes());\n                    txn.open_table(CHUNKS)?.retain_in::<&[u8], _>(&from[..]..&to[..], |_, _| false)?;\n                }\n                self.finish(txn)\n            })?;\n        }\n        guarded(|| {\n")],
        [MERGE],
    ),
    Mutant(
        "unfinished_run_forgotten",
        "a crash leaves rows of which nobody knows",
        [
            (STEP, "                    let before = txn.open_table(UNLISTED)?.insert(&run.id.to_be_bytes()[..], &[][..])?.is_some();\n                    run.check_is_begun(before)?;\n", ""),
            (STEP, "            let before = unlisted.remove(&run.id.to_be_bytes()[..])?.is_some();\n            run.check_is_begun(before)?;\n", ""),
            (STEP, "    /// Without its earlier parts a run", "    #[allow(dead_code)]\n    /// Without its earlier parts a run"),
        ],
        [MERGE],
    ),
    Mutant(
        "replaced_runs_forgotten",
        "a merge leaves rows of which nobody knows",
        [(STEP, "                unlisted.insert(&input.id.to_be_bytes()[..], &[][..])?;\n", "                let _ = input;\n")],
        [SWEEP],
    ),
    Mutant(
        "compaction_beside_a_rewrite",
        "a run loses the parts that were written before another file took the place of its own",
        [
            (COPY, "        NoRewrites(self.upkeep.rewriting.lock())\n", "        NoRewrites(Box::leak(Box::new(crate::sync::Mutex::new(()))).lock())\n"),
            (STEP, "        if is_begun == self.is_begun {", "        if is_begun == self.is_begun || true {"),
            (STEP, "        if fits {", "        if fits || true {"),
        ],
        [STRESS],
    ),
    Mutant(
        "journal_dispensable_before_the_last_checkpoint",
        "a crash during a close loses what only the journal has",
        [(LIFECYCLE, "        self.settle_all()?;\n        // A sweep by hand may still be at work, and changes the metadata as well.\n        let _one_at_a_time = self.checkpointing.lock();\n        let meta = self.database.view(|view, _| view.meta()).map_err(ApplyError::NotDone)?;\n", "        let meta = self.database.view(|view, _| view.meta()).map_err(ApplyError::NotDone)?;\n        self.database.commit(&Rows::meta_only(Meta { is_live: 0, ..meta }), &self.reserve)?;\n        self.settle_all()?;\n")],
        ["journal::close"],
    ),
    Mutant(
        "journal_dispensable_with_the_older_generation",
        "a crash during a close loses the younger one",
        [(CHECKPOINT, "        let is_last = self.closing.load(Ordering::Acquire) && meta.batch == self.meta.lock().batch;\n", "        let is_last = self.closing.load(Ordering::Acquire);\n")],
        ["journal::close"],
    ),
    Mutant(
        "journal_restarted_before_the_salvage",
        "a crash during a salvage loses what could be read",
        [(RECOVERY, "        self.settle()?;\n        let journal = opened.restart(generation)?;\n", "        let journal = opened.restart(generation)?;\n        self.settle()?;\n")],
        [DAMAGE],
    ),
    Mutant(
        "damage_taken_for_the_end",
        "acknowledged batches behind a damaged one are lost silently",
        [(REPLAY, "        let Some(next) = next_sound(bytes, check, replay.end, expected) else { return replay };\n", "        let Some(next) = next_sound(bytes, check, replay.end, expected).filter(|_| false) else { return replay };\n")],
        [DAMAGE],
    ),
    Mutant(
        "gaps_between_segments_not_noticed",
        "a damaged last batch of the frozen segment is lost silently",
        [(OPEN, "            if logged.meta.batch != last + 1 {", "            if logged.meta.batch < last + 1 {")],
        [DAMAGE],
    ),
    Mutant(
        "missing_journal_not_noticed",
        "a lost journal is taken for an empty one",
        [(OPEN, "        Found::Blank if is_live => Some(GONE),\n", "")],
        ["journal::misplaced"],
    ),
    Mutant(
        "foreign_journal_not_noticed",
        "another store's journal is overwritten",
        [(OPEN, "        Found::Foreign => Some(FOREIGN),\n        Found::Blank if is_live => Some(GONE),\n        Found::Of(_) |", "        Found::Blank if is_live => Some(GONE),\n        Found::Foreign | Found::Of(_) |")],
        ["journal::misplaced"],
    ),
    Mutant(
        "older_journal_not_noticed",
        "a store goes on with an older journal",
        [(OPEN, "            (!(taken_over && header.generation == table.generation)).then_some(OLD_JOURNAL)", "            (!taken_over && header.generation == 0).then_some(OLD_JOURNAL)")],
        ["journal::misplaced"],
    ),
    Mutant(
        "frames_of_all_generations_alike",
        "what an earlier generation left is taken for what follows",
        [(FRAME, "        let material = [&store[..], &generation.to_le_bytes(), salt].concat();", "        let _ = (generation, salt);\n        let material = [&store[..]].concat();")],
        ["journal::stale"],
    ),
    Mutant(
        "write_again_of_the_first_segment",
        "of two segments, the last record is shown to readers and lost afterwards",
        [(OPEN, "        let last = self.segments.iter().rev().find(|", "        let last = self.segments.iter().find(|")],
        ["journal::revealed"],
    ),
    Mutant(
        "several_damaged_frames_taken_for_the_end",
        "acknowledged batches behind several damaged ones are lost silently",
        [(REPLAY, "const NUMBERS_AHEAD: u64 = 1 << 24;", "const NUMBERS_AHEAD: u64 = 1;")],
        [DAMAGE],
    ),
    Mutant(
        "older_files_not_noticed",
        "a store goes on with an older copy of all its files",
        [(RECOVERY, "if owner.incarnation > meta.incarnation || owner.batch > meta.batch =>", "if owner.incarnation > meta.incarnation =>")],
        ["journal::misplaced"],
    ),
    Mutant(
        "recycled_segment_without_limit",
        "the journal gets longer with each checkpoint",
        [(SEGMENT, "first_bytes(bytes_max), bytes_max);", "first_bytes(bytes_max), u64::MAX);")],
        [BOUND],
    ),
    Mutant(
        "active_segment_without_limit",
        "the journal gets longer while no checkpoint is possible",
        [(JOURNAL, "active.may_grow(bytes, self.bytes_max)", "active.may_grow(bytes, self.bytes_max * 8)")],
        [BOUND],
    ),
    Mutant(
        "spare_segment_not_scrubbed",
        "a compaction leaves payloads that were erased in the journal",
        [(JOURNAL, "std::iter::once(&*active).chain(&turns.spare)", "std::iter::once(&*active)")],
        ["storage::copy"],
    ),
    Mutant(
        "settled_records_forgotten",
        "a key that was used since somebody looked is taken for new",
        [(RECENT, "            let gone = std::mem::replace(&mut shard.settled, settled);\n", "            let gone = (settled, std::mem::take(&mut shard.settled));\n")],
        [MEMORY],
    ),
    Mutant(
        "look_counted_from_its_end",
        "what was applied during a look is hidden by what the look saw",
        [
            (RECENT, "        let generation = self.generation.load(Ordering::Acquire);\n        let record =", "        let record ="),
            (RECENT, "        Ok(Seen { generation, record:", "        let generation = self.generation.load(Ordering::Acquire);\n        Ok(Seen { generation, record:"),
        ],
        [MEMORY],
    ),
    Mutant(
        "scopes_of_replaced_runs_left",
        "each merge leaves rows of which nobody knows",
        [(LEFTOVERS, "        for (definition, ends) in [(CHUNKS, &self.chunks), (RUN_SCOPES, &self.scopes)] {", "        let _ = &self.scopes;\n        for (definition, ends) in [(CHUNKS, &self.chunks)] {")],
        [REWRITE],
    ),
    Mutant(
        "filters_of_replaced_runs_left",
        "each merge leaves rows of which nobody knows",
        [(STEP, "        for definition in [RUNS, FILTERS, FENCES] {", "        let _ = (FILTERS, FENCES);\n        for definition in [RUNS] {")],
        [REWRITE],
    ),
    Mutant(
        "scopes_passed_too_early",
        "a merge in parts counts the records of a scope wrongly",
        [(RUN_BUILD, "        let last = self.scopes.pop_last();\n", "        let last: Option<(Vec<u8>, u64)> = None;\n")],
        [REWRITE],
    ),
    Mutant(
        "rewritten_run_in_front_of_all",
        "an older record of a key answers in place of a newer one",
        [(RUN_REWRITE, "inputs.iter().map(|run| run.info.order).max().unwrap_or_default();", "u64::MAX / 2;")],
        [REWRITE],
    ),
    Mutant(
        "merge_keeps_the_older_record",
        "an older record of a key takes the place of a newer one",
        [(RUN_REWRITE, "        let newest_first = self.inputs.iter().map(|run| run.id);\n", "        let newest_first = self.inputs.iter().rev().map(|run| run.id);\n")],
        [REWRITE],
    ),
    Mutant(
        "hidden_key_swept",
        "a damaged record that was freed is back after a sweep",
        [(SETTLED, "expires_ms: scan::FOREVER.as_millis()", "expires_ms: 0")],
        [SETTLING],
    ),
    Mutant(
        "hidden_key_before_its_new_record",
        "a key that was freed and used again is taken for new",
        [(SETTLED, "(&a.storage_key, a.record.is_none()).cmp(&(&b.storage_key, b.record.is_none()))", "(&a.storage_key, a.record.is_some()).cmp(&(&b.storage_key, b.record.is_some()))")],
        [SETTLING],
    ),
    Mutant(
        "stale_entries_dropped",
        "an index entry that belongs to no record stays for ever",
        [(STORAGE, "            tails.active.stale.extend(logged.stale);\n", "")],
        [SETTLING],
    ),
    Mutant(
        "open_without_directory_sync",
        "an open after a kill relies on names that a power cut takes away",
        [(RECOVERY, "        disk.sync().map_err(|error| failed(StorageError::Io(error)))?;\n", "")],
        ["killed_then_cut"],
    ),
    Mutant(
        "recycling_keeps_a_long_segment",
        "one long batch makes the journal longer for ever",
        [(SEGMENT, "clamp(first_bytes(bytes_max), bytes_max);", "clamp(first_bytes(bytes_max), bytes_max.max(self.allocated));")],
        ["journal::bounds"],
    ),
    Mutant(
        "journal_of_a_later_open_is_ignored",
        "an older copy of a closed store is taken for the latest state",
        [(OPEN, "            opened.doubt = opened.doubt.or(Some(OLDER));\n", "")],
        ["journal::misplaced"],
    ),
]
