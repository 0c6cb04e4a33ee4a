//! The files that the host's kernel knows of an image: by number, with the names under which they were found.

use lkl::{Dir, File, Metadata};
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::sync::{Arc, Weak};

/// The number of the root directory in FUSE.
pub(super) const ROOT: u64 = 1;

/// A file.
pub(super) struct Node {
    /// It itself: of any type, also when its last name is gone.
    pub(super) place: Arc<Dir>,
    /// How often the host's kernel has been told of it and has not said that it forgot.
    lookups: u64,
    /// The names that were found: number of the directory, and name.
    names: Vec<(u64, OsString)>,
    /// Handles that are open.
    open: Vec<Weak<File>>,
}

/// All of them.
pub(super) struct Nodes {
    /// The number that the file system gives its root.
    root_ino: u64,
    nodes: HashMap<u64, Node>,
    by_name: HashMap<(u64, OsString), u64>,
}

impl Nodes {
    pub(super) fn new(root: Dir, meta: &Metadata) -> Self {
        let node = Node { place: Arc::new(root), lookups: 1, names: Vec::new(), open: Vec::new() };
        Self { root_ino: meta.ino, nodes: HashMap::from([(ROOT, node)]), by_name: HashMap::new() }
    }

    /// The number by which the host's kernel knows a file: its own, but for the root, which changes with whatever has that number.
    pub(super) fn number(&self, ino: u64) -> u64 {
        match ino {
            ino if ino == self.root_ino => ROOT,
            ROOT => self.root_ino,
            ino => ino,
        }
    }

    pub(super) fn get(&self, number: u64) -> Option<&Node> {
        self.nodes.get(&number)
    }

    /// The host's kernel is told of a file, by name in a directory.
    pub(super) fn found(&mut self, parent: u64, name: &OsStr, place: Dir, ino: u64) -> u64 {
        let number = self.number(ino);
        let node = self.nodes.entry(number).or_insert_with(|| Node {
            place: Arc::new(place),
            lookups: 0,
            names: Vec::new(),
            open: Vec::new(),
        });
        node.lookups += 1;
        let key = (parent, name.to_owned());
        if self.by_name.get(&key) != Some(&number) {
            self.unname(parent, name);
            if let Some(node) = self.nodes.get_mut(&number) {
                node.names.push(key.clone());
            }
            self.by_name.insert(key, number);
        }
        number
    }

    /// The host's kernel has forgotten a file so many times.
    pub(super) fn forget(&mut self, number: u64, times: u64) {
        let Some(node) = self.nodes.get_mut(&number) else { return };
        node.lookups = node.lookups.saturating_sub(times);
        if node.lookups > 0 || number == ROOT {
            return;
        }
        if let Some(node) = self.nodes.remove(&number) {
            for name in node.names {
                self.by_name.remove(&name);
            }
        }
    }

    /// A name is gone.
    pub(super) fn unname(&mut self, parent: u64, name: &OsStr) {
        let key = (parent, name.to_owned());
        let Some(number) = self.by_name.remove(&key) else { return };
        if let Some(node) = self.nodes.get_mut(&number) {
            node.names.retain(|n| *n != key);
        }
    }

    /// A file has another name; what had that is replaced, or has the old one now.
    pub(super) fn rename(&mut self, old: (u64, &OsStr), new: (u64, &OsStr), exchange: bool) {
        let moved = self.by_name.get(&(old.0, old.1.to_owned())).copied();
        let other = self.by_name.get(&(new.0, new.1.to_owned())).copied();
        self.unname(old.0, old.1);
        self.unname(new.0, new.1);
        self.name(moved, new);
        if exchange {
            self.name(other, old);
        }
    }

    fn name(&mut self, number: Option<u64>, (parent, name): (u64, &OsStr)) {
        let Some(node) = number.and_then(|number| self.nodes.get_mut(&number)) else { return };
        let key = (parent, name.to_owned());
        node.names.push(key.clone());
        self.by_name.extend(number.map(|number| (key, number)));
    }

    /// A name by which a file can be reached: its directory, and the name there. `None` if it has none any more.
    pub(super) fn reach(&self, number: u64) -> Option<(Arc<Dir>, OsString)> {
        let node = self.nodes.get(&number)?;
        if number == ROOT {
            return Some((node.place.clone(), ".".into()));
        }
        node.names.iter().find_map(|(parent, name)| {
            let parent = self.nodes.get(parent)?;
            Some((parent.place.clone(), name.clone()))
        })
    }

    /// A handle was opened.
    pub(super) fn opened(&mut self, number: u64, file: &Arc<File>) {
        if let Some(node) = self.nodes.get_mut(&number) {
            node.open.retain(|file| file.strong_count() > 0);
            node.open.push(Arc::downgrade(file));
        }
    }

    /// A handle of a file, for one that has no name.
    pub(super) fn handle(&self, number: u64) -> Option<Arc<File>> {
        self.nodes.get(&number)?.open.iter().find_map(Weak::upgrade)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(nodes: &Nodes, number: u64) -> Vec<String> {
        let mut names: Vec<String> =
            nodes.get(number).unwrap().names.iter().map(|(p, n)| format!("{p}/{}", n.to_string_lossy())).collect();
        names.sort();
        names
    }

    #[test]
    fn names_follow_what_is_done_to_them() {
        let kernel = lkl::Kernel::builder().boot().unwrap();
        let fs = kernel.mount("none", "tmpfs", 0, "").unwrap();
        let place = || fs.reopen().unwrap();
        let root = fs.metadata().unwrap();
        let mut nodes = Nodes::new(place(), &root);
        assert_eq!(nodes.number(root.ino), ROOT);
        let [a, b, c] = ["a", "b", "c"].map(OsStr::new);
        assert_eq!(nodes.found(ROOT, a, place(), 1000), 1000);
        assert_eq!(nodes.found(ROOT, b, place(), 1000), 1000);
        assert_eq!(names(&nodes, 1000), ["1/a", "1/b"]);
        nodes.found(ROOT, c, place(), 1001);
        nodes.rename((ROOT, a), (ROOT, c), false);
        assert_eq!((names(&nodes, 1000), names(&nodes, 1001).len()), (vec!["1/b".to_owned(), "1/c".to_owned()], 0));
        assert!(nodes.reach(1001).is_none() && nodes.reach(1000).is_some());
        nodes.found(ROOT, a, place(), 1001);
        nodes.rename((ROOT, a), (ROOT, b), true);
        assert_eq!(
            (names(&nodes, 1000), names(&nodes, 1001)),
            (vec!["1/a".to_owned(), "1/c".to_owned()], vec!["1/b".to_owned()])
        );
        // Another file has taken the name while nobody looked.
        nodes.found(ROOT, c, place(), 1002);
        assert_eq!(names(&nodes, 1000), ["1/a"]);
        nodes.forget(1000, 1);
        nodes.forget(1000, 1);
        assert!(nodes.get(1000).is_none() && nodes.by_name.len() == 2);
        nodes.forget(ROOT, 100);
        assert!(nodes.get(ROOT).is_some());
        drop(nodes);
        fs.umount().unwrap();
    }
}
