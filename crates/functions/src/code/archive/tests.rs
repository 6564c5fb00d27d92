//! Good archives keep their modes; hostile ones leave nothing behind outside.

use std::os::unix::fs::MetadataExt;

use proptest::prelude::*;
use tempfile::TempDir;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::*;
use crate::testing::zip_of;

fn unpacked(archive: Vec<u8>) -> Result<TempDir, ArchiveError> {
    let folder = tempfile::tempdir().unwrap();
    unpack(&archive.into(), folder.path())?;
    Ok(folder)
}

fn mode(folder: &TempDir, path: &str) -> u32 {
    fs::symlink_metadata(folder.path().join(path)).unwrap().mode() & 0o7777
}

fn with_link(name: &str, target: &str) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    writer.start_file("inside", SimpleFileOptions::default()).unwrap();
    writer.add_symlink(name, target, SimpleFileOptions::default()).unwrap();
    writer.finish().unwrap().into_inner()
}

#[test]
fn files_are_readable_by_all_and_programs_stay_programs() {
    let archive = zip_of(&[("app.py", 0o600, "code"), ("bin/tool", 0o755, "#!/bin/sh"), ("a/b/c.txt", 0o777, "")]);
    let folder = unpacked(archive).unwrap();
    assert_eq!(mode(&folder, "app.py"), 0o444);
    assert_eq!(mode(&folder, "bin/tool"), 0o555);
    assert_eq!(mode(&folder, "a/b"), 0o755);
    assert_eq!(fs::read_to_string(folder.path().join("app.py")).unwrap(), "code");
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    for name in ["../evil", "a/../../evil", "/etc/evil", "a/..", "..", &"n".repeat(PATH_BYTES_MAX + 1)] {
        let result = unpacked(zip_of(&[(name, 0o644, "evil")]));
        assert!(matches!(result, Err(ArchiveError::Invalid(_))), "{name}");
    }
}

#[test]
fn entries_must_not_meet() {
    for entries in [
        [("a", 0o644, "1"), ("./a", 0o644, "2")],
        [("a", 0o644, "1"), ("a/b", 0o644, "2")],
        [("a/b", 0o644, "1"), ("a", 0o644, "2")],
        [("a//b", 0o644, "1"), ("a/b", 0o644, "2")],
    ] {
        assert!(matches!(unpacked(zip_of(&entries)), Err(ArchiveError::Invalid(_))), "{entries:?}");
    }
}

#[test]
fn links_stay_inside() {
    let folder = unpacked(with_link("lib/link", "../inside")).unwrap();
    assert_eq!(fs::read_link(folder.path().join("lib/link")).unwrap(), Path::new("../inside"));
    assert!(unpacked(with_link("link", "not/there")).is_ok());
    for (name, target) in [
        ("link", "../outside"),
        ("lib/link", "../../outside"),
        ("link", "/etc/passwd"),
        ("link", "inside/../../outside"),
        ("a/b/link", "c/.."),
        ("link", ""),
    ] {
        assert!(matches!(unpacked(with_link(name, target)), Err(ArchiveError::Invalid(_))), "{name} -> {target}");
    }
}

#[test]
fn nothing_is_written_through_a_link() {
    let outside = tempfile::tempdir().unwrap();
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    writer.add_symlink("lib", "elsewhere", SimpleFileOptions::default()).unwrap();
    writer.start_file("lib/evil", SimpleFileOptions::default()).unwrap();
    let result = unpacked(writer.finish().unwrap().into_inner());
    assert!(matches!(result, Err(ArchiveError::Invalid(_))));
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
}

#[test]
fn a_bomb_is_stopped_by_what_comes_out() {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    let zeros = vec![0; 1024 * 1024];
    writer.start_file("bomb", options).unwrap();
    for _ in 0..=UNZIPPED_BYTES_MAX / zeros.len() as u64 {
        writer.write_all(&zeros).unwrap();
    }
    let mut archive = writer.finish().unwrap().into_inner();
    assert!(archive.len() < 1024 * 1024);
    assert!(matches!(unpacked(archive.clone()), Err(ArchiveError::TooLarge)));
    // The same with a lie about the size, in the table and in the entry itself.
    let size = u32::try_from((UNZIPPED_BYTES_MAX / zeros.len() as u64 + 1) * zeros.len() as u64).unwrap().to_le_bytes();
    let places: Vec<usize> = memchr::memmem::find_iter(&archive, &size).collect();
    for place in places {
        archive[place..place + 4].copy_from_slice(&1_u32.to_le_bytes());
    }
    assert!(unpacked(archive).is_err());
}

#[test]
fn what_is_no_archive_is_refused() {
    for bytes in [&b""[..], b"PK", b"not a zip", &[0; 100]] {
        assert!(matches!(unpacked(bytes.to_vec()), Err(ArchiveError::Invalid(_))));
    }
    let empty = ZipWriter::new(Cursor::new(Vec::new())).finish().unwrap().into_inner();
    assert!(matches!(unpacked(empty), Err(ArchiveError::Invalid(_))));
}

/// Everything that was unpacked lies below the folder, also through links.
fn stays_inside(folder: &Path) -> bool {
    let Ok(root) = fs::canonicalize(folder) else { return false };
    let mut pending = vec![root.clone()];
    while let Some(path) = pending.pop() {
        for entry in fs::read_dir(path).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                pending.push(entry.path());
            }
            // A link to nothing cannot be followed and does no harm.
            if fs::canonicalize(entry.path()).is_ok_and(|real| !real.starts_with(&root)) {
                return false;
            }
        }
    }
    true
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn damaged_archives_do_no_harm(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12), cut: prop::sample::Index) {
        let mut archive = with_link("lib/link", "../inside");
        archive.extend(zip_of(&[("app.py", 0o644, "print()"), ("d/e", 0o755, &"x".repeat(500))]));
        for (place, byte) in changes {
            let place = place.index(archive.len());
            archive[place] = byte;
        }
        archive.truncate(archive.len() - cut.index(40));
        let folder = tempfile::tempdir().unwrap();
        let _ = unpack(&archive.into(), folder.path());
        prop_assert!(stays_inside(folder.path()));
    }

    #[test]
    fn any_names_and_links_stay_inside(entries in prop::collection::vec(("[ab./]{0,8}", "[ab./]{1,8}", any::<bool>()), 1..8)) {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, target, is_link) in &entries {
            if *is_link {
                let _ = writer.add_symlink(name, target, SimpleFileOptions::default());
            } else {
                let _ = writer.start_file(name, SimpleFileOptions::default());
            }
        }
        let archive = writer.finish().unwrap().into_inner();
        let folder = tempfile::tempdir().unwrap();
        let _ = unpack(&archive.into(), folder.path());
        prop_assert!(stays_inside(folder.path()));
    }
}
