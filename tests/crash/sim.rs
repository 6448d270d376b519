//! A simulated disk with the durability of POSIX and nothing more: what was not synced is at the mercy of a power cut.

use super::content::{Content, PAGE_BYTES};
use idemstore::disk::{Disk, DiskFile, FileId};
use std::{
    collections::BTreeMap,
    fmt, io,
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

/// A change of a file that is not durable yet.
#[derive(Clone, Debug)]
pub(crate) enum Unsynced {
    Write(usize, Arc<[u8]>),
    SetLen(usize),
}

/// A change of a name that is not durable yet; each is one step.
#[derive(Clone, Debug)]
pub(crate) enum NameChange {
    Link(String, u64),
    Rename(String, String, u64),
    Unlink(String),
}

/// A file: what the platter has, what readers see, and the way from the one to the other.
#[derive(Clone, Debug, Default)]
pub(crate) struct Inode {
    pub(crate) durable: Content,
    pub(crate) seen: Content,
    pub(crate) unsynced: Vec<Unsynced>,
}

/// All of a disk at one instant.
#[derive(Clone, Debug, Default)]
pub(crate) struct Frozen {
    pub(crate) files: BTreeMap<u64, Inode>,
    pub(crate) names: BTreeMap<String, u64>,
    pub(crate) durable_names: BTreeMap<String, u64>,
    pub(crate) name_changes: Vec<NameChange>,
    pub(crate) next_inode: u64,
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

struct SimFile {
    disk: SimDisk,
    inode: u64,
    holds_lock: Mutex<bool>,
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
        Arc::new(SimFile { disk: self.clone(), inode, holds_lock: Mutex::new(false) })
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

impl Unsynced {
    pub(crate) fn apply(&self, content: &mut Content) {
        match self {
            Self::Write(offset, bytes) => content.write(*offset, bytes),
            Self::SetLen(len) => content.set_len(*len),
        }
    }
}

impl NameChange {
    pub(crate) fn apply(&self, names: &mut BTreeMap<String, u64>) {
        match self {
            Self::Link(name, inode) => drop(names.insert(name.clone(), *inode)),
            Self::Rename(from, to, inode) => {
                if names.get(from) == Some(inode) {
                    names.remove(from);
                }
                names.insert(to.clone(), *inode);
            }
            Self::Unlink(name) => drop(names.remove(name)),
        }
    }
}

impl Disk for SimDisk {
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.start(Operation::Open)?;
        let inode = state.inode(name)?;
        Ok(self.handle(&mut state, inode))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.start(Operation::Create)?;
        if state.now.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let inode = state.now.next_inode;
        state.now.next_inode += 1;
        state.now.files.insert(inode, Inode::default());
        state.change_name(NameChange::Link(name.to_owned(), inode));
        Ok(self.handle(&mut state, inode))
    }

    fn rename_new(&self, from: &str, to: &str) -> io::Result<()> {
        if self.state().now.names.contains_key(to) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.rename_over(from, to)
    }

    fn rename_over(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.start(Operation::Rename)?;
        let inode = state.inode(from)?;
        state.change_name(NameChange::Rename(from.to_owned(), to.to_owned(), inode));
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.start(Operation::Remove)?;
        state.inode(name)?;
        state.change_name(NameChange::Unlink(name.to_owned()));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.start(Operation::DirSync)?;
        if state.lie != Lie::Directory {
            state.now.name_changes.clear();
            state.now.durable_names = state.now.names.clone();
        }
        Ok(())
    }

    fn id(&self, name: &str) -> io::Result<FileId> {
        self.start(Operation::Identify)?.inode(name).map(|inode| FileId(7, inode))
    }

    fn check_private(&self) -> io::Result<()> {
        Ok(())
    }

    fn path(&self, name: &str) -> String {
        format!("simulated:{name}")
    }
}

impl DiskFile for SimFile {
    fn len(&self) -> io::Result<u64> {
        let mut state = self.disk.start(Operation::Length)?;
        Ok(state.file(self.inode).seen.len() as u64)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.disk.start(Operation::SetLen)?;
        let file = state.file(self.inode);
        file.seen.set_len(len as usize);
        file.unsynced.push(Unsynced::SetLen(len as usize));
        Ok(())
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        let mut state = self.disk.start(Operation::Read)?;
        state.file(self.inode).seen.read(offset as usize, into)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let offset = offset as usize;
        let written = self.disk.start(Operation::Write).and_then(|state| state.check_space(self.inode, offset, bytes.len()));
        let part = if written.is_ok() { bytes } else { self.disk.state().part_of_failed_write(bytes) };
        let mut state = self.disk.state();
        if written.is_ok() || state.check_space(self.inode, offset, part.len()).is_ok() {
            state.write(self.inode, offset, part);
        }
        written
    }

    fn sync(&self) -> io::Result<()> {
        match self.disk.start(Operation::Sync) {
            Ok(mut state) => state.sync_file(self.inode),
            Err(error) => {
                self.disk.state().lose_unsynced(self.inode);
                return Err(error);
            }
        }
        Ok(())
    }

    fn try_lock(&self) -> io::Result<bool> {
        let (mut holds, mut state) = (self.holds_lock.lock().unwrap(), self.disk.state());
        if !*holds && !state.locked.contains(&self.inode) {
            state.locked.push(self.inode);
            *holds = true;
        }
        Ok(*holds)
    }

    fn id(&self) -> io::Result<FileId> {
        self.disk.start(Operation::Identify).map(|_| FileId(7, self.inode))
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        let mut state = self.disk.state();
        if *self.holds_lock.lock().unwrap() {
            state.locked.retain(|&inode| inode != self.inode);
        }
        let users = state.handles.get_mut(&self.inode).unwrap();
        *users -= 1;
        if *users == 0 {
            state.handles.remove(&self.inode);
        }
    }
}

impl fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SimDisk")
    }
}

impl fmt::Debug for SimFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SimFile({})", self.inode)
    }
}
