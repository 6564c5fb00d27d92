//! `bench shards`: what very many shards and connections cost a server that has nothing to do.

use std::time::Duration;

use anyhow::Context as _;
use millstream_env::OpenFiles;
use serde_json::json;
use tokio::net::TcpStream;

use super::put::STREAM;
use super::target::Target;
use super::{ShardsShape, World};
use crate::commands::print;

/// Shards that one stream gets; more streams share the rest.
const SHARDS_PER_STREAM: u32 = 1000;

pub(crate) async fn run(world: &World, shape: &ShardsShape) -> anyhow::Result<()> {
    // Each connection is an open file on this side too.
    OpenFiles::raise().context("the limit on open files cannot be read")?;
    let target = Target::start(world, &shape.base()).await?;
    let empty = target.resident_bytes()?;
    let api = target.api(world)?;
    let started = world.clock.monotonic();
    let mut left = shape.shards;
    let mut streams = 0;
    while left > 0 {
        let shards = left.min(SHARDS_PER_STREAM);
        api.stream(&format!("{STREAM}-{streams}"), shards).await?;
        left -= shards;
        streams += 1;
    }
    let created = world.clock.monotonic().saturating_sub(started);
    let with_shards = target.resident_bytes()?;

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
            "resident_bytes_empty": empty, "resident_bytes_with_shards": with_shards,
            "resident_bytes_with_connections": with_connections, "idle_cpu_cores": idle_cpu,
        });
        return print(&format!("{figures}\n"));
    }
    print(&format!(
        "shards: {} in {streams} streams, {} idle connections\n  {:<22} {:.1} s\n  {:<22} {} MB empty, {} MB with the \
         shards, {} MB with the connections\n  {:<22} {:.2} % of a core\n",
        shape.shards,
        shape.connections,
        "created in",
        created.as_secs_f64(),
        "resident memory",
        megabytes(empty),
        megabytes(with_shards),
        megabytes(with_connections),
        "idle CPU",
        idle_cpu * 100.0,
    ))
}
