//! Finds a journal again, or starts a new one.

use super::{
    Journal, JournalOptions, Logged, decode,
    header::{self, Found, Header},
    replay::{self, Placed},
    segment::{self, SLOTS, Segment},
};
use crate::storage::{
    disk::{Disk, DiskFile},
    error::{ApplyError, StorageError},
    meta::Meta,
};
use std::{io, sync::Arc};

/// What lies beside the store file, read but not changed.
#[derive(Debug)]
pub(crate) struct Opened {
    options: JournalOptions,
    /// Why it may not be the journal that this file needs.
    pub(crate) doubt: Option<&'static str>,
    /// What is damaged.
    pub(crate) damage: Option<String>,
    /// The segments behind the table's last checkpoint, in order.
    segments: Vec<Loaded>,
    /// The highest generation that anything here speaks of.
    pub(crate) newest: u64,
}

/// A segment, read.
#[derive(Debug)]
struct Loaded {
    file: Arc<dyn DiskFile>,
    header: Header,
    bytes: Vec<u8>,
    end: usize,
    /// Where the last frame is.
    last: Option<(usize, usize)>,
    logged: Vec<Logged>,
}

const GONE: &str = "was in use when its journal was lost, and what was acknowledged last was in there";
const OLDER: &str = "is an older copy of a store that has been used since";
const OLD_JOURNAL: &str = "has an older copy of its journal beside it";
const FOREIGN: &str = "has the journal of another store beside it";

/// Returns whether a store of this name has a journal.
pub(crate) fn exists(disk: &dyn Disk, store: &str) -> io::Result<bool> {
    for slot in 0..SLOTS {
        match disk.id(&segment::name_of(store, slot)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => (),
            found => return found.map(|_| true),
        }
    }
    Ok(false)
}

/// Looks at the journal of a store whose table is as `table` says.
pub(crate) fn open(options: JournalOptions, table: &Meta) -> Result<Opened, StorageError> {
    let mut opened = Opened { options, doubt: None, damage: None, segments: Vec::new(), newest: table.generation + SLOTS };
    for generation in table.generation + 1..=table.generation + SLOTS {
        let file = segment::open_file(&*opened.options.disk, &opened.options.name, generation).map_err(StorageError::Io)?;
        let found = match &file {
            Some(file) => header::read(&**file, &opened.options.store)?,
            None => Found::Blank,
        };
        if let Found::Of(header) = &found {
            opened.newest = opened.newest.max(header.generation);
        }
        let doubt = doubt(&found, generation, table);
        if let (Found::Of(header), Some(file), true, None) = (&found, &file, table.is_live != 0, doubt)
            && header.generation == generation
        {
            opened.load(file.clone(), *header, table)?;
        }
        if let (Found::Of(header), Some(file), 0) = (&found, &file, table.is_live)
            && header.generation > table.generation
            && replay::has_newer(&**file, &header.frames(&opened.options.store), table.batch).map_err(StorageError::Io)?
        {
            opened.doubt = opened.doubt.or(Some(OLDER));
        }
        if matches!(found, Found::Damaged) && table.is_live != 0 {
            opened.damaged("the first sector", &segment::name_of(&opened.options.name, generation));
        }
        opened.doubt = opened.doubt.or(doubt);
    }
    opened.check_unbroken(table);
    Ok(opened)
}

/// Compares what is in a file with the generation that should be.
fn doubt(found: &Found, generation: u64, table: &Meta) -> Option<&'static str> {
    let is_live = table.is_live != 0;
    // The second file may still have what the table has taken over, if a crash came between the checkpoint and its end.
    let taken_over = generation == table.generation + SLOTS;
    match found {
        Found::Of(header) if header.generation > table.generation + SLOTS => Some(OLDER),
        Found::Of(header) if is_live && header.generation < generation => {
            (!(taken_over && header.generation == table.generation)).then_some(OLD_JOURNAL)
        }
        Found::Of(header) if is_live && header.generation > generation => Some(OLDER),
        Found::Foreign => Some(FOREIGN),
        Found::Blank if is_live => Some(GONE),
        Found::Of(_) | Found::Blank | Found::Damaged => None,
    }
}

impl Opened {
    /// Returns what the table is behind with: one or two generations, oldest first.
    pub(crate) fn take_logged(&mut self) -> Vec<Vec<Logged>> {
        self.segments.iter_mut().map(|segment| std::mem::take(&mut segment.logged)).collect()
    }

