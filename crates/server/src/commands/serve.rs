//! `millstream serve`: a server until it is told to stop.

use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use crate::config::destinations::CREDENTIAL_VARIABLES;
use crate::config::{Config, Settings, refuse_unknown_variables};
use crate::logging;
use crate::server::Server;

/// Settings come from flags, then from variables, then from the file.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  millstream serve\n  millstream serve --ephemeral --listen 127.0.0.1:0\n  \
                        millstream serve --config /etc/millstream.toml --log-format json")]
pub(crate) struct Arguments {
    #[command(flatten)]
    settings: Settings,
}

pub(crate) fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    refuse_unknown_variables(&known_variables(), std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()))?;
    let settings = arguments.settings.with_file()?;
    logging::start(settings.log_format.unwrap_or_default(), settings.log.as_deref().unwrap_or("info"))?;
    let config = Config::new(settings)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("millstream").build()?;
    let result = runtime.block_on(serve(config));
    // What outlived the deadline of the shutdown must not hold the process.
    runtime.shutdown_background();
    result
}

async fn serve(config: Config) -> anyhow::Result<ExitCode> {
    let mut interrupt = signal(SignalKind::interrupt()).context("signals cannot be received")?;
    let mut terminate = signal(SignalKind::terminate()).context("signals cannot be received")?;
    let server = tokio::select! {
        server = Server::start(config) => server?,
        _ = interrupt.recv() => return Ok(ExitCode::SUCCESS),
        _ = terminate.recv() => return Ok(ExitCode::SUCCESS),
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    tracing::info!("stopping; a second signal ends the process at once");
    tokio::select! {
        result = server.stop() => result?,
        _ = interrupt.recv() => anyhow::bail!("ended before everything was stopped"),
        _ = terminate.recv() => anyhow::bail!("ended before everything was stopped"),
    }
    Ok(ExitCode::SUCCESS)
}

/// The variables that stand for a flag of `serve`, and those of secrets.
fn known_variables() -> Vec<String> {
    let command = Arguments::augment_args(clap::Command::new("serve"));
    let flags = command.get_arguments().filter_map(|flag| Some(flag.get_env()?.to_str()?.to_owned()));
    flags.chain(CREDENTIAL_VARIABLES.map(str::to_owned)).collect()
}
