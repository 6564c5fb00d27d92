//! The server under load: this binary, started as a process of its own, on a free port.

use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use millstream_client::Credentials;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Shape, World, cpu};
use crate::commands::api::Api;

const READY_LIMIT: Duration = Duration::from_secs(30);
const STOP_LIMIT: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(20);

/// A running server process; ended when dropped.
pub(crate) struct Target {
    process: Child,
    pub(crate) address: SocketAddr,
    _temporary: Option<tempfile::TempDir>,
}

impl Target {
    pub(crate) async fn start(world: &World, shape: &Shape) -> anyhow::Result<Self> {
        // Bound and given back: nobody else is expected to take it within these milliseconds.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["serve", "--listen", &address.to_string(), "--log", "warn"]);
        let mut temporary = None;
        match &shape.data_dir {
            _ if shape.ephemeral => _ = command.arg("--ephemeral"),
            Some(folder) => _ = command.arg("--data-dir").arg(folder),
            None => {
                let folder = tempfile::Builder::new().prefix("millstream-bench-").tempdir_in(".")?;
                command.arg("--data-dir").arg(folder.path().join("data"));
                temporary = Some(folder);
            }
        }
        let process = command.stdin(Stdio::null()).spawn().context("cannot start the server")?;
        let mut target = Self { process, address, _temporary: temporary };
        target.wait_until_ready(world).await?;
        Ok(target)
    }

    async fn wait_until_ready(&mut self, world: &World) -> anyhow::Result<()> {
        let started = world.clock.monotonic();
        while !is_ready(self.address).await {
            if let Some(status) = self.process.try_wait()? {
                bail!("the server ended with {status}");
            }
            if world.clock.monotonic().saturating_sub(started) > READY_LIMIT {
                bail!("the server was not ready within {} s", READY_LIMIT.as_secs());
            }
            world.clock.sleep(PAUSE).await;
        }
        Ok(())
    }

    /// Speaks to the server as the root of the default account.
    pub(crate) fn api(&self, world: &World) -> anyhow::Result<Api> {
        Api::new(&format!("http://{}", self.address), Credentials::new("bench", "bench"), world.clock.clone())
    }

    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
        cpu::of_process(self.process.id())
    }

    /// Stops the server as a person would.
    pub(crate) async fn stop(mut self, world: &World) -> anyhow::Result<()> {
        let id = rustix::process::Pid::from_child(&self.process);
        rustix::process::kill_process(id, rustix::process::Signal::TERM)?;
        let started = world.clock.monotonic();
        while self.process.try_wait()?.is_none() {
            if world.clock.monotonic().saturating_sub(started) > STOP_LIMIT {
                bail!("the server did not stop within {} s", STOP_LIMIT.as_secs());
            }
            world.clock.sleep(PAUSE).await;
        }
        Ok(())
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        // Either it has ended already, or the benchmark failed and nothing else can be done about an error here.
        let _ended = self.process.kill();
        let _reaped = self.process.wait();
    }
}

async fn is_ready(address: SocketAddr) -> bool {
    let ask = async {
        let mut stream = TcpStream::connect(address).await?;
        let request = format!("GET /health/ready HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    ask.await.is_ok_and(|answer| answer.ends_with(b" 200"))
}
