//! Tags of topics.

use std::collections::BTreeMap;

use millstream_iam::RequestContext;
use millstream_wire::sns::error::{ListTagsForResourceError, TagResourceError, UntagResourceError};
use millstream_wire::sns::{
    ListTagsForResourceRequest, ListTagsForResourceResponse, Tag, TagResourceRequest, TagResourceResponse,
    UntagResourceRequest, UntagResourceResponse,
};

use super::super::record::TopicRecord;
use super::super::{Failure, TopicKey, Topics};

/// Tags of one topic (`TagResource`).
const TAGS_MAX: usize = 50;

impl Topics {
    pub async fn tag_resource(
        &self,
        _: &RequestContext,
        input: TagResourceRequest,
    ) -> Result<TagResourceResponse, TagResourceError> {
        let key = TopicKey::parse(&input.resource_arn)?;
        let tags = tag_map(input.tags)?;
        let tag = |record: &mut TopicRecord| {
            record.tags.extend(tags.clone());
            check_tags(&record.tags)
        };
        self.shared.records.change(&key, tag).await?.ok_or_else(no_resource)?;
        Ok(TagResourceResponse {})
    }

    pub async fn untag_resource(
        &self,
        _: &RequestContext,
        input: UntagResourceRequest,
    ) -> Result<UntagResourceResponse, UntagResourceError> {
        let key = TopicKey::parse(&input.resource_arn)?;
        let untag = |record: &mut TopicRecord| {
            record.tags.retain(|key, _| !input.tag_keys.contains(key));
            Ok(())
        };
        self.shared.records.change(&key, untag).await?.ok_or_else(no_resource)?;
        Ok(UntagResourceResponse {})
    }

    pub async fn list_tags_for_resource(
        &self,
        _: &RequestContext,
        input: ListTagsForResourceRequest,
    ) -> Result<ListTagsForResourceResponse, ListTagsForResourceError> {
        let key = TopicKey::parse(&input.resource_arn)?;
        let record = self.shared.records.get(&key).await?.ok_or_else(no_resource)?;
        let tags = record.tags.into_iter().map(|(key, value)| Tag { key, value }).collect();
        Ok(ListTagsForResourceResponse { tags: Some(tags) })
    }
}

/// Tags by their keys, each of which may stand once.
pub(super) fn tag_map(tags: Vec<Tag>) -> Result<BTreeMap<String, String>, Failure> {
    let count = tags.len();
    let map: BTreeMap<String, String> = tags.into_iter().map(|Tag { key, value }| (key, value)).collect();
    if map.len() == count {
        Ok(map)
    } else {
        Err(Failure::InvalidParameter("Invalid parameter: Duplicated keys are not allowed.".to_owned()))
    }
}

pub(super) fn check_tags(tags: &BTreeMap<String, String>) -> Result<(), Failure> {
    if tags.len() > TAGS_MAX {
        return Err(Failure::TagLimitExceeded(
            "Could not complete request: tag quota of per resource exceeded".to_owned(),
        ));
    }
    Ok(())
}

fn no_resource() -> Failure {
    Failure::ResourceNotFound("Resource does not exist".to_owned())
}
