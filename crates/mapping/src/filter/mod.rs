//! The filter patterns of an event source mapping: which records reach the function.
//!
//! The rules are EventBridge's content filtering (event source mapping reference, section 8). A pattern is compiled once
//! and tried against the view of a record that Lambda documents: `data`, `partitionKey`, `sequenceNumber`,
//! `approximateArrivalTimestamp` and `kinesisSchemaVersion`; every other key is absent.
//!
//! - `json`, `scanner`: JSON with its numbers as they are written; the scanner borrows and skips.
//! - `pattern`: what a pattern may say, as alternatives of conditions on paths.
//! - `condition`, `wildcard`, `cidr`, `decimal`: what a single value is asked.
//! - `tree`: all patterns of a mapping as one tree of keys.
//! - `matching`: one pass over a record's data, driven by the tree; what no pattern asks for is skipped.
//!
//! Decisions where the documentation is silent or the services differ:
//!
//! - **All operators of EventBridge's event buses are accepted**, `wildcard`, `cidr` and the nested forms of
//!   `anything-but` included, because Lambda's page says that the rules are EventBridge's, though its own table is
//!   shorter. `pattern::operator` is the one place to narrow this.
//! - **Arrays in the data** match by any of their elements; conditions below one array must hold in the same element.
//!   `{"exists": false}` that stands with a condition below the same array is asked of that element, alone it is asked
//!   of all of them.
//! - **Data nested deeper than [`DATA_DEPTH_MAX`]** counts as not being JSON.
//! - A dot in a key is a character like any other.

mod cidr;
mod condition;
mod decimal;
mod json;
mod matching;
mod pattern;
mod scanner;
#[cfg(test)]
mod tests;
mod tree;
mod wildcard;

use std::fmt::Display;

use millstream_types::Timestamp;
use thiserror::Error;

pub use scanner::DATA_DEPTH_MAX;
use tree::Tree;

/// Longest pattern, in characters (Lambda API model: `Pattern`, 0 to 4096).
pub const PATTERN_CHARACTERS_MAX: usize = 4096;

/// A pattern that cannot be used; AWS answers `Invalid filter pattern definition.` whatever the reason.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("filter {filter}: {reason}")]
pub struct InvalidPattern {
    /// Which of the patterns, counted from 0.
    pub filter: usize,
    pub reason: &'static str,
}

/// What a pattern sees of a record.
#[derive(Clone, Copy)]
pub struct RecordView<'a> {
    pub partition_key: &'a str,
    /// The sequence number, written out only when a pattern asks for it.
    pub sequence_number: &'a dyn Display,
    /// Seconds with up to three decimals to a pattern, as in the event.
    pub arrival: Timestamp,
    /// The bytes the producer put.
    pub data: &'a [u8],
}

impl std::fmt::Debug for RecordView<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RecordView").field("data_bytes", &self.data.len()).finish_non_exhaustive()
    }
}

/// The compiled filters of one mapping.
#[derive(Clone, Debug, Default)]
pub struct Filters {
    /// None: there are no filters.
    tree: Option<Tree>,
}

impl Filters {
    /// Compiles `patterns`. How many a mapping may have is its caller's to check.
    pub fn parse(patterns: &[String]) -> Result<Self, InvalidPattern> {
        if patterns.is_empty() {
            return Ok(Self::default());
        }
        let mut builder = tree::Builder::new();
        for (filter, pattern) in patterns.iter().enumerate() {
            pattern::compile(pattern, &mut builder).map_err(|reason| InvalidPattern { filter, reason })?;
        }
        Ok(Self { tree: Some(builder.finish()) })
    }

    /// Whether there is no filter, so that every record matches.
    pub fn is_empty(&self) -> bool {
        self.tree.is_none()
    }

    /// Whether any filter matches `record`; without filters every record does.
    pub fn matches(&self, record: &RecordView<'_>) -> bool {
        self.tree.as_ref().is_none_or(|tree| matching::matches(tree, record))
    }
}
