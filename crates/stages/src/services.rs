//! The services of a server over one log, in this process: everything but sockets, functions and the catalog's file.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Body;
use millstream_blobs::MemoryBlobs;
use millstream_catalog::{MemoryStore, SharedStore};
use millstream_client::Credentials;
use millstream_destinations::external::{self, External};
use millstream_destinations::{Destinations, Places};
use millstream_env::{BoxFuture, ClockControl, HostClock, Random, RealDisk, ServiceClock, Tasks};
use millstream_functions::{ExecutionRoles, Executor, Functions};
use millstream_gateway::body::Budget;
use millstream_gateway::{Gateway, Health, Metrics, Parts, Services, origin};
use millstream_iam::{AuthMode, Caller, Iam, Principal, RequestContext};
use millstream_log::disk::{Environment, Options};
use millstream_log::{DiskLog, MemoryLog, SharedLog, memory};
use millstream_mapping::Mappings;
use millstream_mapping::contract::{Targets, Unavailable};
use millstream_runtime::{FunctionSpec, InvokeRequest, Outcome, RuntimeReport};
use millstream_streams::{Stream, Streams};
use millstream_telemetry::Logs;
use millstream_types::Scope;
use millstream_wire::iam::{AttachRolePolicyRequest, CreateRoleRequest};
use millstream_wire::sts::AssumeRoleRequest;
use tempfile::TempDir;

/// The account and region of everything here.
const ACCOUNT: &str = "123456789012";
pub const REGION: &str = "us-west-2";
const TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"123456789012"},"Action":"sts:AssumeRole"}]}"#;
/// How long a stream may take to become active.
const READY_LIMIT: Duration = Duration::from_secs(30);
const READY_PAUSE: Duration = Duration::from_millis(5);

/// The services, and a caller whom they verify.
#[derive(Debug)]
pub struct World {
    pub gateway: Gateway,
    pub iam: Iam,
    pub streams: Streams,
    pub log: SharedLog,
    pub clock: HostClock,
    /// A session of a role that may use Kinesis: an issued key, so that its signatures are checked.
    pub credentials: Credentials,
    _code: TempDir,
}

/// A log of its own in `folder`, as the server opens it.
pub fn disk_log(folder: &Path) -> anyhow::Result<DiskLog> {
    let environment = Environment {
        disk: Arc::new(RealDisk),
        service_clock: ServiceClock::real(),
        host_clock: HostClock::real(),
        random: Random::system(),
        tasks: Tasks::new(),
    };
    let options = Options { disk_free_min: 0, ..Options::new(folder) };
    Ok(DiskLog::open(options, environment).context("the log cannot be opened")?.0)
}

pub fn memory_log() -> MemoryLog {
    MemoryLog::new(memory::Options::default(), ServiceClock::real(), HostClock::real())
}

/// What every service needs.
#[derive(Clone, Copy)]
struct Ground<'a> {
    store: &'a SharedStore,
    clock: &'a ServiceClock,
    random: &'a Random,
    tasks: &'a Tasks,
}

async fn logs(ground: Ground<'_>) -> anyhow::Result<Logs> {
    let parts = millstream_telemetry::Parts {
        store: Arc::clone(ground.store),
        storage: millstream_telemetry::Storage::Memory,
        clock: ground.clock.clone(),
        host_clock: HostClock::real(),
        random: ground.random.clone(),
        tasks: ground.tasks.clone(),
    };
    Ok(Logs::open(parts, millstream_telemetry::Options::default()).await?)
}

async fn destinations(ground: Ground<'_>) -> anyhow::Result<Places> {
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
        outside: External::new(&external::Options::default(), &HostClock::real())?,
    };
    Ok(Places::open(parts).await?)
}

