//! Registering, describing, listing and deregistering consumers.

use std::collections::BTreeMap;
use std::time::Duration;

use millstream_env::Timestamp;
use millstream_wire::kinesis::error::*;
use millstream_wire::kinesis::*;

use super::fixture::{Fixture, NOW, arn};
use crate::ConsumerTarget;

fn all() -> ListStreamConsumersInput {
    ListStreamConsumersInput { stream_arn: arn().to_string(), ..Default::default() }
}

#[tokio::test]
async fn a_consumer_is_created_used_and_deleted() {
    let fixture = Fixture::with_stream(1).await;
    let registered = fixture.register("app").await.unwrap();
    assert_eq!(registered.consumer_status, ConsumerStatus::Creating);
    assert_eq!(registered.consumer_creation_timestamp, Timestamp::from_seconds(1_800_000_000));
    let consumer_arn = "arn:aws:kinesis:us-east-1:000000000000:stream/orders/consumer/app:1800000000";
    assert_eq!((registered.consumer_name.as_str(), registered.consumer_arn.as_str()), ("app", consumer_arn));
    fixture.until_consumer("app", Some(ConsumerStatus::Active)).await;
    assert_eq!(fixture.summary().await.consumer_count, Some(1));

    let again = fixture.register("app").await.unwrap_err();
    let text = "Consumer app under stream orders already exists for account 000000000000.";
    assert_eq!(again, RegisterStreamConsumerError::ResourceInUse(text.to_owned()));

    fixture.deregister(consumer_arn).await.unwrap();
    fixture.until_consumer("app", None).await;
    assert_eq!(fixture.summary().await.consumer_count, Some(0));
    let gone = fixture.deregister(consumer_arn).await.unwrap_err();
    let text = "Consumer app under stream orders and account 000000000000 not found.";
    assert_eq!(gone, DeregisterStreamConsumerError::ResourceNotFound(text.to_owned()));

    // The clock stands still, and yet the next one of that name is another one.
    let next = fixture.register("app").await.unwrap();
    assert_eq!(next.consumer_arn, "arn:aws:kinesis:us-east-1:000000000000:stream/orders/consumer/app:1800000001");
    assert!(fixture.deregister(consumer_arn).await.is_err());
}

#[tokio::test]
async fn a_consumer_is_named_in_three_ways_that_must_agree() {
    let fixture = Fixture::with_stream(1).await;
    let consumer = fixture.consumer("app").await;
    let stream = arn().to_string();
    let other_stream = "arn:aws:kinesis:us-east-1:000000000000:stream/others";
    let describe = async |stream_arn: Option<&str>, name: Option<&str>, consumer_arn: Option<&str>| {
        let input = DescribeStreamConsumerInput {
            stream_arn: stream_arn.map(str::to_owned),
            consumer_name: name.map(str::to_owned),
            consumer_arn: consumer_arn.map(str::to_owned),
            stream_id: None,
        };
        fixture.streams.describe_stream_consumer(&fixture.context, input).await
    };
    for (stream_arn, name, consumer_arn) in [
        (Some(stream.as_str()), Some("app"), None),
        (None, None, Some(consumer.as_str())),
        (Some(stream.as_str()), Some("app"), Some(consumer.as_str())),
        (None, Some("app"), Some(consumer.as_str())),
    ] {
        let described = describe(stream_arn, name, consumer_arn).await.unwrap().consumer_description;
        assert_eq!((described.consumer_arn, described.stream_arn), (consumer.clone(), stream.clone()));
        assert_eq!(described.consumer_status, ConsumerStatus::Active);
        let target = ConsumerTarget { stream_arn, consumer_name: name, consumer_arn };
        assert_eq!(fixture.streams.consumer_resource(&fixture.context, target).await, Some(consumer.clone()));
    }
    for (stream_arn, name, consumer_arn) in [
        (None, None, None),
        (Some(stream.as_str()), None, None),
        (None, Some("app"), None),
        (Some(other_stream), None, Some(consumer.as_str())),
        (None, Some("other"), Some(consumer.as_str())),
        (None, None, Some("arn:aws:kinesis:us-east-1:000000000000:stream/orders")),
    ] {
        let refused = describe(stream_arn, name, consumer_arn).await;
        assert!(matches!(refused, Err(DescribeStreamConsumerError::InvalidArgument(_))), "{refused:?}");
    }
    let missing = consumer.replace("app", "none");
    let earlier = consumer.replace("1800000000", "1700000000");
    let elsewhere = consumer.replace("us-east-1", "eu-west-1");
    for consumer_arn in [&missing, &earlier, &elsewhere] {
        let refused = describe(None, None, Some(consumer_arn)).await;
        assert!(matches!(refused, Err(DescribeStreamConsumerError::ResourceNotFound(_))), "{refused:?}");
    }
    // Whether another account's consumer may be used is asked before: see the gateway's tests.
    let foreign = consumer.replace("000000000000", "111111111111");
    let answer = describe(None, None, Some(&foreign)).await;
    assert!(matches!(answer, Err(DescribeStreamConsumerError::ResourceNotFound(_))), "{answer:?}");
    let answer = fixture.deregister(&foreign).await;
    assert!(matches!(answer, Err(DeregisterStreamConsumerError::Common(_))), "{answer:?}");
    let target = ConsumerTarget { stream_arn: Some(&stream), consumer_name: Some("none"), consumer_arn: None };
    let resource = fixture.streams.consumer_resource(&fixture.context, target).await;
    assert_eq!(resource, Some(format!("{stream}/consumer/none:*")));
}

