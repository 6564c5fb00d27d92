//! `TagResource`, `UntagResource` and `ListTagsForResource`: the same tags as the stream's own operations show.

use millstream_iam::RequestContext;
use millstream_wire::kinesis::error::{ListTagsForResourceError, TagResourceError, UntagResourceError};
use millstream_wire::kinesis::{
    ListTagsForResourceInput, ListTagsForResourceOutput, Tag, TagResourceInput, UntagResourceInput,
};

use crate::names::StreamTarget;
use crate::service::Streams;

impl Streams {
    pub async fn tag_resource(
        &self,
        context: &RequestContext,
        input: TagResourceInput,
    ) -> Result<(), TagResourceError> {
        let target = StreamTarget::new(None, Some(&input.resource_arn));
        let name = target.resolve(context, "TagResource")?;
        self.add_tags(&name, &input.tags).await
    }

    /// Keys that the resource does not have are ignored.
    pub async fn untag_resource(
        &self,
        context: &RequestContext,
        input: UntagResourceInput,
    ) -> Result<(), UntagResourceError> {
        let target = StreamTarget::new(None, Some(&input.resource_arn));
        let name = target.resolve(context, "UntagResource")?;
        self.remove_tags(&name, &input.tag_keys).await
    }

    pub async fn list_tags_for_resource(
        &self,
        context: &RequestContext,
        input: ListTagsForResourceInput,
    ) -> Result<ListTagsForResourceOutput, ListTagsForResourceError> {
        let target = StreamTarget::new(None, Some(&input.resource_arn));
        let name = target.resolve(context, "ListTagsForResource")?;
        let stream = self.inner.registry.expect(&name).await?;
        let tag = |(key, value): (&String, &String)| Tag { key: key.clone(), value: Some(value.clone()) };
        Ok(ListTagsForResourceOutput { tags: Some(stream.header.tags.iter().map(tag).collect()) })
    }
}
