//! What a function prints, and the lines that Lambda adds to it.
//!
//! - [`lines`]: START, END, REPORT and the name of the log stream.
//! - [`splitter`]: bytes into events.
//! - [`capture`]: the pipe of one environment, read always, with a bounded tail for the caller.

pub(crate) mod capture;
pub(crate) mod lines;
pub(crate) mod splitter;
