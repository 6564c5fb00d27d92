//! Enhanced fan-out: the consumers of a stream, each of which reads every shard as if it were alone.
//!
//! - [`ConsumerArn`], [`ConsumerTarget`]: how consumers are named.
//! - `texts`: what is said about them where AWS's own words are not known.
//!
//! They are stored in the stream's header (`model`); their operations are in `operations::consumers`, what they receive in
//! `subscriptions`.

mod arn;
mod target;
pub(crate) mod texts;

use millstream_catalog::{Expect, StoreError};

use crate::errors::Internal;
use crate::names::StreamName;
use crate::registry::Stored;
use crate::service::Streams;

pub use arn::ConsumerArn;
pub use target::ConsumerTarget;
pub(crate) use target::Resource;

/// Consumers of one stream, and of one in an account that has committed to a minimum throughput (Kinesis model).
pub(crate) const CONSUMERS_MAX: usize = 20;
pub(crate) const CONSUMERS_COMMITTED_MAX: usize = 50;
/// Consumers of one stream that can be CREATING at the same time (Kinesis model).
pub(crate) const CONSUMERS_CREATING_MAX: usize = 5;

impl Streams {
    /// Finishes the registrations and deregistrations that stand in a header. `true` when something was to be done.
    pub(crate) async fn settle_consumers(&self, name: &StreamName, stored: Stored) -> Result<bool, Internal> {
        let Stored { revision, mut header } = stored;
        if !header.consumers.settle() {
            return Ok(false);
        }
        match self.inner.registry.put(name, Expect::Revision(revision), &header).await {
            Ok(_) | Err(StoreError::Conflict) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }
}
