//! A small world for tests of driver and control plane: memory log and catalog, one stream, scripted functions and
//! permissions, virtual service time. Host time is tokio's, which the tests pause.

mod catalog;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use millstream_catalog::{Expect, MemoryStore, MetaStore, SharedStore};
use millstream_destinations::{Deliver, DeliveryError};
use millstream_env::activity::Unseen;
use millstream_env::{BoxFuture, HostClock, Random, ServiceClock, Tasks, Timestamp, VirtualTime};
use millstream_functions::{FunctionErrorKind, Invocation, Invoke, InvokeReport, Outcome};
use millstream_iam::{Caller, Principal, RequestContext};
use millstream_log::memory::Options as LogOptions;
use millstream_log::{Entry, MemoryLog, ShardConfig, ShardKey, SharedLog};
use millstream_telemetry::Metrics;
use millstream_types::{Arn, HashKeyRange, Payload, Scope, ShardId, ShardIndex};
use millstream_wire::lambda::{
    CreateEventSourceMappingRequest, EventSourceMappingConfiguration, EventSourcePosition,
    GetEventSourceMappingRequest, UpdateEventSourceMappingRequest,
};
use tokio::sync::watch;

use crate::contract::{Permissions, Source, StreamChanges, StreamInfo, Targets, Unavailable};
use crate::topology::ShardInfo;
use crate::{Mappings, Parts};

pub(crate) use catalog::TestCatalog;

pub(crate) const STREAM: &str = "arn:aws:kinesis:us-west-2:123456789012:stream/lambda-stream";
pub(crate) const CONSUMER: &str = "arn:aws:kinesis:us-west-2:123456789012:stream/lambda-stream/consumer/c:1700000000";
pub(crate) const ROLE: &str = "arn:aws:iam::123456789012:role/lambda-kinesis-role";
const START: Timestamp = Timestamp::from_seconds(1_700_000_000);

/// Everything around the mappings; survives their restart.
pub(crate) struct World {
    pub(crate) catalog: SharedStore,
    pub(crate) log: SharedLog,
    pub(crate) stream: Arc<TestStream>,
    pub(crate) function: Arc<TestFunction>,
    pub(crate) destination: Arc<TestDestination>,
    pub(crate) identity: Arc<TestIdentity>,
    pub(crate) metrics: Metrics,
    pub(crate) time: VirtualTime,
    pub(crate) clock: ServiceClock,
    pub(crate) host_clock: HostClock,
    pub(crate) mappings: Mappings,
    pub(crate) tasks: Tasks,
}

impl World {
    /// A world with one stream of `shards` shards.
    pub(crate) async fn new(shards: u32) -> Self {
        Self::with(shards, Arc::new(MemoryStore::new()), |log| log).await
    }

    /// The same, with this catalog.
    pub(crate) async fn with_catalog(shards: u32, catalog: SharedStore) -> Self {
        Self::with(shards, catalog, |log| log).await
    }

    /// The same, with something around its log.
    pub(crate) async fn with_log(shards: u32, around: impl FnOnce(SharedLog) -> SharedLog) -> Self {
        Self::with(shards, Arc::new(MemoryStore::new()), around).await
    }

    async fn with(shards: u32, catalog: SharedStore, around: impl FnOnce(SharedLog) -> SharedLog) -> Self {
        let (clock, time) = ServiceClock::virtual_at(START);
        let host_clock = HostClock::real();
        let log = around(Arc::new(MemoryLog::new(LogOptions::default(), clock.clone(), host_clock.clone())));
        let stream = Arc::new(TestStream::default());
        let (function, identity) = (Arc::new(TestFunction::default()), Arc::new(TestIdentity::default()));
        let destination = Arc::new(TestDestination::default());
        let tasks = Tasks::new();
        let metrics = Metrics::new(clock.clone());
        let parts = parts(&catalog, &log, &stream, &function, &destination, &identity, &metrics, &clock, &host_clock);
        let (mappings, service) = Mappings::new(parts);
        tasks.spawn(service.run(tasks.clone()));
        let world = Self {
            catalog,
            log,
            stream,
            function,
            destination,
            identity,
            metrics,
            time,
            clock,
            host_clock,
            mappings,
            tasks,
        };
        world.create_stream(1, shards).await;
        world
    }

