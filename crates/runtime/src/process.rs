//! Processes of functions, as the server sees them: started by one thread, waited for, killed with all their children.

use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::mpsc;
use std::time::Duration;

use millstream_env::{HostClock, Tasks};
use rustix::pipe::PipeFlags;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio::sync::oneshot;

use crate::launcher::LAUNCHER_NAME;
use crate::launcher::plan::{Ending, Plan};
use crate::machine::ExitCause;

/// How long a supervisor may take to kill its tree before it is killed itself.
const KILL_WAIT_MAX: Duration = Duration::from_secs(5);

/// Longest report of a supervisor.
const REPORT_BYTES_MAX: usize = 64 * 1024;

/// Starts supervisors. All of them are children of one thread, which lives as long as this: the death signal that keeps
/// functions from outliving the server follows the thread, not the process.
#[derive(Debug)]
pub(crate) struct Spawner {
    launcher: PathBuf,
    requests: mpsc::Sender<Request>,
}

struct Request {
    command: Command,
    answer: oneshot::Sender<io::Result<Child>>,
}

impl Spawner {
    /// Must be called inside the asynchronous runtime, which then notices the ends of the processes.
    pub(crate) fn start(launcher: PathBuf) -> io::Result<Self> {
        let (requests, inbox) = mpsc::channel::<Request>();
        let runtime = tokio::runtime::Handle::current();
        Tasks::thread("launcher", move || {
            let _runtime = runtime.enter();
            while let Ok(Request { mut command, answer }) = inbox.recv() {
                // A caller that has gone drops the process, which ends with its socket.
                let _ = answer.send(command.spawn());
            }
        })?;
        Ok(Self { launcher, requests })
    }

    /// Starts a process by its plan. Both output streams go to one pipe, so that their order stays.
    pub(crate) async fn spawn(&self, plan: &Plan) -> io::Result<Process> {
        let (own, theirs) = std::os::unix::net::UnixStream::pair()?;
        own.set_nonblocking(true)?;
        let (output, output_writer) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
        let mut command = Command::new(&self.launcher);
        command
            .arg0(LAUNCHER_NAME)
            .env_clear()
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::from(output_writer.try_clone()?))
            .stderr(Stdio::from(output_writer));
        let (answer, child) = oneshot::channel();
        let gone = || io::Error::other("the launcher thread has ended");
        self.requests.send(Request { command, answer }).map_err(|_| gone())?;
        let child = child.await.map_err(|_| gone())??;
        let mut control = UnixStream::from_std(own)?;
        let text = serde_json::to_vec(plan)?;
        let length = u32::try_from(text.len()).map_err(io::Error::other)?;
        control.write_all(&length.to_le_bytes()).await?;
        control.write_all(&text).await?;
        Ok(Process { child, control, report: Vec::new(), output: Some(output) })
    }
}

/// A running function, or its remains. Dropping it kills the whole tree.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    control: UnixStream,
    report: Vec<u8>,
    output: Option<OwnedFd>,
}

impl Process {
    /// The read end of the function's output. Once.
    pub(crate) fn take_output(&mut self) -> OwnedFd {
        self.output.take().expect("the output is taken once")
    }

    /// The supervisor's process id; the function's processes are its descendants.
    pub(crate) fn supervisor(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits until the whole tree has gone. May be dropped and called again.
    pub(crate) async fn wait(&mut self) -> ExitCause {
        // A supervisor holds its end until it exits, after everything below it.
        while self.report.len() < REPORT_BYTES_MAX {
            match self.control.read_buf(&mut self.report).await {
                Ok(0) | Err(_) => break,
                Ok(_) => {}
            }
        }
        // Its own status says nothing; it is only reaped.
        let _ = self.child.wait().await;
        self.cause()
    }

    /// Kills the tree and waits until it has gone.
    pub(crate) async fn kill(&mut self, clock: &HostClock) -> ExitCause {
        // An error means that the supervisor has gone already.
        let _ = rustix::net::shutdown(&self.control, rustix::net::Shutdown::Write);
        if let Some(cause) = clock.timeout(KILL_WAIT_MAX, self.wait()).await {
            return cause;
        }
        tracing::warn!(pid = self.child.id(), "a function's supervisor does not end; it is killed");
        let _ = self.child.start_kill();
        self.wait().await
    }

    fn cause(&self) -> ExitCause {
        let first = self.report.split(|byte| *byte == b'\n').next().unwrap_or_default();
        match serde_json::from_slice(first) {
            Ok(Ending::Code(code)) => ExitCause::Code(code),
            Ok(Ending::Signal(number)) => ExitCause::Signal(number),
            Ok(Ending::NotExecutable(text)) => ExitCause::InvalidEntrypoint(text),
            Ok(Ending::Failed(text)) => ExitCause::Sandbox(format!("the sandbox could not be built: {text}")),
            Err(_) => ExitCause::Sandbox("the launcher ended without a report".to_owned()),
        }
    }
}
