//! `millstream clock`: shows and moves the clock of a server, over Millstream's own service.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use anyhow::bail;
use clap::{Args, Subcommand};
use millstream_env::{HostClock, Timestamp};
use serde_json::{Value, json};

use super::print;
use super::streams::connection::Connection;
use crate::config::Moment;

/// What the answer may take beyond the time that the server was given.
const ANSWER_MARGIN: Duration = Duration::from_secs(10);

/// Show or move the clock of a server, or wait until it has nothing to do.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    millstream serve --ephemeral --clock virtual &\n  \
    millstream clock show\n  \
    millstream clock advance 24h           # through every retry, window and expiry, in order\n  \
    millstream clock advance --until 2026-12-24T18:00:00Z\n  \
    millstream clock drain                 # wait until all records that can be worked on are\n  \
    millstream clock drain --advance --max 6h")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
    /// As one JSON object, as the server answers it
    #[arg(long, global = true)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Tell the time by the server's clock
    Show,
    /// Move a virtual clock forward, through every timer in order
    Advance {
        /// How far: 250ms, 90s, 5m, 24h, 7d, or several such as 1h30m
        #[arg(required_unless_present = "until", conflicts_with = "until")]
        by: Option<Span>,
        /// To which moment
        #[arg(long, value_name = "TIMESTAMP")]
        until: Option<Moment>,
        /// How long it may take, in real time
        #[arg(long, value_name = "SECONDS", default_value_t = 30)]
        timeout: u32,
    },
    /// Wait until everything is at rest: no request, no invocation, no records that could be worked on
    Drain {
        /// Move a virtual clock to what mappings and asynchronous invocations wait for, until none waits
        #[arg(long)]
        advance: bool,
        /// How far the clock may be moved [default: 24h]
        #[arg(long, value_name = "DURATION", requires = "advance")]
        max: Option<Span>,
        /// How long it may take, in real time
        #[arg(long, value_name = "SECONDS", default_value_t = 30)]
        timeout: u32,
    },
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let (operation, input, timeout) = call(&arguments.action)?;
    let client = arguments.connection.client(&HostClock::real())?;
    let client = client.with_timeout(Duration::from_secs(timeout.into()) + ANSWER_MARGIN);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let answer = runtime.block_on(client.json("millstream", &format!("Millstream.{operation}"), &input))?;
    print(&if arguments.json { serde_json::to_string_pretty(&answer)? + "\n" } else { text(&answer)? })?;
    Ok(if is_done(&answer) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The operation, its input, and how long it may take in seconds.
fn call(action: &Action) -> anyhow::Result<(&'static str, Value, u32)> {
    Ok(match action {
        Action::Show => ("GetClock", json!({}), 1),
        Action::Advance { by: Some(Span(by)), timeout, .. } => {
            ("AdvanceClock", json!({ "Milliseconds": by.as_millis(), "TimeoutSeconds": timeout }), *timeout)
        }
        Action::Advance { until: Some(until), timeout, .. } => {
            ("AdvanceClock", json!({ "Until": seconds(until.0), "TimeoutSeconds": timeout }), *timeout)
        }
        Action::Advance { .. } => bail!("say how far, or --until when"),
        Action::Drain { advance, max, timeout } => {
            let mut input = json!({ "AdvanceClock": advance, "TimeoutSeconds": timeout });
            if let Some(Span(max)) = max {
                if max.subsec_nanos() > 0 {
                    bail!("--max takes whole seconds");
                }
                input["MaximumAdvanceSeconds"] = max.as_secs().into();
            }
            ("Drain", input, *timeout)
        }
    })
}

/// A whole number of milliseconds is exact in a JSON number for longer than anybody lives.
#[expect(clippy::cast_precision_loss, reason = "exact below 2^53")]
fn seconds(moment: Timestamp) -> f64 {
    moment.millis() as f64 / 1000.0
}

/// Whether the server did all that it was asked for.
fn is_done(answer: &Value) -> bool {
    answer["Reached"] != false && answer["Drained"] != false
}

fn text(answer: &Value) -> anyhow::Result<String> {
    let mut text = String::new();
    let mode = answer["Mode"].as_str().map_or(String::new(), |mode| format!(" ({mode})"));
    writeln!(text, "{}{mode}", moment(&answer["Now"]))?;
    if answer["NextTimer"].is_number() {
        writeln!(text, "next timer: {}", moment(&answer["NextTimer"]))?;
    }
    if let Some(fired) = answer["TimersFired"].as_u64() {
        writeln!(text, "timers fired: {fired}")?;
    }
    if !is_done(answer) {
        writeln!(text, "not done within the limits")?;
    }
    for activity in answer["Activities"].as_array().into_iter().flatten() {
        let part = |name: &str| activity[name].as_str().unwrap_or_default();
        let kind = format!("{} {}", part("State"), part("Type")).to_lowercase().replace('_', " ");
        let words: Vec<&str> =
            [kind.as_str(), part("Id"), part("ShardId")].into_iter().filter(|w| !w.is_empty()).collect();
        let until =
            if activity["Until"].is_number() { format!(", {}", moment(&activity["Until"])) } else { String::new() };
        writeln!(text, "  {}: {}{until}", words.join(" "), part("Reason"))?;
    }
    Ok(text)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a moment after 1970 in milliseconds")]
fn moment(value: &Value) -> String {
    let millis = (value.as_f64().unwrap_or_default() * 1000.0).round() as u64;
    Moment(Timestamp::from_millis(millis)).to_string()
}

/// A length of time: numbers with `ms`, `s`, `m`, `h` or `d`, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span(Duration);

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let span = parse_span(text).filter(|_| !text.is_empty());
        span.map(Self)
            .ok_or_else(|| format!("{text:?} is not a length of time such as 250ms, 90s, 5m, 24h, 7d or 1h30m"))
    }
}

