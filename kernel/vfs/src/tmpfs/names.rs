//! The names in a directory of a tmpfs.

use crate::fs::InodeKind;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// The first place that a name can have: [`DirEntry::next`](crate::DirEntry::next) is more than 2.
const FIRST: u64 = 3;

/// What a name stands for.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) name: Arc<[u8]>,
    pub(super) ino: u64,
    pub(super) kind: InodeKind,
}

/// Names, each with a place that no other one ever gets. They are listed from the latest to the earliest: who makes
/// new ones while he lists does not meet them.
#[derive(Default)]
pub(super) struct Names {
    places: HashMap<Arc<[u8]>, u64>,
    entries: BTreeMap<u64, Entry>,
    last: u64,
}

impl Names {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn get(&self, name: &[u8]) -> Option<&Entry> {
        self.entries.get(self.places.get(name)?)
    }

    /// Puts a name in, or has it stand for something else.
    pub(super) fn set(&mut self, name: &[u8], ino: u64, kind: InodeKind) {
        let name: Arc<[u8]> = name.into();
        let last = &mut self.last;
        let place = *self.places.entry(name.clone()).or_insert_with(|| {
            *last = (*last + 1).max(FIRST);
            *last
        });
        self.entries.insert(place, Entry { name, ino, kind });
    }

    pub(super) fn remove(&mut self, name: &[u8]) {
        if let Some(place) = self.places.remove(name) {
            self.entries.remove(&place);
        }
    }

    /// Those after `cookie`, with their places, which are the cookies of what follows.
    pub(super) fn after(&self, cookie: u64) -> impl Iterator<Item = (u64, &Entry)> {
        let end = if cookie == 0 { u64::MAX } else { cookie };
        self.entries.range(..end).rev().map(|(place, entry)| (*place, entry))
    }
}
