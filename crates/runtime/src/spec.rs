//! What callers hand in and get back.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use millstream_types::Scope;

/// One published or latest configuration of a function, with its code already unpacked. Shared by all invocations of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionSpec {
    pub scope: Scope,
    /// Without qualifier.
    pub function_arn: String,
    pub name: String,
    /// `$LATEST` or a number.
    pub version: String,
    /// Changes with every change of code or configuration. Environments serve one revision only: the first invocation
    /// with a new revision retires those of the older ones.
    pub revision: String,
    /// `python3.13`, `nodejs22.x`, `provided.al2023`, …
    pub runtime: String,
    pub handler: String,
    /// The unpacked code: world-readable, not writable by functions, outside folders that only its owner may enter.
    pub code_directory: PathBuf,
    /// The merged layers, shown as `/opt`.
    pub layers_directory: Option<PathBuf>,
    /// The user's variables.
    pub environment: BTreeMap<String, String>,
    /// 128 to 10240.
    pub memory_mb: u32,
    /// Size of `/tmp`, 512 to 10240.
    pub ephemeral_storage_mb: u32,
    /// 1 to 900 seconds.
    pub timeout: Duration,
    /// The execution role.
    pub role_arn: String,
    /// `/aws/lambda/<name>` unless configured otherwise.
    pub log_group: String,
}

impl FunctionSpec {
    /// A specification with AWS's defaults for everything that has one.
    pub fn new(
        scope: Scope,
        name: &str,
        runtime: &str,
        handler: &str,
        code_directory: PathBuf,
        role_arn: &str,
    ) -> Self {
        Self {
            function_arn: scope.arn("lambda", format_args!("function:{name}")).to_string(),
            scope,
            name: name.to_owned(),
            version: "$LATEST".to_owned(),
            revision: String::new(),
            runtime: runtime.to_owned(),
            handler: handler.to_owned(),
            code_directory,
            layers_directory: None,
            environment: BTreeMap::new(),
            memory_mb: 128,
            ephemeral_storage_mb: 512,
            timeout: Duration::from_secs(3),
            role_arn: role_arn.to_owned(),
            log_group: format!("/aws/lambda/{name}"),
        }
    }
}

/// What belongs to one invocation only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InvokeRequest {
    /// A UUID: the function's `awsRequestId`.
    pub request_id: String,
    /// As the caller named the function: with or without qualifier, or an alias.
    pub invoked_arn: String,
    /// Decoded client context JSON.
    pub client_context: Option<String>,
    /// An `X-Amzn-Trace-Id` value to pass on; one is made when absent.
    pub trace_id: Option<String>,
}

/// How one invocation went.
#[derive(Clone, Debug)]
pub struct RuntimeReport {
    pub outcome: Outcome,
    /// The last 4 KiB of this invocation's log lines, START to REPORT. Empty when nothing ran.
    pub log_tail: Bytes,
    /// From the event's delivery to the answer; zero when nothing ran.
    pub duration: Duration,
    /// How long the environment took to start, when this invocation was its first.
    pub init_duration: Option<Duration>,
    /// The log stream that has this invocation's lines.
    pub log_stream: String,
}

impl RuntimeReport {
    pub(crate) fn not_run(outcome: Outcome) -> Self {
        Self {
            outcome,
            log_tail: Bytes::new(),
            duration: Duration::ZERO,
            init_duration: None,
            log_stream: String::new(),
        }
    }
}

/// The result of one invocation. From `Throttled` on, the function did not run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The function's response bytes.
    Ok(Bytes),
    /// The function ran and failed; `payload` is AWS's error document for it.
    FunctionError { kind: FailureKind, payload: Bytes },
    /// `reason` is AWS's `Reason` for a 429.
    Throttled { reason: &'static str },
    /// The execution role cannot be assumed.
    NotPermitted(String),
    /// This host cannot run the function now: no interpreter, no isolation, the server is stopping.
    Unavailable(String),
}

/// Which way a function failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// The runtime reported an error of the handler.
    Handler,
    TimedOut,
    ResponseTooLarge,
    /// The runtime reported an error before it asked for its first event.
    InitFailed,
    /// The process ended, or could not be started.
    Exited,
}
