//! The operations as clients use them.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use millstream_catalog::MemoryStore;
use millstream_env::{BoxFuture, HostClock, Random, ServiceClock, Tasks, Timestamp, VirtualTime};
use millstream_iam::{Caller, Principal, RequestContext};
use millstream_types::{AccountId, Arn, Scope};
use millstream_wire::logs::error::*;
use millstream_wire::logs::*;

use crate::logs::{LogPermissions, LogTarget, Logs, Options, Parts, Storage};

const NOW: u64 = 1_800_000_000_000;
const GROUP: &str = "/aws/lambda/f";

struct Fixture {
    logs: Logs,
    time: VirtualTime,
    context: RequestContext,
}

async fn fixture() -> Fixture {
    let (clock, time) = ServiceClock::virtual_at(Timestamp::from_millis(NOW));
    let parts = Parts {
        store: Arc::new(MemoryStore::new()),
        storage: Storage::Memory,
        clock,
        host_clock: HostClock::real(),
        random: Random::seeded(1),
        tasks: Tasks::new(),
    };
    let account = AccountId::default_account();
    let context = RequestContext {
        scope: Scope { account: account.clone(), region: "us-east-1".parse().unwrap() },
        caller: Caller { account, access_key_id: "test".to_owned(), principal: Principal::Root },
        request_id: String::new(),
        endpoint: String::new(),
    };
    Fixture { logs: Logs::open(parts, Options::default()).await.unwrap(), time, context }
}

impl Fixture {
    async fn with_streams(streams: &[&str]) -> Self {
        let fixture = fixture().await;
        let group = CreateLogGroupRequest { log_group_name: GROUP.to_owned(), ..Default::default() };
        fixture.logs.create_log_group(&fixture.context, group).await.unwrap();
        for stream in streams {
            let stream = CreateLogStreamRequest { log_group_name: GROUP.into(), log_stream_name: (*stream).into() };
            fixture.logs.create_log_stream(&fixture.context, stream).await.unwrap();
        }
        fixture
    }

    async fn put(&self, stream: &str, events: &[(u64, &str)]) -> Result<PutLogEventsResponse, PutLogEventsError> {
        let event = |(timestamp, message): &(u64, &str)| InputLogEvent {
            timestamp: i64::try_from(*timestamp).unwrap(),
            message: (*message).to_owned(),
        };
        let request = PutLogEventsRequest {
            log_group_name: GROUP.to_owned(),
            log_stream_name: stream.to_owned(),
            log_events: events.iter().map(event).collect(),
            ..Default::default()
        };
        self.logs.put_log_events(&self.context, request).await
    }

    async fn filter(&self, request: FilterLogEventsRequest) -> Result<FilterLogEventsResponse, FilterLogEventsError> {
        let request = FilterLogEventsRequest { log_group_name: Some(GROUP.to_owned()), ..request };
        self.logs.filter_log_events(&self.context, request).await
    }

    async fn get(&self, stream: &str, request: GetLogEventsRequest) -> (Vec<String>, String, String) {
        let request = GetLogEventsRequest {
            log_group_name: Some(GROUP.to_owned()),
            log_stream_name: stream.to_owned(),
            ..request
        };
        let answer = self.logs.get_log_events(&self.context, request).await.unwrap();
        let messages = answer.events.unwrap().into_iter().map(|event| event.message.unwrap()).collect();
        (messages, answer.next_forward_token.unwrap(), answer.next_backward_token.unwrap())
    }
}

fn messages(answer: &FilterLogEventsResponse) -> Vec<&str> {
    answer.events.iter().flatten().map(|event| event.message.as_deref().unwrap()).collect()
}

