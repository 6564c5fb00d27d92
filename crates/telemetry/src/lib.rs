//! What the service tells about itself and its functions: CloudWatch Logs and metrics.
//!
//! - [`Logs`]: the CloudWatch Logs operations, one function each, without HTTP.
//! - [`Metrics`]: what is measured, in memory: recorded by series, read by the CloudWatch operations and Prometheus.
//! - [`LogWriter`]: takes the output of functions without making them wait, as far as their roles allow it.
//!
//! Names of groups and streams are small values in the catalog; events are in append-only segments, one row of them for
//! each group, either files or memory. The history of batches comes with a later issue.

pub mod logs;
pub mod metrics;

pub use logs::{LogPermissions, LogTarget, LogWriter, Logs, OpenError, Options, Parts, Storage};
pub use metrics::Metrics;
