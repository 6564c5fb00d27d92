//! Subscriptions: made, changed, listed, taken away. There is nothing to confirm: only queues can subscribe.

use millstream_iam::RequestContext;
use millstream_types::Arn;
use millstream_wire::sns::error::{
    GetSubscriptionAttributesError, ListSubscriptionsByTopicError, ListSubscriptionsError,
    SetSubscriptionAttributesError, SubscribeError, UnsubscribeError,
};
use millstream_wire::sns::{
    GetSubscriptionAttributesInput, GetSubscriptionAttributesResponse, ListSubscriptionsByTopicInput,
    ListSubscriptionsByTopicResponse, ListSubscriptionsInput, ListSubscriptionsResponse,
    SetSubscriptionAttributesInput, SubscribeInput, SubscribeResponse, Subscription, UnsubscribeInput,
};

use super::super::names::parse_subscription;
use super::super::record::{SubscriptionRecord, TopicRecord};
use super::super::{Failure, TopicKey, Topics};
use super::{PAGE_ITEMS, read_token, write_token};
use crate::sqs::{QueueKey, is_fifo};

/// Subscriptions of one topic: they are one value of the catalog.
const SUBSCRIPTIONS_MAX: usize = 1000;
const PROTOCOL: &str = "sqs";

impl Topics {
    /// Subscribes a queue, or finds the subscription it has.
    pub async fn subscribe(
        &self,
        context: &RequestContext,
        input: SubscribeInput,
    ) -> Result<SubscribeResponse, SubscribeError> {
        let SubscribeInput { attributes, endpoint, protocol, topic_arn, .. } = input;
        let key = TopicKey::parse(&topic_arn)?;
        let endpoint = checked_endpoint(&protocol, endpoint)?;
        let mut wanted = SubscriptionRecord {
            id: self.shared.random.uuid(),
            endpoint,
            owner: context.caller.account.to_string(),
            principal: context.caller.arn().to_string(),
            raw: false,
        };
        for (name, value) in attributes.unwrap_or_default() {
            wanted.set(&name, &value)?;
        }
        let add = |record: &mut TopicRecord| {
            if let Some(found) = record.subscriptions.iter().find(|found| found.endpoint == wanted.endpoint) {
                let same = found.raw == wanted.raw;
                let different = || invalid("Attributes Reason: Subscription already exists with different attributes");
                return if same { Ok(found.id.clone()) } else { Err(different()) };
            }
            if record.subscriptions.len() >= SUBSCRIPTIONS_MAX {
                let text = format!("A topic can have up to {SUBSCRIPTIONS_MAX} subscriptions here");
                return Err(Failure::SubscriptionLimitExceeded(text));
            }
            record.subscriptions.push(wanted.clone());
            Ok(wanted.id.clone())
        };
        let id = self.shared.records.change(&key, add).await?.ok_or_else(Failure::no_topic)?;
        Ok(SubscribeResponse { subscription_arn: Some(key.subscription_arn(&id)) })
    }

    /// Takes a subscription away; when it is not there, that succeeds too.
    pub async fn unsubscribe(&self, context: &RequestContext, input: UnsubscribeInput) -> Result<(), UnsubscribeError> {
        let (key, id) = parse_subscription(&input.subscription_arn)?;
        let take_away = |record: &mut TopicRecord| {
            let Some(place) = record.subscriptions.iter().position(|found| found.id == id) else { return Ok(()) };
            require_owner(context, &key, &record.subscriptions[place], "SNS:Unsubscribe")?;
            record.subscriptions.remove(place);
            record.deleted += 1;
            Ok(())
        };
        self.shared.records.change(&key, take_away).await?;
        Ok(())
    }

    pub async fn list_subscriptions(
        &self,
        context: &RequestContext,
        input: ListSubscriptionsInput,
    ) -> Result<ListSubscriptionsResponse, ListSubscriptionsError> {
        let after = read_token(input.next_token)?;
        let topics = self.shared.records.all(&context.scope).await?;
        let all = topics.iter().flat_map(|(key, record)| on_wire(key, record)).collect();
        let (subscriptions, next_token) = page(all, &after);
        Ok(ListSubscriptionsResponse { next_token, subscriptions: Some(subscriptions) })
    }

    pub async fn list_subscriptions_by_topic(
        &self,
        _: &RequestContext,
        input: ListSubscriptionsByTopicInput,
    ) -> Result<ListSubscriptionsByTopicResponse, ListSubscriptionsByTopicError> {
        let after = read_token(input.next_token)?;
        let key = TopicKey::parse(&input.topic_arn)?;
        let record = self.shared.records.get(&key).await?.ok_or_else(Failure::no_topic)?;
        let (subscriptions, next_token) = page(on_wire(&key, &record).collect(), &after);
        Ok(ListSubscriptionsByTopicResponse { next_token, subscriptions: Some(subscriptions) })
    }