    fn load(&mut self, file: Arc<dyn DiskFile>, header: Header, table: &Meta) -> Result<(), StorageError> {
        let len = usize::try_from(file.len().map_err(StorageError::Io)?).map_err(|_| too_long())?;
        let mut bytes = vec![0; len];
        file.read_at(0, &mut bytes).map_err(StorageError::Io)?;
        let before = self.last_batch(table);
        let replay = replay::frames(&bytes, &header.frames(&self.options.store), before);
        let last = replay.frames.last().map(|frame| (frame.position, frame.len));
        let logged = replay.frames.iter().map(|frame| decode(frame.body, frame.batch)).collect::<Result<Vec<_>, _>>();
        let (end, damaged_at) = (replay.end, replay.damaged_at);
        let name = segment::name_of(&self.options.name, header.generation);
        if let Some(position) = damaged_at {
            self.damaged(&format!("a batch at {position}"), &name);
        }
        self.segments.push(Loaded { file, header, bytes, end, last, logged: logged? });
        Ok(())
    }

    fn last_batch(&self, table: &Meta) -> u64 {
        let last = self.segments.iter().rev().find_map(|segment| segment.logged.last());
        last.map_or(table.batch, |logged| logged.meta.batch)
    }

    /// The numbers of the batches have to go on from the table's without a gap.
    fn check_unbroken(&mut self, table: &Meta) {
        let mut last = table.batch;
        for logged in self.segments.iter().flat_map(|segment| &segment.logged) {
            if logged.meta.batch != last + 1 {
                self.damage.get_or_insert_with(|| format!("batch {} of the journal is missing", last + 1));
            }
            last = logged.meta.batch;
        }
    }

    fn damaged(&mut self, what: &str, name: &str) {
        self.damage.get_or_insert_with(|| format!("{what} of {name} is damaged"));
    }

    /// Takes the journal into use: where it was left, or new if the table needs nothing of it.
    pub(crate) fn resume(self, table: &Meta) -> Result<Journal, ApplyError> {
        if self.segments.is_empty() {
            return self.restart(table.generation);
        }
        let last = self.segments.iter().rev().find(|segment| segment.last.is_some());
        if let Some((segment, (position, len))) = last.and_then(|segment| Some((segment, segment.last?))) {
            let placed = Placed { batch: 0, body: &[], position, len };
            segment.resume(&self.options)?.write_again(&placed, &segment.bytes).map_err(unsure)?;
        }
        let mut segments = self.segments.iter();
        let first = segments.next().map(|segment| segment.resume(&self.options)).transpose()?;
        let second = segments.next();
        match (first, second) {
            (Some(first), Some(second)) if second.last.is_some() => {
                Ok(Journal::new(&self.options, second.resume(&self.options)?, None, Some(first)))
            }
            // A spare segment may have a header that only readers see, after a failed sync: it starts anew as well.
            (Some(first), _) => {
                let spare = self.options.start(first.generation + 1)?;
                Ok(Journal::new(&self.options, first, Some(spare), None))
            }
            (None, _) => Err(ApplyError::NotDone(StorageError::Engine("a journal without segments".into()))),
        }
    }

    /// Starts with empty segments of the generations after `generation`. What is in the files is lost.
    pub(crate) fn restart(self, generation: u64) -> Result<Journal, ApplyError> {
        let active = self.options.start(generation + 1)?;
        let spare = self.options.start(generation + SLOTS)?;
        Ok(Journal::new(&self.options, active, Some(spare), None))
    }
}

impl Loaded {
    fn resume(&self, options: &JournalOptions) -> Result<Segment, ApplyError> {
        Segment::resume(self.file.clone(), &options.store, &self.header, self.end).map_err(not_done)
    }
}

impl JournalOptions {
    /// Starts a generation in its file, which is made if there is none.
    fn start(&self, generation: u64) -> Result<Segment, ApplyError> {
        let file = if let Some(file) = segment::open_file(&*self.disk, &self.name, generation).map_err(not_done)? {
            file
        } else {
            let file = self.disk.create(&segment::name_of(&self.name, generation)).map_err(not_done)?;
            // Before the store file says that it has a journal.
            self.disk.sync().map_err(unsure)?;
            file
        };
        Segment::start(file, &self.store, generation, segment::first_bytes(self.bytes_max))
    }
}

fn not_done(error: io::Error) -> ApplyError {
    ApplyError::NotDone(StorageError::from_io(error))
}

fn unsure(error: io::Error) -> ApplyError {
    ApplyError::Indeterminate(StorageError::Io(error))
}

fn too_long() -> StorageError {
    StorageError::Damaged("the journal is longer than memory".into())
}
