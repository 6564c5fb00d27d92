//! CloudWatch Logs.
//!
//! - `model`: groups and streams as the catalog holds them.
//! - `content`: events in segments: appending, reading in order of time, retention, the cap on all bytes.
//! - `pattern`: filter patterns.
//! - `operations`: one file for each operation or closely related group.
//! - `writer`: the bounded way in for the output of functions.

mod content;
mod errors;
mod model;
mod names;
mod operations;
mod pattern;
mod service;
mod writer;

pub use content::Storage;
pub use service::{Logs, OpenError, Options, Parts};
pub use writer::{LogPermissions, LogTarget, LogWriter};