    /// The same world after `kill -9`: the catalog as it is now, new mappings. What the old ones do from now on is lost.
    pub(crate) async fn crash(&mut self) {
        let copy = MemoryStore::new();
        let page = self.catalog.list("", None, 10_000).await.unwrap();
        for (key, found) in page.items {
            copy.put(&key, Expect::Absent, found.value).await.unwrap();
        }
        self.function.forget_running();
        self.tasks.cancel();
        self.catalog = Arc::new(copy);
        self.function = Arc::new(TestFunction::default());
        self.start();
    }

    /// The same world after an orderly stop and start.
    pub(crate) async fn restart(&mut self) {
        assert!(self.tasks.stop(Duration::from_mins(1)).await, "the mappings stop");
        self.start();
    }

    fn start(&mut self) {
        self.tasks = Tasks::new();
        let Self { catalog, log, stream, function, destination, identity, metrics, clock, host_clock, .. } = self;
        let (mappings, service) =
            Mappings::new(parts(catalog, log, stream, function, destination, identity, metrics, clock, host_clock));
        self.tasks.spawn(service.run(self.tasks.clone()));
        self.mappings = mappings;
    }

    pub(crate) async fn create_stream(&self, incarnation: u64, shards: u32) {
        let mut infos = Vec::new();
        for shard in 0..shards {
            infos.push(self.create_shard(incarnation, shard, &[]).await);
        }
        self.stream.set(Some(StreamInfo { incarnation, active: true, shards: infos }));
    }

    async fn create_shard(&self, stream: u64, shard: u32, parents: &[u32]) -> ShardInfo {
        let key = ShardKey { stream, shard };
        let config = ShardConfig { retention: Duration::from_hours(24) };
        self.log.create(key, config).await.unwrap();
        let id = |index| ShardId(ShardIndex::new(index).unwrap());
        let parents = parents.iter().copied().map(id).collect();
        let hash_key_range = HashKeyRange::whole();
        ShardInfo { id: id(shard), key, created_seconds: START.seconds(), hash_key_range, parents }
    }

    /// Seals `parent` and replaces it by two children.
    pub(crate) async fn split(&self, parent: u32) {
        let mut info = self.stream.get().unwrap();
        let next = u32::try_from(info.shards.len()).unwrap();
        self.log.seal(ShardKey { stream: info.incarnation, shard: parent }).await.unwrap();
        for child in [next, next + 1] {
            info.shards.push(self.create_shard(info.incarnation, child, &[parent]).await);
        }
        self.stream.set(Some(info));
    }

    /// Stores one record for each text.
    pub(crate) async fn put(&self, shard: u32, texts: &[&str]) {
        let key = ShardKey { stream: self.stream.get().unwrap().incarnation, shard };
        let entry = |text: &&str| Entry { shard: key, partition_key: "key", payload_bytes: text.len(), tag: 0 };
        let entries: Vec<Entry<'_>> = texts.iter().map(entry).collect();
        let mut reservation = self.log.reserve(&entries).await;
        for (slot, text) in reservation.slots.iter_mut().zip(texts) {
            slot.as_mut().unwrap().fill(Payload::Raw(text.as_bytes()));
        }
        for stored in reservation.commit().await {
            stored.unwrap();
        }
    }

    /// A mapping, as it is answered.
    pub(crate) async fn create(&self, request: CreateEventSourceMappingRequest) -> EventSourceMappingConfiguration {
        self.mappings.create_event_source_mapping(&context(), request).await.unwrap()
    }

    /// A mapping that is enabled; its UUID.
    pub(crate) async fn create_enabled(&self, request: CreateEventSourceMappingRequest) -> String {
        let uuid = self.create(request).await.uuid.unwrap();
        self.reaches(&uuid, "Enabled").await;
        uuid
    }

    pub(crate) async fn get(&self, uuid: &str) -> Option<EventSourceMappingConfiguration> {
        let request = GetEventSourceMappingRequest { uuid: uuid.to_owned() };
        self.mappings.get_event_source_mapping(&context(), request).await.ok()
    }

