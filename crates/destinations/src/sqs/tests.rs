//! The operations over a catalog in memory and a clock that tests move.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use millstream_blobs::{BlobStore as _, MemoryBlobs};
use millstream_catalog::{Expect, MetaStore as _, StoreError};
use millstream_env::{HostClock, Random, ServiceClock, Tasks, Timestamp, VirtualTime};
use millstream_iam::{Caller, Principal, RequestContext};
use millstream_types::Scope;
use millstream_wire::sqs::error::{ReceiveMessageError, SendMessageError};
use millstream_wire::sqs::{
    CreateQueueRequest, DeleteMessageRequest, DeleteQueueRequest, GetQueueAttributesRequest, GetQueueUrlRequest,
    Message, PurgeQueueRequest, ReceiveMessageRequest, SendMessageRequest,
};

use super::*;
use crate::testing::TestCatalog;

const URL: &str = "http://localhost:4566/123456789012/q";

struct Fixture {
    queues: Queues,
    catalog: Arc<TestCatalog>,
    blobs: Arc<MemoryBlobs>,
    clock: ServiceClock,
    time: VirtualTime,
}

fn context() -> RequestContext {
    let scope = Scope { account: "123456789012".parse().unwrap(), region: "us-west-2".parse().unwrap() };
    RequestContext {
        caller: Caller { account: scope.account.clone(), access_key_id: String::new(), principal: Principal::Root },
        scope,
        request_id: String::new(),
        endpoint: "http://localhost:4566".to_owned(),
    }
}

impl Fixture {
    /// With one queue that has these attributes.
    async fn new(attributes: &[(&str, &str)]) -> Self {
        let (clock, time) = ServiceClock::virtual_at(Timestamp::from_seconds(1_700_000_000));
        let (catalog, blobs) = (Arc::new(TestCatalog::default()), Arc::new(MemoryBlobs::new()));
        let queues = open(&catalog, &blobs, &clock).await;
        let fixture = Self { queues, catalog, blobs, clock, time };
        let attributes: BTreeMap<String, String> =
            attributes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let input = CreateQueueRequest {
            queue_name: "q".to_owned(),
            attributes: Some(attributes),
            ..CreateQueueRequest::default()
        };
        fixture.queues.create_queue(&context(), input).await.unwrap();
        fixture
    }

    /// As after a crash: another process over the same storage.
    async fn restart(self) -> Self {
        let queues = open(&self.catalog, &self.blobs, &self.clock).await;
        Self { queues, ..self }
    }

    async fn send(&self, body: &str) -> Result<(), SendMessageError> {
        let input = SendMessageRequest {
            queue_url: URL.to_owned(),
            message_body: body.to_owned(),
            ..SendMessageRequest::default()
        };
        self.queues.send_message(&context(), input).await.map(drop)
    }

    async fn receive(&self, wait_seconds: i32) -> Result<Vec<Message>, ReceiveMessageError> {
        let input = ReceiveMessageRequest {
            queue_url: URL.to_owned(),
            max_number_of_messages: Some(10),
            wait_time_seconds: Some(wait_seconds),
            message_system_attribute_names: Some(vec!["All".to_owned()]),
            ..ReceiveMessageRequest::default()
        };
        Ok(self.queues.receive_message(&context(), input).await?.messages.unwrap_or_default())
    }

    async fn bodies(&self) -> Vec<String> {
        self.receive(0).await.unwrap().into_iter().filter_map(|message| message.body).collect()
    }

    async fn delete(&self, message: &Message) {
        let receipt_handle = message.receipt_handle.clone().unwrap();
        let input = DeleteMessageRequest { queue_url: URL.to_owned(), receipt_handle };
        self.queues.delete_message(&context(), input).await.unwrap();
    }

    async fn attribute(&self, name: &str) -> String {
        let input =
            GetQueueAttributesRequest { queue_url: URL.to_owned(), attribute_names: Some(vec![name.to_owned()]) };
        let answer = self.queues.get_queue_attributes(&context(), input).await.unwrap();
        answer.attributes.unwrap()[name].clone()
    }

