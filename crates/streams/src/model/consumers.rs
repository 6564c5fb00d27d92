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
    /// The resource policy, as it was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) policy: Option<String>,
}

impl StoredConsumer {
    /// What its tags and its policy take at most when they are written: quotes of a policy are escaped.
    fn bytes(&self) -> usize {
        let tags: usize = self.tags.iter().map(|(key, value)| key.len() + value.len()).sum();
        tags + 2 * self.policy.as_ref().map_or(0, String::len)
    }
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
    /// Bytes of all tags and policies together, so that the header stays below what the catalog takes. What AWS allows
    /// only reaches it when many consumers have 50 of the longest tags in a script with long characters.
    const BYTES_MAX: usize = 768 * 1024;

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
        let created = now.seconds().max(self.next_created);
        let consumer = StoredConsumer { state: ConsumerState::Creating, created, tags, policy: None };
        if !self.has_room(consumer.bytes()) {
            return false;
        }
        let previous = self.by_name.insert(name.to_owned(), consumer);
        assert!(previous.is_none(), "the name of a new consumer is free");
        true
    }

    /// Changes the tags or the policy of a consumer that is there. `false`, and nothing happens, when there is no room.
    pub(crate) fn change(&mut self, name: &str, change: impl FnOnce(&mut StoredConsumer)) -> bool {
        let Some(mut consumer) = self.by_name.remove(name) else { return false };
        let before = consumer.clone();
        change(&mut consumer);
        let fits = consumer.bytes() <= before.bytes() || self.has_room(consumer.bytes());
        self.by_name.insert(name.to_owned(), if fits { consumer } else { before });
        fits
    }

    fn has_room(&self, bytes: usize) -> bool {
        self.by_name.values().map(StoredConsumer::bytes).sum::<usize>() + bytes <= Self::BYTES_MAX
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