#[tokio::test]
async fn there_are_limits() {
    let fixture = Fixture::with_stream(1).await;
    for i in 0..20 {
        fixture.consumer(&format!("app-{i}")).await;
    }
    let refused = fixture.register("one-more").await.unwrap_err();
    let RegisterStreamConsumerError::LimitExceeded(text) = refused else { panic!("{refused:?}") };
    assert!(text.ends_with("Limit: 20."), "{text}");
    fixture.deregister_named("app-7").await.unwrap();
    fixture.until_consumer("app-7", None).await;
    fixture.consumer("one-more").await;
}

#[tokio::test]
async fn five_can_be_creating_at_once_and_a_sixth_waits_for_its_turn() {
    let fixture = Fixture::with_stream(1).await;
    let all = futures_util::future::join_all((0..10).map(|i| {
        let fixture = &fixture;
        async move { fixture.register(&format!("app-{i}")).await.map(|consumer| consumer.consumer_status) }
    }))
    .await;
    assert!(all.iter().all(|result| *result == Ok(ConsumerStatus::Creating)), "{all:?}");
}

#[tokio::test]
async fn a_sixth_that_waited_in_vain_is_refused() {
    let fixture = Fixture::with_stream(1).await;
    // Nothing finishes what is begun, as when the catalog takes no more changes for a while.
    fixture.tasks.cancel();
    for i in 0..5 {
        fixture.register(&format!("app-{i}")).await.unwrap();
    }
    let mut sixth = Box::pin(fixture.register("app-5"));
    for _ in 0..100 {
        assert!(futures_util::poll!(&mut sixth).is_pending());
        tokio::task::yield_now().await;
    }
    fixture.time.advance(Duration::from_secs(2));
    let refused = sixth.await.unwrap_err();
    let RegisterStreamConsumerError::LimitExceeded(text) = refused else { panic!("{refused:?}") };
    assert!(text.ends_with("CREATING. Limit: 5."), "{text}");
}

#[tokio::test]
async fn what_was_registered_survives_a_restart() {
    let fixture = Fixture::with_stream(1).await;
    fixture.consumer("kept").await;
    fixture.consumer("leaving").await;
    fixture.tasks.cancel();
    fixture.register("begun").await.unwrap();
    fixture.deregister_named("leaving").await.unwrap();
    let fixture = fixture.restarted().await;
    fixture.until_consumer("begun", Some(ConsumerStatus::Active)).await;
    fixture.until_consumer("leaving", None).await;
    assert_eq!(fixture.status_of("kept").await, Some(ConsumerStatus::Active));
}

