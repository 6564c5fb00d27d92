//! The scripted function: fine, failing, slow, throttled, crashing, reporting failures well or badly.

use bytes::Bytes;
use millstream_env::Random;
use millstream_functions::{FunctionErrorKind, Outcome};
use millstream_log::Position;
use serde_json::{Value, json};

use super::ledger::Failure;
use crate::event::ShardIdentity;
use crate::machine::{Batch, Settings};

/// What the function does with an invocation.
#[derive(Clone, Debug)]
pub(super) struct Behaviour {
    pub(super) after_ms: u64,
    pub(super) outcome: Outcome,
    /// What that means; `None` when the function was not reached.
    pub(super) meaning: Option<Result<(), Failure>>,
}

/// Decides. `poison` are the records that always fail; `chaos` lets good ones fail too.
pub(super) fn behave(
    random: &Random,
    settings: &Settings,
    shard: ShardIdentity,
    batch: &Batch,
    poison: &[Position],
    chaos: bool,
) -> Behaviour {
    let below = |bound: u32| u64::from(random.below(bound));
    let failure = |kind| Outcome::FunctionError { kind, payload: Bytes::new() };
    let whole = |after_ms, kind| Behaviour { after_ms, outcome: failure(kind), meaning: Some(Err(Failure::Whole)) };
    let unreached = |after_ms, outcome| Behaviour { after_ms, outcome, meaning: None };
    let answer = Answer { settings, shard, batch };
    if !poison.is_empty() {
        return if settings.partial_failures && random.below(2) == 0 {
            answer.failing(random, 5, poison)
        } else {
            whole(5, FunctionErrorKind::Handler)
        };
    }
    if !chaos {
        return answer.fine(5);
    }
    match random.below(100) {
        0..62 => answer.fine(below(200)),
        62..70 if settings.partial_failures && !batch.records().is_empty() => {
            let index = random.below(u32::try_from(batch.records().len()).expect("small batches")) as usize;
            answer.failing(random, below(100), &[batch.records()[index].position])
        }
        70..73 if settings.partial_failures || settings.tumbling_window.is_some() => answer.malformed(random),
        62..78 => whole(below(100), FunctionErrorKind::Handler),
        78..82 => answer.fine(1000 + below(59_000)),
        82..84 => whole(3000, FunctionErrorKind::TimedOut),
        84..86 => whole(below(100), FunctionErrorKind::Exited),
        86..91 => unreached(0, Outcome::Throttled { reason: "ReservedFunctionConcurrentInvocationLimitExceeded" }),
        91..94 => unreached(0, Outcome::NotReady("pending".to_owned())),
        94..96 => unreached(0, Outcome::NotFound("arn".to_owned())),
        96..97 => unreached(0, Outcome::NotPermitted("role".to_owned())),
        _ => unreached(10, Outcome::ServiceError("injected".to_owned())),
    }
}

struct Answer<'a> {
    settings: &'a Settings,
    shard: ShardIdentity,
    batch: &'a Batch,
}

impl Answer<'_> {
    fn fine(&self, after_ms: u64) -> Behaviour {
        let mut body = json!({});
        self.add_state(&mut body, None);
        Behaviour { after_ms, outcome: Outcome::Ok(text(&body)), meaning: Some(Ok(())) }
    }

    /// Reports `failed`, perhaps with others behind it, in any order.
    fn failing(&self, random: &Random, after_ms: u64, failed: &[Position]) -> Behaviour {
        let first = *failed.iter().min().expect("something failed");
        let number =
            |record: &millstream_log::Record| json!({"itemIdentifier": self.shard.sequence_number(record).to_string()});
        let also = |position: Position| failed.contains(&position) || (position > first && random.below(3) == 0);
        let mut items: Vec<Value> =
            self.batch.records().iter().filter(|r| r.position == first || also(r.position)).map(number).collect();
        if random.below(2) == 0 {
            items.reverse();
        }
        let mut body = json!({ "batchItemFailures": items });
        self.add_state(&mut body, Some(first));
        let is_whole = self.batch.first() == Some(first);
        let failure = if is_whole { Failure::WholeNamed } else { Failure::From(first) };
        Behaviour { after_ms, outcome: Outcome::Ok(text(&body)), meaning: Some(Err(failure)) }
    }

    /// Something that counts as a failure of the whole batch.
    fn malformed(&self, random: &Random) -> Behaviour {
        let bad = [
            json!({"itemIdentifier": ""}),
            json!({"itemIdentifier": null}),
            json!({"foo": 1}),
            json!({"itemIdentifier": 123}),
            json!("x"),
        ];
        let mut body = if self.settings.partial_failures {
            json!({ "batchItemFailures": [bad[random.below(5) as usize]] })
        } else {
            json!("no state")
        };
        if self.settings.partial_failures && random.below(2) == 0 {
            self.add_state(&mut body, None);
        }
        Behaviour { after_ms: 5, outcome: Outcome::Ok(text(&body)), meaning: Some(Err(Failure::Whole)) }
    }

    /// The function's state is the list of the positions it has seen in the window.
    fn add_state(&self, body: &mut Value, failed_from: Option<Position>) {
        if self.settings.tumbling_window.is_none() {
            return;
        }
        let event: Value = serde_json::from_slice(self.batch.event()).expect("events are JSON");
        let mut seen = event["state"]["seen"].as_array().cloned().unwrap_or_default();
        let done = self.batch.records().iter().filter(|r| failed_from.is_none_or(|failed| r.position < failed));
        seen.extend(done.map(|record| json!(record.position.0)));
        body["state"] = json!({ "seen": seen });
    }
}

fn text(value: &Value) -> Bytes {
    serde_json::to_vec(value).expect("written to memory").into()
}
