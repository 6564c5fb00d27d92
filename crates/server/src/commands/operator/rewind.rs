//! `millstream mappings rewind`: sets positions, and waits until that is done.

use std::str::FromStr;
use std::time::Duration;

use anyhow::bail;
use serde_json::{Value, json};

use super::confirm;
use super::own::{Own, number, text};
use super::paint::count;
use crate::commands::bench::report::{progress, progress_done};
use crate::config::Moment;

const PAUSE: Duration = Duration::from_millis(100);

/// Where to go on from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Horizon,
    Latest,
    /// Milliseconds since the epoch.
    Time(u64),
    SequenceNumber(String),
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "horizon" => Ok(Self::Horizon),
            "latest" => Ok(Self::Latest),
            // A year has four digits, a sequence number 56.
            _ if text.len() > 20 && text.bytes().all(|byte| byte.is_ascii_digit()) => {
                Ok(Self::SequenceNumber(text.to_owned()))
            }
            _ => text.parse().map(|Moment(moment)| Self::Time(moment.millis())).map_err(|_| {
                format!(
                    "{text:?} is none of: horizon, latest, a moment such as 2026-01-31T08:00:00Z, a sequence number"
                )
            }),
        }
    }
}

/// Asks, rewinds and waits. `None`: the person said no.
pub(super) async fn rewind(
    own: &Own,
    uuid: &str,
    target: &Target,
    shards: &[String],
    yes: bool,
    timeout: u32,
) -> anyhow::Result<Option<(Value, String)>> {
    if matches!(target, Target::SequenceNumber(_)) && shards.len() != 1 {
        bail!("a sequence number lies in one shard: name it with --shard");
    }
    if !confirm(&question(uuid, target, shards), yes)? {
        return Ok(None);
    }
    own.call("RewindMapping", &input(uuid, target, shards)).await?;
    let done = own.clock.timeout(Duration::from_secs(timeout.into()), wait(own, uuid)).await;
    progress_done();
    let Some(described) = done else {
        bail!(
            "the rewind of {uuid} is asked for, and not done after {timeout} s; it goes on by itself. \
             See: millstream mappings show {uuid}"
        );
    };
    let described = described?;
    let shards = described["Shards"].as_array().map_or(0, Vec::len) as u64;
    let records: u64 = described["Shards"].as_array().into_iter().flatten().map(|s| number(s, "LagRecords")).sum();
    let mut words =
        format!("rewound: {} to go in {}\n", count(records, "record", "records"), count(shards, "shard", "shards"));
    if described["Paused"] == true {
        words.extend(["The mapping is paused; it goes on with: millstream mappings resume ", uuid, "\n"]);
    } else if text(&described, "State") != "Enabled" {
        words.extend(["The mapping is ", &text(&described, "State").to_lowercase(), ".\n"]);
    }
    Ok(Some((described, words)))
}

/// Until no rewind is under way.
async fn wait(own: &Own, uuid: &str) -> anyhow::Result<Value> {
    let started = own.clock.monotonic();
    loop {
        let described = own.call("DescribeMapping", &json!({ "UUID": uuid, "MaxResults": 1 })).await?;
        if described["Rewinding"] == false {
            return own.mapping(uuid).await;
        }
        let waited = own.clock.monotonic().saturating_sub(started).as_secs();
        if std::io::IsTerminal::is_terminal(&std::io::stderr()) {
            progress(&format!("rewinding: what runs is waited for ({waited} s)"));
        }
        own.clock.sleep(PAUSE).await;
    }
}

fn question(uuid: &str, target: &Target, shards: &[String]) -> String {
    let of = if shards.is_empty() { "all shards".to_owned() } else { shards.join(", ") };
    let what = match target {
        Target::Horizon => "All records that the stream still has are delivered again".to_owned(),
        Target::Latest => "Records that are not processed yet are passed over and never delivered".to_owned(),
        Target::Time(millis) => format!(
            "Records from {} on are delivered again; older ones that are not processed yet are passed over",
            super::own::moment(*millis)
        ),
        Target::SequenceNumber(number) => format!(
            "Records from {number} on are delivered again; earlier ones that are not processed yet are passed over"
        ),
    };
    format!("{what}, in {of} of {uuid}. Go on?")
}

/// A whole number of milliseconds is exact in a JSON number for longer than anybody lives.
#[expect(clippy::cast_precision_loss, reason = "exact below 2^53")]
fn input(uuid: &str, target: &Target, shards: &[String]) -> Value {
    let mut input = json!({ "UUID": uuid });
    match target {
        Target::Horizon => input["TrimHorizon"] = true.into(),
        Target::Latest => input["Latest"] = true.into(),
        Target::Time(millis) => input["Timestamp"] = (*millis as f64 / 1000.0).into(),
        Target::SequenceNumber(number) => input["SequenceNumber"] = number.as_str().into(),
    }
    if !shards.is_empty() {
        input["ShardIds"] = shards.into();
    }
    input
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_words_moments_or_sequence_numbers() {
        let number = "49590338271490256608559692538361571095921575989136588898";
        for (text, expected) in [
            ("horizon", Target::Horizon),
            ("latest", Target::Latest),
            ("2025-12-31T08:00:00.25Z", Target::Time(1_767_168_000_250)),
            (number, Target::SequenceNumber(number.to_owned())),
        ] {
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
        for text in ["", "LATEST", "2025", "-1", "2025-12-31"] {
            assert!(text.parse::<Target>().is_err(), "{text}");
        }
        let sent = input("u", &Target::Time(1_767_168_000_250), &["shardId-000000000001".to_owned()]);
        let expected = json!({ "UUID": "u", "Timestamp": 1_767_168_000.25, "ShardIds": ["shardId-000000000001"] });
        assert_eq!(sent, expected);
    }
}
