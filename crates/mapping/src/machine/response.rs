//! What a function's answer says about its batch (event source mapping reference, sections 7 and 9).

use millstream_functions::Outcome;
use millstream_log::{Position, Record};
use serde::Deserialize;
use serde_json::Value;

use super::progress::WindowState;
use super::settings::Settings;
use crate::event::{EVENT_BYTES_MAX, EventFormat};

/// Largest `state` of a tumbling window. A larger one ends its window early.
pub(super) const WINDOW_STATE_BYTES_MAX: usize = 1_000_000;

/// Largest `state` that an event can bring back to the function, if only to end the window.
const CARRIED_STATE_BYTES_MAX: usize = EVENT_BYTES_MAX - 4096;

/// The answer of an invocation without a function error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) verdict: Verdict,
    /// With a tumbling window.
    pub(super) state: Option<WindowState>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Success,
    /// Everything before this record is processed; it and what follows is not.
    FailedFrom(Position),
    /// The batch as a whole counts as failed.
    Failed,
    /// `state` is missing, or no event could carry it: counts as an error of the function.
    NoState,
}

/// The members that mean something. Values stay as they were written: a state is given back byte by byte.
#[derive(Deserialize)]
struct Body {
    #[serde(default, rename = "batchItemFailures")]
    failures: Value,
    state: Option<WindowState>,
}

impl Body {
    /// `None` for an answer without members: an empty body, a text, a list.
    fn read(payload: &[u8]) -> Option<Self> {
        // A derived reader would take a list for the members in their order.
        let is_object = payload.trim_ascii_start().first() == Some(&b'{');
        if is_object { serde_json::from_slice(payload).ok() } else { None }
    }
}

impl Answer {
    /// Reads `payload`, the function's response to `records`. What the settings do not ask for is not looked at.
    pub(super) fn read(payload: &[u8], records: &[Record], settings: &Settings, format: &EventFormat) -> Self {
        if !settings.partial_failures && settings.tumbling_window.is_none() {
            return Self { verdict: Verdict::Success, state: None };
        }
        let (failures, state) = Body::read(payload).map_or((Value::Null, None), |body| (body.failures, body.state));
        let state = state.filter(|state| state.text().len() <= CARRIED_STATE_BYTES_MAX);
        if settings.tumbling_window.is_some() && state.is_none() {
            return Self { verdict: Verdict::NoState, state };
        }
        let verdict = if settings.partial_failures { partial(&failures, records, format) } else { Verdict::Success };
        Self { verdict, state }
    }
}

fn partial(failures: &Value, records: &[Record], format: &EventFormat) -> Verdict {
    let failures = match failures {
        Value::Null => return Verdict::Success,
        Value::Array(failures) if failures.is_empty() => return Verdict::Success,
        Value::Array(failures) => failures,
        _ => return Verdict::Failed,
    };
    let mut first: Option<Position> = None;
    for failure in failures {
        let Some(position) = position_of(failure, records, format) else { return Verdict::Failed };
        first = Some(first.map_or(position, |first| first.min(position)));
    }
    first.map_or(Verdict::Success, Verdict::FailedFrom)
}

/// The record that a failure names; `None` for anything but a sequence number of the batch.
fn position_of(failure: &Value, records: &[Record], format: &EventFormat) -> Option<Position> {
    let number = failure.get("itemIdentifier")?.as_str()?;
    let position = format.shard().position_of(number)?;
    let at = records.binary_search_by_key(&position, |record| record.position).ok()?;
    (format.shard().sequence_number(&records[at]).to_string() == number).then_some(position)
}

/// Whether an invocation with `records` succeeded with all of them.
pub(crate) fn is_success(outcome: &Outcome, records: &[Record], partial_failures: bool, format: &EventFormat) -> bool {
    let Outcome::Ok(payload) = outcome else { return false };
    let failures = Body::read(payload).map_or(Value::Null, |body| body.failures);
    !partial_failures || partial(&failures, records, format) == Verdict::Success
}
