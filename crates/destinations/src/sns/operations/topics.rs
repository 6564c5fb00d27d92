//! Topics themselves: made, changed, listed, deleted.

use std::collections::BTreeMap;

use millstream_iam::RequestContext;
use millstream_wire::sns::error::{
    CreateTopicError, DeleteTopicError, GetTopicAttributesError, ListTopicsError, SetTopicAttributesError,
};
use millstream_wire::sns::{
    CreateTopicInput, CreateTopicResponse, DeleteTopicInput, GetTopicAttributesInput, GetTopicAttributesResponse,
    ListTopicsInput, ListTopicsResponse, SetTopicAttributesInput, Topic,
};

use super::super::names::{is_fifo, is_name};
use super::super::record::{FORMAT, TopicRecord, TopicSettings};
use super::super::{Failure, TopicKey, Topics};
use super::tags::{check_tags, tag_map};
use super::{PAGE_ITEMS, read_token, write_token};

/// How often a creation is tried again when others make and delete the same topic.
const ATTEMPTS_MAX: usize = 8;

impl Topics {
    /// Makes a topic, or finds the one that is as the caller wants it to be.
    pub async fn create_topic(
        &self,
        context: &RequestContext,
        input: CreateTopicInput,
    ) -> Result<CreateTopicResponse, CreateTopicError> {
        let CreateTopicInput { attributes, data_protection_policy, name, tags } = input;
        if is_fifo(&name) {
            return Err(invalid("Topic Name Reason: FIFO topics are not supported by Millstream").into());
        }
        if !is_name(&name) {
            return Err(invalid("Topic Name").into());
        }
        if data_protection_policy.is_some() {
            return Err(invalid("DataProtectionPolicy Reason: it is not supported by Millstream").into());
        }
        let attributes = attributes.unwrap_or_default();
        let mut settings = TopicSettings::default();
        set_all(&mut settings, &attributes)?;
        let given_tags = tags.map(tag_map).transpose()?;
        let tags = given_tags.clone().unwrap_or_default();
        check_tags(&tags)?;
        let key = TopicKey { scope: context.scope.clone(), name };
        let record = TopicRecord { v: FORMAT, settings, tags, subscriptions: Vec::new(), deleted: 0 };
        for _ in 0..ATTEMPTS_MAX {
            if self.shared.records.create(&key, &record).await? {
                break;
            }
            if let Some(found) = self.shared.records.get(&key).await? {
                same(&found, &attributes, given_tags.as_ref())?;
                break;
            }
        }
        Ok(CreateTopicResponse { topic_arn: Some(key.arn().to_string()) })
    }

    /// Deletes a topic with its subscriptions; deleting what is not there succeeds (`DeleteTopic`).
    pub async fn delete_topic(&self, _: &RequestContext, input: DeleteTopicInput) -> Result<(), DeleteTopicError> {
        Ok(self.shared.records.delete(&TopicKey::parse(&input.topic_arn)?).await?)
    }

    pub async fn list_topics(
        &self,
        context: &RequestContext,
        input: ListTopicsInput,
    ) -> Result<ListTopicsResponse, ListTopicsError> {
        let after = read_token(input.next_token)?;
        let (topics, more) = self.shared.records.list(&context.scope, &after, PAGE_ITEMS).await?;
        let next_token = topics.last().filter(|_| more).map(|(key, _)| write_token(&key.name));
        let topic = |(key, _): (TopicKey, TopicRecord)| Topic { topic_arn: Some(key.arn().to_string()) };
        Ok(ListTopicsResponse { next_token, topics: Some(topics.into_iter().map(topic).collect()) })
    }

    pub async fn get_topic_attributes(
        &self,
        _: &RequestContext,
        input: GetTopicAttributesInput,
    ) -> Result<GetTopicAttributesResponse, GetTopicAttributesError> {
        let key = TopicKey::parse(&input.topic_arn)?;
        let record = self.shared.records.get(&key).await?.ok_or_else(Failure::no_topic)?;
        let policy = record.settings.policy.clone().unwrap_or_else(|| default_policy(&key));
        let attributes = [
            ("TopicArn", key.arn().to_string()),
            ("Owner", key.scope.account.to_string()),
            ("DisplayName", record.settings.display_name),
            ("Policy", policy),
            ("SubscriptionsConfirmed", record.subscriptions.len().to_string()),
            ("SubscriptionsPending", "0".to_owned()),
            ("SubscriptionsDeleted", record.deleted.to_string()),
        ];
        let attributes = attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Ok(GetTopicAttributesResponse { attributes: Some(attributes) })
    }

    pub async fn set_topic_attributes(
        &self,
        _: &RequestContext,
        input: SetTopicAttributesInput,
    ) -> Result<(), SetTopicAttributesError> {
        let key = TopicKey::parse(&input.topic_arn)?;
        let value = input.attribute_value.unwrap_or_default();
        let set = |record: &mut TopicRecord| record.settings.set(&input.attribute_name, &value);
        Ok(self.shared.records.change(&key, set).await?.ok_or_else(Failure::no_topic)?)
    }
}

fn set_all(settings: &mut TopicSettings, attributes: &BTreeMap<String, String>) -> Result<(), Failure> {
    attributes.iter().try_for_each(|(name, value)| settings.set(name, value))
}

/// Whether a topic is as the caller wants it to be.
fn same(
    found: &TopicRecord,
    attributes: &BTreeMap<String, String>,
    tags: Option<&BTreeMap<String, String>>,
) -> Result<(), Failure> {
    let mut wanted = found.settings.clone();
    set_all(&mut wanted, attributes)?;
    if wanted != found.settings {
        return Err(invalid("Attributes Reason: Topic already exists with different attributes"));
    }
    if tags.is_some_and(|tags| *tags != found.tags) {
        return Err(invalid("Tags Reason: Topic already exists with different tags"));
    }
    Ok(())
}

/// What AWS tells of a topic that nobody gave a policy: its account may use it, as far as its own policies allow.
fn default_policy(key: &TopicKey) -> String {
    let arn = key.arn().to_string();
    let account = key.scope.account.as_str();
    serde_json::json!({
        "Version": "2008-10-17",
        "Id": "__default_policy_ID",
        "Statement": [{
            "Sid": "__default_statement_ID",
            "Effect": "Allow",
            "Principal": {"AWS": "*"},
            "Action": [
                "SNS:GetTopicAttributes", "SNS:SetTopicAttributes", "SNS:AddPermission", "SNS:RemovePermission",
                "SNS:DeleteTopic", "SNS:Subscribe", "SNS:ListSubscriptionsByTopic", "SNS:Publish"
            ],
            "Resource": arn,
            "Condition": {"StringEquals": {"AWS:SourceOwner": account}}
        }]
    })
    .to_string()
}

fn invalid(what: &str) -> Failure {
    Failure::InvalidParameter(format!("Invalid parameter: {what}"))
}