#[tokio::test]
async fn consumers_are_listed_by_name_in_pages() {
    let fixture = Fixture::with_stream(1).await;
    for name in ["b", "d", "a", "c", "e"] {
        fixture.consumer(name).await;
    }
    let list = async |input| fixture.streams.list_stream_consumers(&fixture.context, input).await;
    let first = list(ListStreamConsumersInput { max_results: Some(2), ..all() }).await.unwrap();
    let names = |page: &millstream_wire::kinesis::ListStreamConsumersOutput| -> Vec<String> {
        page.consumers.iter().flatten().map(|consumer| consumer.consumer_name.clone()).collect()
    };
    assert_eq!(names(&first), ["a", "b"]);
    let next = ListStreamConsumersInput { max_results: Some(2), next_token: first.next_token.clone(), ..all() };
    let second = list(next.clone()).await.unwrap();
    assert_eq!(names(&second), ["c", "d"]);
    let third = list(ListStreamConsumersInput { next_token: second.next_token, ..all() }).await.unwrap();
    assert_eq!((names(&third), third.next_token), (vec!["e".to_owned()], None));

    let both = ListStreamConsumersInput { stream_creation_timestamp: Some(NOW), ..next.clone() };
    assert!(matches!(list(both).await, Err(ListStreamConsumersError::InvalidArgument(_))));
    let forged = ListStreamConsumersInput { next_token: Some("AAAA".to_owned()), ..all() };
    assert!(matches!(list(forged).await, Err(ListStreamConsumersError::InvalidArgument(_))));
    let this = ListStreamConsumersInput { stream_creation_timestamp: Some(NOW), ..all() };
    assert_eq!(names(&list(this).await.unwrap()).len(), 5);
    let other = ListStreamConsumersInput { stream_creation_timestamp: Some(Timestamp::from_seconds(1)), ..all() };
    assert!(matches!(list(other).await, Err(ListStreamConsumersError::ResourceNotFound(_))));
    fixture.time.advance(Duration::from_mins(5));
    assert_eq!(names(&list(next.clone()).await.unwrap()), ["c", "d"]);
    fixture.time.advance(Duration::from_millis(1));
    assert!(matches!(list(next).await, Err(ListStreamConsumersError::ExpiredNextToken(_))));
}

#[tokio::test]
async fn only_an_active_stream_takes_consumers() {
    let fixture = Fixture::new().await;
    let refused = fixture.register("app").await.unwrap_err();
    let text = "Stream orders under account 000000000000 not found.";
    assert_eq!(refused, RegisterStreamConsumerError::ResourceNotFound(text.to_owned()));
    fixture.tasks.cancel();
    fixture.create(1).await.unwrap();
    let refused = fixture.register("app").await.unwrap_err();
    let text = "Stream orders under account 000000000000 not ACTIVE, instead in state CREATING";
    assert_eq!(refused, RegisterStreamConsumerError::ResourceInUse(text.to_owned()));
}

#[tokio::test]
async fn tags_are_checked_and_kept() {
    let fixture = Fixture::with_stream(1).await;
    let register = async |name: &str, key: &str| {
        let input = RegisterStreamConsumerInput {
            consumer_name: name.to_owned(),
            stream_arn: arn().to_string(),
            stream_id: None,
            tags: Some(BTreeMap::from([(key.to_owned(), "mill".to_owned())])),
        };
        fixture.streams.register_stream_consumer(&fixture.context, input).await
    };
    assert!(matches!(register("app", "a;b").await, Err(RegisterStreamConsumerError::InvalidArgument(_))));
    register("app", "team").await.unwrap();
    let stream = fixture.streams.lookup(&arn()).await.unwrap().unwrap();
    assert_eq!(stream.header.consumers.get("app").unwrap().tags["team"], "mill");
}

#[tokio::test]
async fn a_stream_with_consumers_is_deleted_only_on_purpose() {
    let fixture = Fixture::with_stream(1).await;
    fixture.consumer("app").await;
    let refused = fixture.delete().await.unwrap_err();
    let text = "DeleteStream can’t delete 000000000000:orders because there are consumers associated with this data \
                stream. To delete orders anyway, set the EnforceConsumerDeletion parameter to true to force the deletion \
                of all the consumers that are associated with it.";
    assert_eq!(refused, DeleteStreamError::ResourceInUse(text.to_owned()));
    fixture.delete_enforced().await.unwrap();
    fixture.until_gone().await;
    assert_eq!(fixture.store.list("stream", None, 10).await.unwrap().items.len(), 1, "only the secret is left");
    fixture.create(1).await.unwrap();
    fixture.until(StreamStatus::Active).await;
    assert_eq!(fixture.status_of("app").await, None);

    fixture.consumer("app").await;
    fixture.deregister_named("app").await.unwrap();
    fixture.delete().await.unwrap();
    fixture.until_gone().await;
}

