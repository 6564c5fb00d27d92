//! The error documents that Lambda itself writes, in the forms recorded from AWS.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use millstream_types::limits::INVOKE_RESPONSE_BYTES_MAX;
use serde::Serialize;

use crate::machine::{Ending, ExitCause};
use crate::spec::{FailureKind, Outcome};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TypeFirst<'a> {
    error_type: &'a str,
    error_message: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MessageFirst<'a> {
    error_message: &'a str,
    error_type: &'a str,
}

/// What the caller of an invocation gets for its ending.
pub(crate) fn outcome(ending: &Ending, request_id: &str, timeout: Duration) -> Outcome {
    let failed = |kind, payload| Outcome::FunctionError { kind, payload };
    match ending {
        Ending::Response(bytes) => Outcome::Ok(bytes.clone()),
        Ending::HandlerError(report) => failed(FailureKind::Handler, report.body.clone()),
        Ending::InitError(report) => failed(FailureKind::InitFailed, report.body.clone()),
        Ending::ResponseTooLarge => {
            let text = format!(
                "Response payload size exceeded maximum allowed payload size ({INVOKE_RESPONSE_BYTES_MAX} bytes)."
            );
            let document = MessageFirst { error_message: &text, error_type: error_type(ending) };
            failed(FailureKind::ResponseTooLarge, json(&document))
        }
        Ending::ResponseTruncated => {
            failed(FailureKind::Handler, lambda_error(ending, request_id, "Response truncated"))
        }
        Ending::TimedOut | Ending::InitTimedOut => {
            failed(FailureKind::TimedOut, lambda_error(ending, request_id, &timeout_text(timeout)))
        }
        Ending::Exited(ExitCause::Sandbox(reason)) => Outcome::Unavailable(reason.clone()),
        Ending::Exited(ExitCause::NotPermitted(reason)) => Outcome::NotPermitted(reason.clone()),
        Ending::Exited(cause) => failed(FailureKind::Exited, lambda_error(ending, request_id, &cause.to_string())),
        Ending::Stopped => Outcome::Unavailable("the server is stopping".to_owned()),
    }
}

/// `Task timed out after 3.00 seconds`: the configured timeout, not the elapsed time.
pub(crate) fn timeout_text(timeout: Duration) -> String {
    format!("Task timed out after {:.2} seconds", timeout.as_secs_f64())
}

/// AWS's name for what went wrong, as log lines and error documents carry it.
pub(crate) fn error_type(ending: &Ending) -> &str {
    match ending {
        Ending::Response(_) => "",
        Ending::HandlerError(report) | Ending::InitError(report) => &report.error_type,
        Ending::ResponseTooLarge => "Function.ResponseSizeTooLarge",
        Ending::ResponseTruncated => "Runtime.TruncatedResponse",
        Ending::TimedOut | Ending::InitTimedOut => "Sandbox.Timedout",
        Ending::Exited(ExitCause::InvalidEntrypoint(_)) => "Runtime.InvalidEntrypoint",
        Ending::Exited(_) => "Runtime.ExitError",
        Ending::Stopped => "Sandbox.Failure",
    }
}

impl fmt::Display for ExitCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(0) => f.write_str("Runtime exited without providing a reason"),
            Self::Code(code) => write!(f, "Runtime exited with error: exit status {code}"),
            Self::Signal(number) => write!(f, "Runtime exited with error: signal: {}", signal_name(*number)),
            Self::InvalidEntrypoint(text) | Self::Sandbox(text) | Self::NotPermitted(text) => f.write_str(text),
        }
    }
}

/// The words of Go's `os` package, in which Lambda's messages are written.
fn signal_name(number: i32) -> String {
    let name = match number {
        1 => "hangup",
        2 => "interrupt",
        3 => "quit",
        4 => "illegal instruction",
        5 => "trace/breakpoint trap",
        6 => "aborted",
        7 => "bus error",
        8 => "floating point exception",
        9 => "killed",
        11 => "segmentation fault",
        13 => "broken pipe",
        14 => "alarm clock",
        15 => "terminated",
        other => return format!("signal {other}"),
    };
    name.to_owned()
}

fn lambda_error(ending: &Ending, request_id: &str, text: &str) -> Bytes {
    let text = format!("RequestId: {request_id} Error: {text}");
    json(&TypeFirst { error_type: error_type(ending), error_message: &text })
}

fn json(document: &impl Serialize) -> Bytes {
    serde_json::to_vec(document).expect("two strings always serialise").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(ending: &Ending, expected: &str) {
        match outcome(ending, "id", Duration::from_secs(3)) {
            Outcome::FunctionError { payload, .. } => assert_eq!(payload, expected.as_bytes()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn lambda_errors_have_the_recorded_form() {
        check(
            &Ending::TimedOut,
            r#"{"errorType":"Sandbox.Timedout","errorMessage":"RequestId: id Error: Task timed out after 3.00 seconds"}"#,
        );
        check(
            &Ending::Exited(ExitCause::Code(0)),
            r#"{"errorType":"Runtime.ExitError","errorMessage":"RequestId: id Error: Runtime exited without providing a reason"}"#,
        );
        check(
            &Ending::Exited(ExitCause::Code(127)),
            r#"{"errorType":"Runtime.ExitError","errorMessage":"RequestId: id Error: Runtime exited with error: exit status 127"}"#,
        );
        check(
            &Ending::Exited(ExitCause::Signal(9)),
            r#"{"errorType":"Runtime.ExitError","errorMessage":"RequestId: id Error: Runtime exited with error: signal: killed"}"#,
        );
        check(
            &Ending::ResponseTooLarge,
            r#"{"errorMessage":"Response payload size exceeded maximum allowed payload size (6291556 bytes).","errorType":"Function.ResponseSizeTooLarge"}"#,
        );
    }
}