impl World {
    pub async fn new(log: SharedLog) -> anyhow::Result<Self> {
        let (service_clock, host_clock) = (ServiceClock::real(), HostClock::real());
        let (random, tasks) = (Random::system(), Tasks::new());
        let store: SharedStore = Arc::new(MemoryStore::new());
        let iam =
            Iam::open(Arc::clone(&store), service_clock.clone(), host_clock.clone(), random.clone(), AuthMode::Open)
                .await?;
        let parts = millstream_streams::Parts {
            log: Arc::clone(&log),
            keys: millstream_streams::MasterKeys::in_memory(random.clone()),
            store: Arc::clone(&store),
            clock: service_clock.clone(),
            host_clock: host_clock.clone(),
            random: random.clone(),
            tasks: tasks.clone(),
        };
        let streams = Streams::open(parts, millstream_streams::Options::default()).await?;
        let ground = Ground { store: &store, clock: &service_clock, random: &random, tasks: &tasks };
        let logs = logs(ground).await?;
        let places = destinations(ground).await?;
        // Functions take the whole folder over: it must be one of their own.
        let code = tempfile::tempdir()?;
        let metrics = millstream_telemetry::Metrics::new(service_clock.clone());
        let functions = Functions::start(millstream_functions::Options {
            catalog: Arc::clone(&store),
            code: Arc::new(MemoryBlobs::new()),
            events: Arc::new(MemoryBlobs::new()),
            code_directory: code.path().join("code"),
            strict_runtimes: false,
            roles: Arc::new(Nothing),
            deliver: Arc::new(Destinations::new(places.clone(), iam.clone())),
            executor: Arc::new(Nothing),
            metrics: metrics.clone(),
            service_clock: service_clock.clone(),
            host_clock: host_clock.clone(),
            random: random.clone(),
            tasks,
        })
        .await?;
        let (mappings, _never_run) = Mappings::new(millstream_mapping::Parts {
            catalog: store,
            log: Arc::clone(&log),
            invoke: Arc::new(functions.clone()),
            deliver: Arc::new(Destinations::new(places.clone(), iam.clone())),
            source: Arc::new(streams.clone()),
            targets: Arc::new(Nothing),
            permissions: Arc::new(iam.clone()),
            metrics: metrics.clone(),
            clock: service_clock.clone(),
            host_clock: host_clock.clone(),
            random: random.clone(),
        });
        let clock = ClockControl::new(service_clock, host_clock.clone());
        let gateway = Gateway::new(Parts {
            services: Services {
                iam: iam.clone(),
                streams: streams.clone(),
                functions,
                mappings,
                logs,
                metrics,
                clock,
                buckets: places.s3,
                queues: places.sqs,
                topics: places.sns,
            },
            origin: origin::Options::default(),
            clock: host_clock.clone(),
            random,
            metrics: Arc::new(Metrics::default()),
            budget: Budget::default(),
            health: Arc::new(Nothing),
        });
        let credentials = producer(&iam).await?;
        Ok(Self { gateway, iam, streams, log, clock: host_clock, credentials, _code: code })
    }

    /// Answers a request whose body may come in pieces; anything but 200 is an error.
    pub async fn answer<B>(&self, request: Request<B>) -> anyhow::Result<Bytes>
    where
        B: Body<Data = Bytes> + Send,
    {
        let (head, body) = self.gateway.answer(request).await.into_parts();
        let body = body.collect().await.map_err(|error| anyhow::anyhow!("an answer broke off: {error}"))?.to_bytes();
        ensure!(head.status == StatusCode::OK, "{}: {}", head.status, String::from_utf8_lossy(&body));
        Ok(body)
    }

    /// A JSON call of Kinesis as the account's root, for what is only made ready.
    pub async fn kinesis(&self, operation: &str, input: &serde_json::Value) -> anyhow::Result<serde_json::Value> {
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={ACCOUNT}/20260102/{REGION}/kinesis/aws4_request, \
             SignedHeaders=host;x-amz-date, Signature={}",
            "0".repeat(64)
        );
        let request = Request::post("/")
            .header("host", "localhost:4566")
            .header("authorization", authorization)
            .header("x-amz-date", "20260102T030405Z")
            .header("content-type", "application/x-amz-json-1.1")
            .header("x-amz-target", format!("Kinesis_20131202.{operation}"))
            .body(Full::from(input.to_string()))?;
        let answer = self.answer(request).await.with_context(|| operation.to_owned())?;
        if answer.is_empty() { Ok(serde_json::Value::Null) } else { Ok(serde_json::from_slice(&answer)?) }
    }

    /// Makes a stream and waits until it can be used.
    pub async fn stream(&self, name: &str, shards: u32) -> anyhow::Result<Arc<Stream>> {
        let input = serde_json::json!({ "StreamName": name, "ShardCount": shards });
        self.kinesis("CreateStream", &input).await?;
        let input = serde_json::json!({ "StreamName": name });
        let started = self.clock.monotonic();
        loop {
            let answer = self.kinesis("DescribeStreamSummary", &input).await?;
            if answer["StreamDescriptionSummary"]["StreamStatus"] == "ACTIVE" {
                break;
            }
            if self.clock.monotonic().saturating_sub(started) > READY_LIMIT {
                bail!("waited {} s for a stream to become active", READY_LIMIT.as_secs());
            }
            self.clock.sleep(READY_PAUSE).await;
        }
        let arn = format!("arn:aws:kinesis:{REGION}:{ACCOUNT}:stream/{name}").parse()?;
        self.streams.lookup(&arn).await?.context("the stream is there")
    }
}

