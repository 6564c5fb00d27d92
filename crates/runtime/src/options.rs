//! Settings of the runtime.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use millstream_env::{HostClock, Random, Tasks};

use crate::contract::{CredentialsIssuer, FunctionEndpoints, LogSink};

/// How functions are kept apart from the host and from each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Isolation {
    /// Namespaces; where the host blocks them, Landlock; where that is missing too, functions are refused.
    #[default]
    Auto,
    /// Landlock, also where the host has namespaces: for hosts whose namespaces make trouble.
    Landlock,
    /// None at all: for debugging. Refused when the server runs as root.
    None,
}

/// Everything the runtime is built from.
#[derive(Clone, Debug)]
pub struct Options {
    /// A folder for `/tmp` of environments, bootstraps and mount points. Outside folders that only their owner may enter.
    pub run_directory: PathBuf,
    /// The program that calls [`crate::launcher::maybe_run`] first thing: this one, unless a test says otherwise.
    pub launcher: PathBuf,
    pub isolation: Isolation,
    /// User ids for environments, one each, when the server runs as root.
    pub function_uids: RangeInclusive<u32>,
    /// Where functions find AWS, unless they set `AWS_ENDPOINT_URL` themselves; without it they get no such variable.
    pub endpoints: Option<Arc<dyn FunctionEndpoints>>,
    /// Refuse a runtime whose exact interpreter is missing, instead of taking the nearest one.
    pub strict_runtimes: bool,
    /// Folders searched for interpreters before `PATH` and the usual places.
    pub interpreter_path: Vec<PathBuf>,
    /// Invocations running or waiting for an environment, all functions together (AWS's default per account).
    pub concurrency_max: usize,
    /// Environments alive at once; beyond it, invocations wait.
    pub environments_max: usize,
    /// Environments in their init phase at once.
    pub inits_max: usize,
    /// Longest init phase of an environment. After one overrun a function's own timeout counts, if that is longer.
    pub init_max: Duration,
    /// An environment unused for this long is stopped.
    pub idle_max: Duration,
    /// Lifetime of a function's credentials; environments are replaced at half of it.
    pub credential_lifetime: Duration,
    pub host_clock: HostClock,
    pub random: Random,
    pub tasks: Tasks,
    pub credentials: Arc<dyn CredentialsIssuer>,
    pub logs: Arc<dyn LogSink>,
}

impl Options {
    pub fn new(
        run_directory: PathBuf,
        credentials: Arc<dyn CredentialsIssuer>,
        logs: Arc<dyn LogSink>,
        tasks: Tasks,
    ) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            run_directory,
            // The link, not what it points to: it stays valid when the program's file is replaced by an upgrade.
            launcher: PathBuf::from("/proc/self/exe"),
            isolation: Isolation::Auto,
            function_uids: 700_000..=700_999,
            endpoints: None,
            strict_runtimes: false,
            interpreter_path: Vec::new(),
            concurrency_max: 1000,
            environments_max: 256,
            inits_max: cores,
            init_max: Duration::from_secs(10),
            idle_max: Duration::from_mins(10),
            credential_lifetime: Duration::from_hours(12),
            host_clock: HostClock::real(),
            random: Random::system(),
            tasks,
            credentials,
            logs,
        }
    }
}
