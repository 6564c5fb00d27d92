//! Master keys: one for each `KeyId` that was ever named, made on demand.
//!
//! In a data folder each is a file of mode 0600, `keys/<SHA-256 of the ARN>.key`: versioned JSON with the ARN and the key. It
//! is durable before anything is encrypted with it. Where a file is lost, what was encrypted with it is lost too, unless
//! the file comes back: so no other key is made in its name.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use base64_simd::STANDARD;
use millstream_env::{Disk, Random};
use millstream_log::encryption::Key;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{KeyId, MasterId};

const FORMAT: u32 = 1;
const ENDING: &str = ".key";

/// The master keys of all accounts. A cheap handle: clones are the same keys.
#[derive(Clone)]
pub struct MasterKeys {
    shared: Arc<Shared>,
}

struct Shared {
    folder: Option<Folder>,
    random: Random,
    kept: Mutex<Kept>,
    /// Held while a key is made.
    making: Mutex<()>,
}

struct Folder {
    disk: Arc<dyn Disk>,
    path: PathBuf,
}

#[derive(Default)]
struct Kept {
    keys: HashMap<MasterId, Arc<Key>>,
    /// Damaged, or missing although something was encrypted with them.
    lost: BTreeSet<String>,
}

/// Why there is no master key.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MakeError {
    #[error("the master key file {0} is missing or damaged")]
    Lost(String),
    #[error("a master key cannot be written: {0}")]
    Disk(#[from] io::Error),
}

#[derive(Serialize, Deserialize)]
struct File {
    v: u32,
    key_id: String,
    key: Zeroizing<String>,
}

impl MasterKeys {
    /// Keys that end with the process.
    pub fn in_memory(random: Random) -> Self {
        Self::new(None, random)
    }

    /// The keys in a folder, which is made with the first one. Blocks. A file that cannot be read is told of, and only what
    /// was encrypted with it is affected.
    pub fn in_folder(disk: Arc<dyn Disk>, path: &Path, random: Random) -> io::Result<Self> {
        let mut kept = Kept::default();
        if disk.exists(path)? {
            for name in disk.list(path)?.into_iter().filter(|name| name.ends_with(ENDING)) {
                let bytes = Zeroizing::new(disk.read(&path.join(&name))?);
                if let Some((id, key)) = File::decode(&bytes).filter(|(id, _)| file_name(id) == name) {
                    kept.keys.insert(id, key);
                } else {
                    tracing::error!(file = %path.join(&name).display(), "a master key is damaged; bring the file back");
                    kept.lost.insert(name);
                }
            }
        }
        let keys = Self::new(Some(Folder { disk, path: path.to_owned() }), random);
        *keys.lock() = kept;
        Ok(keys)
    }

    /// The files that are missing or damaged.
    pub fn lost(&self) -> Vec<String> {
        self.lock().lost.iter().cloned().collect()
    }

    pub(crate) fn find(&self, id: &MasterId) -> Option<Arc<Key>> {
        self.lock().keys.get(id).cloned()
    }

    /// Something was encrypted with a key that is not there: no other is made in its name.
    pub(crate) fn note_lost(&self, id: &MasterId) {
        if self.lock().lost.insert(file_name(id)) {
            tracing::error!(file = file_name(id), "a master key is missing; bring the file back");
        }
    }

    /// The key, made durably when it was never there. Blocks.
    pub(crate) fn find_or_make(&self, key_id: &KeyId) -> Result<Arc<Key>, MakeError> {
        let id = key_id.master();
        let _making = self.shared.making.lock().expect("no code panics while holding this lock");
        {
            let kept = self.lock();
            if kept.lost.contains(&file_name(&id)) {
                return Err(MakeError::Lost(file_name(&id)));
            }
            if let Some(key) = kept.keys.get(&id) {
                return Ok(Arc::clone(key));
            }
        }
        let bytes = Zeroizing::new(self.shared.random.bytes());
        if let Some(Folder { disk, path }) = &self.shared.folder {
            make_folder(&**disk, path)?;
            disk.write_atomically(&path.join(file_name(&id)), &File::encode(key_id, &bytes))?;
        }
        let key = Arc::new(Key::new(&bytes));
        self.lock().keys.insert(id, Arc::clone(&key));
        Ok(key)
    }

    fn new(folder: Option<Folder>, random: Random) -> Self {
        let (kept, making) = Default::default();
        Self { shared: Arc::new(Shared { folder, random, kept, making }) }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.shared.kept.lock().expect("no code panics while holding this lock")
    }
}

fn file_name(id: &MasterId) -> String {
    format!("{id}{ENDING}")
}

/// Makes the folder and its name durable.
fn make_folder(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    disk.create_dir_all(path)?;
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).map_or(Ok(()), |parent| disk.sync_dir(parent))
}

impl File {
    fn encode(key_id: &KeyId, key: &[u8; Key::BYTES]) -> Zeroizing<Vec<u8>> {
        let key = Zeroizing::new(STANDARD.encode_to_string(key));
        let file = Self { v: FORMAT, key_id: key_id.arn.to_string(), key };
        Zeroizing::new(serde_json::to_vec(&file).expect("a struct of texts and a number"))
    }

