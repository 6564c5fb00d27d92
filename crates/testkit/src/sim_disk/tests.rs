use std::path::Path;

use millstream_env::{Access, Disk};

use super::*;

fn file(disk: &SimDisk, name: &str) -> Arc<dyn DiskFile> {
    disk.open(Path::new(name), Access::OpenOrCreate, false).unwrap()
}

#[test]
fn synced_bytes_in_synced_folders_survive_every_power_cut() {
    for seed in 0..50 {
        let disk = SimDisk::new(seed);
        disk.create_dir_all(Path::new("/a/b")).unwrap();
        disk.sync_dir(Path::new("/")).unwrap();
        disk.sync_dir(Path::new("/a")).unwrap();
        let kept = file(&disk, "/a/b/kept");
        kept.write_all_at(&[7; 5000], 100).unwrap();
        kept.sync().unwrap();
        disk.sync_dir(Path::new("/a/b")).unwrap();
        kept.write_all_at(&[8; 5000], 100).unwrap();
        disk.restart();
        assert!(kept.len().is_err(), "files opened before are dead");
        let content = disk.read(Path::new("/a/b/kept")).unwrap();
        assert_eq!(content.len(), 5100);
        assert!(content[100..].iter().all(|byte| matches!(byte, 7 | 8)));
    }
}

#[test]
fn unsynced_sectors_names_and_lengths_survive_or_not_each_by_itself() {
    let (mut lost_names, mut torn) = (0, 0);
    for seed in 0..100 {
        let disk = SimDisk::new(seed);
        file(&disk, "/f").write_all_at(&[1; 4096], 0).unwrap();
        disk.restart();
        match disk.read(Path::new("/f")) {
            Err(_) => lost_names += 1,
            Ok(content) => torn += usize::from(content.contains(&0) && content.contains(&1)),
        }
    }
    assert!((20..80).contains(&lost_names) && torn > 10, "{lost_names} {torn}");
}

#[test]
fn a_failed_sync_forgets_what_was_unsynced() {
    let lost = (0..50).any(|seed| {
        let disk = SimDisk::new(seed);
        let f = file(&disk, "/f");
        disk.sync_dir(Path::new("/")).unwrap();
        f.write_all_at(&[1; 4096], 0).unwrap();
        disk.fail_sync_after(0);
        assert!(f.sync().is_err());
        assert!(f.sync().is_ok(), "a later sync claims success");
        disk.restart();
        disk.read(Path::new("/f")).unwrap() != [1; 4096]
    });
    assert!(lost);
}

#[test]
fn full_disks_and_failing_writes_say_so() {
    let disk = SimDisk::new(1);
    disk.set_capacity(16 * 1024);
    let f = file(&disk, "/f");
    f.allocate(8 * 1024).unwrap();
    assert_eq!(disk.free_bytes(Path::new("/")).unwrap(), 8 * 1024);
    assert_eq!(f.allocate(20 * 1024).unwrap_err().kind(), io::ErrorKind::StorageFull);
    f.write_all_at(&[1; 8 * 1024], 0).unwrap();
    assert_eq!(f.write_all_at(&[1; 16 * 1024], 4096).unwrap_err().kind(), io::ErrorKind::StorageFull);
    disk.remove_file(Path::new("/f")).unwrap();
    assert_eq!(disk.free_bytes(Path::new("/")).unwrap(), 16 * 1024);
    disk.fail_write_after(1);
    let g = file(&disk, "/g");
    assert!(g.write_all_at(&[1; 10], 0).is_ok());
    assert!(g.write_all_at(&[1; 10], 0).is_err());
    assert!(g.write_all_at(&[1; 10], 0).is_ok());
}

#[test]
fn the_power_goes_off_at_the_operation_named() {
    let disk = SimDisk::new(1);
    let f = file(&disk, "/f");
    disk.power_off_after(2);
    assert!(f.write_all_at(&[1], 0).is_ok() && f.sync().is_ok());
    assert!(f.write_all_at(&[2], 0).is_err() && disk.is_off());
    assert!(f.read_at(&mut [0], 0).is_err());
    disk.restart();
    assert!(!disk.is_off());
}

#[test]
fn locks_are_exclusive_until_dropped_or_restarted() {
    let disk = SimDisk::new(1);
    let (a, b) = (file(&disk, "/lock"), file(&disk, "/lock"));
    assert!(a.try_lock().unwrap() && a.try_lock().unwrap());
    assert!(!b.try_lock().unwrap());
    drop(a);
    assert!(b.try_lock().unwrap());
    disk.kill_process();
    assert!(file(&disk, "/lock").try_lock().unwrap());
}

#[test]
fn a_killed_process_changes_nothing_any_more() {
    let disk = SimDisk::new(1);
    let process = disk.process();
    process.create_dir_all(Path::new("/kept")).unwrap();
    disk.kill_process();
    assert!(process.create_dir_all(Path::new("/late")).is_err());
    assert!(process.open(Path::new("/late"), Access::CreateNew, false).is_err());
    assert!(disk.exists(Path::new("/kept")).unwrap() && !disk.exists(Path::new("/late")).unwrap());
}

#[test]
fn direct_access_asks_for_alignment() {
    let disk = SimDisk::new(1);
    let f = disk.open(Path::new("/f"), Access::CreateNew, true).unwrap();
    assert!(f.write_all_at(&[0; 100], 0).is_err());
    disk.refuse_direct(true);
    assert!(disk.open(Path::new("/f"), Access::Write, true).is_err());
}

#[test]
fn one_seed_and_one_sequence_give_one_trace() {
    let run = || {
        let disk = SimDisk::new(9);
        for i in 0..20 {
            file(&disk, "/f").write_all_at(&[1; 700], i * 300).unwrap();
            if i % 5 == 0 {
                disk.restart();
            }
        }
        (disk.trace(), disk.read(Path::new("/f")).ok())
    };
    assert_eq!(run(), run());
}
