//! CloudWatch metrics: what Millstream and its users measure, as statistic sets per minute.
//!
//! - [`Metrics`]: the handle: [`Metrics::series`] gives a [`Series`] to record into, the operations read.
//! - `series`: the data of one metric, how long it is kept and in which steps. `distribution`: its percentiles.
//! - [`lambda`]: the names of what functions and mappings are measured by.
//! - `window`: from what is kept to the data points of a period.
//! - `operations`: what the CloudWatch operations do, without HTTP.
//! - `prometheus`: totals since the start of the process.
//!
//! **Everything is in memory**: a restart begins anew, and Prometheus is the durable way ([`Metrics::prometheus`]). The
//! last [`MINUTES_KEPT`] minutes are kept minute by minute, before that five minutes are merged into one, for
//! [`HOURS_KEPT`] hours in all (CloudWatch: 15 and 63 days). There are at most [`SERIES_MAX`] series and
//! [`STEPS_MAX`] steps in all of them; a series without data in that time is dropped. Time is the [`ServiceClock`]'s.
//!
//! [`ServiceClock`]: millstream_env::ServiceClock

mod distribution;
pub mod lambda;
mod operations;
mod prometheus;
mod series;
mod store;
#[cfg(test)]
mod tests;
mod window;

/// What the values of a series count. Data of different units is never put together.
pub use millstream_wire::monitoring::StandardUnit as Unit;
pub use series::{HOURS_KEPT, MINUTES_KEPT, STEPS_MAX, Series, StatisticSet};
pub use store::{Metrics, SERIES_MAX};