#[tokio::test]
async fn groups_and_streams_are_created_once_and_described() {
    let fixture = Fixture::with_streams(&["a", "b"]).await;
    let (logs, context) = (&fixture.logs, &fixture.context);
    let group = CreateLogGroupRequest { log_group_name: GROUP.to_owned(), ..Default::default() };
    assert_eq!(
        logs.create_log_group(context, group).await,
        Err(CreateLogGroupError::ResourceAlreadyExists("The specified log group already exists".to_owned()))
    );
    let stream = CreateLogStreamRequest { log_group_name: GROUP.into(), log_stream_name: "a".into() };
    assert_eq!(
        logs.create_log_stream(context, stream).await,
        Err(CreateLogStreamError::ResourceAlreadyExists("The specified log stream already exists".to_owned()))
    );
    let stream = CreateLogStreamRequest { log_group_name: "none".into(), log_stream_name: "a".into() };
    assert_eq!(
        logs.create_log_stream(context, stream).await,
        Err(CreateLogStreamError::ResourceNotFound("The specified log group does not exist.".to_owned()))
    );

    let retention = PutRetentionPolicyRequest { log_group_name: GROUP.into(), retention_in_days: 7 };
    logs.put_retention_policy(context, retention).await.unwrap();
    let described = logs.describe_log_groups(context, DescribeLogGroupsRequest::default()).await.unwrap();
    let group = &described.log_groups.unwrap()[0];
    assert_eq!(group.arn.as_deref(), Some("arn:aws:logs:us-east-1:000000000000:log-group:/aws/lambda/f:*"));
    assert_eq!(group.log_group_arn.as_deref(), Some("arn:aws:logs:us-east-1:000000000000:log-group:/aws/lambda/f"));
    assert_eq!((group.retention_in_days, group.stored_bytes, group.metric_filter_count), (Some(7), Some(0), Some(0)));
    assert_eq!(described.next_token, None);

    fixture.put("b", &[(NOW - 5, "x"), (NOW, "y")]).await.unwrap();
    let request = DescribeLogStreamsRequest {
        log_group_name: Some(GROUP.to_owned()),
        order_by: Some(OrderBy::LastEventTime),
        descending: Some(true),
        limit: Some(1),
        ..Default::default()
    };
    let page = logs.describe_log_streams(context, request.clone()).await.unwrap();
    let stream = &page.log_streams.as_ref().unwrap()[0];
    assert_eq!(stream.log_stream_name.as_deref(), Some("b"));
    assert_eq!(stream.first_event_timestamp, Some(i64::try_from(NOW - 5).unwrap()));
    let rest = DescribeLogStreamsRequest { next_token: page.next_token, ..request };
    let rest = logs.describe_log_streams(context, rest).await.unwrap();
    assert_eq!(rest.log_streams.unwrap()[0].log_stream_name.as_deref(), Some("a"));
    assert_eq!(rest.next_token, None);
}

#[tokio::test]
async fn a_refused_batch_stores_nothing() {
    let fixture = Fixture::with_streams(&["a"]).await;
    let refused = fixture.put("a", &[(NOW, "late"), (NOW - 1, "early")]).await;
    assert_eq!(
        refused,
        Err(PutLogEventsError::InvalidParameter(
            "Log events in a single PutLogEvents request must be in chronological order.".to_owned()
        ))
    );
    let large = "x".repeat(1_048_576 - 25);
    let refused = fixture.put("a", &[(NOW, &large)]).await;
    assert_eq!(
        refused,
        Err(PutLogEventsError::InvalidParameter("Upload too large: 1048577 bytes exceeds limit of 1048576".to_owned()))
    );
    assert!(fixture.put("a", &[(NOW - 24 * 3600 * 1000 - 1, "x"), (NOW, "y")]).await.is_err());
    assert!(matches!(fixture.put("none", &[(NOW, "x")]).await, Err(PutLogEventsError::ResourceNotFound(_))));
    let all = fixture.filter(FilterLogEventsRequest::default()).await.unwrap();
    assert_eq!(messages(&all), Vec::<&str>::new());
}

