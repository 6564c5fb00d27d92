//! One pass over a record: how far each goal of the tree is reached.
//!
//! The states of goals live on one stack; recursion follows the patterns' own nesting only, which is bounded, never the
//! data's. The data is read to its end even when the outcome is known, because what is not JSON matches nothing.

use std::borrow::Cow;

use millstream_types::Timestamp;

use super::RecordView;
use super::scanner::{NotJson, Scalar, Scanner};
use super::tree::{BY_ABSENCE, BY_VALUE, Child, Goal, Node, Reached, Tree};

/// Version of the record's format, as in the event.
const SCHEMA_VERSION: &str = "1.0";

pub(super) fn matches(tree: &Tree, record: &RecordView<'_>) -> bool {
    let root = &tree.root;
    let mut states = Vec::with_capacity(4 * root.children_absent.len() + 16);
    states.extend_from_slice(&root.children_absent);
    for child in &root.children {
        visit_key(child, record, &mut states);
    }
    tree.branches.iter().any(|branch| match &root.goals[*branch] {
        Goal::Object(parts) => Goal::of_children(parts, &states) != 0,
        Goal::Leaf(_) => unreachable!("a pattern is an object"),
    })
}

fn visit_key(child: &Child, record: &RecordView<'_>, states: &mut Vec<Reached>) {
    let text = |text: Cow<'_, str>, states: &mut Vec<Reached>| {
        reach_scalar(&child.node, &Scalar::String(text), &mut states[child.goals_start..]);
    };
    match &*child.key {
        "partitionKey" => text(record.partition_key.into(), states),
        "sequenceNumber" => text(record.sequence_number.to_string().into(), states),
        "kinesisSchemaVersion" => text(SCHEMA_VERSION.into(), states),
        "approximateArrivalTimestamp" => {
            let seconds = arrival(record.arrival);
            reach_scalar(&child.node, &Scalar::Number(&seconds), &mut states[child.goals_start..]);
        }
        "data" => {
            let length = states.len();
            if visit_data(child, record.data, states).is_err() {
                // Not even by absence: a record that is not JSON is filtered out by every pattern with `data`.
                states.truncate(length);
                states[child.goals_start..child.goals_start + child.node.goals.len()].fill(0);
            }
        }
        _ => {}
    }
}

/// Seconds with up to three decimals, without trailing zeros, as in the event.
fn arrival(arrival: Timestamp) -> String {
    let text = format!("{}.{:03}", arrival.seconds(), arrival.millis() % 1000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn visit_data(child: &Child, data: &[u8], states: &mut Vec<Reached>) -> Result<(), NotJson> {
    let text = std::str::from_utf8(data).map_err(|_| NotJson)?;
    let mut pass = Pass { scanner: Scanner::new(text), states };
    pass.value(&child.node, child.goals_start)?;
    pass.scanner.end()
}

/// What is known of a scalar in the place of `node`, written to `states`.
fn reach_scalar(node: &Node, value: &Scalar<'_>, states: &mut [Reached]) {
    for ((goal, absent), state) in node.goals.iter().zip(&node.absent).zip(states) {
        *state = match goal {
            Goal::Leaf(condition) => {
                if condition.matches(value) {
                    BY_VALUE
                } else {
                    0
                }
            }
            Goal::Object(_) => *absent,
        };
    }
}

struct Pass<'a, 's> {
    scanner: Scanner<'a>,
    states: &'s mut Vec<Reached>,
}

impl Pass<'_, '_> {
    /// Reads one value in the place of `node`; the states of its goals are at `out`.
    fn value(&mut self, node: &Node, out: usize) -> Result<(), NotJson> {
        if self.scanner.peek()? == b'[' { self.array(node, out) } else { self.single(node, out) }
    }

    /// An array, and arrays directly in it, count as their elements: a goal is reached by value in any of them, by
    /// absence in all.
    fn array(&mut self, node: &Node, out: usize) -> Result<(), NotJson> {
        self.states[out..out + node.goals.len()].copy_from_slice(&node.absent);
        let mut nested = 0_usize;
        loop {
            let entered = if self.scanner.peek()? == b'[' {
                self.scanner.enter(b'[')?
            } else {
                self.element(node, out)?;
                false
            };
            if entered {
                nested += 1;
                continue;
            }
            loop {
                if nested == 0 {
                    return Ok(());
                }
                if self.scanner.more(b'[')? {
                    break;
                }
                nested -= 1;
            }
        }
    }

    fn element(&mut self, node: &Node, out: usize) -> Result<(), NotJson> {
        let top = self.states.len();
        self.states.extend_from_slice(&node.absent);
        self.single(node, top)?;
        for goal in 0..node.goals.len() {
            let (all, one) = (self.states[out + goal], self.states[top + goal]);
            self.states[out + goal] = ((all | one) & BY_VALUE) | (all & one & BY_ABSENCE);
        }
        self.states.truncate(top);
        Ok(())
    }

    /// Anything but an array.
    fn single(&mut self, node: &Node, out: usize) -> Result<(), NotJson> {
        if self.scanner.peek()? == b'{' {
            return self.object(node, out);
        }
        if node.has_leaf_goals {
            let value = self.scanner.scalar()?;
            reach_scalar(node, &value, &mut self.states[out..]);
            return Ok(());
        }
        self.states[out..out + node.goals.len()].copy_from_slice(&node.absent);
        self.scanner.skip_value()
    }

    fn object(&mut self, node: &Node, out: usize) -> Result<(), NotJson> {
        self.states[out..out + node.goals.len()].copy_from_slice(&node.absent);
        if node.children.is_empty() {
            return self.scanner.skip_value();
        }
        let top = self.states.len();
        self.states.extend_from_slice(&node.children_absent);
        let mut more = self.scanner.enter(b'{')?;
        while more {
            let key = self.scanner.key()?.decode();
            match node.child(&key) {
                Some(child) => self.value(&child.node, top + child.goals_start)?,
                None => self.scanner.skip_value()?,
            }
            more = self.scanner.more(b'{')?;
        }
        for (index, goal) in node.goals.iter().enumerate() {
            if let Goal::Object(parts) = goal {
                self.states[out + index] = Goal::of_children(parts, &self.states[top..]);
            }
        }
        self.states.truncate(top);
        Ok(())
    }
}
