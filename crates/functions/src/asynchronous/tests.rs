//! The queue on virtual time: retries, restarts, long bodies.

use std::time::Duration;

use millstream_destinations::{Delivery, DeliveryError};
use millstream_env::activity::{Occupied, Standing};
use millstream_runtime::{FailureKind, Outcome};
use millstream_wire::lambda::{
    DestinationConfig, InvocationRequest, InvocationType, OnFailure, OnSuccess, PutFunctionConcurrencyRequest,
    PutFunctionEventInvokeConfigRequest,
};

use super::*;
use crate::testing::{World, context, create_request};

async fn world() -> World {
    let world = World::new().await;
    world.functions.create_function(&context(), create_request("f")).await.unwrap();
    world
}

async fn send(world: &World, request_id: &str, payload: &str) {
    let context = millstream_iam::RequestContext { request_id: request_id.to_owned(), ..context() };
    let input = InvocationRequest {
        function_name: "f".to_owned(),
        invocation_type: Some(InvocationType::Event),
        payload: Some(Bytes::copy_from_slice(payload.as_bytes())),
        ..InvocationRequest::default()
    };
    let answer = world.functions.invoke(&context, input).await.unwrap();
    assert_eq!((answer.status_code, answer.payload, answer.executed_version), (Some(202), None, None));
}

fn failure() -> Outcome {
    Outcome::FunctionError { kind: FailureKind::Handler, payload: Bytes::new() }
}

/// Waits until nothing is kept any more.
async fn drained(world: &World) {
    while !world.catalog.list(EVENTS, None, 1).await.unwrap().items.is_empty() {
        tokio::task::yield_now().await;
    }
}