/// The root of the account.
fn root() -> anyhow::Result<RequestContext> {
    let scope = Scope { account: ACCOUNT.parse()?, region: REGION.parse()? };
    Ok(RequestContext {
        caller: Caller {
            account: scope.account.clone(),
            access_key_id: ACCOUNT.to_owned(),
            principal: Principal::Root,
        },
        scope,
        request_id: "00000000-0000-4000-8000-000000000000".to_owned(),
        endpoint: "http://localhost:4566".to_owned(),
    })
}

async fn producer(iam: &Iam) -> anyhow::Result<Credentials> {
    let root = root()?;
    let role = CreateRoleRequest {
        role_name: "producer".to_owned(),
        assume_role_policy_document: TRUST.to_owned(),
        ..CreateRoleRequest::default()
    };
    let made = iam.create_role(&root, role).await.map_err(|error| anyhow::anyhow!("{error:?}"))?;
    let policy = AttachRolePolicyRequest {
        role_name: "producer".to_owned(),
        policy_arn: "arn:aws:iam::aws:policy/AmazonKinesisFullAccess".to_owned(),
    };
    iam.attach_role_policy(&root, policy).await.map_err(|error| anyhow::anyhow!("{error:?}"))?;
    let session = AssumeRoleRequest {
        role_arn: made.role.arn,
        role_session_name: "stages".to_owned(),
        ..AssumeRoleRequest::default()
    };
    let session = iam.assume_role(&root, session).await.map_err(|error| anyhow::anyhow!("{error:?}"))?;
    let session = session.credentials.context("a session has credentials")?;
    Ok(Credentials {
        access_key_id: session.access_key_id,
        secret_access_key: session.secret_access_key,
        session_token: Some(session.session_token),
    })
}

/// Stands for what no stage comes to.
#[derive(Debug)]
struct Nothing;

impl Health for Nothing {
    fn troubles(&self) -> Vec<String> {
        Vec::new()
    }

    fn figures(&self) -> Vec<millstream_gateway::Figure> {
        Vec::new()
    }
}

impl ExecutionRoles for Nothing {
    fn can_be_assumed_by_lambda<'a>(&'a self, _: &'a str) -> BoxFuture<'a, bool> {
        Box::pin(std::future::ready(false))
    }

    fn allows<'a>(&'a self, _: &'a str, _: &'a str, _: &'a str) -> BoxFuture<'a, bool> {
        Box::pin(std::future::ready(false))
    }
}

impl Executor for Nothing {
    fn run(&self, _: Arc<FunctionSpec>, event: Bytes, _: InvokeRequest) -> BoxFuture<'_, RuntimeReport> {
        Box::pin(std::future::ready(RuntimeReport {
            outcome: Outcome::Ok(event),
            log_tail: Bytes::new(),
            duration: Duration::ZERO,
            init_duration: None,
            log_stream: String::new(),
        }))
    }

    fn reserve(&self, _: &str, _: Option<u32>) {}

    fn retire(&self, _: &str) {}
}

impl Targets for Nothing {
    fn execution_role<'a>(
        &'a self,
        _: &'a Scope,
        _: &'a str,
        _: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Option<String>, Unavailable>> {
        Box::pin(std::future::ready(Ok(None)))
    }
}