fn parse_span(mut text: &str) -> Option<Duration> {
    let mut sum = Duration::ZERO;
    while !text.is_empty() {
        let digits = text.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = text[..digits].parse().ok()?;
        let rest = &text[digits..];
        let unit = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let millis = match &rest[..unit] {
            "ms" => 1,
            "s" => 1000,
            "m" => 60 * 1000,
            "h" => 60 * 60 * 1000,
            "d" => 24 * 60 * 60 * 1000,
            _ => return None,
        };
        sum = sum.checked_add(Duration::from_millis(number.checked_mul(millis)?))?;
        text = &rest[unit..];
    }
    Some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_units() {
        for (text, millis) in [("250ms", 250), ("90s", 90_000), ("1h30m", 5_400_000), ("7d", 604_800_000), ("0s", 0)] {
            assert_eq!(text.parse::<Span>(), Ok(Span(Duration::from_millis(millis))), "{text}");
        }
        for text in ["", "5", "h", "-1s", "1.5h", "1w", "99999999999999999999d", "18446744073709551615d"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_drain_moves_the_clock_by_whole_seconds_at_most() {
        let drain = |max: &str| Action::Drain { advance: true, max: Some(max.parse().unwrap()), timeout: 30 };
        let (_, input, _) = call(&drain("1m30s")).unwrap();
        assert_eq!(input["MaximumAdvanceSeconds"], 90);
        for max in ["500ms", "1500ms"] {
            assert!(call(&drain(max)).unwrap_err().to_string().contains("whole seconds"), "{max}");
        }
    }

    #[test]
    fn answers_are_told_in_words() {
        let answer = json!({
            "Now": 1_767_168_000.25, "TimersFired": 3, "Reached": false,
            "Activities": [{
                "Type": "EVENT_SOURCE_MAPPING", "Id": "u-1", "ShardId": "shardId-000000000000", "State": "WAITING",
                "Reason": "a batch that failed is tried again", "Until": 1_767_168_001,
            }],
        });
        let told = "2025-12-31T08:00:00.25Z\ntimers fired: 3\nnot done within the limits\n  waiting event source mapping u-1 \
                    shardId-000000000000: a batch that failed is tried again, 2025-12-31T08:00:01Z\n";
        assert_eq!(text(&answer).unwrap(), told);
    }
}
