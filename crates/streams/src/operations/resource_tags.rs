//! `TagResource`, `UntagResource` and `ListTagsForResource`: the same tags as the stream's own operations show.

use std::collections::BTreeMap;

use millstream_iam::RequestContext;
use millstream_wire::kinesis::error::{ListTagsForResourceError, TagResourceError, UntagResourceError};
use millstream_wire::kinesis::{
    ListTagsForResourceInput, ListTagsForResourceOutput, Tag, TagResourceInput, UntagResourceInput,
};

use super::tags::{TAGS_MAX, check_characters, too_many};
use crate::consumers::Resource;
use crate::errors::InvalidArgument;
use crate::service::Streams;

impl Streams {
    /// Streams and consumers have tags.
    pub async fn tag_resource(
        &self,
        context: &RequestContext,
        input: TagResourceInput,
    ) -> Result<(), TagResourceError> {
        let resource = Resource::resolve(context, &input.resource_arn, "TagResource")?;
        self.admit(context, "TagResource", resource.stream())?;
        let named = match resource {
            Resource::Stream(name) => return self.add_tags(&name, &input.tags).await,
            Resource::Consumer(named) => named,
        };
        let texts = input.tags.iter().flat_map(|(key, value)| [key, value]);
        check_characters(named.stream(), "add", "to", texts)?;
        let merged = |tags: &BTreeMap<String, String>| {
            let mut tags = tags.clone();
            tags.extend(input.tags.clone());
            tags
        };
        self.change_consumer(
            &named,
            |_, consumer| {
                let fits = merged(&consumer.tags).len() <= TAGS_MAX;
                if fits { Ok(()) } else { Err(TagResourceError::from(too_many(named.stream()))) }
            },
            |consumer| consumer.tags = merged(&consumer.tags),
        )
        .await
    }

    /// Keys that the resource does not have are ignored.
    pub async fn untag_resource(
        &self,
        context: &RequestContext,
        input: UntagResourceInput,
    ) -> Result<(), UntagResourceError> {
        let resource = Resource::resolve(context, &input.resource_arn, "UntagResource")?;
        self.admit(context, "UntagResource", resource.stream())?;
        let named = match resource {
            Resource::Stream(name) => return self.remove_tags(&name, &input.tag_keys).await,
            Resource::Consumer(named) => named,
        };
        self.change_consumer(
            &named,
            |_, _| {
                let checked: Result<(), InvalidArgument> =
                    check_characters(named.stream(), "remove", "from", input.tag_keys.iter());
                checked.map_err(UntagResourceError::from)
            },
            |consumer| consumer.tags.retain(|key, _| !input.tag_keys.contains(key)),
        )
        .await
    }

    pub async fn list_tags_for_resource(
        &self,
        context: &RequestContext,
        input: ListTagsForResourceInput,
    ) -> Result<ListTagsForResourceOutput, ListTagsForResourceError> {
        let resource = Resource::resolve(context, &input.resource_arn, "ListTagsForResource")?;
        self.admit(context, "ListTagsForResource", resource.stream())?;
        let tags = match resource {
            Resource::Stream(name) => self.inner.registry.expect(&name).await?.header.tags.clone(),
            Resource::Consumer(named) => {
                let (stream, _) = self.expect_consumer(&named).await?;
                named.find(&stream.header).map(|consumer| consumer.tags.clone()).unwrap_or_default()
            }
        };
        let tags = tags.into_iter().map(|(key, value)| Tag { key, value: Some(value) }).collect();
        Ok(ListTagsForResourceOutput { tags: Some(tags) })
    }
}
