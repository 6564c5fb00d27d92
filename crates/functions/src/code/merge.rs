//! Several layers as one folder, later ones over earlier ones: what functions see as `/opt`.
//!
//! Files are hard links to those of the unpacked layers, which nobody can write: merging copies nothing.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;

use millstream_blobs::Digest;

use super::make_folder;

/// Names the merged folder of layers in this order.
pub(crate) fn merged(layers: &[Digest]) -> Digest {
    let bytes: Vec<u8> = layers.iter().flat_map(|digest| *digest.as_bytes()).collect();
    Digest::of(&[b"layers", &bytes[..]].concat())
}

/// Links the content of `layer` into the existing folder `into`. Blocks.
#[expect(clippy::disallowed_methods, reason = "the run directory belongs to processes; see the archive module")]
pub(super) fn lay_over(layer: &Path, into: &Path) -> io::Result<()> {
    for entry in fs::read_dir(layer)? {
        let entry = entry?;
        let (kind, target) = (entry.file_type()?, into.join(entry.file_name()));
        let there = match fs::symlink_metadata(&target) {
            Ok(metadata) => Some(metadata.file_type()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        if kind.is_dir() {
            if there.is_some_and(|there| !there.is_dir()) {
                fs::remove_file(&target)?;
            }
            if !there.is_some_and(|there| there.is_dir()) {
                make_folder(&target)?;
            }
            lay_over(&entry.path(), &target)?;
            continue;
        }
        match there {
            Some(there) if there.is_dir() => fs::remove_dir_all(&target)?,
            Some(_) => fs::remove_file(&target)?,
            None => {}
        }
        if kind.is_symlink() {
            symlink(fs::read_link(entry.path())?, &target)?;
        } else {
            fs::hard_link(entry.path(), &target)?;
        }
    }
    Ok(())
}

/// The sizes of all files together. Blocks.
pub(super) fn bytes_in(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        bytes += if entry.file_type()?.is_dir() { bytes_in(&entry.path())? } else { entry.metadata()?.len() };
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[expect(clippy::disallowed_methods, reason = "files of processes, as in the module")]
    fn put(path: &Path, content: &str) {
        fs::write(path, content).unwrap();
    }

    fn write(folder: &Path, files: &[(&str, &str)]) {
        for (name, content) in files {
            let path = folder.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            put(&path, content);
        }
    }

    #[test]
    fn later_layers_lie_over_earlier_ones() {
        let place = tempfile::tempdir().unwrap();
        let (first, second, opt) = (place.path().join("1"), place.path().join("2"), place.path().join("opt"));
        write(&first, &[("python/a.py", "first"), ("python/b.py", "first"), ("folder/x", "1"), ("file", "1")]);
        write(&second, &[("python/b.py", "second"), ("folder2/y", "2"), ("file/inside", "2")]);
        symlink("a.py", second.join("python/link")).unwrap();
        put(&second.join("folder"), "a file now");
        make_folder(&opt).unwrap();
        lay_over(&first, &opt).unwrap();
        lay_over(&second, &opt).unwrap();
        let read = |name: &str| fs::read_to_string(opt.join(name)).unwrap();
        assert_eq!((read("python/a.py"), read("python/b.py")), ("first".to_owned(), "second".to_owned()));
        assert_eq!((read("python/link"), read("folder2/y")), ("first".to_owned(), "2".to_owned()));
        assert_eq!((read("folder"), read("file/inside")), ("a file now".to_owned(), "2".to_owned()));
        assert_eq!(fs::metadata(opt.join("python")).unwrap().permissions().mode() & 0o777, 0o755);
        assert_eq!(fs::read_to_string(first.join("python/b.py")).unwrap(), "first", "the layers stay as they are");
        assert_eq!(bytes_in(&first).unwrap(), 12);
    }

    #[test]
    fn the_order_of_layers_counts() {
        let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));
        assert_ne!(merged(&[a, b]), merged(&[b, a]));
        assert_ne!(merged(&[a]), a);
    }
}
