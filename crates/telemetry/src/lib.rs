//! What the service tells about itself and its functions. So far: CloudWatch Logs.
//!
//! - [`Logs`]: the CloudWatch Logs operations, one function each, without HTTP.
//! - [`LogWriter`]: takes the output of functions without making them wait, as far as their roles allow it.
//!
//! Names of groups and streams are small values in the catalog; events are in append-only segments, one row of them for
//! each group, either files or memory. Metrics and the history of batches come with later issues.

pub mod logs;
pub mod metrics;

pub use logs::{LogPermissions, LogTarget, LogWriter, Logs, OpenError, Options, Parts, Storage};
pub use metrics::Metrics;