#[tokio::test]
async fn a_stream_is_read_in_both_directions_and_the_end_repeats_its_token() {
    let fixture = Fixture::with_streams(&["a"]).await;
    let events: Vec<(u64, String)> = (0..5).map(|i| (NOW + i, format!("m{i}"))).collect();
    let events: Vec<(u64, &str)> = events.iter().map(|(time, message)| (*time, message.as_str())).collect();
    fixture.put("a", &events).await.unwrap();

    let two = GetLogEventsRequest { limit: Some(2), ..Default::default() };
    let (newest, forward, backward) = fixture.get("a", two.clone()).await;
    assert_eq!(newest, ["m3", "m4"]);
    let (older, _, _) = fixture.get("a", GetLogEventsRequest { next_token: Some(backward), ..two.clone() }).await;
    assert_eq!(older, ["m1", "m2"]);
    let at_end = GetLogEventsRequest { next_token: Some(forward.clone()), ..two.clone() };
    assert_eq!(fixture.get("a", at_end.clone()).await.1, forward);
    fixture.put("a", &[(NOW + 9, "new")]).await.unwrap();
    assert_eq!(fixture.get("a", at_end).await.0, ["new"]);

    let (oldest, forward, backward) =
        fixture.get("a", GetLogEventsRequest { start_from_head: Some(true), ..two.clone() }).await;
    assert_eq!(oldest, ["m0", "m1"]);
    let before = GetLogEventsRequest { next_token: Some(backward.clone()), ..two.clone() };
    let (none, _, same) = fixture.get("a", before).await;
    assert_eq!((none, same), (Vec::<String>::new(), backward));
    assert_eq!(fixture.get("a", GetLogEventsRequest { next_token: Some(forward), ..two }).await.0, ["m2", "m3"]);

    let end = GetLogEventsRequest {
        start_time: Some(i64::try_from(NOW + 1).unwrap()),
        end_time: Some(i64::try_from(NOW + 3).unwrap()),
        ..Default::default()
    };
    assert_eq!(fixture.get("a", end).await.0, ["m1", "m2"]);
    let bad = GetLogEventsRequest {
        log_group_name: Some(GROUP.to_owned()),
        log_stream_name: "a".to_owned(),
        next_token: Some("f/1/s".to_owned()),
        ..Default::default()
    };
    assert_eq!(
        fixture.logs.get_log_events(&fixture.context, bad).await,
        Err(GetLogEventsError::InvalidParameter("The specified nextToken is invalid.".to_owned()))
    );
}

#[tokio::test]
async fn retention_hides_events_at_once() {
    let fixture = Fixture::with_streams(&["a"]).await;
    fixture.put("a", &[(NOW, "old")]).await.unwrap();
    let retention = PutRetentionPolicyRequest { log_group_name: GROUP.into(), retention_in_days: 1 };
    fixture.logs.put_retention_policy(&fixture.context, retention).await.unwrap();
    fixture.time.advance(Duration::from_hours(24));
    fixture.put("a", &[(NOW + 24 * 3600 * 1000, "new")]).await.unwrap();
    let all = || fixture.filter(FilterLogEventsRequest::default());
    assert_eq!(messages(&all().await.unwrap()), ["old", "new"]);
    fixture.time.advance(Duration::from_millis(1));
    assert_eq!(messages(&all().await.unwrap()), ["new"]);
    fixture.time.advance(Duration::from_hours(48));
    fixture.logs.trim(true).await.unwrap();
    let groups = fixture.logs.describe_log_groups(&fixture.context, DescribeLogGroupsRequest::default()).await.unwrap();
    assert_eq!(groups.log_groups.unwrap()[0].stored_bytes, Some(0));
    let refused = PutRetentionPolicyRequest { log_group_name: GROUP.into(), retention_in_days: 2 };
    assert!(fixture.logs.put_retention_policy(&fixture.context, refused).await.is_err());
}

