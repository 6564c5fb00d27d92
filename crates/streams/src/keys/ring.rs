//! The data keys of all streams that were ever encrypted, decrypted.
//!
//! The truth stands in the headers: whoever reads or writes one tells the ring. An older header than the last one told is
//! passed over, so that no record is stored readable after its stream was said to be encrypted.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, RwLock};

use millstream_catalog::Revision;
use millstream_log::encryption::{DataKeys, Key, StreamKeys};

use super::{MasterId, MasterKeys, Owner};
use crate::model::{Header, StoredKey};

pub(crate) struct KeyRing {
    masters: MasterKeys,
    streams: RwLock<HashMap<u64, Known>>,
}

struct Known {
    revision: Revision,
    opened: BTreeMap<u32, Arc<Key>>,
    /// Their master key is not there, or is another one than it was.
    lost: BTreeMap<u32, MasterId>,
    keys: Arc<StreamKeys>,
}

impl KeyRing {
    pub(crate) fn new(masters: MasterKeys) -> Self {
        Self { masters, streams: RwLock::default() }
    }

    pub(crate) fn masters(&self) -> &MasterKeys {
        &self.masters
    }

    /// What a header of this revision says about keys.
    pub(crate) fn learn(&self, revision: Revision, header: &Header) {
        if header.encryption.keys.is_empty() {
            return;
        }
        let mut streams = self.streams.write().expect("no code panics while holding this lock");
        let before = streams.get(&header.id);
        if before.is_some_and(|known| known.revision >= revision) {
            return;
        }
        let (mut opened, mut lost) = (BTreeMap::new(), BTreeMap::new());
        for stored in &header.encryption.keys {
            let kept = before.and_then(|known| known.opened.get(&stored.number)).map(Arc::clone);
            match kept.or_else(|| self.open(header.id, stored)) {
                Some(key) => _ = opened.insert(stored.number, key),
                None => _ = lost.insert(stored.number, stored.master.clone()),
            }
        }
        let writing = header.encryption.on.as_ref().map(|on| on.number);
        let keys = Arc::new(StreamKeys::new(writing, opened.clone()));
        streams.insert(header.id, Known { revision, opened, lost, keys });
    }

    pub(crate) fn forget(&self, stream: u64) {
        self.streams.write().expect("no code panics while holding this lock").remove(&stream);
    }

    /// Whether the stream's key of that number can be used.
    pub(crate) fn has(&self, stream: u64, number: u32) -> bool {
        self.known(stream, |known| known.opened.contains_key(&number)).unwrap_or(false)
    }

    /// The master key that the stream's key of that number, or any of its keys, would need.
    pub(crate) fn lost(&self, stream: u64, number: Option<u32>) -> Option<MasterId> {
        let lost = |known: &Known| match number {
            Some(number) => known.lost.get(&number).cloned(),
            None => known.lost.values().next().cloned(),
        };
        self.known(stream, lost).flatten()
    }

    fn open(&self, stream: u64, stored: &StoredKey) -> Option<Arc<Key>> {
        let StoredKey { number, master, wrapped } = stored;
        let Some(key) = self.masters.find(master) else {
            self.masters.note_lost(master);
            return None;
        };
        wrapped.open(&key, Owner { stream, number: *number, master }).ok()
    }

    fn known<T>(&self, stream: u64, ask: impl FnOnce(&Known) -> T) -> Option<T> {
        self.streams.read().expect("no code panics while holding this lock").get(&stream).map(ask)
    }
}

impl DataKeys for KeyRing {
    fn of(&self, stream: u64) -> Option<Arc<StreamKeys>> {
        self.known(stream, |known| Arc::clone(&known.keys))
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let streams = self.streams.read().expect("no code panics while holding this lock").len();
        write!(f, "KeyRing({streams} streams, {:?})", self.masters)
    }
}