/// Waits until the first event waits for exactly this long.
async fn waits_for(world: &World, pause: Duration) {
    let queue = &world.functions.shared.queue;
    let due = queue.clock.now().plus(pause);
    while queue.lock().due.first().map(|(due, _)| *due) != Some(due) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn an_accepted_event_runs_once_and_is_forgotten() {
    let world = world().await;
    send(&world, "id-1", "{\"a\":1}").await;
    let runs = world.script.runs(1).await;
    assert_eq!(&runs[0].1[..], b"{\"a\":1}");
    assert_eq!(runs[0].2.request_id, "id-1");
    drained(&world).await;
    assert_eq!(world.script.count(), 1);
}

#[tokio::test]
async fn a_failing_function_is_retried_after_one_and_two_minutes_under_one_id() {
    let world = world().await;
    world.script.prepare([failure(), failure(), failure()]);
    send(&world, "id-1", "{}").await;
    for pause in [60, 120] {
        waits_for(&world, Duration::from_secs(pause)).await;
        world.time.advance(Duration::from_secs(pause));
    }
    let runs = world.script.runs(3).await;
    assert!(runs.iter().all(|(_, _, request)| request.request_id == "id-1"));
    drained(&world).await;
    assert_eq!(world.script.count(), 3);
}

#[tokio::test]
async fn a_throttled_event_waits_and_then_runs() {
    let world = world().await;
    world.script.prepare([Outcome::Throttled { reason: "ConcurrentInvocationLimitExceeded" }, failure()]);
    send(&world, "id-1", "{}").await;
    for pause in [1, 60] {
        waits_for(&world, Duration::from_secs(pause)).await;
        world.time.advance(Duration::from_secs(pause));
    }
    world.script.runs(3).await;
    drained(&world).await;
}

#[tokio::test]
async fn what_was_accepted_survives_a_restart_with_its_attempts() {
    let world = world().await;
    let long = format!("\"{}\"", "x".repeat(100_000));
    world.script.prepare([failure(), failure()]);
    send(&world, "id-1", &long).await;
    send(&world, "id-2", &long).await;
    world.script.runs(2).await;
    while world.functions.shared.queue.lock().due.len() < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(world.events.list().await.unwrap().len(), 2, "equal bodies are kept apart");

    world.events.put(Bytes::from_static(b"left by a crash")).await.unwrap();
    let world = world.restarted().await;
    assert_eq!(world.events.list().await.unwrap().len(), 2, "what no event refers to is removed");
    assert_eq!(world.functions.shared.queue.lock().count, 2);
    waits_for(&world, Duration::from_mins(1)).await;
    world.time.advance(Duration::from_mins(1));
    let runs = world.script.runs(2).await;
    assert!(runs.iter().all(|(_, event, _)| event == long.as_bytes()));
    drained(&world).await;
    while !world.events.list().await.unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(world.functions.shared.queue.lock().count, 0);
}

#[tokio::test]
async fn the_queue_is_at_work_while_events_wait_for_a_place() {
    let world = world().await;
    world.script.is_held.send_replace(true);
    for number in 0..=worker::RUNNING_MAX {
        send(&world, &format!("id-{number}"), "{}").await;
    }
    world.script.runs(worker::RUNNING_MAX).await;
    let clock = &world.functions.shared.service_clock;
    let is_queue = |occupied: &&Occupied| occupied.subject.id.is_empty();
    let queue = || clock.activity().occupied(clock.now()).iter().find(is_queue).map(|queue| queue.standing);
    let waiting = Some(Standing::Busy("all places are taken"));
    while queue() != waiting {
        tokio::task::yield_now().await;
    }
    world.script.is_held.send_replace(false);
    drained(&world).await;
    assert_eq!(world.script.count(), worker::RUNNING_MAX + 1);
}

#[tokio::test]
async fn events_of_a_deleted_function_are_given_up() {
    let world = world().await;
    world.script.prepare([failure()]);
    send(&world, "id-1", "{}").await;
    waits_for(&world, Duration::from_mins(1)).await;
    let input = millstream_wire::lambda::DeleteFunctionRequest { function_name: "f".to_owned(), qualifier: None };
    world.functions.delete_function(&context(), input).await.unwrap();
    world.time.advance(Duration::from_mins(1));
    drained(&world).await;
    assert_eq!(world.script.count(), 1);
}

const ARN: &str = "arn:aws:lambda:us-east-1:000000000000:function:f";
const QUEUE: &str = "arn:aws:sqs:us-east-1:000000000000:q";
const TOPIC: &str = "arn:aws:sns:us-east-1:000000000000:t";

fn to(on_success: Option<&str>, on_failure: Option<&str>) -> PutFunctionEventInvokeConfigRequest {
    PutFunctionEventInvokeConfigRequest {
        function_name: "f".to_owned(),
        destination_config: Some(DestinationConfig {
            on_success: on_success.map(|arn| OnSuccess { destination: Some(arn.to_owned()) }),
            on_failure: on_failure.map(|arn| OnFailure { destination: Some(arn.to_owned()) }),
        }),
        ..PutFunctionEventInvokeConfigRequest::default()
    }
}

async fn configured(world: &World, input: PutFunctionEventInvokeConfigRequest) {
    world.functions.put_function_event_invoke_config(&context(), input).await.unwrap();
}

/// Destination and context of everything that was sent so far.
fn sent(world: &World) -> Vec<(String, serde_json::Value)> {
    let documents = world.post.sent.borrow();
    let document = |delivery: &Delivery| -> serde_json::Value { serde_json::from_slice(&delivery.document).unwrap() };
    documents.iter().map(|delivery| (delivery.destination.to_string(), document(delivery))).collect()
}

#[tokio::test]
async fn results_go_where_the_configuration_says() {
    let world = world().await;
    configured(
        &world,
        PutFunctionEventInvokeConfigRequest { maximum_retry_attempts: Some(0), ..to(Some(QUEUE), Some(TOPIC)) },
    )
    .await;
    send(&world, "id-1", "{\"a\":1}").await;
    drained(&world).await;
    world.script.prepare([failure()]);
    send(&world, "id-2", "{}").await;
    drained(&world).await;
    let sent = sent(&world);
    let [(first, success), (second, failed)] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!((first.as_str(), second.as_str()), (QUEUE, TOPIC));
    assert_eq!(success["requestContext"]["condition"], "Success");
    assert_eq!(success["requestContext"]["functionArn"], format!("{ARN}:$LATEST"));
    assert_eq!(
        (&success["requestPayload"], &success["responsePayload"]["a"]),
        (&serde_json::json!({"a": 1}), &1.into())
    );
    assert_eq!(failed["requestContext"]["condition"], "RetriesExhausted");
    assert_eq!(failed["requestContext"]["approximateInvokeCount"], 1);
    assert_eq!(failed["responseContext"]["functionError"], "Unhandled");
}

#[tokio::test]
async fn a_destination_that_cannot_be_reached_is_tried_again_and_the_function_is_not() {
    let world = world().await;
    configured(&world, to(Some(QUEUE), None)).await;
    let unreachable = || DeliveryError::Unavailable("no".to_owned());
    world.post.failures.lock().unwrap().extend([unreachable(), unreachable()]);
    send(&world, "id-1", "{}").await;
    let clock = &world.functions.shared.service_clock;
    for (pause, left) in [(1, 1), (2, 0)] {
        while world.post.failures.lock().unwrap().len() > left {
            tokio::task::yield_now().await;
        }
        let until = clock.now().plus(Duration::from_secs(pause));
        let waits =
            |occupied: &Occupied| matches!(occupied.standing, Standing::Waiting { until: at, .. } if at == until);
        while !clock.activity().occupied(clock.now()).iter().any(waits) {
            tokio::task::yield_now().await;
        }
        world.time.advance(Duration::from_secs(pause));
    }
    drained(&world).await;
    assert_eq!((world.script.count(), sent(&world).len()), (1, 1));
    // One that refuses is not asked again: the event is over, and that is counted.
    world.post.failures.lock().unwrap().push_back(DeliveryError::Refused("no".to_owned()));
    send(&world, "id-2", "{}").await;
    drained(&world).await;
    assert_eq!((world.script.count(), sent(&world).len()), (2, 1));
}

#[tokio::test]
async fn a_function_that_is_switched_off_gets_no_retries() {
    let world = world().await;
    configured(&world, to(None, Some(QUEUE))).await;
    let input = PutFunctionConcurrencyRequest { function_name: "f".to_owned(), reserved_concurrent_executions: 0 };
    world.functions.put_function_concurrency(&context(), input).await.unwrap();
    let reason = "ReservedFunctionConcurrentInvocationLimitExceeded";
    world.script.prepare([Outcome::Throttled { reason }]);
    send(&world, "id-1", "{}").await;
    drained(&world).await;
    let sent = sent(&world);
    assert_eq!(sent[0].1["requestContext"]["condition"], "RetriesExhausted");
    assert_eq!(sent[0].1["requestContext"]["approximateInvokeCount"], 0);
    assert_eq!(sent[0].1.get("responsePayload"), None);
}

#[tokio::test]
async fn a_function_can_take_the_results_of_another() {
    let world = world().await;
    world.functions.create_function(&context(), create_request("g")).await.unwrap();
    configured(&world, to(Some("arn:aws:lambda:us-east-1:000000000000:function:g"), None)).await;
    send(&world, "id-1", "{\"a\":1}").await;
    let runs = world.script.runs(2).await;
    assert_eq!(runs[1].0.name, "g");
    let document: serde_json::Value = serde_json::from_slice(&runs[1].1).unwrap();
    assert_eq!(
        (&document["requestPayload"]["a"], &document["requestContext"]["condition"]),
        (&1.into(), &"Success".into())
    );
    drained(&world).await;
    assert!(sent(&world).is_empty());
}
