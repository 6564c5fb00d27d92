//! Execution environments: the one way in which functions run.
//!
//! A [`Runtime`] keeps warm environments for functions and starts new ones on demand. An environment is a process in a
//! sandbox of its own that speaks the Lambda Runtime API with this server, over a listener of its own.
//!
//! - `spec`, `options`, `contract`: what comes in; who gives credentials and takes log lines.
//! - `pool`: which environment takes which invocation; pure.
//! - `machine`: the life of one environment; pure. `environment` drives it, `host` drives the pool.
//! - `api`: the Runtime API's HTTP face.
//! - `launcher`: this program executed again as a sandbox; `process` and `sandbox` are its server side.
//! - `interpreters`, `run_directory`: what the host offers, and our bootstraps for it.
//! - `logs`, `failures`, `variables`: AWS's log lines, error documents and environment variables.
//!
//! What it does not do: it knows nothing of the Lambda API, of aliases, of queues or retries.

mod api;
mod contract;
mod environment;
mod failures;
mod host;
mod interpreters;
pub mod launcher;
mod logs;
mod machine;
mod memory;
mod options;
mod pool;
mod process;
mod report;
mod run_directory;
mod sandbox;
mod spec;
mod variables;

use std::sync::Arc;

use bytes::Bytes;

pub use contract::{Credentials, CredentialsIssuer, FunctionEndpoints, IssueError, IssueRequest, LogSink, LogTarget};
pub use interpreters::{Family, Interpreter, Version};
pub use options::{Isolation, Options};
pub use report::{HostReport, IsolationReport};
pub use spec::{FailureKind, FunctionSpec, InvokeRequest, Outcome, RuntimeReport};

use crate::host::Host;
use crate::interpreters::Interpreters;
use crate::process::Spawner;
use crate::run_directory::RunDirectory;
use crate::sandbox::Sandbox;

/// Runs functions. Clones share one runtime; it stops with the task tree it was started in.
#[derive(Clone, Debug)]
pub struct Runtime {
    host: Arc<Host>,
}

/// The runtime cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("the run directory {path} cannot be prepared: {source}")]
    RunDirectory { path: String, source: std::io::Error },
    #[error("the launcher thread cannot be started: {0}")]
    Thread(std::io::Error),
    /// Functions never run as root.
    #[error("functions are not run without isolation by root (hint: start the server as another user)")]
    NoIsolationAsRoot,
}

impl Runtime {
    /// Prepares the run directory and finds out which isolation this host offers. A host that offers none gives a runtime
    /// that refuses every function with the reason.
    pub async fn start(options: Options) -> Result<Self, StartError> {
        if options.isolation == Isolation::None && rustix::process::geteuid().is_root() {
            return Err(StartError::NoIsolationAsRoot);
        }
        let path = &options.run_directory;
        let directory = RunDirectory::prepare(path)
            .map_err(|source| StartError::RunDirectory { path: path.display().to_string(), source })?;
        let spawner = Spawner::start(options.launcher.clone()).map_err(StartError::Thread)?;
        let root = directory.root_mount_point();
        let uids = options.function_uids.clone();
        let sandbox = Sandbox::detect(options.isolation, uids, root, &spawner, &options.host_clock).await;
        let interpreters = Interpreters::new(options.interpreter_path.clone(), options.strict_runtimes);
        let tasks = options.tasks.clone();
        let host = Arc::new(Host::new(options, spawner, sandbox, interpreters, directory));
        tasks.spawn(Arc::clone(&host).keep_house());
        Ok(Self { host })
    }

    /// Runs one invocation to its end. The function goes on when the returned future is dropped.
    pub async fn invoke(&self, spec: Arc<FunctionSpec>, event: Bytes, request: InvokeRequest) -> RuntimeReport {
        let report = self.host.submit(&spec, event, request);
        report
            .await
            .unwrap_or_else(|_| RuntimeReport::not_run(Outcome::Unavailable("the server is stopping".to_owned())))
    }

    /// Stops all environments of a function, free ones at once and busy ones after their invocation: for its deletion.
    pub fn retire(&self, function_arn: &str) {
        self.host.retire(function_arn);
    }

    /// Reserves concurrency for all versions of a function together, its guarantee and its limit: 0 switches it off, `None`
    /// lets it share what is not reserved. Acts on the next invocation.
    pub fn reserve(&self, function_arn: &str, limit: Option<u32>) {
        self.host.reserve(function_arn, limit);
    }

    /// Environments that exist now.
    pub fn live(&self) -> usize {
        self.host.live()
    }

    /// How functions are kept apart here, without trying interpreters.
    pub fn isolation(&self) -> IsolationReport {
        report::isolation(&self.host.sandbox)
    }

    /// What this host offers to functions. Tries every interpreter, which takes a second or two.
    pub async fn host_report(&self) -> HostReport {
        report::host(&self.host).await
    }
}
