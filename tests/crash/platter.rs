//! What a disk holds at one instant: what readers see, what a power cut cannot take any more, and the way from the one to the
//! other.

use super::super::content::Content;
use std::{collections::BTreeMap, sync::Arc};

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
