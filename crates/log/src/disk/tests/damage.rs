//! Damage of what was acknowledged: reported, never skipped; everything else goes on.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use millstream_env::{Disk, Random, ServiceClock};
use millstream_testkit::SimDisk;

use super::{environment, small};
use crate::conformance::support::{START, append, put};
use crate::contract::{Position, ReadError, ReadFrom, ReadLimit, ShardConfig, ShardKey, ShardLog, SharedLog};
use crate::disk::{
    DiskLog, Environment, FormatError, OpenError, Options, RecoveryReport, RepairError, accept_loss, find_damage,
};

const FOLDER: &str = "/data";
const SHARDS: u32 = 4;
const LIMIT: ReadLimit = ReadLimit { records: 100, bytes: 1 << 20 };

fn key(shard: u32) -> ShardKey {
    ShardKey { stream: 1, shard }
}

fn options() -> Options {
    Options { tail_cache_bytes_max: 0, ..small(FOLDER) }
}

fn open(disk: &SimDisk) -> Result<(Arc<DiskLog>, RecoveryReport), OpenError> {
    let (clock, _) = ServiceClock::virtual_at(START);
    DiskLog::open(options(), environment(Arc::new(disk.process()), clock)).map(|(log, report)| (Arc::new(log), report))
}

type Written = BTreeMap<(u32, u64), Vec<u8>>;

/// Writes batches over all shards, until some segments are full. The process is then killed, or closes in order.
async fn written(disk: &SimDisk, batches: u32, close: bool) -> Written {
    let (log, _) = open(disk).expect("a new folder can be opened");
    let shared: SharedLog = log.clone();
    let random = Random::seeded(5);
    let mut written = Written::new();
    for shard in 0..SHARDS {
        shared
            .create(key(shard), ShardConfig { retention: std::time::Duration::from_hours(24) })
            .await
            .expect("created");
    }
    for batch in 0..batches {
        let shard = batch % SHARDS;
        let payloads: Vec<Vec<u8>> = (0..6)
            .map(|_| {
                let mut data = vec![0; 200 + random.below(2_000) as usize];
                random.fill(&mut data);
                data
            })
            .collect();
        let borrowed: Vec<&[u8]> = payloads.iter().map(Vec::as_slice).collect();
        let results = append(&shared, key(shard), &borrowed).await;
        for (result, data) in results.into_iter().zip(payloads) {
            written.insert((shard, result.expect("stored").position.0), data);
        }
    }
    if close {
        log.close().await;
    }
    drop((log, shared));
    disk.kill_process();
    written
}

/// Reads everything, following reported damage. Panics when anything is missing that was not reported.
async fn check(log: &DiskLog, written: &Written, context: &str) -> u64 {
    let mut damaged = 0;
    for shard in 0..SHARDS {
        let expected: Vec<_> = written.range((shard, 0)..(shard + 1, 0)).collect();
        let mut expected = expected.into_iter().peekable();
        let mut next = Position(0);
        loop {
            match log.read(key(shard), ReadFrom::Position(next), LIMIT).await {
                Ok(batch) => {
                    for record in &batch.records {
                        let (place, data) = expected.next().expect("no more than was written");
                        assert_eq!(place.1, record.position.0, "{context}: a record of shard {shard} is missing");
                        assert!(record.data == data[..], "{context}: other bytes at {place:?}");
                    }
                    next = batch.next;
                    if batch.behind.is_none() {
                        break;
                    }
                }
                Err(ReadError::Damaged { first, last, .. }) => {
                    assert!(first >= next && last >= first, "{context}: {first:?} {last:?} {next:?}");
                    while expected.next_if(|(place, _)| place.1 <= last.0).is_some() {
                        damaged += 1;
                    }
                    next = Position(last.0 + 1);
                }
                Err(error) => panic!("{context}: {error}"),
            }
        }
        assert_eq!(expected.next(), None, "{context}: the end of shard {shard} is missing");
        let bounds = log.bounds(key(shard)).expect("the shard is there");
        let last = written.range((shard, 0)..(shard + 1, 0)).next_back().map_or(0, |(place, _)| place.1 + 1);
        assert!(bounds.next.0 >= last, "{context}: positions would be given out again");
    }
    damaged
}

fn segments(disk: &SimDisk) -> Vec<PathBuf> {
    let folder = Path::new(FOLDER).join("log/default");
    let mut names: Vec<_> = disk.list(&folder).expect("the folder is there");
    names.retain(|name| Path::new(name).extension().is_some_and(|ending| ending == "log"));
    names.sort();
    names.into_iter().map(|name| folder.join(name)).collect()
}

