//! `millstream wait`: returns when a server is ready.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use http::Method;
use millstream_client::{Client, Credentials};
use millstream_env::HostClock;

use super::print;

/// Between two questions.
const PAUSE: Duration = Duration::from_millis(50);
/// The longest wait for one answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// For scripts: start a server in the background, wait, go on.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  millstream serve --ephemeral & millstream wait && aws kinesis list-streams")]
pub(crate) struct Arguments {
    /// Where the server is
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:4566")]
    endpoint: String,
    /// When to give up
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    timeout: u64,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let clock = HostClock::real();
    let client = Client::new(&arguments.endpoint, Credentials::new("wait", "wait"), "us-east-1", clock.clone())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let limit = Duration::from_secs(arguments.timeout);
    match runtime.block_on(clock.timeout(limit, ready(&client, &clock))) {
        Some(()) => {
            print(&format!("{} is ready\n", arguments.endpoint))?;
            Ok(ExitCode::SUCCESS)
        }
        None => anyhow::bail!("{} was not ready within {} s", arguments.endpoint, arguments.timeout),
    }
}

async fn ready(client: &Client, clock: &HostClock) {
    loop {
        let asked = client.send("millstream", &Method::GET, "/health/ready", &[], bytes::Bytes::new());
        if let Some(Ok(_)) = clock.timeout(ANSWER_TIMEOUT, asked).await {
            return;
        }
        clock.sleep(PAUSE).await;
    }
}