    pub async fn get_subscription_attributes(
        &self,
        context: &RequestContext,
        input: GetSubscriptionAttributesInput,
    ) -> Result<GetSubscriptionAttributesResponse, GetSubscriptionAttributesError> {
        let (key, id) = parse_subscription(&input.subscription_arn)?;
        let record = self.shared.records.get(&key).await?;
        let found = record.and_then(|record| record.subscriptions.into_iter().find(|found| found.id == id));
        let found = found.ok_or_else(Failure::no_subscription)?;
        require_owner(context, &key, &found, "SNS:GetSubscriptionAttributes")?;
        let attributes = [
            ("SubscriptionArn", input.subscription_arn),
            ("TopicArn", key.arn().to_string()),
            ("Owner", found.owner),
            ("Protocol", PROTOCOL.to_owned()),
            ("Endpoint", found.endpoint),
            ("RawMessageDelivery", found.raw.to_string()),
            ("PendingConfirmation", "false".to_owned()),
            ("ConfirmationWasAuthenticated", "true".to_owned()),
            ("SubscriptionPrincipal", found.principal),
        ];
        let attributes = attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Ok(GetSubscriptionAttributesResponse { attributes: Some(attributes) })
    }

    pub async fn set_subscription_attributes(
        &self,
        context: &RequestContext,
        input: SetSubscriptionAttributesInput,
    ) -> Result<(), SetSubscriptionAttributesError> {
        let (key, id) = parse_subscription(&input.subscription_arn)?;
        let value = input.attribute_value.unwrap_or_default();
        let set = |record: &mut TopicRecord| {
            let found = record.subscriptions.iter_mut().find(|found| found.id == id);
            let found = found.ok_or_else(Failure::no_subscription)?;
            require_owner(context, &key, found, "SNS:SetSubscriptionAttributes")?;
            found.set(&input.attribute_name, &value)
        };
        Ok(self.shared.records.change(&key, set).await?.ok_or_else(Failure::no_subscription)?)
    }
}

/// Refuses whoever is neither of the account that subscribed nor of the topic's. Permissions for these actions name no
/// resource, so that those of the caller's own account say nothing of subscriptions of others.
fn require_owner(
    context: &RequestContext,
    key: &TopicKey,
    subscription: &SubscriptionRecord,
    action: &str,
) -> Result<(), Failure> {
    let account = &context.caller.account;
    if subscription.owner == account.as_str() || key.scope.account == *account {
        return Ok(());
    }
    let (caller, resource) = (context.caller.arn(), key.subscription_arn(&subscription.id));
    Err(Failure::AuthorizationError(format!(
        "User: {caller} is not authorized to perform: {action} on resource: {resource}"
    )))
}

fn checked_endpoint(protocol: &str, endpoint: Option<String>) -> Result<String, Failure> {
    if protocol != PROTOCOL {
        return Err(invalid(&format!("Protocol Reason: {protocol} is not supported by Millstream, only sqs is")));
    }
    let endpoint = endpoint.unwrap_or_default();
    let queue = endpoint.parse::<Arn>().ok().and_then(|arn| QueueKey::from_arn(&arn));
    let queue = queue.ok_or_else(|| invalid("SQS endpoint ARN"))?;
    if is_fifo(&queue.name) {
        return Err(invalid("Endpoint Reason: FIFO SQS Queues can not be subscribed to standard SNS topics"));
    }
    Ok(endpoint)
}

fn on_wire<'a>(key: &'a TopicKey, record: &'a TopicRecord) -> impl Iterator<Item = Subscription> + 'a {
    record.subscriptions.iter().map(|found| Subscription {
        endpoint: Some(found.endpoint.clone()),
        owner: Some(found.owner.clone()),
        protocol: Some(PROTOCOL.to_owned()),
        subscription_arn: Some(key.subscription_arn(&found.id)),
        topic_arn: Some(key.arn().to_string()),
    })
}

/// The page of subscriptions in order of ARN after one of them, and the token for the next page.
fn page(mut all: Vec<Subscription>, after: &str) -> (Vec<Subscription>, Option<String>) {
    all.retain(|one| one.subscription_arn.as_deref().unwrap_or_default() > after);
    all.sort_by(|one, other| one.subscription_arn.cmp(&other.subscription_arn));
    let more = all.len() > PAGE_ITEMS;
    all.truncate(PAGE_ITEMS);
    let last = all.last().and_then(|one| one.subscription_arn.as_deref());
    let token = last.filter(|_| more).map(write_token);
    (all, token)
}

fn invalid(what: &str) -> Failure {
    Failure::InvalidParameter(format!("Invalid parameter: {what}"))
}
