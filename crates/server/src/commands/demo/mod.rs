//! `millstream demo`: a whole pipeline, live, in one command.
//!
//! Starts a server, makes a role, a function, a stream and a mapping through the AWS API, puts a trickle of records and shows
//! them arriving in the function: batch sizes, the time from put to handler, the lag, and one record that fails twice before
//! it succeeds. What it shows of the function comes from the function's log group, as anybody could read it.

mod show;

use std::collections::HashSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use millstream_client::Credentials;
use millstream_env::{HostClock, Random, Tasks};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use super::api::Api;
use super::bootstrap;
use super::language::{Language, Sources};
use crate::config::{Config, LogFormat, Storage};
use crate::logging;
use crate::server::Server;

const FUNCTION: &str = "demo";
const SOURCES: Sources = Sources {
    python: include_bytes!("handler.py"),
    node: include_bytes!("handler.js"),
    compiled: bootstrap::DEMO_HANDLER,
};
const STREAM: &str = "demo-stream";
const SHARDS: u32 = 2;
/// The record that is not processed at once, and how often it fails.
const FAILING_RECORD: u64 = 7;
const FAILURES: u64 = 2;
/// How often the function's log is read.
const LOG_PAUSE: Duration = Duration::from_millis(100);
/// The demo gives up when nothing arrives for this long.
const STALL_LIMIT: Duration = Duration::from_mins(1);

/// How the demo runs.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  millstream demo\n  millstream demo --records 30\n  \
                        millstream demo --data-dir ./demo-data --language node")]
pub(crate) struct Arguments {
    /// Put this many records and end; without it the demo runs until Ctrl-C
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    records: Option<u64>,
    /// Records put per second
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=1000))]
    rate: u64,
    /// Keep the data here; a temporary folder, removed at the end, when not given
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// The function's language; the first of Python, Node.js and compiled that this machine can run when not given
    #[arg(long)]
    language: Option<Language>,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    logging::start(LogFormat::default(), "error")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(demo(arguments));
    runtime.shutdown_background();
    result?;
    Ok(ExitCode::SUCCESS)
}

async fn demo(arguments: &Arguments) -> anyhow::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt()).context("signals cannot be received")?;
    let mut terminate = signal(SignalKind::terminate()).context("signals cannot be received")?;
    let temporary = match arguments.data_dir {
        None => Some(tempfile::Builder::new().prefix("millstream-demo-").tempdir()?),
        Some(_) => None,
    };
    let folder = arguments.data_dir.clone().or_else(|| Some(temporary.as_ref()?.path().join("data")));
    let folder = folder.expect("a folder is either given or temporary");
    show::title();
    show::fact(
        "data",
        &format!("{}{}", folder.display(), if temporary.is_some() { " (removed at the end)" } else { "" }),
    );
    let server = Server::start(Config { storage: Storage::Folder(folder), ..Config::local() }).await?;
    let result = tokio::select! {
        result = pipeline(arguments, &server) => result,
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
    };
    if result.is_ok() {
        show::next_commands(arguments.data_dir.as_deref());
    }
    server.stop().await?;
    result
}

/// Sets everything up, then puts and shows records until all are done.
async fn pipeline(arguments: &Arguments, server: &Server) -> anyhow::Result<()> {
    let clock = HostClock::real();
    let api = Api::new(server.endpoint(), Credentials::new("demo", "demo"), clock.clone())?;
    show::fact("endpoint", server.endpoint());
    let role = api.role("demo-role", &["service-role/AWSLambdaKinesisExecutionRole"]).await?;
    show::fact("role", &role);
    let runtime = SOURCES.make_function(&api, arguments.language, FUNCTION, &role).await?;
    show::fact("function", &format!("{FUNCTION} ({runtime})"));
    let stream = api.stream_or_existing(STREAM, SHARDS).await?;
    show::fact("stream", &format!("{STREAM}, {SHARDS} shards"));
    let mapping = api.mapping_or_existing(FUNCTION, &stream, 100).await?;
    show::fact("mapping", &mapping);
    show::heading();
    // Numbers are unique to this run, so that what an earlier run left in a given folder is told from it.
    let run = Random::system().u64() >> 24;
    let tasks = Tasks::new();
    let producer =
        tasks.spawn_dropped_on_cancel(produce(api.clone(), clock.clone(), arguments.rate, arguments.records, run));
    let followed = follow(&api, &clock, arguments.records, run).await;
    tasks.cancel();
    if let Ok(Some(Err(error))) = producer.await {
        return Err(error);
    }
    followed
}

/// Puts a trickle of numbered records.
async fn produce(api: Api, clock: HostClock, rate: u64, records: Option<u64>, run: u64) -> anyhow::Result<()> {
    let mut number = 0;
    while records.is_none_or(|records| number < records) {
        number += 1;
        let fails = if number == FAILING_RECORD { FAILURES } else { 0 };
        let put_at = super::histogram::micros_to_ms(clock.now_micros()) / 1000.0;
        let record = json!({ "run": run, "number": number, "put_at": put_at, "fails": fails });
        api.put_record(STREAM, &format!("key-{}", number % 16), record.to_string().as_bytes()).await?;
        show::produced(number);
        clock.sleep(Duration::from_millis(1000 / rate)).await;
    }
    Ok(())
}

/// Shows what the function reports until every record is done.
async fn follow(api: &Api, clock: &HostClock, records: Option<u64>, run: u64) -> anyhow::Result<()> {
    let (mut seen, mut done) = (HashSet::new(), HashSet::new());
    let started = clock.monotonic();
    let (mut since, mut moved_at) = (clock.now().millis().saturating_sub(1000), started);
    while records.is_none_or(|records| (done.len() as u64) < records) {
        for line in api.log_lines(FUNCTION, since).await? {
            since = since.max(line.timestamp);
            if !seen.insert(line.event_id) {
                continue;
            }
            let Some(batch) = show::Batch::parse(&line.message).filter(|batch| batch.run == run) else { continue };
            moved_at = clock.monotonic();
            if batch.culprit.is_none() {
                done.extend(batch.numbers.iter().copied());
            }
            show::batch(&batch, moved_at.saturating_sub(started), done.len() as u64);
        }
        if clock.monotonic().saturating_sub(moved_at) > STALL_LIMIT {
            bail!(
                "nothing arrived in the function for {} s; `millstream doctor` tells what this host lacks",
                STALL_LIMIT.as_secs()
            );
        }
        clock.sleep(LOG_PAUSE).await;
    }
    Ok(())
}
