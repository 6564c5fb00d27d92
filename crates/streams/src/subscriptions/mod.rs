//! Subscriptions of consumers to shards: records are pushed as soon as the log has them.
//!
//! - `places`: one subscription for each consumer and shard, and how a later one takes over. In memory only: after a
//!   restart every client subscribes again.
//! - `delivery`: how much a consumer may receive from a shard, where AWS's limits are enforced.
//! - `course`: decides what a subscription does next. No I/O.
//! - [`Subscription`]: the driver: reads the log, waits for its wake-up, and does what `course` says.
//!
//! Nothing is read ahead: an event is made when the client's connection asks for the next one. So a slow client holds at
//! most one event, and nobody else up.

mod course;
mod delivery;
mod places;
mod subscription;

pub(crate) use places::{Places, Refused};
pub(crate) use subscription::Beginning;
pub use subscription::{Subscription, SubscriptionEvent};