    pub(crate) async fn reaches(&self, uuid: &str, state: &str) {
        let text = format!("the mapping reaches {state}");
        self.eventually(&text, async || self.get(uuid).await.unwrap().state.unwrap() == state).await;
    }

    pub(crate) async fn result_becomes(&self, uuid: &str, result: &str) {
        let read = async || self.get(uuid).await.unwrap().last_processing_result.unwrap() == result;
        self.eventually(&format!("the result becomes {result}"), read).await;
    }

    /// Waits until the function was given `texts`, in this order, whatever the batches.
    pub(crate) async fn delivered(&self, texts: &[&str]) {
        let is_there = async || self.function.texts() == texts;
        self.eventually(&format!("{texts:?} are delivered, got {:?}", self.function.texts()), is_there).await;
    }

    /// Waits, in paused time, until `condition` holds.
    pub(crate) async fn eventually(&self, what: &str, condition: impl AsyncFn() -> bool) {
        for _ in 0..5000 {
            if condition().await {
                return;
            }
            self.host_clock.sleep(Duration::from_millis(1)).await;
        }
        panic!("it does not happen that {what}; delivered: {:?}", self.function.texts());
    }

    /// Waits until `condition` holds, while service time goes on in steps of 100 ms.
    pub(crate) async fn in_time(&self, what: &str, condition: impl AsyncFn() -> bool) {
        for _ in 0..5000 {
            for _ in 0..5 {
                if condition().await {
                    return;
                }
                self.host_clock.sleep(Duration::from_millis(1)).await;
            }
            self.time.advance(Duration::from_millis(100));
        }
        panic!("it does not happen in time that {what}; delivered: {:?}", self.function.texts());
    }

    /// The total of a counter, by its name for Prometheus.
    pub(crate) fn total(&self, counter: &str) -> u64 {
        let text = self.metrics.prometheus();
        let line = text.lines().find(|line| line.starts_with(&format!("{counter}{{")));
        line.map_or(0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
    }

    /// Changes a mapping; does not wait until it is in effect.
    pub(crate) async fn update(&self, uuid: &str, change: impl FnOnce(&mut UpdateEventSourceMappingRequest)) {
        let mut input = UpdateEventSourceMappingRequest { uuid: uuid.to_owned(), ..Default::default() };
        change(&mut input);
        self.mappings.update_event_source_mapping(&context(), input).await.unwrap();
    }

    /// Lets everything happen that happens within `duration` of host time.
    pub(crate) async fn settle(&self, duration: Duration) {
        self.host_clock.sleep(duration).await;
    }
}

#[expect(clippy::too_many_arguments, reason = "each is a part")]
fn parts(
    catalog: &SharedStore,
    log: &SharedLog,
    stream: &Arc<TestStream>,
    function: &Arc<TestFunction>,
    destination: &Arc<TestDestination>,
    identity: &Arc<TestIdentity>,
    metrics: &Metrics,
    clock: &ServiceClock,
    host_clock: &HostClock,
) -> Parts {
    Parts {
        catalog: Arc::clone(catalog),
        log: Arc::clone(log),
        invoke: Arc::clone(function) as _,
        deliver: Arc::clone(destination) as _,
        source: Arc::clone(stream) as _,
        targets: Arc::clone(identity) as _,
        permissions: Arc::clone(identity) as _,
        metrics: metrics.clone(),
        clock: clock.clone(),
        host_clock: host_clock.clone(),
        random: Random::system(),
    }
}

pub(crate) fn scope() -> Scope {
    Scope { account: "123456789012".parse().unwrap(), region: "us-west-2".parse().unwrap() }
}

pub(crate) fn context() -> RequestContext {
    let scope = scope();
    let caller =
        Caller { account: scope.account.clone(), access_key_id: "123456789012".to_owned(), principal: Principal::Root };
    RequestContext { scope, caller, request_id: "id".to_owned(), endpoint: "http://127.0.0.1:1".to_owned() }
}

pub(crate) fn request(position: EventSourcePosition) -> CreateEventSourceMappingRequest {
    CreateEventSourceMappingRequest {
        event_source_arn: Some(STREAM.to_owned()),
        function_name: "f".to_owned(),
        starting_position: Some(position),
        ..CreateEventSourceMappingRequest::default()
    }
}

/// One stream that can be changed.
#[derive(Debug)]
pub(crate) struct TestStream(watch::Sender<Option<StreamInfo>>, AtomicUsize);

impl Default for TestStream {
    fn default() -> Self {
        Self(watch::Sender::new(None), AtomicUsize::new(0))
    }
}

impl TestStream {
    pub(crate) fn set(&self, info: Option<StreamInfo>) {
        self.0.send_replace(info);
    }

