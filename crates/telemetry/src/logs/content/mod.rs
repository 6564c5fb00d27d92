//! The events of all groups.
//!
//! Each group has a row of append-only segments; only the last one grows. Reads look at the segments whose times can
//! matter and keep what comes first (or last) in order of time, so that a page costs the memory of a page.
//!
//! ```text
//! <folder>/<group id>/<segment number>.log  =  frame, frame, frame, ...
//! ```
//!
//! Nothing is synced on the way: a background task syncs once a second what was written, so a power cut loses at most the
//! last second of log events. A torn end of a segment is cut off in silence: its events were never promised.

mod event;
mod frame;
mod group;
mod query;
mod segment;
mod storage;
mod store;
#[cfg(test)]
mod tests;

pub(crate) use event::{Event, EventKey, NewEvent};
pub(crate) use group::StreamSummary;
pub(crate) use query::{Direction, Query};
pub use storage::Storage;
pub(crate) use store::{AppendError, ContentStore};
