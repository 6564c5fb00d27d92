//! The one way to run a function: event source mappings and the `Invoke` operation both call [`Invoke`].

use std::fmt::Debug;
use std::sync::Arc;

use bytes::Bytes;
use millstream_env::BoxFuture;
use millstream_types::Scope;

/// What to run.
#[derive(Clone, Debug)]
pub struct Invocation {
    pub scope: Scope,
    pub function_name: String,
    /// A version number, `$LATEST` or an alias; `None` means `$LATEST`, and the invoked ARN stays unqualified.
    pub qualifier: Option<String>,
    /// The event: JSON, shared between retries.
    pub payload: Bytes,
    /// Decoded client context JSON.
    pub client_context: Option<String>,
}

/// How an invocation ended.
#[derive(Clone, Debug)]
pub struct InvokeReport {
    /// The function's `awsRequestId`.
    pub request_id: String,
    /// The version that ran, `$LATEST` or a number; `None` when nothing ran.
    pub executed_version: Option<String>,
    pub outcome: Outcome,
    /// The last 4 KiB of this invocation's log lines, START to REPORT.
    pub log_tail: Bytes,
}

/// The result of an invocation. The variants from `Throttled` on did not reach the function and use up no retry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The function's response bytes.
    Ok(Bytes),
    /// The function ran and failed; the payload is AWS's error document.
    FunctionError {
        kind: FunctionErrorKind,
        payload: Bytes,
    },
    /// AWS's `Reason` for a 429.
    Throttled {
        reason: &'static str,
    },
    /// The execution role cannot be assumed any more.
    NotPermitted(String),
    /// The function, version or alias does not exist; holds the ARN to name.
    NotFound(String),
    /// Pending, failed or being updated; holds AWS's text.
    NotReady(String),
    ServiceError(String),
}

/// Which way a function failed. All of them are `Unhandled` on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FunctionErrorKind {
    /// The runtime reported an error of the handler.
    Handler,
    TimedOut,
    ResponseTooLarge,
    InitFailed,
    /// The process ended.
    Exited,
}

/// Runs functions.
pub trait Invoke: Send + Sync + Debug {
    /// Runs to the end and returns what happened. Dropping the future does not stop the function.
    fn invoke(&self, invocation: Invocation) -> BoxFuture<'_, InvokeReport>;
}

/// Any implementation of [`Invoke`].
pub type SharedInvoke = Arc<dyn Invoke>;
