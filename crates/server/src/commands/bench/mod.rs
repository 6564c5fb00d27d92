//! `millstream bench`: load from within the binary, with correct signing, against a server process of its own.
//!
//! - `put`: producers only; how fast records become durable.
//! - `get`: readers that catch up with what is stored.
//! - `fanout`: subscribers of enhanced fan-out; how fast records are pushed to them.
//! - `shards`: what very many shards and connections cost while nothing happens.
//! - `pipeline`: producers and a function behind event source mappings; how fast records reach the handler.
//!
//! The server runs as a process of its own so that its CPU time can be told from the load generator's. Requests are signed
//! with a key that the server issued, and therefore verifies.

mod bare;
mod cpu;
mod fanout;
mod get;
mod load;
mod pipeline;
mod put;
pub(crate) mod report;
mod shards;
mod target;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use millstream_env::{HostClock, Random, Tasks};

use super::language::Language;

/// What to measure.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  millstream bench put\n  millstream bench put --connections 1 --records 1 --shards 1\n  \
                        millstream bench pipeline --seconds 20 --batch-size 1000"
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    which: Which,
}

#[derive(Debug, Subcommand)]
enum Which {
    /// How fast records become durable: `PutRecords` over several connections
    Put(Shape),
    /// How fast readers catch up with everything that is stored
    Get(ReadShape),
    /// How fast records are pushed to subscribers of enhanced fan-out
    Fanout(FanoutShape),
    /// What very many shards and idle connections cost
    Shards(ShardsShape),
    /// How fast records reach a function through event source mappings
    Pipeline(PipelineShape),
}

/// The form of the load.
#[derive(Args, Clone, Debug)]
struct Shape {
    /// How long to put, in seconds
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// Connections that put at the same time
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    connections: u32,
    /// Shards of each stream [default: 256 for `put` and `get`, 4 for `fanout` and `pipeline`; 1 with several mappings]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    shards: Option<u32>,
    /// Records in each request
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=500))]
    records: u32,
    /// Bytes of each record
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u32).range(load::RECORD_BYTES_MIN..=1_048_576))]
    record_bytes: u32,
    /// Where the server keeps its data; a temporary folder, removed at the end, when not given
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// Let the server remove its oldest records beyond this many bytes, for long runs on a small disk
    #[arg(long, value_name = "BYTES", conflicts_with = "ephemeral")]
    log_bytes_max: Option<u64>,
    /// Measure without a disk
    #[arg(long, conflicts_with = "data_dir")]
    ephemeral: bool,
    /// Print the summary as one line of JSON, and no progress
    #[arg(long)]
    json: bool,
}

#[derive(Args, Clone, Debug)]
struct PipelineShape {
    #[command(flatten)]
    shape: Shape,
    /// `BatchSize` of the mappings
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    batch_size: u32,
    /// Mappings, each of a stream of its own, all of one function; the records go to the streams in turn
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=5000))]
    mappings: u32,
    /// What the function is written in
    #[arg(long, value_enum, default_value_t = Language::Compiled)]
    language: Language,
    /// Put first, and only then make the mappings: what they cost alone, and how fast they catch up
    #[arg(long, conflicts_with = "rate")]
    backlog: bool,
    /// Records put per second by all connections together; 0 puts as fast as it can
    #[arg(long, default_value_t = 0)]
    rate: u64,
}

#[derive(Args, Clone, Debug)]
struct ReadShape {
    #[command(flatten)]
    shape: Shape,
    /// Readers at the same time, each on another shard
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    readers: u32,
}

#[derive(Args, Clone, Debug)]
struct FanoutShape {
    #[command(flatten)]
    shape: Shape,
    /// Consumers, each of which receives every record
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=20))]
    consumers: u32,
    /// Records put per second by all connections together; 0 puts as fast as it can
    #[arg(long, default_value_t = 0)]
    rate: u64,
}

#[derive(Args, Clone, Debug)]
struct ShardsShape {
    /// Shards, in streams of a thousand, or evenly over the streams of the mappings
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    shards: u32,
    /// Event source mappings, each of a stream of its own
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=5000))]
    mappings: u32,
    /// Connections that are open and say nothing
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(0..=50_000))]
    connections: u32,
    /// How long to look at the idle server, in seconds
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// Print the summary as one line of JSON
    #[arg(long)]
    json: bool,
}

impl ShardsShape {
    /// What starting a server needs to know.
    fn base(&self) -> Shape {
        Shape {
            seconds: self.seconds,
            connections: 1,
            shards: None,
            records: 1,
            record_bytes: 1024,
            data_dir: None,
            log_bytes_max: None,
            ephemeral: false,
            json: self.json,
        }
    }
}

/// What the world gives to a benchmark.
#[derive(Clone, Debug)]
struct World {
    clock: HostClock,
    random: Random,
    tasks: Tasks,
}

pub(crate) fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let world = World { clock: HostClock::real(), random: Random::system(), tasks: Tasks::new() };
    runtime.block_on(async {
        match arguments.which {
            Which::Put(shape) => put::run(&world, &shape).await,
            Which::Get(shape) => get::run(&world, &shape).await,
            Which::Fanout(shape) => fanout::run(&world, &shape).await,
            Which::Shards(shape) => shards::run(&world, &shape).await,
            Which::Pipeline(shape) => pipeline::run(&world, &shape).await,
        }
    })?;
    Ok(ExitCode::SUCCESS)
}
