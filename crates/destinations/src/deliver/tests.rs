//! Deliveries to the built-in services, with real roles and policies.

use std::sync::Arc;

use millstream_blobs::MemoryBlobs;
use millstream_catalog::{MemoryStore, SharedStore};
use millstream_client::Credentials;
use millstream_env::{HostClock, Random, ServiceClock, Tasks};
use millstream_iam::{AuthMode, Caller, Iam, Principal, RequestContext};
use millstream_types::Scope;
use millstream_wire::iam::{CreateRoleRequest, PutRolePolicyRequest};
use millstream_wire::sns::{CreateTopicInput, SubscribeInput};
use millstream_wire::sqs::{CreateQueueRequest, ReceiveMessageRequest};

use bytes::Bytes;

use super::*;
use crate::external::{self, External};
use crate::places::Parts;
use crate::s3::Buckets;
use crate::s3::conditions::ReadConditions;
use crate::{Queues, Topics};

const LAMBDA: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;
const NOBODY: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;

struct Fixture {
    destinations: Destinations,
    iam: Iam,
    queues: Queues,
    topics: Topics,
    buckets: Buckets,
    context: RequestContext,
}

impl Fixture {
    async fn new() -> Self {
        Self::with_outside(external::Options::default()).await
    }

    async fn with_outside(outside: external::Options) -> Self {
        let (clock, host_clock, random) = (ServiceClock::real(), HostClock::real(), Random::seeded(1));
        let catalog: SharedStore = Arc::new(MemoryStore::new());
        let iam = Iam::open(Arc::clone(&catalog), clock.clone(), host_clock.clone(), random.clone(), AuthMode::Open);
        let iam = iam.await.unwrap();
        let places = Places::open(Parts {
            catalog,
            messages: Arc::new(MemoryBlobs::new()),
            objects: Arc::new(MemoryBlobs::new()),
            clock,
            host_clock: host_clock.clone(),
            random,
            tasks: Tasks::new(),
            requests: Tasks::new(),
            endpoint: "http://localhost:4566".to_owned(),
            outside: External::new(&outside, &host_clock).unwrap(),
        });
        let places = places.await.unwrap();
        let Places { sqs: queues, sns: topics, s3: buckets, .. } = places.clone();
        let destinations = Destinations::new(places, iam.clone());
        let scope = Scope { account: "123456789012".parse().unwrap(), region: "us-west-2".parse().unwrap() };
        let caller =
            Caller { account: scope.account.clone(), access_key_id: String::new(), principal: Principal::Root };
        let context =
            RequestContext { scope, caller, request_id: String::new(), endpoint: "http://localhost:4566".to_owned() };
        Self { destinations, iam, queues, topics, buckets, context }
    }

    async fn role(&self, name: &str, trust: &str, action: &str, resource: &str) -> String {
        let input = CreateRoleRequest {
            role_name: name.to_owned(),
            assume_role_policy_document: trust.to_owned(),
            ..CreateRoleRequest::default()
        };
        let role = self.iam.create_role(&self.context, input).await.unwrap().role;
        let policy = format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":"{action}","Resource":"{resource}"}}]}}"#
        );
        let input =
            PutRolePolicyRequest { role_name: name.to_owned(), policy_name: "p".to_owned(), policy_document: policy };
        self.iam.put_role_policy(&self.context, input).await.unwrap();
        role.arn
    }

    async fn queue(&self, name: &str, policy: Option<String>) -> String {
        let attributes = policy.map(|policy| [("Policy".to_owned(), policy)].into());
        let input = CreateQueueRequest { queue_name: name.to_owned(), attributes, tags: None };
        self.queues.create_queue(&self.context, input).await.unwrap();
        self.context.scope.arn("sqs", name).to_string()
    }

    async fn bodies(&self, name: &str) -> Vec<String> {
        let input = ReceiveMessageRequest {
            queue_url: format!("/123456789012/{name}"),
            max_number_of_messages: Some(10),
            ..ReceiveMessageRequest::default()
        };
        let messages = self.queues.receive_message(&self.context, input).await.unwrap().messages.unwrap_or_default();
        messages.into_iter().filter_map(|message| message.body).collect()
    }

    async fn deliver(&self, destination: &str, role_arn: &str) -> Result<(), DeliveryError> {
        let delivery = Delivery {
            destination: destination.parse().unwrap(),
            role_arn: role_arn.to_owned(),
            region: "us-east-1".parse().unwrap(),
            document: Bytes::from_static(br#"{"requestContext":{}}"#),
            object_key: "aws/lambda/x".to_owned(),
        };
        self.destinations.deliver(delivery).await
    }
}