#[tokio::test]
async fn a_flipped_bit_in_the_newest_segment_is_reported() {
    let random = Random::seeded(11);
    for seed in 0..60 {
        let disk = SimDisk::new(seed);
        let written = written(&disk, 12, false).await;
        let newest = segments(&disk).pop().expect("there is a segment");
        let used = disk.read(&newest).expect("readable").iter().rposition(|byte| *byte != 0).expect("not empty");
        // The header page's zeros are not covered by anything, and need not be.
        let offset = 4096 + u64::from(random.below(u32::try_from(used - 4096 - 8_000).expect("small")));
        disk.flip_bit(&newest, offset, u8::try_from(random.below(8)).expect("below 8"));
        let (log, report) = open(&disk).expect("the server starts");
        let context = format!("seed {seed}, offset {offset}, {report:?}");
        let damaged = check(&log, &written, &context).await;
        assert!(damaged == 0 || !log.health().is_good(), "{context}: {damaged} damaged, but healthy");
        put(&(log.clone() as SharedLog), key(0), b"goes on").await;
    }
}

#[tokio::test]
async fn a_flipped_bit_in_a_sealed_segment_is_reported_when_read() {
    let random = Random::seeded(12);
    for seed in 0..40 {
        let disk = SimDisk::new(seed);
        let written = written(&disk, 40, true).await;
        let all = segments(&disk);
        assert!(all.len() > 2);
        let victim = &all[random.below(u32::try_from(all.len()).expect("few")) as usize];
        let length = disk.read(victim).expect("readable").len();
        let offset = u64::from(random.below(u32::try_from(length).expect("small")));
        disk.flip_bit(victim, offset, u8::try_from(random.below(8)).expect("below 8"));
        let (log, report) = open(&disk).expect("the server starts");
        check(&log, &written, &format!("seed {seed}, {victim:?} at {offset}, {report:?}")).await;
    }
}

fn process(disk: &SimDisk) -> Environment {
    environment(Arc::new(disk.process()), ServiceClock::virtual_at(START).0)
}

/// A log closed in order, with damage in its second segment that only a read meets.
async fn damaged_when_read(seed: u64) -> (SimDisk, Written) {
    let disk = SimDisk::new(seed);
    let written = written(&disk, 40, true).await;
    let victim = segments(&disk)[1].clone();
    for page in [3, 9, 17] {
        // In the middle of some record's data.
        disk.flip_bit(&victim, page * 4096 + 1000, 3);
    }
    (disk, written)
}

#[tokio::test]
async fn damage_met_by_a_read_is_remembered() {
    let (disk, written) = damaged_when_read(21).await;
    let (log, report) = open(&disk).expect("the server starts");
    assert!(report.damaged.is_empty() && log.health().is_good(), "not known yet: {report:?}");
    let damaged = check(&log, &written, "first read").await;
    let told = log.health().damaged;
    assert!(damaged > 0 && !told.is_empty());
    assert_eq!(told.iter().map(|range| range.last.0 - range.first.0 + 1).sum::<u64>(), damaged, "{told:?}");
    let error = log.read(told[0].shard, ReadFrom::Position(told[0].first), LIMIT).await.expect_err("it is damaged");
    let expected = format!("records {} to {} of shard {} are damaged", told[0].first.0, told[0].last.0, told[0].shard);
    assert_eq!(error.to_string(), expected);
    assert_eq!(check(&log, &written, "second read").await, damaged, "reported as often as it is asked for");
    put(&(log.clone() as SharedLog), key(0), b"goes on").await;
    log.close().await;
    drop(log);
    let (log, report) = open(&disk).expect("the server starts");
    assert_eq!((&report.damaged, &log.health().damaged), (&told, &told), "also by the next process, before any read");
}

