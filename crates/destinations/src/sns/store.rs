//! Topics in the catalog.

use millstream_catalog::{Expect, PAGE_ITEMS_MAX, Revision, SharedStore, StoreError};
use millstream_types::Scope;
use millstream_wire::CommonError;

use super::failure::Failure;
use super::names::TopicKey;
use super::record::{FORMAT, TopicRecord, encode, topics_of};

/// How often a change is tried again when others change the same topic.
const ATTEMPTS_MAX: usize = 32;

#[derive(Clone, Debug)]
pub(crate) struct Records {
    catalog: SharedStore,
}

impl Records {
    pub(crate) fn new(catalog: SharedStore) -> Self {
        Self { catalog }
    }

    pub(crate) async fn get(&self, key: &TopicKey) -> Result<Option<TopicRecord>, Failure> {
        Ok(self.read(&key.text()).await?.map(|(_, record)| record))
    }

    /// `false` when there is one of that name.
    pub(crate) async fn create(&self, key: &TopicKey, record: &TopicRecord) -> Result<bool, Failure> {
        match self.catalog.put(&key.text(), Expect::Absent, encode(record)).await {
            Ok(_) => Ok(true),
            Err(StoreError::Conflict) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Changes a topic. `change` may run several times and refuses with an error; `None` when there is no such topic.
    pub(crate) async fn change<T>(
        &self,
        key: &TopicKey,
        mut change: impl FnMut(&mut TopicRecord) -> Result<T, Failure> + Send,
    ) -> Result<Option<T>, Failure> {
        let text = key.text();
        for _ in 0..ATTEMPTS_MAX {
            let Some((revision, before)) = self.read(&text).await? else { return Ok(None) };
            let mut record = before.clone();
            let result = change(&mut record)?;
            if record == before {
                return Ok(Some(result));
            }
            match self.catalog.put(&text, Expect::Revision(revision), encode(&record)).await {
                Ok(_) => return Ok(Some(result)),
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Conflict.into())
    }

    /// Deletes a topic; no error when there is none.
    pub(crate) async fn delete(&self, key: &TopicKey) -> Result<(), Failure> {
        let text = key.text();
        for _ in 0..ATTEMPTS_MAX {
            let Some(found) = self.catalog.get(&text).await? else { return Ok(()) };
            match self.catalog.delete(&text, found.revision).await {
                Ok(()) => return Ok(()),
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Conflict.into())
    }

    /// The topics of an account in a region by name, those after `after`, at most `limit`, and whether there are more.
    pub(crate) async fn list(
        &self,
        scope: &Scope,
        after: &str,
        limit: usize,
    ) -> Result<(Vec<(TopicKey, TopicRecord)>, bool), Failure> {
        let prefix = topics_of(scope);
        let after = format!("{prefix}{after}");
        let page = self.catalog.list(&prefix, Some(&after), limit).await?;
        let mut topics = Vec::with_capacity(page.items.len());
        for (text, found) in page.items {
            let name = text[prefix.len()..].to_owned();
            topics.push((TopicKey { scope: scope.clone(), name }, decode(&text, &found.value)?));
        }
        Ok((topics, page.more))
    }

    /// All topics of an account in a region.
    pub(crate) async fn all(&self, scope: &Scope) -> Result<Vec<(TopicKey, TopicRecord)>, Failure> {
        let mut all = Vec::new();
        loop {
            let after = all.last().map_or("", |(key, _): &(TopicKey, TopicRecord)| key.name.as_str()).to_owned();
            let (mut topics, more) = self.list(scope, &after, PAGE_ITEMS_MAX).await?;
            all.append(&mut topics);
            if !more {
                return Ok(all);
            }
        }
    }

    async fn read(&self, key: &str) -> Result<Option<(Revision, TopicRecord)>, Failure> {
        let Some(found) = self.catalog.get(key).await? else { return Ok(None) };
        Ok(Some((found.revision, decode(key, &found.value)?)))
    }
}

fn decode(key: &str, value: &[u8]) -> Result<TopicRecord, Failure> {
    let bad = |reason: String| {
        Failure::Common(CommonError::InternalFailure(format!("the catalog's value of {key} cannot be read: {reason}")))
    };
    let record: TopicRecord = serde_json::from_slice(value).map_err(|error| bad(error.to_string()))?;
    match record.v {
        FORMAT => Ok(record),
        other => Err(bad(format!("its format is {other}, and this version knows {FORMAT}"))),
    }
}
