//! A simulated disk with the durability of POSIX and nothing more: what was not synced is at the mercy of a power cut.

mod platter;
mod sim_files;

pub(crate) use platter::{Frozen, Inode, NameChange, Unsynced};

use super::content::PAGE_BYTES;
use idemstore::disk::{Disk, DiskFile};
use sim_files::SimFile;
use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard},
};

pub(crate) const EIO: i32 = 5;
pub(crate) const ENOSPC: i32 = 28;

/// What the store asked of the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Open,
    Create,
    Rename,
    Remove,
    DirSync,
    Identify,
    Length,
    Read,
    Write,
    SetLen,
    Sync,
}

/// An error to inject.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fault {
    /// The number of the operation that fails, counting those which `hits` admits.
    pub(crate) at: u64,
    /// Whether all later ones fail as well.
    pub(crate) lasting: bool,
    pub(crate) code: i32,
    pub(crate) hits: fn(Operation) -> bool,
}

/// A sync that says it worked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lie {
    None,
    /// Every n-th sync of a file does nothing.
    Files(u64),
    /// No sync of the directory does anything.
    Directory,
}

type Tap = Box<dyn FnMut(Operation, &Frozen) + Send>;

struct State {
    now: Frozen,
    tap: Option<Tap>,
    fault: Option<Fault>,
    /// Operations that the fault admits, so far.
    admitted: u64,
    faults: u64,
    lie: Lie,
    syncs: BTreeMap<u64, u64>,
    /// Files whose sync failed.
    failed: Vec<u64>,
    locked: Vec<u64>,
    handles: BTreeMap<u64, usize>,
    capacity_pages: usize,
    said_free: Option<u64>,
    gate: Gate,
}

/// Holds up the writer after its commit, where no reader waits for it: when it looks which file has the store's name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Gate {
    Open,
    Closed,
    Waiting,
}

/// The disk. Clones share it.
#[derive(Clone)]
pub(crate) struct SimDisk(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    gate_moved: Condvar,
}

impl Default for SimDisk {
    fn default() -> Self {
        Self::of(Frozen::default())
    }
}

impl SimDisk {
    /// A disk in a computer that has just been switched on.
    pub(crate) fn of(now: Frozen) -> Self {
        let state = State {
            now,
            tap: None,
            fault: None,
            admitted: 0,
            faults: 0,
            lie: Lie::None,
            syncs: BTreeMap::new(),
            failed: Vec::new(),
            locked: Vec::new(),
            handles: BTreeMap::new(),
            capacity_pages: usize::MAX,
            said_free: None,
            gate: Gate::Open,
        };
        Self(Arc::new(Shared { state: Mutex::new(state), gate_moved: Condvar::new() }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap()
    }

    /// Shows every operation, before it happens, to `tap`.
    pub(crate) fn tap(&self, tap: impl FnMut(Operation, &Frozen) + Send + 'static) {
        self.state().tap = Some(Box::new(tap));
    }

    pub(crate) fn untap(&self) {
        self.state().tap = None;
    }

    pub(crate) fn freeze(&self) -> Frozen {
        self.state().now.clone()
    }

    pub(crate) fn inject(&self, fault: Fault) {
        let mut state = self.state();
        (state.fault, state.admitted, state.faults) = (Some(fault), 0, 0);
    }

    /// Ends all faults; returns how many operations failed.
    pub(crate) fn heal(&self) -> u64 {
        let mut state = self.state();
        state.fault = None;
        state.faults
    }

    pub(crate) fn faults(&self) -> u64 {
        self.state().faults
    }

    /// Operations that the fault admitted since it was injected.
    pub(crate) fn admitted(&self) -> u64 {
        self.state().admitted
    }

    pub(crate) fn lie(&self, lie: Lie) {
        self.state().lie = lie;
    }

    /// Syncs of the file that has this name now.
    pub(crate) fn syncs(&self, name: &str) -> u64 {
        let state = self.state();
        state.now.names.get(name).and_then(|inode| state.syncs.get(inode)).copied().unwrap_or_default()
    }

    /// Whether a sync of the file that has this name now has failed.
    pub(crate) fn sync_failed(&self, name: &str) -> bool {
        let state = self.state();
        state.now.names.get(name).is_some_and(|inode| state.failed.contains(inode))
    }

    /// What the disk says is free, whatever it takes.
    pub(crate) fn say_free(&self, bytes: u64) {
        self.state().said_free = Some(bytes);
    }

    pub(crate) fn set_free_pages(&self, pages: usize) {
        let mut state = self.state();
        state.capacity_pages = state.pages_taken().saturating_add(pages);
    }

    /// Holds up the writer after its next commit, until [`open_gate`](Self::open_gate).
    pub(crate) fn close_gate(&self) {
        self.state().gate = Gate::Closed;
    }

    /// Waits until somebody is held up, or the disk has failed, after which perhaps nobody comes.
    pub(crate) fn await_gate(&self) {
        let state = self.state();
        drop(self.0.gate_moved.wait_while(state, |state| state.gate == Gate::Closed && state.faults == 0).unwrap());
    }

    pub(crate) fn open_gate(&self) {
        self.state().gate = Gate::Open;
        self.0.gate_moved.notify_all();
    }

    /// The whole of a file.
    pub(crate) fn bytes(&self, name: &str) -> Vec<u8> {
        let file = self.open(name).unwrap();
        let mut bytes = vec![0; file.len().unwrap() as usize];
        file.read_at(0, &mut bytes).unwrap();
        bytes
    }

    /// Puts a file there, durably, whatever was there before.
    pub(crate) fn put(&self, name: &str, bytes: &[u8]) {
        let _ = self.remove(name);
        let file = self.create(name).unwrap();
        file.write_at(0, bytes).unwrap();
        file.sync().unwrap();
        self.sync().unwrap();
    }

    fn handle(&self, state: &mut State, inode: u64) -> Arc<dyn DiskFile> {
        *state.handles.entry(inode).or_default() += 1;
        Arc::new(SimFile::new(self, inode))
    }

    /// Everything starts here: whoever watches sees it, and it may fail.
    fn start(&self, operation: Operation) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.state();
        if operation == Operation::Identify && state.gate == Gate::Closed {
            state.gate = Gate::Waiting;
            self.0.gate_moved.notify_all();
            state = self.0.gate_moved.wait_while(state, |state| state.gate == Gate::Waiting).unwrap();
        }
        if let Some(mut tap) = state.tap.take() {
            tap(operation, &state.now);
            state.tap = Some(tap);
        }
        if let Err(error) = state.fail(operation) {
            self.0.gate_moved.notify_all();
            return Err(error);
        }
        Ok(state)
    }
}

impl State {
    fn fail(&mut self, operation: Operation) -> io::Result<()> {
        let Some(fault) = self.fault.filter(|fault| (fault.hits)(operation)) else { return Ok(()) };
        let number = self.admitted;
        self.admitted += 1;
        if number == fault.at || (fault.lasting && number > fault.at) {
            self.faults += 1;
            return Err(io::Error::from_raw_os_error(fault.code));
        }
        Ok(())
    }