#[tokio::test]
async fn deregistering_twice_is_no_error_while_it_lasts() {
    let fixture = Fixture::with_stream(1).await;
    let consumer = fixture.consumer("app").await;
    fixture.tasks.cancel();
    let both = DeregisterStreamConsumerInput {
        consumer_arn: Some(consumer),
        consumer_name: Some("app".to_owned()),
        stream_arn: Some(arn().to_string()),
        stream_id: None,
    };
    for _ in 0..2 {
        fixture.streams.deregister_stream_consumer(&fixture.context, both.clone()).await.unwrap();
        assert_eq!(fixture.status_of("app").await, Some(ConsumerStatus::Deleting));
    }
}

#[tokio::test]
async fn consumers_have_tags_and_a_policy_of_their_own() {
    let fixture = Fixture::with_stream(1).await;
    let consumer = fixture.consumer("app").await;
    let context = &fixture.context;
    let tag = async |count: usize| {
        let tags = (0..count).map(|i| (format!("k{i:02}"), "v".to_owned())).collect();
        let input = TagResourceInput { resource_arn: consumer.clone(), stream_id: None, tags };
        fixture.streams.tag_resource(context, input).await
    };
    tag(50).await.unwrap();
    assert!(matches!(tag(51).await, Err(TagResourceError::InvalidArgument(_))));
    let keys = (1..50).map(|i| format!("k{i:02}")).collect();
    let input = UntagResourceInput { resource_arn: consumer.clone(), stream_id: None, tag_keys: keys };
    fixture.streams.untag_resource(context, input).await.unwrap();
    let list = async |resource_arn: String| {
        let input = ListTagsForResourceInput { resource_arn, stream_id: None };
        fixture.streams.list_tags_for_resource(context, input).await.unwrap().tags.unwrap()
    };
    assert_eq!(list(consumer.clone()).await, [Tag { key: "k00".to_owned(), value: Some("v".to_owned()) }]);
    assert!(list(arn().to_string()).await.is_empty(), "the stream's own are others");

    let get = async |resource_arn: String| {
        let input = GetResourcePolicyInput { resource_arn, stream_id: None };
        fixture.streams.get_resource_policy(context, input).await.unwrap().policy
    };
    let policy = format!(
        r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Principal":"*","Action":"kinesis:SubscribeToShard","Resource":"{consumer}"}}}}"#
    );
    assert_eq!(get(consumer.clone()).await, "{}");
    let input = PutResourcePolicyInput { resource_arn: consumer.clone(), stream_id: None, policy: policy.clone() };
    fixture.streams.put_resource_policy(context, input.clone()).await.unwrap();
    assert_eq!(get(consumer.clone()).await, policy);
    assert_eq!(get(arn().to_string()).await, "{}");
    assert_eq!(fixture.streams.resource_policy(&consumer.parse().unwrap()).await, Some(policy));
    let delete = async || {
        let input = DeleteResourcePolicyInput { resource_arn: consumer.clone(), stream_id: None };
        fixture.streams.delete_resource_policy(context, input).await
    };
    delete().await.unwrap();
    assert!(matches!(delete().await, Err(DeleteResourcePolicyError::ResourceNotFound(_))));
    fixture.streams.put_resource_policy(context, input.clone()).await.unwrap();

    // A consumer of the same name that comes later has none of it.
    fixture.deregister(&consumer).await.unwrap();
    fixture.until_consumer("app", None).await;
    assert!(matches!(
        fixture.streams.put_resource_policy(context, input).await,
        Err(PutResourcePolicyError::ResourceNotFound(_))
    ));
    let next = fixture.consumer("app").await;
    assert_ne!(next, consumer);
    assert!(list(next.clone()).await.is_empty());
    assert_eq!(get(next).await, "{}");
}

#[tokio::test]
async fn a_commitment_raises_the_number_of_consumers() {
    let fixture = Fixture::with_stream(1).await;
    for i in 0..20 {
        fixture.consumer(&format!("c{i}")).await;
    }
    let refused = fixture.register("more").await;
    assert!(matches!(refused, Err(RegisterStreamConsumerError::LimitExceeded(text)) if text.ends_with("Limit: 20.")));
    let input = UpdateAccountSettingsInput {
        minimum_throughput_billing_commitment: MinimumThroughputBillingCommitmentInput {
            status: MinimumThroughputBillingCommitmentInputStatus::Enabled,
        },
    };
    fixture.streams.update_account_settings(&fixture.context, input).await.unwrap();
    fixture.consumer("more").await;
}