    /// How often somebody looked at it.
    pub(crate) fn looks(&self) -> usize {
        self.1.load(Ordering::Relaxed)
    }

    pub(crate) fn get(&self) -> Option<StreamInfo> {
        self.0.borrow().clone()
    }
}

impl Source for TestStream {
    fn stream<'a>(&'a self, arn: &'a Arn) -> BoxFuture<'a, Result<Option<StreamInfo>, Unavailable>> {
        self.1.fetch_add(1, Ordering::Relaxed);
        let found = self.get().filter(|_| arn.to_string() == STREAM);
        Box::pin(async move { Ok(found) })
    }

    fn has_consumer<'a>(&'a self, arn: &'a Arn) -> BoxFuture<'a, Result<bool, Unavailable>> {
        let found = arn.to_string() == CONSUMER;
        Box::pin(async move { Ok(found) })
    }

    fn watch(&self, _: &Arn) -> Box<dyn StreamChanges> {
        Box::new(TestChanges(self.0.subscribe()))
    }
}

/// A destination that keeps what it gets, unless it is told to fail.
#[derive(Debug)]
pub(crate) struct TestDestination {
    delivered: Mutex<Vec<millstream_destinations::Delivery>>,
    failures: Mutex<u32>,
    /// What was taken is not answered while it is `true`.
    held: watch::Sender<bool>,
}

impl Default for TestDestination {
    fn default() -> Self {
        Self { delivered: Mutex::default(), failures: Mutex::default(), held: watch::Sender::new(false) }
    }
}

impl TestDestination {
    pub(crate) fn fail(&self, times: u32) {
        *self.failures.lock().unwrap() = times;
    }

    pub(crate) fn hold(&self, held: bool) {
        self.held.send_replace(held);
    }

    fn fails(&self) -> bool {
        let mut failures = self.failures.lock().unwrap();
        let fails = *failures > 0;
        *failures = failures.saturating_sub(1);
        fails
    }

    pub(crate) fn delivered(&self) -> Vec<millstream_destinations::Delivery> {
        self.delivered.lock().unwrap().clone()
    }
}

impl Deliver for TestDestination {
    fn deliver(&self, delivery: millstream_destinations::Delivery) -> BoxFuture<'_, Result<(), DeliveryError>> {
        Box::pin(async move {
            if self.fails() {
                return Err(DeliveryError::Unavailable("injected".to_owned()));
            }
            self.delivered.lock().unwrap().push(delivery);
            self.held.subscribe().wait_for(|held| !held).await.unwrap();
            Ok(())
        })
    }
}

#[derive(Debug)]
struct TestChanges(watch::Receiver<Option<StreamInfo>>);

impl StreamChanges for TestChanges {
    fn changed(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            if self.0.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        })
    }

    fn glimpse(&self) -> Unseen {
        let changes = self.0.clone();
        Box::new(move || changes.has_changed().unwrap_or(false))
    }
}

/// Functions `f` and `g`, and what their role may do.
#[derive(Debug)]
pub(crate) struct TestIdentity {
    pub(crate) role: Mutex<String>,
    pub(crate) refused: Mutex<Option<&'static str>>,
    pub(crate) distrusted: Mutex<bool>,
    pub(crate) missing: Mutex<bool>,
}

impl Default for TestIdentity {
    fn default() -> Self {
        let role = Mutex::new(ROLE.to_owned());
        Self { role, refused: Mutex::default(), distrusted: Mutex::default(), missing: Mutex::default() }
    }
}

