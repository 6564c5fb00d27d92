//! `AddTagsToStream`, `RemoveTagsFromStream` and `ListTagsForStream`.

use std::collections::BTreeMap;
use std::ops::Bound;

use millstream_iam::RequestContext;
use millstream_wire::kinesis::error::{AddTagsToStreamError, ListTagsForStreamError, RemoveTagsFromStreamError};
use millstream_wire::kinesis::{
    AddTagsToStreamInput, ListTagsForStreamInput, ListTagsForStreamOutput, RemoveTagsFromStreamInput, Tag,
};

use super::limit;
use crate::errors::{InUse, InvalidArgument, LookupError};
use crate::model::{Header, Status};
use crate::names::{StreamName, StreamTarget};
use crate::service::Streams;

/// Tags of one stream, and of one answer (Kinesis model).
pub(super) const TAGS_MAX: usize = 50;

impl Streams {
    pub async fn add_tags_to_stream(
        &self,
        context: &RequestContext,
        input: AddTagsToStreamInput,
    ) -> Result<(), AddTagsToStreamError> {
        let target = StreamTarget::new(input.stream_name.as_ref(), input.stream_arn.as_ref());
        let name = target.resolve(context, "AddTagsToStream")?;
        self.admit(context, "AddTagsToStream", &name)?;
        self.add_tags(&name, &input.tags).await
    }

    /// Keys that the stream does not have are ignored.
    pub async fn remove_tags_from_stream(
        &self,
        context: &RequestContext,
        input: RemoveTagsFromStreamInput,
    ) -> Result<(), RemoveTagsFromStreamError> {
        let target = StreamTarget::new(input.stream_name.as_ref(), input.stream_arn.as_ref());
        let name = target.resolve(context, "RemoveTagsFromStream")?;
        self.admit(context, "RemoveTagsFromStream", &name)?;
        self.remove_tags(&name, &input.tag_keys).await
    }

    pub(super) async fn add_tags<E>(&self, name: &StreamName, tags: &BTreeMap<String, String>) -> Result<(), E>
    where
        E: From<InvalidArgument> + From<InUse> + From<LookupError>,
    {
        check_characters(name, "add", "to", tags.iter().flat_map(|(key, value)| [key, value]))?;
        self.inner
            .registry
            .change(name, |header| {
                check_taggable(name, header)?;
                let before = header.tags.clone();
                header.tags.extend(tags.clone());
                if header.tags.len() > TAGS_MAX {
                    return Err(E::from(too_many(name)));
                }
                Ok(header.tags != before)
            })
            .await?;
        Ok(())
    }

    pub(super) async fn remove_tags<E>(&self, name: &StreamName, keys: &[String]) -> Result<(), E>
    where
        E: From<InvalidArgument> + From<InUse> + From<LookupError>,
    {
        self.inner
            .registry
            .change(name, |header| {
                // AWS looks for the stream before it looks at the characters (recorded: kinesalite tests).
                check_characters(name, "remove", "from", keys.iter())?;
                check_taggable(name, header)?;
                let before = header.tags.len();
                header.tags.retain(|key, _| !keys.contains(key));
                Ok::<_, E>(header.tags.len() != before)
            })
            .await?;
        Ok(())
    }

    /// By key; the start key need not exist.
    pub async fn list_tags_for_stream(
        &self,
        context: &RequestContext,
        input: ListTagsForStreamInput,
    ) -> Result<ListTagsForStreamOutput, ListTagsForStreamError> {
        let target = StreamTarget::new(input.stream_name.as_ref(), input.stream_arn.as_ref());
        let name = target.resolve(context, "ListTagsForStream")?;
        self.admit(context, "ListTagsForStream", &name)?;
        let stream = self.inner.registry.expect(&name).await?;
        let after = input.exclusive_start_tag_key.map_or(Bound::Unbounded, Bound::Excluded);
        let mut rest = stream.header.tags.range((after, Bound::Unbounded));
        let count = limit(input.limit, TAGS_MAX, TAGS_MAX);
        let tag = |(key, value): (&String, &String)| Tag { key: key.clone(), value: Some(value.clone()) };
        let tags = rest.by_ref().take(count).map(tag).collect();
        Ok(ListTagsForStreamOutput { tags, has_more_tags: rest.next().is_some() })
    }
}

fn check_taggable(name: &StreamName, header: &Header) -> Result<(), InUse> {
    match header.status {
        Status::Active | Status::Updating => Ok(()),
        Status::Creating | Status::Deleting => Err(name.not_active(header.status)),
    }
}

/// Two rules in AWS's order, each with its own text: `%` passes the first and fails the second (recorded: kinesalite
/// tests).
pub(super) fn check_characters<'a>(
    name: &StreamName,
    verb: &str,
    preposition: &str,
    mut texts: impl Iterator<Item = &'a String> + Clone,
) -> Result<(), InvalidArgument> {
    let allowed = |c: char| c.is_alphanumeric() || " _./=+-%@".contains(c);
    if texts.clone().any(|text| !text.chars().all(allowed)) {
        return Err(InvalidArgument(
            "Some tags contain invalid characters. Valid characters: Unicode letters, digits, white space, _ . / = + - \
             % @."
                .to_owned(),
        ));
    }
    if texts.any(|text| text.contains('%')) {
        return Err(InvalidArgument(format!(
            "Failed to {verb} tags {preposition} stream {} under account {} because some tags contained illegal \
             characters. The allowed characters are Unicode letters, white-spaces, '_',',','/','=','+','-','@'.",
            name.name, name.scope.account,
        )));
    }
    Ok(())
}

pub(super) fn too_many(name: &StreamName) -> InvalidArgument {
    let (stream, account) = (&name.name, &name.scope.account);
    InvalidArgument(format!(
        "Failed to add tags to stream {stream} under account {account} because a given stream cannot have more than \
         {TAGS_MAX} tags associated with it."
    ))
}
