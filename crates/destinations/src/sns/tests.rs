//! Topics over a catalog in memory.

use millstream_blobs::MemoryBlobs;
use millstream_catalog::{Expect, MemoryStore, MetaStore as _};
use millstream_env::{HostClock, Tasks};
use millstream_iam::{Caller, Principal, RequestContext};
use millstream_types::Scope;
use millstream_wire::sns::error::{GetSubscriptionAttributesError, SetSubscriptionAttributesError, UnsubscribeError};
use millstream_wire::sns::{
    CreateTopicInput, GetSubscriptionAttributesInput, SetSubscriptionAttributesInput, SubscribeInput, UnsubscribeInput,
};
use millstream_wire::sqs::CreateQueueRequest;

use super::*;
use crate::sqs;

const OWNER: &str = "123456789012";

fn context(account: &str) -> RequestContext {
    let scope = Scope { account: account.parse().unwrap(), region: "us-west-2".parse().unwrap() };
    RequestContext {
        caller: Caller { account: scope.account.clone(), access_key_id: String::new(), principal: Principal::Root },
        scope,
        request_id: String::new(),
        endpoint: "http://localhost:4566".to_owned(),
    }
}

/// With a topic `t`, whose ARN comes with them.
async fn topics(catalog: &Arc<MemoryStore>) -> (Topics, String) {
    let (clock, random) = (ServiceClock::real(), Random::seeded(1));
    let queues = Queues::open(sqs::Parts {
        catalog: Arc::clone(catalog) as SharedStore,
        blobs: Arc::new(MemoryBlobs::new()),
        clock: clock.clone(),
        host_clock: HostClock::real(),
        random: random.clone(),
        tasks: Tasks::new(),
        requests: Tasks::new(),
    });
    let queues = queues.await.unwrap();
    let input = CreateQueueRequest { queue_name: "q".to_owned(), ..CreateQueueRequest::default() };
    queues.create_queue(&context(OWNER), input).await.unwrap();
    let catalog = Arc::clone(catalog) as SharedStore;
    let topics = Topics::new(Parts { catalog, queues, clock, random, endpoint: "http://localhost:4566".to_owned() });
    let input = CreateTopicInput { name: "t".to_owned(), ..CreateTopicInput::default() };
    let topic = topics.create_topic(&context(OWNER), input).await.unwrap().topic_arn.unwrap();
    (topics, topic)
}

#[tokio::test]
async fn other_accounts_neither_read_nor_change_a_subscription() {
    let (topics, topic_arn) = topics(&Arc::new(MemoryStore::new())).await;
    let (owner, other) = (context(OWNER), context("210987654321"));
    let input = SubscribeInput {
        topic_arn,
        protocol: "sqs".to_owned(),
        endpoint: Some(format!("arn:aws:sqs:us-west-2:{OWNER}:q")),
        ..SubscribeInput::default()
    };
    let subscription_arn = topics.subscribe(&owner, input).await.unwrap().subscription_arn.unwrap();
    let get = || GetSubscriptionAttributesInput { subscription_arn: subscription_arn.clone() };
    let set = || SetSubscriptionAttributesInput {
        subscription_arn: subscription_arn.clone(),
        attribute_name: "RawMessageDelivery".to_owned(),
        attribute_value: Some("true".to_owned()),
    };
    let end = || UnsubscribeInput { subscription_arn: subscription_arn.clone() };
    let refused = topics.get_subscription_attributes(&other, get()).await;
    assert!(matches!(refused, Err(GetSubscriptionAttributesError::AuthorizationError(_))), "{refused:?}");
    let refused = topics.set_subscription_attributes(&other, set()).await;
    assert!(matches!(refused, Err(SetSubscriptionAttributesError::AuthorizationError(_))), "{refused:?}");
    let refused = topics.unsubscribe(&other, end()).await;
    assert!(matches!(refused, Err(UnsubscribeError::AuthorizationError(_))), "{refused:?}");
    topics.set_subscription_attributes(&owner, set()).await.unwrap();
    let attributes = topics.get_subscription_attributes(&owner, get()).await.unwrap().attributes.unwrap();
    assert_eq!(attributes["RawMessageDelivery"], "true");
    topics.unsubscribe(&owner, end()).await.unwrap();
    let gone = topics.get_subscription_attributes(&owner, get()).await;
    assert!(matches!(gone, Err(GetSubscriptionAttributesError::NotFound(_))), "{gone:?}");
}

#[tokio::test]
async fn a_policy_that_cannot_be_read_is_not_taken_for_none() {
    let catalog = Arc::new(MemoryStore::new());
    let (topics, topic) = topics(&catalog).await;
    let arn: Arn = topic.parse().unwrap();
    assert_eq!(topics.policy(&arn).await, Ok(None));
    let key = TopicKey::from_arn(&arn).unwrap().text();
    let revision = catalog.get(&key).await.unwrap().unwrap().revision;
    catalog.put(&key, Expect::Revision(revision), r#"{"v":2,"settings":{}}"#.into()).await.unwrap();
    assert!(topics.policy(&arn).await.is_err(), "a later format");
}
