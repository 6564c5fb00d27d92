//! Measures the stages of a record's way: `cargo xtask bench [--write] [--folder FOLDER] [--rounds N]`; with `--guard`
//! only what the test command demands.
#![expect(clippy::print_stdout, reason = "its output is its purpose")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use millstream_env::Random;
use millstream_log::SharedLog;
use millstream_stages::baseline::{Baseline, PROFILE, machine};
use millstream_stages::get::Get;
use millstream_stages::guard;
use millstream_stages::put::{Put, SHARDS};
use millstream_stages::record::{Figures, Recorder, medians};
use millstream_stages::services::{World, disk_log, memory_log};
use millstream_testkit::cost::CountingAllocator;
use millstream_wire::direct::Format;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const ROUNDS: usize = 60;
/// How often each stage runs in one round; all stages in turns, so that what else goes on meets all.
const RUNS: usize = 8;

#[derive(Debug, Default)]
struct Options {
    guard: bool,
    write: bool,
    folder: Option<PathBuf>,
    rounds: Option<usize>,
}

fn options() -> anyhow::Result<Options> {
    let mut options = Options::default();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().with_context(|| format!("{argument} takes a value"));
        match argument.as_str() {
            "--guard" => options.guard = true,
            "--write" => options.write = true,
            "--folder" => options.folder = Some(value()?.into()),
            "--rounds" => options.rounds = Some(value()?.parse::<usize>()?.max(1)),
            _ => bail!("unknown option {argument}; there are --guard, --write, --folder FOLDER, --rounds N"),
        }
    }
    Ok(options)
}

/// One thread for all but the log's own: nothing is counted twice, and stages do not run into each other.
#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let options = options()?;
    // Beside the program: the build folder is on a real disk, where the system's temporary folder may be memory.
    let program = std::env::current_exe()?;
    let beside = program.parent().context("a program lies in a folder")?;
    let parent = options.folder.as_deref().unwrap_or(beside);
    let folder = tempfile::Builder::new().prefix("stages-").tempdir_in(parent)?;
    if options.guard { guard(&options, folder.path()).await } else { stages(&options, folder.path()).await }
}

async fn guard(options: &Options, folder: &std::path::Path) -> anyhow::Result<()> {
    let load = guard::measure(folder).await?;
    println!(
        "PutRecords: {:.2} CPU-s per GiB (yardstick {:.2}), write amplification {:.3}, profile {PROFILE}",
        load.cpu_seconds_per_gib, load.yardstick_seconds_per_gib, load.write_amplification
    );
    let mut baseline = Baseline::read()?;
    if options.write {
        baseline.guard.insert(PROFILE.to_owned(), load);
        return baseline.write();
    }
    let stored = baseline.guard.get(PROFILE).with_context(|| format!("no baseline for profile {PROFILE}"))?;
    let faults = guard::judge(&load, stored);
    if faults.is_empty() { Ok(()) } else { bail!("{}", faults.join("; ")) }
}

async fn stages(options: &Options, folder: &std::path::Path) -> anyhow::Result<()> {
    let random = Random::seeded(1);
    let disk = disk_log(folder)?;
    let log: SharedLog = Arc::new(disk.clone());
    let world = World::new(Arc::clone(&log)).await?;
    let stream = world.stream("put", SHARDS).await?;
    let memory: SharedLog = Arc::new(memory_log());
    for shard in stream.shards() {
        let config = millstream_log::ShardConfig { retention: stream.retention() };
        memory.create(shard.key(), config).await?;
    }
    let puts = [Format::Json, Format::Cbor].map(|format| Put::new(&world, Arc::clone(&stream), format, &random));
    let get = Get::new(&world, &random).await?;
    let mut rounds = Vec::new();
    // The first round fills caches and pools.
    for _ in 0..=options.rounds.unwrap_or(ROUNDS) {
        let mut round = Recorder::default();
        for _ in 0..RUNS {
            for put in &puts {
                put.stages(&mut round).await?;
                put.store(&log, "disk", &mut round).await?;
                put.store(&memory, "memory", &mut round).await?;
                put.whole(&mut round).await?;
            }
            get.stages(&mut round).await?;
            get.whole(Format::Json, &mut round).await?;
            get.whole(Format::Cbor, &mut round).await?;
        }
        rounds.push(round);
    }
    let figures = medians(&rounds[1..]);
    disk.close().await;
    let mut baseline = Baseline::read().unwrap_or_default();
    report(&figures, &baseline.stages);
    if options.write {
        if PROFILE != "release" {
            bail!("the baseline of the stages is that of the release profile");
        }
        baseline.machine = machine();
        baseline.stages = figures.into_iter().collect();
        baseline.write()?;
    }
    Ok(())
}

fn report(figures: &[(String, Figures)], baseline: &BTreeMap<String, Figures>) {
    println!(
        "{:<36} {:>10} {:>9} {:>8} {:>9}   against the baseline: CPU, allocations",
        "500 records of 1 KiB", "CPU ns/rec", "CPU-s/GiB", "allocs", "bytes/rec"
    );
    for (name, now) in figures {
        let then = baseline.get(name);
        let ratio = |figure: fn(&Figures) -> f64| match then {
            Some(then) if figure(then) > 0.0 => format!("x {:.2}", figure(now) / figure(then)),
            _ => "-".to_owned(),
        };
        println!(
            "{name:<36} {:>10.1} {:>9.3} {:>8.3} {:>9.1}   {:>8} {:>8}",
            now.cpu_ns_per_record,
            now.cpu_seconds_per_gib,
            now.allocations_per_record,
            now.allocated_bytes_per_record,
            ratio(|figures| figures.cpu_ns_per_record),
            ratio(|figures| figures.allocations_per_record),
        );
    }
}
