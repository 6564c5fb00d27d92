//! The lines that Lambda writes itself, in its text format. Each ends with a newline.

use std::time::Duration;

use millstream_env::Timestamp;
use time::OffsetDateTime;
use time::macros::format_description;

/// `2024/03/04/[$LATEST]<32 hex>`; with a log group of the user's choice the function's name stands before the version.
pub(crate) fn stream_name(now: Timestamp, version: &str, function_in_name: Option<&str>, environment: &str) -> String {
    let date = moment(now)
        .format(format_description!("[year]/[month]/[day]"))
        .expect("year, month and day of a representable moment can be printed");
    format!("{date}/{}[{version}]{environment}", function_in_name.unwrap_or_default())
}

/// `2024-03-04T17:22:38.033Z`.
pub(crate) fn iso(now: Timestamp) -> String {
    moment(now)
        .format(format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z"))
        .expect("the parts of a representable moment can be printed")
}

fn moment(now: Timestamp) -> OffsetDateTime {
    let seconds = i64::try_from(now.seconds()).unwrap_or(i64::MAX);
    // Years beyond 9999 do not occur on a host whose clock is right; the epoch is as good as any other wrong date.
    let whole = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    whole + Duration::from_millis(now.millis() % 1000)
}

pub(crate) fn start(request_id: &str, version: &str) -> String {
    format!("START RequestId: {request_id} Version: {version}\n")
}

pub(crate) fn end(request_id: &str) -> String {
    format!("END RequestId: {request_id}\n")
}

/// What a REPORT line tells.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Report<'a> {
    pub(crate) request_id: &'a str,
    pub(crate) duration: Duration,
    pub(crate) memory_mb: u32,
    pub(crate) memory_used_mb: u64,
    /// Only for the first invocation of an environment.
    pub(crate) init: Option<Duration>,
    pub(crate) status: Status<'a>,
}

/// The end of a REPORT line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status<'a> {
    Success,
    Timeout,
    /// Holds AWS's error type.
    Error(&'a str),
}

impl Status<'_> {
    fn suffix(&self) -> String {
        match self {
            Self::Success => String::new(),
            Self::Timeout => "Status: timeout".to_owned(),
            Self::Error(kind) => format!("Status: error\tError Type: {kind}"),
        }
    }
}

pub(crate) fn report(report: &Report<'_>) -> String {
    let Report { request_id, duration, memory_mb, memory_used_mb, init, status } = report;
    let init = init.map(|init| format!("Init Duration: {:.2} ms\t", millis(init))).unwrap_or_default();
    format!(
        "REPORT RequestId: {request_id}\tDuration: {:.2} ms\tBilled Duration: {:.0} ms\tMemory Size: {memory_mb} MB\tMax \
         Memory Used: {memory_used_mb} MB\t{init}{}\n",
        millis(*duration),
        millis(*duration).ceil(),
        status.suffix(),
    )
}

pub(crate) fn init_report(duration: Duration, status: &Status<'_>) -> String {
    format!("INIT_REPORT Init Duration: {:.2} ms\tPhase: init\t{}\n", millis(duration), status.suffix())
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOMENT: Timestamp = Timestamp::from_millis(1_709_572_958_033);

    #[test]
    fn streams_are_named_as_at_aws() {
        assert_eq!(stream_name(MOMENT, "$LATEST", None, "0f"), "2024/03/04/[$LATEST]0f");
        assert_eq!(stream_name(MOMENT, "7", Some("F"), "0f"), "2024/03/04/F[7]0f");
        assert_eq!(iso(MOMENT), "2024-03-04T17:22:38.033Z");
    }

    #[test]
    fn reports_have_the_recorded_form() {
        let line = Report {
            request_id: "id",
            duration: Duration::from_micros(3010),
            memory_mb: 128,
            memory_used_mb: 36,
            init: Some(Duration::from_micros(110_100)),
            status: Status::Success,
        };
        assert_eq!(
            report(&line),
            "REPORT RequestId: id\tDuration: 3.01 ms\tBilled Duration: 4 ms\tMemory Size: 128 MB\tMax Memory Used: 36 \
             MB\tInit Duration: 110.10 ms\t\n"
        );
        let failed = Report { init: None, status: Status::Error("Runtime.ExitError"), ..line };
        assert!(report(&failed).ends_with("36 MB\tStatus: error\tError Type: Runtime.ExitError\n"));
    }
}
