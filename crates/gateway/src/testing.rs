//! Fixtures of this crate's tests: a gateway over real services in memory, whose functions echo their events.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use millstream_blobs::MemoryBlobs;
use millstream_catalog::{MemoryStore, SharedStore};
use millstream_destinations::external::{self, External};
use millstream_destinations::{Destinations, Places};
use millstream_env::{BoxFuture, ClockControl, HostClock, Random, ServiceClock, Tasks};
use millstream_functions::{ExecutionRoles, Executor, Functions};
use millstream_iam::{AuthMode, Caller, Iam, Principal, RequestContext};
use millstream_log::{MemoryLog, SharedLog, memory};
use millstream_mapping::Mappings;
use millstream_mapping::contract::{Targets, Unavailable};
use millstream_runtime::{FunctionSpec, InvokeRequest, Outcome, RuntimeReport};
use millstream_streams::{MasterKeys, Streams};
use millstream_telemetry::Logs;
use millstream_types::Scope;
use tempfile::TempDir;

use crate::body::Budget;
use crate::metrics::Figure;
use crate::metrics::Metrics;
use crate::origin;
use crate::pipeline::{Gateway, Health, Parts};
use crate::services::Services;

/// A call of the root of account 123456789012 in us-west-2.
pub(crate) fn context() -> RequestContext {
    let scope = Scope { account: "123456789012".parse().unwrap(), region: "us-west-2".parse().unwrap() };
    RequestContext {
        caller: Caller {
            account: scope.account.clone(),
            access_key_id: "123456789012".to_owned(),
            principal: Principal::Root,
        },
        scope,
        request_id: "00000000-0000-4000-8000-000000000000".to_owned(),
        endpoint: "http://localhost:4566".to_owned(),
    }
}

/// The authorisation of a key that Millstream did not issue: account 123456789012.
pub(crate) fn foreign_key(service: &str) -> String {
    format!(
        "AWS4-HMAC-SHA256 Credential=123456789012/20260102/us-west-2/{service}/aws4_request, \
         SignedHeaders=host;x-amz-date, Signature={}",
        "0".repeat(64)
    )
}

/// A gateway and what is behind it.
pub(crate) struct Fixture {
    pub(crate) gateway: Gateway,
    pub(crate) iam: Iam,
    pub(crate) store: SharedStore,
    pub(crate) budget: Budget,
    pub(crate) troubles: Arc<Mutex<Vec<String>>>,
    _folder: TempDir,
}

/// An answer, read.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answered {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

pub(crate) async fn ask(gateway: &Gateway, request: Request<Full<Bytes>>) -> Answered {
    let (head, body) = gateway.answer(request).await.into_parts();
    Answered { status: head.status, headers: head.headers, body: body.collect().await.unwrap().to_bytes() }
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        Self::with_budget(Budget::default()).await
    }

    pub(crate) async fn with_budget(budget: Budget) -> Self {
        let (service_clock, host_clock) = (ServiceClock::real(), HostClock::real());
        let (random, tasks) = (Random::system(), Tasks::new());
        let store: SharedStore = Arc::new(MemoryStore::new());
        let log: SharedLog =
            Arc::new(MemoryLog::new(memory::Options::default(), service_clock.clone(), host_clock.clone()));
        let iam =
            Iam::open(Arc::clone(&store), service_clock.clone(), host_clock.clone(), random.clone(), AuthMode::Open)
                .await
                .unwrap();
        let parts = millstream_streams::Parts {
            log,
            keys: MasterKeys::in_memory(random.clone()),
            store: Arc::clone(&store),
            clock: service_clock.clone(),
            host_clock: host_clock.clone(),
            random: random.clone(),
            tasks: tasks.clone(),
        };
        let streams = Streams::open(parts, millstream_streams::Options::default()).await.unwrap();
        let ground = Ground { store: &store, clock: &service_clock, random: &random, tasks: &tasks };
        let logs = logs(ground).await;
        let places = destinations(ground).await;
        let folder = tempfile::tempdir().unwrap();
        let metrics = millstream_telemetry::Metrics::new(service_clock.clone());
        let functions = Functions::start(millstream_functions::Options {
            catalog: Arc::clone(&store),
            code: Arc::new(MemoryBlobs::new()),
            events: Arc::new(MemoryBlobs::new()),
            code_directory: folder.path().join("code"),
            strict_runtimes: false,
            roles: Arc::new(AllRoles),
            deliver: Arc::new(Destinations::new(places.clone(), iam.clone())),
            executor: Arc::new(Echo),
            metrics: metrics.clone(),
            service_clock: service_clock.clone(),
            host_clock: host_clock.clone(),
            random: random.clone(),
            tasks: tasks.clone(),
        })
        .await
        .unwrap();
        let (mappings, _never_run) = Mappings::new(millstream_mapping::Parts {
            catalog: Arc::clone(&store),
            log: Arc::clone(streams.log()),
            invoke: Arc::new(functions.clone()),
            deliver: Arc::new(Destinations::new(places.clone(), iam.clone())),
            source: Arc::new(streams.clone()),
            targets: Arc::new(NoTargets),
            permissions: Arc::new(iam.clone()),
            metrics: metrics.clone(),
            clock: service_clock.clone(),
            host_clock: host_clock.clone(),
            random: random.clone(),
        });
        let clock = ClockControl::new(service_clock, host_clock.clone());
        let troubles = Arc::<Mutex<Vec<String>>>::default();
        let gateway = Gateway::new(Parts {
            services: Services {
                iam: iam.clone(),
                streams,
                functions,
                mappings,
                logs,
                metrics,
                clock,
                queues: places.sqs,
                topics: places.sns,
                buckets: places.s3,
            },
            origin: origin::Options::default(),
            clock: host_clock,
            random,
            metrics: Arc::new(Metrics::default()),
            budget: budget.clone(),
            health: Arc::new(Told(Arc::clone(&troubles))),
        });
        Self { gateway, iam, store, budget, troubles, _folder: folder }
    }

    /// A JSON call of the account's root.
    pub(crate) async fn json(&self, target: &str, body: &str) -> Answered {
        let service = if target.starts_with("Logs") { "logs" } else { "kinesis" };
        let request = Request::post("/")
            .header("host", "localhost:4566")
            .header("authorization", foreign_key(service))
            .header("x-amz-date", "20260102T030405Z")
            .header("content-type", "application/x-amz-json-1.1")
            .header("x-amz-target", target)
            .body(Full::from(body.to_owned()))
            .unwrap();
        ask(&self.gateway, request).await
    }

    /// A call of the account's root to a REST service.
    pub(crate) async fn rest(&self, method: &str, uri: &str, body: &str) -> Answered {
        let request = Request::builder()
            .method(method)
            .uri(uri)
            .header("host", "localhost:4566")
            .header("authorization", foreign_key("lambda"))
            .header("x-amz-date", "20260102T030405Z")
            .body(Full::from(body.to_owned()))
            .unwrap();
        ask(&self.gateway, request).await
    }

    /// A form of the account's root.
    pub(crate) async fn form(&self, service: &str, form: &str) -> Answered {
        let request = Request::post("/")
            .header("host", "localhost:4566")
            .header("authorization", foreign_key(service))
            .header("x-amz-date", "20260102T030405Z")
            .header("content-type", "application/x-www-form-urlencoded; charset=utf-8")
            .body(Full::from(form.to_owned()))
            .unwrap();
        ask(&self.gateway, request).await
    }

    /// Everything in the catalog with its revision.
    pub(crate) async fn state(&self) -> Vec<String> {
        let mut all: Vec<String> = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let page = self.store.list("", after.as_deref(), 256).await.unwrap();
            all.extend(page.items.iter().map(|(key, kept)| format!("{key} {:?}", kept.revision)));
            after = page.items.last().map(|(key, _)| key.clone());
            if !page.more {
                return all;
            }
        }
    }
}

