//! What the runtime needs from others: credentials for functions and a place for their log lines.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use millstream_env::{BoxFuture, Timestamp};
use millstream_types::Scope;

/// Gives functions the credentials of their execution role.
pub trait CredentialsIssuer: Send + Sync + Debug {
    /// A session of `role_arn`, bound to the environment and assumed by the Lambda service.
    fn issue<'a>(&'a self, request: IssueRequest<'a>) -> BoxFuture<'a, Result<Credentials, IssueError>>;

    /// Makes every session of the environment worthless. Unknown environments are ignored.
    fn revoke<'a>(&'a self, environment: &'a str) -> BoxFuture<'a, ()>;
}

/// Which session an environment needs.
#[derive(Clone, Copy, Debug)]
pub struct IssueRequest<'a> {
    pub role_arn: &'a str,
    /// As AWS names it: the function's name, or `F@lambda_function` when that has one character.
    pub session_name: &'a str,
    /// The environment's unique id; also the end of its log stream's name.
    pub environment: &'a str,
    pub lifetime: Duration,
}

/// The three values that an AWS SDK takes from its environment.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    pub access_key_id: String,
    pub secret_access_key: String,
    pub session_token: String,
}

impl Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The secret and the token never reach a log line.
        f.debug_struct("Credentials").field("access_key_id", &self.access_key_id).finish_non_exhaustive()
    }
}

/// No session for an environment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IssueError {
    /// The role is gone or does not trust the Lambda service. Trying again helps only after a change of the role.
    #[error("the execution role cannot be assumed: {0}")]
    NotPermitted(String),
    /// Trying again may help.
    #[error("no credentials can be issued now: {0}")]
    Unavailable(String),
}

/// Gives each environment an AWS endpoint of its own, which knows that environment's credentials and no others.
pub trait FunctionEndpoints: Send + Sync + Debug {
    /// Opens the endpoint of an environment: the URL that its function gets as `AWS_ENDPOINT_URL`.
    fn open<'a>(&'a self, environment: &'a str) -> BoxFuture<'a, std::io::Result<String>>;

    /// Closes the endpoint of an environment. One that was never opened is ignored.
    fn close(&self, environment: &str);
}

/// Where an environment's log lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogTarget {
    pub scope: Scope,
    pub group: String,
    /// `YYYY/MM/DD/[<version>]<32 hex>`.
    pub stream: String,
    /// The role whose `logs:*` permissions decide whether lines are kept.
    pub role_arn: String,
}

/// Takes the log lines of functions.
pub trait LogSink: Send + Sync + Debug {
    /// Takes one log event, without waiting. `message` is UTF-8, at most 256 KiB, and keeps its final newline as AWS's
    /// events do. `false` when the sink's bounded queue is full: the caller counts the event as dropped and says so later.
    fn write(&self, target: &Arc<LogTarget>, timestamp: Timestamp, message: Bytes) -> bool;
}