#[tokio::test]
async fn accepted_losses_are_passed_over_for_good() {
    let (disk, written) = damaged_when_read(22).await;
    let found = find_damage(options(), process(&disk), None).expect("it can be searched");
    assert!(!found.is_empty());
    disk.kill_process();
    let (log, report) = open(&disk).expect("the server starts");
    assert_eq!(report.damaged, found, "what the search found is remembered");
    drop(log);
    disk.kill_process();
    let shards: std::collections::BTreeSet<ShardKey> = found.iter().map(|damaged| damaged.shard).collect();
    for shard in shards {
        let lost = accept_loss(options(), process(&disk), shard).expect("it can be accepted");
        assert!(!lost.is_empty() && lost.iter().all(|lost| found.contains(lost)), "{lost:?} {found:?}");
        disk.kill_process();
    }
    for round in 0..3 {
        let (log, report) = open(&disk).expect("the server starts");
        assert!(report.damaged.is_empty() && log.health().is_good(), "{report:?}");
        let left = written.iter().filter(|((shard, position), _)| {
            !found.iter().any(|d| d.shard == key(*shard) && d.first.0 <= *position && *position <= d.last.0)
        });
        let left: Written = left.map(|(place, data)| (*place, data.clone())).collect();
        assert_eq!(check(&log, &left, &format!("round {round}")).await, 0);
        assert!(log.health().is_good());
        if round == 1 {
            log.close().await;
        }
        drop(log);
        disk.kill_process();
    }
    assert!(matches!(accept_loss(options(), process(&disk), key(77)), Err(RepairError::NoShard(_))));
}

#[tokio::test]
async fn accepting_a_loss_happens_as_a_whole_whenever_the_power_goes() {
    for operations in 0..200 {
        let (disk, written) = damaged_when_read(23).await;
        let found = find_damage(options(), process(&disk), None).expect("it can be searched");
        disk.kill_process();
        let shard = found[0].shard;
        disk.power_off_after(operations);
        let done = accept_loss(options(), process(&disk), shard);
        let off = disk.is_off();
        disk.restart();
        let (log, report) = open(&disk).expect("the server starts");
        let open_damage = |shard| report.damaged.iter().filter(|damaged| damaged.shard == shard).count();
        let before = found.iter().filter(|damaged| damaged.shard == shard).count();
        let context = format!("off after {operations}, {done:?}, {report:?}");
        assert!([0, before].contains(&open_damage(shard)), "{context}");
        assert!(done.is_err() || open_damage(shard) == 0, "{context}");
        assert_eq!(report.damaged.len() - open_damage(shard), found.len() - before, "{context}");
        if open_damage(shard) != 0 {
            check(&log, &written, &context).await;
        }
        if !off {
            return;
        }
    }
    panic!("accepting never came to its end");
}

#[tokio::test]
async fn a_truncated_segment_is_reported() {
    let disk = SimDisk::new(1);
    let written = written(&disk, 40, true).await;
    let all = segments(&disk);
    disk.truncate(&all[1], 40_000);
    let (log, report) = open(&disk).expect("the server starts");
    assert!(check(&log, &written, &format!("{report:?}")).await > 0);
}

#[tokio::test]
async fn missing_or_damaged_indexes_are_made_again() {
    for harm in 0..3 {
        let disk = SimDisk::new(harm);
        let written = written(&disk, 40, true).await;
        for segment in segments(&disk) {
            let index = segment.with_extension("idx");
            match harm {
                0 => disk.remove_file(&index).expect("it was there"),
                1 => disk.truncate(&index, 100),
                // A page that is read only when it is needed.
                _ => disk.flip_bit(&index, 5_000, 3),
            }
        }
        let (log, report) = open(&disk).expect("the server starts");
        assert_eq!(check(&log, &written, &format!("harm {harm}, {report:?}")).await, 0);
        log.close().await;
        drop(log);
        let (log, report) = open(&disk).expect("the server starts");
        assert_eq!(check(&log, &written, "opened again").await, 0);
        assert!(report.segments_scanned <= 2, "indexes were written again: {report:?}");
    }
}

#[tokio::test]
async fn one_folder_has_one_opener() {
    let disk = SimDisk::new(1);
    let (first, _) = open(&disk).expect("a new folder can be opened");
    assert!(matches!(open(&disk), Err(OpenError::Locked { .. })));
    first.close().await;
    drop(first);
    assert!(open(&disk).is_ok());
}

#[tokio::test]
async fn unknown_formats_are_refused() {
    let disk = SimDisk::new(1);
    let (log, _) = open(&disk).expect("a new folder can be opened");
    log.close().await;
    drop(log);
    let path = Path::new(FOLDER).join("FORMAT");
    let text = "millstream-log 1 000000000000000000000000000000aa 0000000000008000";
    let crc = crate::disk::format::crc32c(text.as_bytes());
    disk.write_atomically(&path, format!("{text} {crc:08x}\n").as_bytes()).expect("written");
    let error = open(&disk).expect_err("a feature bit is unknown");
    assert!(matches!(error, OpenError::Format { source: FormatError::Features(0x8000), .. }), "{error}");
    disk.write_atomically(&path, b"something else").expect("written");
    assert!(matches!(open(&disk), Err(OpenError::Format { source: FormatError::Unreadable, .. })));
}