    /// Messages in the catalog, once what is deleted in the background is gone.
    async fn stored(&self, expected: usize) {
        loop {
            let page = self.catalog.list(record::MESSAGES, None, 1000).await.unwrap();
            if page.items.len() == expected {
                return;
            }
            tokio::task::yield_now().await;
        }
    }
}

async fn open(catalog: &Arc<TestCatalog>, blobs: &Arc<MemoryBlobs>, clock: &ServiceClock) -> Queues {
    Queues::open(Parts {
        catalog: Arc::clone(catalog) as SharedStore,
        blobs: Arc::clone(blobs) as SharedBlobs,
        clock: clock.clone(),
        host_clock: HostClock::real(),
        random: Random::seeded(7),
        tasks: Tasks::new(),
        requests: Tasks::new(),
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn visibility_counts_and_handles_survive_a_restart() {
    let fixture = Fixture::new(&[("VisibilityTimeout", "30")]).await;
    fixture.send("a").await.unwrap();
    let taken = fixture.receive(0).await.unwrap();
    let fixture = fixture.restart().await;
    assert_eq!(fixture.bodies().await, [""; 0], "it is still in flight");
    fixture.time.advance(Duration::from_secs(30));
    let again = fixture.receive(0).await.unwrap();
    assert_eq!(again[0].attributes.as_ref().unwrap()["ApproximateReceiveCount"], "2");
    assert_eq!(again[0].message_id, taken[0].message_id);
    fixture.delete(&taken[0]).await;
    assert_eq!(fixture.attribute("ApproximateNumberOfMessagesNotVisible").await, "1", "not the last receive's handle");
    fixture.delete(&again[0]).await;
    let fixture = fixture.restart().await;
    fixture.time.advance(Duration::from_hours(1));
    assert_eq!(fixture.bodies().await, [""; 0], "what is deleted does not come back");
    fixture.stored(0).await;
}

#[tokio::test]
async fn long_contents_are_blobs_and_go_with_their_message() {
    let fixture = Fixture::new(&[]).await;
    let long = "x".repeat(record::INLINE_BYTES_MAX);
    fixture.send(&long).await.unwrap();
    fixture.send(&long).await.unwrap();
    assert_eq!(fixture.blobs.list().await.unwrap().len(), 2, "equal messages are two");
    let fixture = fixture.restart().await;
    let messages = fixture.receive(0).await.unwrap();
    assert!(messages.iter().all(|message| message.body.as_deref() == Some(&long)));
    fixture.delete(&messages[0]).await;
    assert_eq!(fixture.blobs.list().await.unwrap().len(), 1);
    fixture.blobs.put("left over".into()).await.unwrap();
    let fixture = fixture.restart().await;
    assert_eq!(fixture.blobs.list().await.unwrap().len(), 1);
}

#[tokio::test]
async fn messages_expire() {
    let fixture = Fixture::new(&[("MessageRetentionPeriod", "60")]).await;
    fixture.send("a").await.unwrap();
    fixture.time.advance(Duration::from_secs(59));
    assert_eq!(fixture.attribute("ApproximateNumberOfMessages").await, "1");
    fixture.time.advance(Duration::from_secs(1));
    assert_eq!(fixture.attribute("ApproximateNumberOfMessages").await, "0");
    fixture.stored(0).await;
}

#[tokio::test]
async fn the_sweep_finds_expired_messages_of_idle_queues() {
    let fixture = Fixture::new(&[("MessageRetentionPeriod", "60")]).await;
    fixture.send("a").await.unwrap();
    tokio::task::yield_now().await;
    fixture.time.advance(Duration::from_mins(2));
    fixture.stored(0).await;
}

#[tokio::test]
async fn a_purge_holds_over_a_restart() {
    let fixture = Fixture::new(&[]).await;
    for _ in 0..100 {
        fixture.send("a").await.unwrap();
    }
    let purge = || PurgeQueueRequest { queue_url: URL.to_owned() };
    fixture.queues.purge_queue(&context(), purge()).await.unwrap();
    fixture.send("b").await.unwrap();
    // The deletions behind it have not all run.
    let fixture = fixture.restart().await;
    assert_eq!(fixture.bodies().await, ["b"]);
    assert!(fixture.queues.purge_queue(&context(), purge()).await.is_err());
    fixture.time.advance(Duration::from_mins(1));
    fixture.queues.purge_queue(&context(), purge()).await.unwrap();
    fixture.stored(0).await;
}

#[tokio::test]
async fn a_queue_made_anew_is_another_one() {
    let fixture = Fixture::new(&[]).await;
    fixture.send("a").await.unwrap();
    let taken = fixture.receive(0).await.unwrap();
    fixture.queues.delete_queue(&context(), DeleteQueueRequest { queue_url: URL.to_owned() }).await.unwrap();
    assert!(matches!(fixture.send("b").await, Err(SendMessageError::QueueDoesNotExist(_))));
    let input = CreateQueueRequest { queue_name: "q".to_owned(), ..CreateQueueRequest::default() };
    fixture.queues.create_queue(&context(), input).await.unwrap();
    let input =
        DeleteMessageRequest { queue_url: URL.to_owned(), receipt_handle: taken[0].receipt_handle.clone().unwrap() };
    assert!(fixture.queues.delete_message(&context(), input).await.is_err(), "a handle of the other queue");
    fixture.stored(0).await;
    let fixture = fixture.restart().await;
    assert_eq!(fixture.bodies().await, [""; 0]);
}

#[tokio::test]
async fn a_waiting_receive_wakes_for_a_message_a_due_time_and_a_deletion() {
    let fixture = Arc::new(Fixture::new(&[("DelaySeconds", "5")]).await);
    let wait = || {
        let fixture = Arc::clone(&fixture);
        Box::pin(async move { fixture.receive(20).await })
    };
    let mut waiting = wait();
    assert!(futures_util::poll!(&mut waiting).is_pending());
    fixture.send("delayed").await.unwrap();
    assert!(HostClock::real().timeout(Duration::from_millis(20), &mut waiting).await.is_none());
    fixture.time.advance(Duration::from_secs(5));
    assert_eq!(waiting.await.unwrap()[0].body.as_deref(), Some("delayed"));
    let mut waiting = wait();
    assert!(HostClock::real().timeout(Duration::from_millis(20), &mut waiting).await.is_none());
    fixture.queues.delete_queue(&context(), DeleteQueueRequest { queue_url: URL.to_owned() }).await.unwrap();
    assert!(matches!(waiting.await, Err(ReceiveMessageError::QueueDoesNotExist(_))));
    assert_eq!(fixture.queues.shared.waiting.load(std::sync::atomic::Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_message_of_unknown_outcome_keeps_its_contents_and_one_that_was_refused_does_not() {
    let fixture = Fixture::new(&[]).await;
    let long = "x".repeat(record::INLINE_BYTES_MAX);
    fixture.catalog.fail_once(record::MESSAGES, StoreError::Full);
    fixture.send(&long).await.unwrap_err();
    assert_eq!(fixture.blobs.list().await.unwrap().len(), 0);
    fixture.catalog.fail_once(record::MESSAGES, StoreError::Unavailable("disk".to_owned()));
    fixture.send(&long).await.unwrap_err();
    let fixture = fixture.restart().await;
    assert_eq!(fixture.bodies().await, [long], "it was stored all the same");
}

#[tokio::test]
async fn a_damaged_message_does_not_hold_up_those_behind_it() {
    let fixture = Fixture::new(&[]).await;
    for body in ["a", "b"] {
        fixture.send(body).await.unwrap();
    }
    let page = fixture.catalog.list(record::MESSAGES, None, 1).await.unwrap();
    let (key, found) = &page.items[0];
    fixture.catalog.put(key, Expect::Revision(found.revision), "{".into()).await.unwrap();
    let receive_one = || async {
        let input = ReceiveMessageRequest { queue_url: URL.to_owned(), ..ReceiveMessageRequest::default() };
        fixture.queues.receive_message(&context(), input).await
    };
    receive_one().await.unwrap_err();
    let messages = receive_one().await.unwrap().messages.unwrap();
    assert_eq!(messages[0].body.as_deref(), Some("b"));
}

#[tokio::test]
async fn a_repeated_deletion_is_answered_once_it_is_durable() {
    let fixture = Fixture::new(&[]).await;
    fixture.send("a").await.unwrap();
    let message = fixture.receive(0).await.unwrap().remove(0);
    let delete = || {
        let receipt_handle = message.receipt_handle.clone().unwrap();
        let input = DeleteMessageRequest { queue_url: URL.to_owned(), receipt_handle };
        Box::pin(async { fixture.queues.delete_message(&context(), input).await })
    };
    let mut first = delete();
    assert!(futures_util::poll!(&mut first).is_pending());
    delete().await.unwrap();
    let page = fixture.catalog.list(record::MESSAGES, None, 10).await.unwrap();
    assert_eq!(page.items.len(), 0);
    first.await.unwrap();
}

#[tokio::test]
async fn a_deleted_queue_does_not_take_a_newer_one_with_it() {
    let fixture = Fixture::new(&[]).await;
    let former = fixture.queues.find(&QueueKey::from_url(URL, &context().scope.region).unwrap()).unwrap();
    fixture.queues.delete_queue(&context(), DeleteQueueRequest { queue_url: URL.to_owned() }).await.unwrap();
    let input = CreateQueueRequest { queue_name: "q".to_owned(), ..CreateQueueRequest::default() };
    fixture.queues.create_queue(&context(), input).await.unwrap();
    fixture.queues.forget(&former);
    fixture.send("a").await.unwrap();
}

#[tokio::test]
async fn damaged_queues_and_messages_are_left_out_and_stay() {
    let fixture = Fixture::new(&[]).await;
    let long = "x".repeat(record::INLINE_BYTES_MAX);
    for body in [&long, "b"] {
        fixture.send(body).await.unwrap();
    }
    let damage = |prefix: &'static str, text: &'static str| {
        let catalog = Arc::clone(&fixture.catalog);
        async move {
            let page = catalog.list(prefix, None, 1).await.unwrap();
            let (key, found) = &page.items[0];
            catalog.put(key, Expect::Revision(found.revision), text.into()).await.unwrap();
        }
    };
    damage(record::MESSAGES, "{").await;
    let open = || open(&fixture.catalog, &fixture.blobs, &fixture.clock);
    let context = context();
    let url = || GetQueueUrlRequest { queue_name: "q".to_owned(), ..GetQueueUrlRequest::default() };
    open().await.get_queue_url(&context, url()).await.unwrap();
    assert_eq!(fixture.blobs.list().await.unwrap().len(), 1);
    damage(record::QUEUES, r#"{"v":2}"#).await;
    let queues = open().await;
    queues.get_queue_url(&context, url()).await.unwrap_err();
    let input = CreateQueueRequest { queue_name: "other".to_owned(), ..CreateQueueRequest::default() };
    queues.create_queue(&context, input).await.unwrap();
    assert_eq!(fixture.blobs.list().await.unwrap().len(), 1);
    fixture.stored(2).await;
}

#[tokio::test]
async fn waiting_receives_take_one_message_each_and_are_not_at_work() {
    let fixture = Arc::new(Fixture::new(&[]).await);
    let one = || {
        let fixture = Arc::clone(&fixture);
        Box::pin(async move {
            let input = ReceiveMessageRequest {
                queue_url: URL.to_owned(),
                wait_time_seconds: Some(20),
                ..ReceiveMessageRequest::default()
            };
            fixture.queues.receive_message(&context(), input).await.unwrap().messages.unwrap().len()
        })
    };
    let (mut first, mut second) = (one(), one());
    for waiting in [&mut first, &mut second] {
        assert!(HostClock::real().timeout(Duration::from_millis(20), waiting).await.is_none());
    }
    assert_eq!(fixture.clock.activity().requests(), 0, "a drain does not wait for them");
    for body in ["a", "b"] {
        fixture.send(body).await.unwrap();
    }
    let both = futures_util::future::join(first, second);
    let both = HostClock::real().timeout(Duration::from_secs(5), both).await;
    assert_eq!(both, Some((1, 1)));
}
