//! `bench shards`: what very many shards, mappings and connections cost a server that has nothing to do.

use std::time::Duration;

use anyhow::Context as _;
use millstream_env::OpenFiles;
use serde_json::json;
use tokio::net::TcpStream;

use super::put::STREAM;
use super::target::Target;
use super::{ShardsShape, World, pipeline};
use crate::commands::language::Language;
use crate::commands::print;

/// Shards that one stream gets; more streams share the rest.
const SHARDS_PER_STREAM: u32 = 1000;
const BATCH_SIZE: u32 = 100;

pub(crate) async fn run(world: &World, shape: &ShardsShape) -> anyhow::Result<()> {
    // Each connection is an open file on this side too.
    OpenFiles::raise().context("the limit on open files cannot be read")?;
    let target = Target::start(world, &shape.base()).await?;
    let empty = target.resident_bytes()?;
    let api = target.api(world)?;
    let started = world.clock.monotonic();
    let streams = streams(shape);
    for (stream, shards) in &streams {
        api.stream(stream, *shards).await?;
    }
    let created = world.clock.monotonic().saturating_sub(started);
    let with_shards = target.resident_bytes()?;

    if shape.mappings > 0 {
        pipeline::make_function(&api, Language::Compiled).await?;
        let mapped: Vec<_> = streams.iter().take(shape.mappings as usize).map(|(stream, _)| stream.clone()).collect();
        pipeline::make_mappings(&api, &mapped, BATCH_SIZE).await?;
    }
    let with_mappings = target.resident_bytes()?;

    let mut connections = Vec::new();
    for _ in 0..shape.connections {
        connections.push(TcpStream::connect(target.address).await?);
    }
    let (meter, began) = (target.meter()?, world.clock.monotonic());
    world.clock.sleep(Duration::from_secs(shape.seconds)).await;
    let idle = world.clock.monotonic().saturating_sub(began);
    let idle_cpu = meter.spent()?.0.as_secs_f64() / idle.as_secs_f64();
    let with_connections = target.resident_bytes()?;
    drop(connections);
    target.stop(world).await?;
    let megabytes = |bytes: u64| bytes / 1_000_000;
    if shape.json {
        let figures = json!({
            "shards": shape.shards, "connections": shape.connections, "seconds_to_create": created.as_secs_f64(),
            "mappings": shape.mappings, "resident_bytes_empty": empty, "resident_bytes_with_shards": with_shards,
            "resident_bytes_with_mappings": with_mappings,
            "resident_bytes_with_connections": with_connections, "idle_cpu_cores": idle_cpu,
        });
        return print(&format!("{figures}\n"));
    }
    print(&format!(
        "shards: {} in {} streams, {} mappings, {} idle connections\n  {:<22} {:.1} s\n  {:<22} {} MB empty, {} MB with \
         the shards, {} MB with the mappings, {} MB with the connections\n  {:<22} {:.2} % of a core\n",
        shape.shards,
        streams.len(),
        shape.mappings,
        shape.connections,
        "created in",
        created.as_secs_f64(),
        "resident memory",
        megabytes(empty),
        megabytes(with_shards),
        megabytes(with_mappings),
        megabytes(with_connections),
        "idle CPU",
        idle_cpu * 100.0,
    ))
}

/// Names of streams and their shards: as many as there are mappings, and not more than a thousand shards each.
fn streams(shape: &ShardsShape) -> Vec<(String, u32)> {
    let count = shape.shards.div_ceil(SHARDS_PER_STREAM).max(shape.mappings);
    let shards = |number: u32| shape.shards / count + u32::from(number < shape.shards % count);
    (0..count).map(|number| (format!("{STREAM}-{number}"), shards(number).max(1))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shards_are_spread_over_the_streams() {
        let spread = |shards, mappings| {
            let shape = ShardsShape { shards, mappings, connections: 0, seconds: 1, json: false };
            streams(&shape).into_iter().map(|(_, shards)| shards).collect::<Vec<_>>()
        };
        assert_eq!(spread(2500, 0), [834, 833, 833]);
        assert_eq!(spread(10, 4), [3, 3, 2, 2]);
        assert_eq!(spread(1, 2), [1, 1]);
    }
}