#[tokio::test]
async fn a_deleted_group_takes_its_streams_and_events_along() {
    let fixture = Fixture::with_streams(&["a"]).await;
    fixture.put("a", &[(NOW, "x")]).await.unwrap();
    let delete = || DeleteLogGroupRequest { log_group_name: GROUP.to_owned() };
    fixture.logs.delete_log_group(&fixture.context, delete()).await.unwrap();
    assert_eq!(
        fixture.logs.delete_log_group(&fixture.context, delete()).await,
        Err(DeleteLogGroupError::ResourceNotFound("The specified log group does not exist.".to_owned()))
    );
    assert!(matches!(fixture.put("a", &[(NOW, "x")]).await, Err(PutLogEventsError::ResourceNotFound(_))));
    let group = CreateLogGroupRequest { log_group_name: GROUP.to_owned(), ..Default::default() };
    fixture.logs.create_log_group(&fixture.context, group).await.unwrap();
    assert!(matches!(fixture.put("a", &[(NOW, "x")]).await, Err(PutLogEventsError::ResourceNotFound(_))));
}

/// The calls of `aws logs tail --follow` of the AWS CLI version 2.
struct Follower {
    start_time: i64,
    seen: HashMap<i64, HashSet<String>>,
    printed: Vec<String>,
}

impl Follower {
    /// One round: pages until there is no token, then begins again at the newest time seen.
    async fn round(&mut self, fixture: &Fixture) {
        let mut next_token = None;
        loop {
            let request = FilterLogEventsRequest {
                interleaved: Some(true),
                start_time: Some(self.start_time),
                next_token,
                limit: Some(2),
                ..Default::default()
            };
            let answer = fixture.filter(request).await.unwrap();
            for event in answer.events.unwrap() {
                let (timestamp, id) = (event.timestamp.unwrap(), event.event_id.unwrap());
                if self.seen.entry(timestamp).or_default().insert(id) {
                    self.printed.push(event.message.unwrap());
                }
            }
            next_token = answer.next_token;
            if next_token.is_none() {
                break;
            }
        }
        self.start_time = self.seen.keys().max().copied().unwrap_or(self.start_time);
    }
}

#[tokio::test]
async fn following_prints_every_event_once() {
    let fixture = Fixture::with_streams(&["a", "b"]).await;
    let start_time = i64::try_from(NOW - 600_000).unwrap();
    let mut follower = Follower { start_time, seen: HashMap::new(), printed: Vec::new() };
    follower.round(&fixture).await;
    fixture.put("a", &[(NOW, "a1"), (NOW + 1, "a2"), (NOW + 3, "a3")]).await.unwrap();
    fixture.put("b", &[(NOW + 2, "b1"), (NOW + 3, "b2")]).await.unwrap();
    follower.round(&fixture).await;
    assert_eq!(follower.printed, ["a1", "a2", "b1", "a3", "b2"]);
    // One more at the newest time that was seen: the start time is inclusive, so it is not missed.
    fixture.put("b", &[(NOW + 3, "b3"), (NOW + 4, "b4")]).await.unwrap();
    follower.round(&fixture).await;
    follower.round(&fixture).await;
    assert_eq!(follower.printed, ["a1", "a2", "b1", "a3", "b2", "b3", "b4"]);
}

#[tokio::test]
async fn filters_choose_streams_and_words() {
    let fixture = Fixture::with_streams(&["2026/a", "2026/b", "2027/a"]).await;
    for stream in ["2026/a", "2026/b", "2027/a"] {
        fixture.put(stream, &[(NOW, "ERROR one"), (NOW + 1, "INFO two")]).await.unwrap();
    }
    let request = FilterLogEventsRequest {
        log_stream_name_prefix: Some("2026/".to_owned()),
        filter_pattern: Some("ERROR".to_owned()),
        ..Default::default()
    };
    let answer = fixture.filter(request.clone()).await.unwrap();
    assert_eq!(messages(&answer), ["ERROR one", "ERROR one"]);
    assert_eq!(answer.events.unwrap()[0].log_stream_name.as_deref(), Some("2026/a"));
    let names = FilterLogEventsRequest {
        log_stream_names: Some(vec!["2027/a".to_owned()]),
        end_time: Some(i64::try_from(NOW).unwrap()),
        ..Default::default()
    };
    assert_eq!(messages(&fixture.filter(names).await.unwrap()), ["ERROR one"]);
    let unknown = FilterLogEventsRequest { log_stream_names: Some(vec!["x".to_owned()]), ..Default::default() };
    assert!(matches!(fixture.filter(unknown).await, Err(FilterLogEventsError::ResourceNotFound(_))));
    let bad = FilterLogEventsRequest { next_token: Some("x".to_owned()), ..request };
    assert!(matches!(fixture.filter(bad).await, Err(FilterLogEventsError::InvalidParameter(_))));
}