    fn inode(&self, name: &str) -> io::Result<u64> {
        self.now.names.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn file(&mut self, inode: u64) -> &mut Inode {
        self.now.files.get_mut(&inode).unwrap()
    }

    /// Pages of all files that have a name or a user.
    fn pages_taken(&self) -> usize {
        let is_used = |inode: &u64| self.handles.contains_key(inode) || self.now.names.values().any(|named| named == inode);
        self.now.files.iter().filter(|(inode, _)| is_used(inode)).map(|(_, file)| file.seen.pages_taken()).sum()
    }

    fn check_space(&self, inode: u64, offset: usize, len: usize) -> io::Result<()> {
        if self.capacity_pages < usize::MAX {
            let missing = self.now.files[&inode].seen.pages_missing(offset, len);
            if missing > 0 && self.pages_taken() + missing > self.capacity_pages {
                return Err(io::Error::from_raw_os_error(ENOSPC));
            }
        }
        Ok(())
    }

    /// A write that fails has written some part: the first half, all of it, or nothing.
    fn part_of_failed_write<'b>(&self, bytes: &'b [u8]) -> &'b [u8] {
        let len = [bytes.len() / 2 / PAGE_BYTES * PAGE_BYTES, bytes.len(), 0][(self.admitted % 3) as usize];
        &bytes[..len]
    }

    fn write(&mut self, inode: u64, offset: usize, bytes: &[u8]) {
        let file = self.file(inode);
        file.seen.write(offset, bytes);
        file.unsynced.push(Unsynced::Write(offset, bytes.into()));
    }

    fn sync_file(&mut self, inode: u64) {
        let count = self.syncs.entry(inode).or_default();
        *count += 1;
        if let Lie::Files(every) = self.lie
            && count.is_multiple_of(every)
        {
            return;
        }
        let file = self.file(inode);
        for change in std::mem::take(&mut file.unsynced) {
            change.apply(&mut file.durable);
        }
    }

    /// As Linux does: the error is reported once, the pages count as clean, and readers go on seeing what the disk lost. Some
    /// of it may have been written before: here all, none or every other change.
    fn lose_unsynced(&mut self, inode: u64) {
        let count = self.syncs.entry(inode).or_default();
        *count += 1;
        let kept: fn(usize) -> bool = [|_| false, |_| true, |number| number % 2 == 0][(*count / 2 % 3) as usize];
        self.failed.push(inode);
        let file = self.file(inode);
        for (number, change) in std::mem::take(&mut file.unsynced).into_iter().enumerate() {
            if kept(number) {
                change.apply(&mut file.durable);
            }
        }
    }

    fn change_name(&mut self, change: NameChange) {
        change.apply(&mut self.now.names);
        self.now.name_changes.push(change);
    }
}
