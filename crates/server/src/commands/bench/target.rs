//! The server under load: this binary, started as a process of its own, on a free port.

use std::ffi::OsString;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use millstream_client::Credentials;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::cpu::Meter;
use super::{Shape, World};
use crate::commands::api::Api;

const READY_LIMIT: Duration = Duration::from_secs(30);
const STOP_LIMIT: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(20);

/// A running server process; ended when dropped.
pub(crate) struct Target {
    process: Child,
    pub(crate) address: SocketAddr,
    /// Where its data is: flags of `serve`.
    place: Vec<OsString>,
    temporary: Option<tempfile::TempDir>,
}

impl Target {
    pub(crate) async fn start(world: &World, shape: &Shape) -> anyhow::Result<Self> {
        let (mut place, mut temporary): (Vec<OsString>, _) = (Vec::new(), None);
        match &shape.data_dir {
            _ if shape.ephemeral => place.push("--ephemeral".into()),
            Some(folder) => place.extend(["--data-dir".into(), folder.into()]),
            None => {
                let folder = tempfile::Builder::new().prefix("millstream-bench-").tempdir_in(".")?;
                place.extend(["--data-dir".into(), folder.path().join("data").into()]);
                temporary = Some(folder);
            }
        }
        if let Some(bytes) = shape.log_bytes_max {
            place.extend(["--log-bytes-max".into(), bytes.to_string().into()]);
        }
        Self::launch(world, place, temporary).await
    }

    /// The data folder; `None` when everything is in memory.
    pub(crate) fn folder(&self) -> Option<&Path> {
        self.place.iter().position(|flag| flag == "--data-dir").map(|at| Path::new(&self.place[at + 1]))
    }

    /// Stops the server and starts it again over the same data.
    pub(crate) async fn restarted(mut self, world: &World) -> anyhow::Result<Self> {
        let (place, temporary) = (self.place.clone(), self.temporary.take());
        self.stop(world).await?;
        Self::launch(world, place, temporary).await
    }

    async fn launch(world: &World, place: Vec<OsString>, temporary: Option<tempfile::TempDir>) -> anyhow::Result<Self> {
        // Bound and given back: nobody else is expected to take it within these milliseconds.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["serve", "--listen", &address.to_string(), "--log", "warn"]).args(&place);
        let process = command.stdin(Stdio::null()).spawn().context("cannot start the server")?;
        let mut target = Self { process, address, place, temporary };
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

    /// Begins to count the CPU time of the server and of this process.
    pub(crate) fn meter(&self) -> anyhow::Result<Meter> {
        Meter::start(self.process.id())
    }

    /// What the server's process has in memory now.
    #[expect(clippy::disallowed_methods, reason = "the kernel's account of a process is no disk of ours")]
    pub(crate) fn resident_bytes(&self) -> anyhow::Result<u64> {
        let status = String::from_utf8(std::fs::read(format!("/proc/{}/status", self.process.id()))?)?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS in /proc")?;
        let kib: u64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kib * 1024)
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
