//! The built-in SNS: standard topics whose subscribers are queues of the built-in SQS.
//!
//! - [`names`], [`record`]: what a topic is called, what is kept of it. [`store`]: changes by compare-and-set.
//! - [`envelope`]: what a queue gets. [`operations`]: what the operations do.
//!
//! A publication is acknowledged once the message is durable in every queue that takes it. As at AWS, a queue takes it only
//! when its policy lets `sns.amazonaws.com` send to it; a subscription whose queue does not exist, does not let SNS in, or
//! finds the message too long loses the message, and the log says so.
//!
//! Not here: FIFO topics, other protocols, filter policies, signatures: what asks for them is refused.

mod envelope;
mod failure;
mod names;
mod operations;
mod record;
mod store;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use millstream_catalog::{SharedStore, StoreError};
use millstream_env::{Random, ServiceClock};
use millstream_types::Arn;

pub(crate) use failure::Failure;
pub(crate) use names::{TopicKey, is_fifo};
use store::Records;

use crate::sqs::Queues;

/// What the topics work with.
#[derive(Debug)]
pub struct Parts {
    pub catalog: SharedStore,
    pub queues: Queues,
    pub clock: ServiceClock,
    pub random: Random,
    /// Where this server can be reached, for links in notifications that no request asked for.
    pub endpoint: String,
}

/// The topics of all accounts and regions. A cheap handle.
#[derive(Clone, Debug)]
pub struct Topics {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    records: Records,
    queues: Queues,
    clock: ServiceClock,
    random: Random,
    endpoint: String,
}

impl Topics {
    pub fn new(parts: Parts) -> Self {
        let Parts { catalog, queues, clock, random, endpoint } = parts;
        Self { shared: Arc::new(Shared { records: Records::new(catalog), queues, clock, random, endpoint }) }
    }

    /// The policy of a topic; `None` when there is none. What cannot be read might refuse: then nobody may be let in.
    pub async fn policy(&self, arn: &Arn) -> Result<Option<String>, StoreError> {
        let Some(key) = TopicKey::from_arn(arn) else { return Ok(None) };
        let found = self.shared.records.get(&key).await.map_err(|failure| StoreError::Unavailable(failure.text()))?;
        Ok(found.and_then(|record| record.settings.policy))
    }
}
