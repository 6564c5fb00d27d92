//! The consumers of a stream: a part of its header.
//!
//! They stand in the header rather than under keys of their own because every rule about them spans them all or the
//! stream: how many there may be, how many at once may be CREATING, and that a stream with consumers is not deleted by
//! chance. So each change of them is one compare-and-set, and deleting the stream deletes them. CREATING and DELETING are
//! the intents: whatever stands there is finished by `lifecycle`.

use std::collections::BTreeMap;

use millstream_env::Timestamp;
use serde::{Deserialize, Serialize};

/// The state of a consumer, under AWS's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum ConsumerState {
    Creating,
    Active,
    Deleting,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredConsumer {
    pub(crate) state: ConsumerState,
    /// Seconds since the epoch, as the ARN carries it: with the name it tells this consumer from every other one that the
    /// stream had.
    pub(crate) created: u64,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) tags: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Consumers {
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    by_name: BTreeMap<String, StoredConsumer>,
    /// The first second that no consumer which is gone was created in: a name that is registered again gets another ARN.
    #[serde(default, skip_serializing_if = "is_zero")]
    next_created: u64,
}

impl Consumers {
    /// Bytes of all tags together, so that the header stays below what the catalog takes. The tags that AWS allows only
    /// reach it when 20 consumers have 50 of the longest in a script with long characters.
    const TAG_BYTES_MAX: usize = 768 * 1024;

    /// Nothing is to be stored.
    pub(crate) fn is_empty(&self) -> bool {
        self.by_name.is_empty() && self.next_created == 0
    }

    pub(crate) fn get(&self, name: &str) -> Option<&StoredConsumer> {
        self.by_name.get(name)
    }

    /// In order of name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &StoredConsumer)> {
        self.by_name.iter().map(|(name, consumer)| (name.as_str(), consumer))
    }

    /// In order of name, after a name that need not be there.
    pub(crate) fn after(&self, name: Option<&str>) -> impl Iterator<Item = (&str, &StoredConsumer)> {
        self.iter().filter(move |(found, _)| Some(*found) > name)
    }

    pub(crate) fn count(&self, state: ConsumerState) -> usize {
        self.by_name.values().filter(|consumer| consumer.state == state).count()
    }

    /// Those that exist or are about to.
    pub(crate) fn lasting(&self) -> usize {
        self.by_name.len() - self.count(ConsumerState::Deleting)
    }

    /// `name` must be free. `false`, and nothing happens, when there is no room for the tags.
    pub(crate) fn register(&mut self, name: &str, tags: BTreeMap<String, String>, now: Timestamp) -> bool {
        let bytes =
            |tags: &BTreeMap<String, String>| tags.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>();
        let kept: usize = self.by_name.values().map(|consumer| bytes(&consumer.tags)).sum();
        if kept + bytes(&tags) > Self::TAG_BYTES_MAX {
            return false;
        }
        let created = now.seconds().max(self.next_created);
        let consumer = StoredConsumer { state: ConsumerState::Creating, created, tags };
        let previous = self.by_name.insert(name.to_owned(), consumer);
        assert!(previous.is_none(), "the name of a new consumer is free");
        true
    }

    /// `false` when there is none or it is going already.
    pub(crate) fn begin_deletion(&mut self, name: &str) -> bool {
        let consumer = self.by_name.get_mut(name).filter(|consumer| consumer.state != ConsumerState::Deleting);
        consumer.is_some_and(|consumer| {
            consumer.state = ConsumerState::Deleting;
            true
        })
    }

    pub(crate) fn begin_deletion_of_all(&mut self) {
        self.by_name.values_mut().for_each(|consumer| consumer.state = ConsumerState::Deleting);
    }

    pub(crate) fn are_settled(&self) -> bool {
        self.by_name.values().all(|consumer| consumer.state == ConsumerState::Active)
    }

    /// Finishes what was begun. `false` when there was nothing.
    pub(crate) fn settle(&mut self) -> bool {
        let changes = !self.are_settled();
        let next_created = &mut self.next_created;
        self.by_name.retain(|_, consumer| {
            let stays = consumer.state != ConsumerState::Deleting;
            consumer.state = ConsumerState::Active;
            if !stays {
                *next_created = (*next_created).max(consumer.created + 1);
            }
            stays
        });
        changes
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature is serde's")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}
