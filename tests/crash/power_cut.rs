//! What a power cut leaves of a disk.

use super::{
    content::Content,
    rng::Rng,
    sim::{Frozen, Inode, NameChange, SimDisk, Unsynced},
};

/// Disks write sectors whole, and nothing larger.
const SECTOR_BYTES: usize = 512;

/// What the cuts so far have done.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cuts {
    pub(crate) dropped_writes: u64,
    pub(crate) torn_writes: u64,
    pub(crate) dropped_lengths: u64,
    pub(crate) dropped_names: u64,
}

impl std::ops::AddAssign for Cuts {
    fn add_assign(&mut self, other: Self) {
        self.dropped_writes += other.dropped_writes;
        self.torn_writes += other.torn_writes;
        self.dropped_lengths += other.dropped_lengths;
        self.dropped_names += other.dropped_names;
    }
}

/// Of every sixteen unsynced changes, how many survive.
#[derive(Clone, Copy)]
struct Luck(usize);

impl Frozen {
    /// Cuts the power: everything synced survives, of the rest some.
    pub(crate) fn cut(&self, rng: &mut Rng, cuts: &mut Cuts) -> SimDisk {
        let luck = Luck([0, 2, 4, 8, 8, 12, 15, 16][rng.below(8)]);
        let names = self.surviving_names(luck, rng, cuts);
        let survives = |inode: &u64| names.values().any(|named| named == inode);
        let files = self.files.iter().filter(|(inode, _)| survives(inode));
        let files = files.map(|(&inode, file)| (inode, settled(surviving_content(file, luck, rng, cuts)))).collect();
        SimDisk::of(Frozen { files, durable_names: names.clone(), names, name_changes: vec![], next_inode: self.next_inode })
    }

    /// Renames are one step. They survive up to some point, or any of them.
    fn surviving_names(&self, luck: Luck, rng: &mut Rng, cuts: &mut Cuts) -> std::collections::BTreeMap<String, u64> {
        let mut names = self.durable_names.clone();
        let journalled = rng.chance(1, 2).then(|| rng.below(self.name_changes.len() + 1));
        let is_kept = |number: usize, rng: &mut Rng| journalled.map_or_else(|| luck.holds(rng), |kept| number < kept);
        for (number, change) in self.name_changes.iter().enumerate() {
            if is_kept(number, rng) {
                NameChange::apply(change, &mut names);
            } else {
                cuts.dropped_names += 1;
            }
        }
        names
    }
}

impl Luck {
    fn holds(self, rng: &mut Rng) -> bool {
        rng.chance(self.0, 16)
    }
}

fn settled(content: Content) -> Inode {
    Inode { durable: content.clone(), seen: content, unsynced: vec![] }
}

fn surviving_content(file: &Inode, luck: Luck, rng: &mut Rng, cuts: &mut Cuts) -> Content {
    let mut content = file.durable.clone();
    let mut changes: Vec<&Unsynced> = file.unsynced.iter().collect();
    if rng.chance(3, 4) {
        rng.shuffle(&mut changes);
    }
    for change in changes {
        match change {
            Unsynced::SetLen(_) if luck.holds(rng) => change.apply(&mut content),
            Unsynced::SetLen(_) => cuts.dropped_lengths += 1,
            Unsynced::Write(..) if !luck.holds(rng) => cuts.dropped_writes += 1,
            Unsynced::Write(offset, bytes) if bytes.len() > SECTOR_BYTES && rng.chance(1, 4) => {
                cuts.torn_writes += 1;
                tear(&mut content, *offset, bytes, rng);
            }
            Unsynced::Write(..) => change.apply(&mut content),
        }
    }
    content
}

/// Writes some of the sectors.
fn tear(content: &mut Content, offset: usize, bytes: &[u8], rng: &mut Rng) {
    let mut at = offset;
    let mut rest = bytes;
    while !rest.is_empty() {
        let (sector, later) = rest.split_at(rest.len().min(SECTOR_BYTES - at % SECTOR_BYTES));
        if rng.chance(1, 2) {
            content.write(at, sector);
        }
        (at, rest) = (at + sector.len(), later);
    }
}

#[test]
fn what_was_synced_survives_every_cut_and_the_rest_by_luck() {
    use idemstore::disk::{Disk, DiskFile};
    let disk = SimDisk::default();
    disk.put("kept", &[1; 2000]);
    let file = disk.open("kept").unwrap();
    DiskFile::write_at(&*file, 4096, &[2; 2048]).unwrap();
    disk.rename_new("kept", "renamed").unwrap();
    let frozen = disk.freeze();
    let (mut rng, mut cuts, mut tails) = (Rng::new(super::rng::seed()), Cuts::default(), std::collections::BTreeSet::new());
    for _ in 0..200 {
        let after = frozen.cut(&mut rng, &mut cuts);
        let names = [after.id("kept").is_ok(), after.id("renamed").is_ok()];
        assert!(names[0] != names[1], "a rename is one step");
        let bytes = after.bytes(if names[0] { "kept" } else { "renamed" });
        assert!(bytes[..2000].iter().all(|&byte| byte == 1));
        tails.insert(bytes.get(4096..).map(<[u8]>::to_vec));
    }
    assert!(tails.len() > 4, "{} different tails", tails.len());
    assert!(cuts.dropped_writes > 0 && cuts.torn_writes > 0 && cuts.dropped_names > 0, "{cuts:?}");
}
