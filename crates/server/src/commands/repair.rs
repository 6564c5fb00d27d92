//! `millstream repair`: damage of stored records, while no server runs.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::Args;
use millstream_catalog::{RedbOptions, RedbStore};
use millstream_env::{Disk, HostClock, Random, RealDisk, ServiceClock, Tasks};
use millstream_log::{ShardKey, disk};
use millstream_streams::{StreamName, stream_numbers};
use millstream_types::{ShardId, ShardIndex};

use super::print;
use crate::server::data_folder::DataFolder;
use crate::server::storage::log_options;

/// Reads every record and lists the ones that cannot be read. With `--accept-loss` it gives up those of one shard: reads
/// then pass over them, and the server is healthy again. No server may run on the folder.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  millstream repair --data-dir ./millstream-data\n  \
                        millstream repair --accept-loss orders/shardId-000000000000\n  \
                        millstream repair --accept-loss 12/0 --json")]
pub(crate) struct Arguments {
    /// Where records, functions and everything else is kept
    #[arg(long, value_name = "FOLDER", env = "MILLSTREAM_DATA_DIR", default_value = "./millstream-data")]
    data_dir: PathBuf,
    /// Give up the damaged records of this shard: STREAM/SHARD-ID, or NUMBER/INDEX as errors name it
    #[arg(long, value_name = "SHARD")]
    accept_loss: Option<String>,
    /// As one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let folder = &arguments.data_dir;
    if !disk.exists(&folder.join("log"))? {
        anyhow::bail!("{} is no data folder of a server; name it with --data-dir", folder.display());
    }
    let _folder = DataFolder::open(&*disk, folder)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let streams = runtime.block_on(streams(folder, &disk))?;
    let environment = disk::Environment {
        disk,
        service_clock: ServiceClock::real(),
        host_clock: HostClock::real(),
        random: Random::system(),
        tasks: Tasks::new(),
    };
    let options = log_options(folder);
    let damaged = match &arguments.accept_loss {
        None => disk::find_damage(options, environment, None)?,
        Some(text) => disk::accept_loss(options, environment, shard_named(text, &streams)?)?,
    };
    let accepted = arguments.accept_loss.is_some();
    print(&if arguments.json { json(&damaged, accepted, &streams)? } else { text(&damaged, accepted, &streams)? })?;
    Ok(if damaged.is_empty() || accepted { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

type Streams = Vec<(StreamName, u64)>;

async fn streams(folder: &Path, disk: &Arc<dyn Disk>) -> anyhow::Result<Streams> {
    let path = folder.join("catalog.redb");
    if !disk.exists(&path)? {
        return Ok(Vec::new());
    }
    let catalog = RedbStore::open(&path, disk, RedbOptions::default())?;
    let streams = stream_numbers(&catalog).await.context("the streams cannot be listed");
    catalog.close().await;
    streams
}

/// The shard that the operator means.
fn shard_named(text: &str, streams: &Streams) -> anyhow::Result<ShardKey> {
    let (stream, shard) = text
        .rsplit_once('/')
        .with_context(|| format!("{text} names no shard; write STREAM/SHARD-ID, or NUMBER/INDEX as errors do"))?;
    let id: ShardId = shard.parse()?;
    let named: Vec<u64> = streams.iter().filter(|(name, _)| name.name == stream).map(|(_, number)| *number).collect();
    let number = match (&named[..], stream.parse()) {
        ([number], _) => *number,
        ([], Ok(number)) => number,
        ([], Err(_)) => anyhow::bail!("there is no stream {stream}"),
        _ => anyhow::bail!("several regions or accounts have a stream {stream}; name it by its number, as errors do"),
    };
    Ok(ShardKey { stream: number, shard: id.0.get() })
}

/// A shard as a person knows it; its number when its stream is not there any more.
fn name_of(shard: ShardKey, streams: &Streams) -> String {
    let stream = streams.iter().find(|(_, number)| *number == shard.stream);
    match (stream, ShardIndex::new(shard.shard)) {
        (Some((name, _)), Some(index)) => format!("{}/{}", name.name, ShardId(index)),
        _ => shard.to_string(),
    }
}

fn text(damaged: &[disk::DamagedRecords], accepted: bool, streams: &Streams) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    if damaged.is_empty() {
        writeln!(text, "no record is damaged")?;
    }
    for range in damaged {
        let what = if accepted { "given up" } else { "damaged" };
        let count = range.last.0 - range.first.0 + 1;
        writeln!(
            text,
            "{} ({}): positions {} to {}, at most {count} records, {what}",
            name_of(range.shard, streams),
            range.shard,
            range.first.0,
            range.last.0
        )?;
    }
    if let (Some(first), false) = (damaged.first(), accepted) {
        writeln!(
            text,
            "Reads of them fail; everything else is served. To pass over them for good:\n  \
             millstream repair --accept-loss {}",
            name_of(first.shard, streams)
        )?;
    }
    Ok(text)
}

fn json(damaged: &[disk::DamagedRecords], accepted: bool, streams: &Streams) -> anyhow::Result<String> {
    let ranges: Vec<_> = damaged
        .iter()
        .map(|range| {
            serde_json::json!({
                "shard": name_of(range.shard, streams),
                "key": range.shard.to_string(),
                "first": range.first.0,
                "last": range.last.0,
            })
        })
        .collect();
    let object = serde_json::json!({ "accepted": accepted, "damaged": ranges });
    Ok(format!("{}\n", serde_json::to_string_pretty(&object)?))
}

#[cfg(test)]
mod tests {
    use millstream_log::Position;

    use super::*;

    fn streams() -> Streams {
        let stream = |region: &str, name: &str| StreamName {
            scope: millstream_types::Scope {
                account: "000000000000".parse().unwrap(),
                region: region.parse().unwrap(),
            },
            name: name.to_owned(),
        };
        vec![
            (stream("us-east-1", "orders"), 12),
            (stream("us-east-1", "twice"), 13),
            (stream("eu-west-1", "twice"), 14),
            (stream("us-east-1", "7"), 15),
        ]
    }

    fn check(text: &str, expected: Result<(u64, u32), &str>) {
        let found = shard_named(text, &streams()).map(|key| (key.stream, key.shard));
        match expected {
            Ok(key) => assert_eq!(found.unwrap(), key, "{text}"),
            Err(message) => assert!(found.unwrap_err().to_string().contains(message), "{text}"),
        }
    }

    #[test]
    fn shards_are_named_by_stream_or_number() {
        check("orders/shardId-000000000003", Ok((12, 3)));
        check("12/3", Ok((12, 3)));
        check("99/0", Ok((99, 0)));
        check("7/0", Ok((15, 0)));
        check("twice/0", Err("several regions"));
        check("other/0", Err("no stream other"));
        check("orders", Err("names no shard"));
        check("orders/x", Err("shard id"));
    }

    #[test]
    fn damage_is_shown_with_what_to_do() {
        let shard = ShardKey { stream: 12, shard: 3 };
        let damaged = [disk::DamagedRecords { shard, first: Position(5), last: Position(9) }];
        let shown = text(&damaged, false, &streams()).unwrap();
        assert!(
            shown.starts_with("orders/shardId-000000000003 (12/3): positions 5 to 9, at most 5 records, damaged\n")
        );
        assert!(shown.ends_with("millstream repair --accept-loss orders/shardId-000000000003\n"), "{shown}");
        assert!(text(&damaged, true, &streams()).unwrap().contains("given up"));
        assert_eq!(text(&[], false, &streams()).unwrap(), "no record is damaged\n");
        let object: serde_json::Value = serde_json::from_str(&json(&damaged, true, &streams()).unwrap()).unwrap();
        assert_eq!((&object["damaged"][0]["key"], &object["accepted"]), (&"12/3".into(), &true.into()));
    }
}
