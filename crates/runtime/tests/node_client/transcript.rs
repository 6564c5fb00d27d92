//! What one run of a client did, in the form that is stored.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

/// One case through one client.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Transcript {
    /// In the order in which the Runtime API saw them.
    pub(crate) requests: Vec<Request>,
    /// Log events of the console, whole, without their times.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) log: Vec<String>,
    /// What was written to the streams past the console.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) stdout: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) stderr: String,
    /// `waits for an event`, or how the process ended by itself.
    pub(crate) end: String,
}

/// One call of the Runtime API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Request {
    /// Method and path, without the version of the API.
    pub(crate) call: String,
    /// Those that mean something to the Runtime API.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) headers: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) body: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) trailers: BTreeMap<String, String>,
}

/// The lines that only one of two runs has.
pub(crate) fn difference(expected: &Transcript, found: &Transcript) -> String {
    let [expected, found] = [expected, found].map(|run| serde_json::to_string_pretty(run).unwrap());
    let (expected, found): (Vec<_>, Vec<_>) = (expected.lines().collect(), found.lines().collect());
    let start = expected.iter().zip(&found).take_while(|(a, b)| a == b).count();
    let rest = (&expected[start..], &found[start..]);
    let end = rest.0.iter().rev().zip(rest.1.iter().rev()).take_while(|(a, b)| a == b).count();
    let mut text = String::new();
    for (mark, lines) in [("AWS's", &expected), ("ours ", &found)] {
        for line in &lines[start..lines.len() - end] {
            let _ = writeln!(text, "{mark} | {line}");
        }
    }
    text
}
