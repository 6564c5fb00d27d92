//! `docs/batch-states.md` is written from the table of transitions.

use std::fmt::Write;
use std::path::PathBuf;

use super::table::{Cause, LaneState, TRANSITIONS};

const INTRODUCTION: &str = "\
# The states of a batch

<!-- Written from crates/mapping/src/machine/table.rs. Do not edit it here: change the table and run
     MILLSTREAM_GOLDEN=rewrite cargo test -p millstream-mapping --lib machine::tests::document -->

An event source mapping works on each shard in lanes: one, or as many as `ParallelizationFactor` says. A record's partition
key decides which lane takes it. A lane has one batch in hand at a time, so the records of a key are processed in order; the
lanes of a shard do not wait for each other, and the shards of a stream do not either, except that a child waits until all
lanes of its parents are done.

What a lane does with its batch is one of the states below. Nothing else can happen: a lane refuses every transition that is
not in the table while tests run, and the simulation has to go through each of them. Whatever has an effect that a crash must
not undo (a failure that counts, a batch that was given up) passes through `Settling`, where it is made durable before anything
follows from it. After a restart a lane begins in `Idle`, with the failed batches of its former life as they were.

`millstream mappings show` and the console use these names.
";

const STATES: [LaneState; 6] = [
    LaneState::Idle,
    LaneState::Invoking,
    LaneState::Settling,
    LaneState::Waiting,
    LaneState::Discarding,
    LaneState::Deferred,
];

/// No further state can be added without a word here.
const fn meaning(state: LaneState) -> &'static str {
    match state {
        LaneState::Idle => "No batch is in hand, or the next one has not begun.",
        LaneState::Invoking => "The function has the batch.",
        LaneState::Settling => "What happened is being made durable.",
        LaneState::Waiting => "The batch waits to be tried again.",
        LaneState::Discarding => {
            "The batch was given up and is on its way to the list of failed batches and to the destination."
        }
        LaneState::Deferred => "That did not work and is tried again later.",
    }
}

fn document() -> String {
    let mut text = format!("{INTRODUCTION}\n## States\n\n| State | Meaning |\n|---|---|\n");
    for state in STATES {
        let _ = writeln!(text, "| `{state:?}` | {} |", meaning(state));
    }
    text.push_str("\n## Transitions\n\n| From | Cause | To | When |\n|---|---|---|---|\n");
    for row in TRANSITIONS {
        let _ = writeln!(text, "| `{:?}` | {} | `{:?}` | {} |", row.from, words(row.cause), row.to, row.meaning);
    }
    text.push_str("\n## Diagram\n\n```mermaid\nstateDiagram-v2\n    [*] --> Idle\n");
    for row in TRANSITIONS {
        let _ = writeln!(text, "    {:?} --> {:?}: {}", row.from, row.to, words(row.cause));
    }
    text.push_str("```\n");
    text
}

/// `BackOffOver` as "back off over".
fn words(cause: Cause) -> String {
    let mut text = String::new();
    for letter in format!("{cause:?}").chars() {
        if letter.is_uppercase() && !text.is_empty() {
            text.push(' ');
        }
        text.extend(letter.to_lowercase());
    }
    text
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the document is a file of this repository")]
fn the_document_of_the_states_is_that_of_the_table() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/batch-states.md");
    let wanted = document();
    if std::env::var_os("MILLSTREAM_GOLDEN").is_some_and(|value| value == "rewrite") {
        std::fs::write(&path, &wanted).expect("the folder of the documents can be written");
        return;
    }
    let present = std::fs::read_to_string(&path).unwrap_or_default();
    let lines = present.lines().zip(wanted.lines()).enumerate();
    for (line, (present, wanted)) in lines {
        assert_eq!(present, wanted, "docs/batch-states.md, line {}; its head says how it is written", line + 1);
    }
    assert_eq!(present.len(), wanted.len(), "docs/batch-states.md has more or fewer lines");
}

#[test]
fn every_state_can_be_reached_and_left() {
    for state in STATES {
        assert!(TRANSITIONS.iter().any(|row| row.to == state), "{state:?} is never reached");
        assert!(TRANSITIONS.iter().any(|row| row.from == state && row.to != state), "{state:?} is never left");
    }
}

#[test]
fn a_cause_leads_to_one_state_only() {
    for (index, row) in TRANSITIONS.iter().enumerate() {
        let same = TRANSITIONS[index + 1..].iter().any(|other| (other.from, other.cause) == (row.from, row.cause));
        assert!(!same, "{:?} {:?} is there twice", row.from, row.cause);
    }
}
