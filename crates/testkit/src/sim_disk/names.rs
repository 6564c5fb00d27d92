//! The names of the simulated disk: what is there now, what is durable, and the changes between.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use millstream_env::Random;

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Node {
    Folder,
    /// Index of an inode.
    File(usize),
}

/// A change of names that is not durable yet. A rename is one change, as on journaling file systems.
#[derive(Debug)]
enum Change {
    Put(PathBuf, Node),
    Remove(PathBuf),
    Rename { from: PathBuf, to: PathBuf, node: Node },
}

impl Change {
    /// The folder whose sync makes it durable.
    fn folder(&self) -> Option<&Path> {
        match self {
            Self::Put(path, _) | Self::Remove(path) | Self::Rename { to: path, .. } => path.parent(),
        }
    }

    fn apply(&self, names: &mut BTreeMap<PathBuf, Node>) {
        match self {
            Self::Put(path, node) => _ = names.insert(path.clone(), *node),
            Self::Remove(path) => _ = names.remove(path),
            Self::Rename { from, to, node } => {
                names.remove(from);
                names.insert(to.clone(), *node);
            }
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Names {
    now: BTreeMap<PathBuf, Node>,
    durable: BTreeMap<PathBuf, Node>,
    pending: Vec<Change>,
}

impl Names {
    pub(super) fn get(&self, path: &Path) -> Option<Node> {
        // The root, and a relative path's start, are always there.
        let root = path.parent().is_none() || path.as_os_str().is_empty();
        if root { Some(Node::Folder) } else { self.now.get(path).copied() }
    }

    pub(super) fn file(&self, path: &Path) -> io::Result<usize> {
        match self.get(path) {
            Some(Node::File(inode)) => Ok(inode),
            Some(Node::Folder) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    pub(super) fn folder(&self, path: &Path) -> io::Result<()> {
        match self.get(path) {
            Some(Node::Folder) => Ok(()),
            Some(Node::File(_)) => Err(io::ErrorKind::NotADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    pub(super) fn put(&mut self, path: &Path, node: Node) -> io::Result<()> {
        self.folder(path.parent().unwrap_or(Path::new("")))?;
        self.change(Change::Put(path.to_owned(), node));
        Ok(())
    }

    pub(super) fn remove(&mut self, path: &Path) {
        self.change(Change::Remove(path.to_owned()));
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let node = Node::File(self.file(from)?);
        self.folder(to.parent().unwrap_or(Path::new("")))?;
        self.change(Change::Rename { from: from.to_owned(), to: to.to_owned(), node });
        Ok(())
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.now);
        self.pending.push(change);
    }

    /// Everything directly or deeper under a folder.
    pub(super) fn under(&self, folder: &Path) -> Vec<PathBuf> {
        self.now.keys().filter(|path| path.starts_with(folder) && *path != folder).cloned().collect()
    }

    pub(super) fn children(&self, folder: &Path) -> Vec<String> {
        let children = self.now.keys().filter(|path| path.parent() == Some(folder));
        children.filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned())).collect()
    }

    pub(super) fn sync(&mut self, folder: &Path) {
        let durable = &mut self.durable;
        self.pending.retain(|change| {
            let done = change.folder() == Some(folder);
            if done {
                change.apply(durable);
            }
            !done
        });
    }

    /// Keeps what is durable and any subset of the rest.
    pub(super) fn power_cut(&mut self, random: &Random) {
        for change in std::mem::take(&mut self.pending) {
            if random.below(2) == 0 {
                change.apply(&mut self.durable);
            }
        }
        // A name in a folder that did not survive is lost with it.
        let folders: Vec<PathBuf> =
            self.durable.iter().filter(|(_, node)| **node == Node::Folder).map(|(path, _)| path.clone()).collect();
        let alive = |path: &Path| {
            path.ancestors()
                .skip(1)
                .all(|a| a.parent().is_none() || a.as_os_str().is_empty() || folders.contains(&a.to_owned()))
        };
        self.durable.retain(|path, _| alive(path));
        self.now = self.durable.clone();
    }

    /// The inodes that have a name.
    pub(super) fn inodes(&self) -> impl Iterator<Item = usize> {
        self.now.values().filter_map(|node| match node {
            Node::File(inode) => Some(*inode),
            Node::Folder => None,
        })
    }
}