fn refusal(delivered: Result<(), DeliveryError>) -> String {
    match delivered {
        Err(DeliveryError::Refused(reason)) => reason,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_queue_gets_what_a_role_may_send() {
    let fixture = Fixture::new().await;
    let queue = fixture.queue("failed", None).await;
    let role = fixture.role("sender", LAMBDA, "sqs:SendMessage", &queue).await;
    fixture.deliver(&queue, &role).await.unwrap();
    assert_eq!(fixture.bodies("failed").await, [r#"{"requestContext":{}}"#]);

    let reader = fixture.role("reader", LAMBDA, "sqs:ReceiveMessage", &queue).await;
    assert!(refusal(fixture.deliver(&queue, &reader).await).contains("sqs:SendMessage"));
    let foreign = fixture.role("foreign", NOBODY, "sqs:SendMessage", "*").await;
    assert!(refusal(fixture.deliver(&queue, &foreign).await).contains("cannot be assumed"));
    assert!(
        refusal(fixture.deliver(&queue, "arn:aws:iam::123456789012:role/none").await).contains("cannot be assumed")
    );
    let all = fixture.role("all", LAMBDA, "*", "*").await;
    let refused = |destination: &'static str| async { refusal(fixture.deliver(destination, &all).await) };
    assert!(refused("arn:aws:sqs:us-west-2:123456789012:none").await.contains("no such queue"));
    assert!(refused("arn:aws:sqs:us-west-2:123456789012:failed.fifo").await.contains("FIFO"));
    assert!(refused("arn:aws:s3:::bucket").await.contains("does not exist"));
    assert!(refused("arn:aws:kinesis:us-west-2:123456789012:stream/s").await.contains("neither"));
    assert_eq!(fixture.bodies("failed").await, [""; 0]);
}

#[tokio::test]
async fn the_policy_of_a_queue_counts_too() {
    let fixture = Fixture::new().await;
    let role = fixture.role("sender", LAMBDA, "sqs:SendMessage", "arn:aws:sqs:us-west-2:123456789012:other").await;
    let policy = |effect: &str| {
        format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"{effect}","Principal":{{"AWS":"{role}"}},"Action":"sqs:SendMessage","Resource":"*"}}]}}"#
        )
    };
    let allowing = fixture.queue("allowing", Some(policy("Allow"))).await;
    fixture.deliver(&allowing, &role).await.unwrap();
    let denying = fixture.queue("other", Some(policy("Deny"))).await;
    assert!(refusal(fixture.deliver(&denying, &role).await).contains("sqs:SendMessage"));
}

#[tokio::test]
async fn a_topic_hands_on_what_a_role_may_publish() {
    let fixture = Fixture::new().await;
    let topic = fixture.context.scope.arn("sns", "failed").to_string();
    let role = fixture.role("publisher", LAMBDA, "sns:Publish", &topic).await;
    assert!(refusal(fixture.deliver(&topic, &role).await).contains("no such topic"));
    let input = CreateTopicInput { name: "failed".to_owned(), ..CreateTopicInput::default() };
    fixture.topics.create_topic(&fixture.context, input).await.unwrap();
    fixture.deliver(&topic, &role).await.unwrap();
    let policy = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"sns.amazonaws.com"},"Action":"sqs:SendMessage","Resource":"*"}]}"#;
    let queue = fixture.queue("q", Some(policy.to_owned())).await;
    let input = SubscribeInput {
        topic_arn: topic.clone(),
        protocol: "sqs".to_owned(),
        endpoint: Some(queue.clone()),
        ..SubscribeInput::default()
    };
    fixture.topics.subscribe(&fixture.context, input).await.unwrap();
    fixture.deliver(&topic, &role).await.unwrap();
    let told: serde_json::Value = serde_json::from_str(&fixture.bodies("q").await[0]).unwrap();
    assert_eq!(told["Message"], r#"{"requestContext":{}}"#);
    let sender = fixture.role("sender", LAMBDA, "sqs:SendMessage", &queue).await;
    assert!(refusal(fixture.deliver(&topic, &sender).await).contains("sns:Publish"));
}

#[tokio::test]
async fn a_bucket_gets_what_a_role_may_put() {
    let fixture = Fixture::new().await;
    let (account, mill) = (fixture.context.scope.account.clone(), "mill".parse().unwrap());
    fixture.buckets.create_bucket(&account, &mill, &fixture.context.scope.region).await.unwrap();
    let role = fixture.role("writer", LAMBDA, "s3:*", "arn:aws:s3:::mill*").await;
    fixture.deliver("arn:aws:s3:::mill", &role).await.unwrap();
    let (key, conditions) = ("aws/lambda/x".parse().unwrap(), ReadConditions::default());
    let found = fixture.buckets.get_object(&account, &mill, &key, &conditions, None).await.unwrap();
    assert_eq!(found.content.whole().await.unwrap(), r#"{"requestContext":{}}"#);

    let refused = async |bucket: &str, role: &str| refusal(fixture.deliver(bucket, role).await);
    assert!(refused("arn:aws:s3:::mill-unknown", &role).await.contains("does not exist"));
    assert!(refused("arn:aws:s3:::other", &role).await.contains("s3:PutObject"));
    assert!(refused("arn:aws:s3:::No", &role).await.contains("neither"));
    let blind = fixture.role("blind", LAMBDA, "s3:PutObject", "*").await;
    assert!(refused("arn:aws:s3:::mill", &blind).await.contains("s3:ListBucket"));
    let nobody = "arn:aws:iam::123456789012:role/nobody";
    assert!(refused("arn:aws:s3:::mill", nobody).await.contains("cannot be assumed"));
}

#[tokio::test]
async fn the_role_is_asked_before_anything_goes_outside() {
    let options = external::Options {
        // Nobody listens there.
        sqs: Some("http://127.0.0.1:1".to_owned()),
        credentials: Some(Credentials::new("outside", "secret")),
        ..external::Options::default()
    };
    let fixture = Fixture::with_outside(options).await;
    let queue = "arn:aws:sqs:eu-west-1:123456789012:q";
    let role = fixture.role("sender", LAMBDA, "sqs:SendMessage", queue).await;
    let tried = fixture.deliver(queue, &role).await;
    assert!(matches!(tried, Err(DeliveryError::Unavailable(_))), "{tried:?}");
    let other = "arn:aws:sqs:eu-west-1:123456789012:other";
    assert!(refusal(fixture.deliver(other, &role).await).contains("sqs:SendMessage"));
    assert!(refusal(fixture.deliver(&format!("{queue}.fifo"), &role).await).contains("FIFO"));
}