impl Targets for TestIdentity {
    fn execution_role<'a>(
        &'a self,
        _: &'a Scope,
        function_name: &'a str,
        qualifier: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Option<String>, Unavailable>> {
        let exists = ["f", "g"].contains(&function_name) && qualifier.is_none_or(|q| ["1", "$LATEST"].contains(&q));
        let missing = *self.missing.lock().unwrap();
        let role = self.role.lock().unwrap().clone();
        Box::pin(async move { Ok((exists && !missing).then_some(role)) })
    }
}

impl Permissions for TestIdentity {
    fn lambda_can_assume<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<bool, Unavailable>> {
        let trusted = !*self.distrusted.lock().unwrap();
        Box::pin(async move { Ok(trusted) })
    }

    fn role_allows<'a>(&'a self, _: &'a str, action: &'a str, _: &'a str) -> BoxFuture<'a, Result<bool, Unavailable>> {
        let allowed = *self.refused.lock().unwrap() != Some(action);
        Box::pin(async move { Ok(allowed) })
    }
}

/// One delivery, as the function saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Delivery {
    pub(crate) function: String,
    pub(crate) event: Bytes,
    pub(crate) texts: Vec<String>,
}

/// The scripted function: does what was said, in order, and succeeds when nothing more was said.
#[derive(Debug)]
pub(crate) struct TestFunction {
    script: Mutex<VecDeque<Outcome>>,
    deliveries: Mutex<Vec<Delivery>>,
    /// Invocations wait while it is `true`.
    held: watch::Sender<bool>,
    forgotten: Mutex<bool>,
}

impl Default for TestFunction {
    fn default() -> Self {
        Self {
            script: Mutex::default(),
            deliveries: Mutex::default(),
            held: watch::Sender::new(false),
            forgotten: Mutex::default(),
        }
    }
}

impl TestFunction {
    pub(crate) fn then(&self, outcome: Outcome) {
        self.script.lock().unwrap().push_back(outcome);
    }

    pub(crate) fn then_fail(&self) {
        self.then(Outcome::FunctionError { kind: FunctionErrorKind::Handler, payload: Bytes::new() });
    }

    pub(crate) fn hold(&self, held: bool) {
        self.held.send_replace(held);
    }

    pub(crate) fn deliveries(&self) -> Vec<Delivery> {
        self.deliveries.lock().unwrap().clone()
    }

    /// All that was delivered, in order.
    pub(crate) fn texts(&self) -> Vec<String> {
        self.deliveries().into_iter().flat_map(|delivery| delivery.texts).collect()
    }

    pub(crate) fn batches(&self) -> Vec<usize> {
        self.deliveries().iter().map(|delivery| delivery.texts.len()).collect()
    }

    fn forget_running(&self) {
        *self.forgotten.lock().unwrap() = true;
    }
}

impl Invoke for TestFunction {
    fn invoke(&self, invocation: Invocation) -> BoxFuture<'_, InvokeReport> {
        Box::pin(async move {
            if *self.forgotten.lock().unwrap() {
                std::future::pending::<()>().await;
            }
            let qualifier = invocation.qualifier.map(|qualifier| format!(":{qualifier}")).unwrap_or_default();
            self.deliveries.lock().unwrap().push(Delivery {
                function: format!("{}{qualifier}", invocation.function_name),
                texts: texts(&invocation.payload),
                event: invocation.payload,
            });
            let mut held = self.held.subscribe();
            held.wait_for(|held| !held).await.unwrap();
            let outcome = self.script.lock().unwrap().pop_front().unwrap_or(Outcome::Ok(Bytes::new()));
            InvokeReport {
                request_id: "request".to_owned(),
                executed_version: Some("$LATEST".to_owned()),
                outcome,
                log_tail: Bytes::new(),
            }
        })
    }
}

fn texts(event: &[u8]) -> Vec<String> {
    let event: serde_json::Value = serde_json::from_slice(event).unwrap();
    let text = |record: &serde_json::Value| {
        let data = base64_simd::STANDARD.decode_to_vec(record["kinesis"]["data"].as_str().unwrap()).unwrap();
        String::from_utf8(data).unwrap()
    };
    event["Records"].as_array().unwrap().iter().map(text).collect()
}