/// What every service needs.
#[derive(Clone, Copy)]
struct Ground<'a> {
    store: &'a SharedStore,
    clock: &'a ServiceClock,
    random: &'a Random,
    tasks: &'a Tasks,
}

async fn logs(ground: Ground<'_>) -> Logs {
    let parts = millstream_telemetry::Parts {
        store: Arc::clone(ground.store),
        storage: millstream_telemetry::Storage::Memory,
        clock: ground.clock.clone(),
        host_clock: HostClock::real(),
        random: ground.random.clone(),
        tasks: ground.tasks.clone(),
    };
    Logs::open(parts, millstream_telemetry::Options::default()).await.unwrap()
}

async fn destinations(ground: Ground<'_>) -> Places {
    let parts = millstream_destinations::Parts {
        catalog: Arc::clone(ground.store),
        messages: Arc::new(MemoryBlobs::new()),
        objects: Arc::new(MemoryBlobs::new()),
        clock: ground.clock.clone(),
        host_clock: HostClock::real(),
        random: ground.random.clone(),
        tasks: ground.tasks.clone(),
        requests: ground.tasks.clone(),
        endpoint: "http://localhost:4566".to_owned(),
        outside: External::new(&external::Options::default(), &HostClock::real()).unwrap(),
    };
    Places::open(parts).await.unwrap()
}

/// Reports what it was told.
#[derive(Debug)]
struct Told(Arc<Mutex<Vec<String>>>);

impl Health for Told {
    fn troubles(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    fn figures(&self) -> Vec<Figure> {
        Vec::new()
    }
}

#[derive(Debug)]
struct AllRoles;

impl ExecutionRoles for AllRoles {
    fn can_be_assumed_by_lambda<'a>(&'a self, _: &'a str) -> BoxFuture<'a, bool> {
        Box::pin(std::future::ready(true))
    }

    fn allows<'a>(&'a self, _: &'a str, _: &'a str, _: &'a str) -> BoxFuture<'a, bool> {
        Box::pin(std::future::ready(true))
    }
}

#[derive(Debug)]
struct Echo;

impl Executor for Echo {
    fn run(&self, _: Arc<FunctionSpec>, event: Bytes, _: InvokeRequest) -> BoxFuture<'_, RuntimeReport> {
        Box::pin(std::future::ready(RuntimeReport {
            outcome: Outcome::Ok(event),
            log_tail: Bytes::from_static(b"START\nEND\n"),
            duration: Duration::from_millis(1),
            init_duration: None,
            log_stream: String::new(),
        }))
    }

    fn reserve(&self, _: &str, _: Option<u32>) {}

    fn retire(&self, _: &str) {}
}

#[derive(Debug)]
struct NoTargets;

impl Targets for NoTargets {
    fn execution_role<'a>(
        &'a self,
        _: &'a Scope,
        _: &'a str,
        _: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Option<String>, Unavailable>> {
        Box::pin(std::future::ready(Ok(None)))
    }
}