    fn decode(bytes: &[u8]) -> Option<(MasterId, Arc<Key>)> {
        let file: Self = serde_json::from_slice(bytes).ok().filter(|file: &Self| file.v == FORMAT)?;
        let key = Zeroizing::new(STANDARD.decode_to_vec(file.key.as_bytes()).ok()?);
        Some((MasterId::of(&file.key_id), Arc::new(Key::new(key.as_slice().try_into().ok()?))))
    }
}

impl fmt::Debug for MasterKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kept = self.lock();
        write!(f, "MasterKeys({} keys, {} lost)", kept.keys.len(), kept.lost.len())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use millstream_env::RealDisk;
    use millstream_testkit::SimDisk;

    use super::*;

    fn key_id(alias: &str) -> KeyId {
        let scope =
            millstream_types::Scope { account: "123456789012".parse().unwrap(), region: "us-east-1".parse().unwrap() };
        KeyId::parse(&format!("alias/{alias}"), &scope).unwrap()
    }

    fn open(disk: Arc<dyn Disk>, path: &Path, seed: u64) -> MasterKeys {
        MasterKeys::in_folder(disk, path, Random::seeded(seed)).unwrap()
    }

    /// Whether two keys are the same one.
    fn same(one: &Key, other: &Key) -> bool {
        let mut text = *b"text";
        let tag = one.seal(&[0; 24], b"", &mut text);
        other.open(&[0; 24], b"", &mut text, &tag).is_ok()
    }

    #[test]
    fn a_key_is_made_once_and_is_there_after_a_restart() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("keys");
        let keys = open(Arc::new(RealDisk), &folder, 1);
        assert!(!folder.exists(), "nothing is made before it is needed");
        let first = keys.find_or_make(&key_id("a")).unwrap();
        assert!(same(&first, &keys.find_or_make(&key_id("a")).unwrap()));
        assert!(!same(&first, &keys.find_or_make(&key_id("b")).unwrap()));
        let file = folder.join(file_name(&key_id("a").master()));
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
        let text = String::from_utf8(RealDisk.read(&file).unwrap()).unwrap();
        let beginning = r#"{"v":1,"key_id":"arn:aws:kms:us-east-1:123456789012:alias/a","key":""#;
        assert!(text.starts_with(beginning), "{text}");
        let again = open(Arc::new(RealDisk), &folder, 2);
        assert!(same(&first, &again.find(&key_id("a").master()).unwrap()));
        assert!(same(&first, &again.find_or_make(&key_id("a")).unwrap()));
        assert!(again.find(&key_id("c").master()).is_none() && again.lost().is_empty());
        assert_eq!(format!("{again:?}"), "MasterKeys(2 keys, 0 lost)");
    }

    #[test]
    fn the_folder_may_be_a_link_to_another_disk() {
        let parent = tempfile::tempdir().unwrap();
        let (folder, elsewhere) = (parent.path().join("keys"), parent.path().join("elsewhere"));
        RealDisk.create_dir_all(&elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &folder).unwrap();
        open(Arc::new(RealDisk), &folder, 1).find_or_make(&key_id("a")).unwrap();
        assert_eq!(RealDisk.list(&elsewhere).unwrap(), [file_name(&key_id("a").master())]);
        assert!(open(Arc::new(RealDisk), &folder, 2).find(&key_id("a").master()).is_some());
    }

    #[test]
    fn a_lost_key_is_told_of_and_no_other_takes_its_name() {
        let disk = SimDisk::new(1);
        let folder = Path::new("/data/keys");
        let keys = open(Arc::new(disk.clone()), folder, 1);
        for alias in ["a", "b", "c"] {
            keys.find_or_make(&key_id(alias)).unwrap();
        }
        let path = |alias| folder.join(file_name(&key_id(alias).master()));
        disk.damage(&path("a"), |bytes| bytes.truncate(20));
        let b = disk.read(&path("b")).unwrap();
        disk.write_atomically(&path("c"), &b).unwrap();
        let keys = open(Arc::new(disk), folder, 2);
        keys.note_lost(&key_id("d").master());
        let mut lost: Vec<_> = ["a", "c", "d"].map(|alias| file_name(&key_id(alias).master())).into();
        lost.sort();
        assert_eq!(keys.lost(), lost);
        for alias in ["a", "c", "d"] {
            assert!(matches!(keys.find_or_make(&key_id(alias)), Err(MakeError::Lost(_))), "{alias}");
        }
        assert!(keys.find_or_make(&key_id("b")).is_ok() && keys.find_or_make(&key_id("e")).is_ok());
    }

    #[test]
    fn a_key_that_was_given_out_is_durable_whenever_the_power_goes() {
        for operations in 0..40 {
            let disk = SimDisk::new(operations);
            disk.create_dir_all(Path::new("/data")).unwrap();
            disk.sync_dir(Path::new("/")).unwrap();
            let keys = open(Arc::new(disk.process()), Path::new("/data/keys"), 1);
            disk.power_off_after(operations);
            let made = keys.find_or_make(&key_id("a"));
            let off = disk.is_off();
            disk.restart();
            let keys = open(Arc::new(disk.process()), Path::new("/data/keys"), 2);
            assert!(keys.lost().is_empty(), "a file is whole or not there: off after {operations}");
            if let Ok(made) = made {
                assert!(same(&made, &keys.find(&key_id("a").master()).unwrap()), "off after {operations}");
            }
            if !off {
                return;
            }
        }
        panic!("making never came to its end");
    }
}