/// Roles may do what is listed.
#[derive(Debug, Default)]
struct Allowed(Mutex<HashSet<&'static str>>);

impl LogPermissions for Allowed {
    fn allows<'a>(&'a self, _role_arn: &'a str, action: &'static str, _resource: &'a Arn) -> BoxFuture<'a, bool> {
        Box::pin(async move { self.0.lock().unwrap().contains(action) })
    }
}

fn target(fixture: &Fixture, stream: &str) -> Arc<LogTarget> {
    Arc::new(LogTarget {
        scope: fixture.context.scope.clone(),
        group: GROUP.to_owned(),
        stream: stream.to_owned(),
        role_arn: "arn:aws:iam::000000000000:role/r".to_owned(),
    })
}

#[tokio::test]
async fn the_output_of_functions_makes_its_group_and_stream() {
    let fixture = fixture().await;
    let allowed =
        Allowed(Mutex::new(HashSet::from(["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"])));
    let writer = fixture.logs.writer(Arc::new(allowed));
    let target = target(&fixture, "2027/01/15/[$LATEST]0123456789abcdef0123456789abcdef");
    for line in ["START\n", "Decoded payload: Hello, this is a test.\n", "END\n"] {
        assert!(writer.write(&target, Timestamp::from_millis(NOW), Bytes::from_static(line.as_bytes())));
    }
    writer.flush().await;
    let answer = fixture.filter(FilterLogEventsRequest::default()).await.unwrap();
    assert_eq!(messages(&answer), ["START\n", "Decoded payload: Hello, this is a test.\n", "END\n"]);

    let delete = DeleteLogGroupRequest { log_group_name: GROUP.to_owned() };
    fixture.logs.delete_log_group(&fixture.context, delete).await.unwrap();
    assert!(writer.write(&target, Timestamp::from_millis(NOW), Bytes::from_static(b"again")));
    writer.flush().await;
    assert_eq!(messages(&fixture.filter(FilterLogEventsRequest::default()).await.unwrap()), ["again"]);
}

#[tokio::test]
async fn a_role_without_permission_writes_nothing() {
    let fixture = fixture().await;
    for actions in [&["logs:CreateLogGroup", "logs:CreateLogStream"][..], &["logs:PutLogEvents"], &[]] {
        let allowed = Allowed(Mutex::new(actions.iter().copied().collect()));
        let writer = fixture.logs.writer(Arc::new(allowed));
        assert!(writer.write(&target(&fixture, "s"), Timestamp::from_millis(NOW), Bytes::from_static(b"x")));
        writer.flush().await;
    }
    let groups = fixture.logs.describe_log_groups(&fixture.context, DescribeLogGroupsRequest::default()).await.unwrap();
    assert_eq!(groups.log_groups, Some(Vec::new()));
}

#[tokio::test]
async fn a_full_queue_refuses_and_recovers() {
    let fixture = fixture().await;
    let writer = fixture.logs.writer(Arc::new(Allowed::default()));
    let target = target(&fixture, "s");
    let line = Bytes::from(vec![b'x'; 256 * 1024]);
    // On this single-threaded runtime nothing is taken from the queue before the first await.
    let taken = (0..200).filter(|_| writer.write(&target, Timestamp::from_millis(NOW), line.clone())).count();
    assert_eq!(taken, 128);
    writer.flush().await;
    assert!(writer.write(&target, Timestamp::from_millis(NOW), line));
}
