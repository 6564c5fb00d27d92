//! What operators see and do, in a small world.

mod control;
mod failed;
mod status;

use std::time::Duration;

use millstream_functions::Outcome;
use millstream_types::{ShardId, ShardIndex};
use millstream_wire::lambda::CreateEventSourceMappingRequest;
use millstream_wire::lambda::EventSourcePosition::{Latest, TrimHorizon};

use super::*;
use crate::testing::{World, request, scope};

const NO_UUID: &str = "14e0db71-5d35-4eb5-b481-8945cf9d10c2";

fn shard(index: u32) -> ShardId {
    ShardId(ShardIndex::new(index).unwrap())
}

fn name(index: u32) -> String {
    shard(index).to_string()
}

async fn report(world: &World, uuid: &str, index: u32) -> ShardReport {
    let reports = world.mappings.shard_reports(&scope(), uuid, None, 100).await.unwrap().shards;
    reports.into_iter().find(|report| report.shard == shard(index)).expect("the stream has the shard")
}

/// Until the shard's worker is in `phase`.
async fn phase_becomes(world: &World, uuid: &str, index: u32, phase: ShardPhase) {
    let is_there = async || report(world, uuid, index).await.phase == phase;
    world.eventually(&format!("shard {index} is {phase:?}"), is_there).await;
}

async fn paused(world: &World, uuid: &str) {
    world.mappings.pause_mapping(&scope(), uuid).await.unwrap();
    phase_becomes(world, uuid, 0, ShardPhase::Suspended).await;
}
