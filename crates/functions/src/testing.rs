//! Fixtures: a caller, archives, roles and an executor that answer as told, and functions made of them.

use std::collections::VecDeque;
use std::io::{Cursor, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use millstream_blobs::{MemoryBlobs, SharedBlobs};
use millstream_catalog::{MemoryStore, SharedStore};
use millstream_destinations::{Deliver, Delivery, DeliveryError, SharedDeliver};
use millstream_env::{BoxFuture, HostClock, Random, ServiceClock, Tasks, Timestamp, VirtualTime};
use millstream_iam::{Caller, Principal, RequestContext};
use millstream_runtime::{FunctionSpec, InvokeRequest, Outcome, RuntimeReport};
use millstream_telemetry::Metrics;
use millstream_types::{AccountId, Scope};
use millstream_wire::lambda::{CreateFunctionRequest, FunctionCode};
use tempfile::TempDir;
use tokio::sync::watch;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::functions::{Functions, Options};
use crate::parts::{ExecutionRoles, Executor};

/// The only role that can be assumed.
pub(crate) const ROLE: &str = "arn:aws:iam::000000000000:role/lambda-role";

pub(crate) fn context() -> RequestContext {
    let account = AccountId::default_account();
    RequestContext {
        scope: Scope { account: account.clone(), region: "us-east-1".parse().unwrap() },
        caller: Caller { account, access_key_id: "test".to_owned(), principal: Principal::Root },
        request_id: "1b4e28ba-2fa1-41d2-883f-0016d3cca427".to_owned(),
        endpoint: "http://127.0.0.1:4566".to_owned(),
    }
}

/// An archive of (name, mode, content).
pub(crate) fn zip_of(entries: &[(&str, u32, &str)]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, mode, content) in entries {
        writer.start_file(*name, SimpleFileOptions::default().unix_permissions(*mode)).unwrap();
        writer.write_all(content.as_bytes()).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

pub(crate) fn create_request(name: &str) -> CreateFunctionRequest {
    CreateFunctionRequest {
        function_name: name.to_owned(),
        role: ROLE.to_owned(),
        runtime: Some("python3.13".to_owned()),
        handler: Some("app.handler".to_owned()),
        code: FunctionCode {
            zip_file: Some(zip_of(&[("app.py", 0o644, "def handler(event, context): pass")]).into()),
            ..FunctionCode::default()
        },
        ..CreateFunctionRequest::default()
    }
}

#[derive(Debug)]
struct OneRole;

impl ExecutionRoles for OneRole {
    fn can_be_assumed_by_lambda<'a>(&'a self, role_arn: &'a str) -> BoxFuture<'a, bool> {
        Box::pin(std::future::ready(role_arn == ROLE))
    }

    /// Anything but what the resource's name forbids.
    fn allows<'a>(&'a self, _: &'a str, _: &'a str, resource: &'a str) -> BoxFuture<'a, bool> {
        Box::pin(std::future::ready(!resource.contains("forbidden")))
    }
}

/// Answers what was prepared, in order, and else echoes the event; remembers what it was asked.
#[derive(Debug, Default)]
pub(crate) struct Script {
    prepared: Mutex<VecDeque<Outcome>>,
    runs: watch::Sender<Vec<(Arc<FunctionSpec>, Bytes, InvokeRequest)>>,
    pub(crate) retired: Mutex<Vec<String>>,
    /// Whether runs wait before they end.
    pub(crate) is_held: watch::Sender<bool>,
    pub(crate) reserved: Mutex<Vec<(String, Option<u32>)>>,
}

impl Script {
    pub(crate) fn prepare(&self, outcomes: impl IntoIterator<Item = Outcome>) {
        self.prepared.lock().unwrap().extend(outcomes);
    }

    /// Waits until that many runs have begun, and returns all so far.
    pub(crate) async fn runs(&self, count: usize) -> Vec<(Arc<FunctionSpec>, Bytes, InvokeRequest)> {
        self.runs.subscribe().wait_for(|runs| runs.len() >= count).await.unwrap().clone()
    }

    pub(crate) fn count(&self) -> usize {
        self.runs.borrow().len()
    }
}

impl Executor for Script {
    fn run(&self, spec: Arc<FunctionSpec>, event: Bytes, request: InvokeRequest) -> BoxFuture<'_, RuntimeReport> {
        self.runs.send_modify(|runs| runs.push((spec, event.clone(), request)));
        let outcome = self.prepared.lock().unwrap().pop_front().unwrap_or(Outcome::Ok(event));
        let mut held = self.is_held.subscribe();
        Box::pin(async move {
            let _ = held.wait_for(|is_held| !is_held).await;
            RuntimeReport {
                outcome,
                log_tail: Bytes::from_static(b"START\nEND\nREPORT\n"),
                duration: Duration::from_millis(1),
                init_duration: None,
                log_stream: String::new(),
            }
        })
    }

    fn reserve(&self, function_arn: &str, limit: Option<u32>) {
        self.reserved.lock().unwrap().push((function_arn.to_owned(), limit));
    }

    fn retire(&self, function_arn: &str) {
        self.retired.lock().unwrap().push(function_arn.to_owned());
    }
}

/// Takes every document, unless told to fail.
#[derive(Debug, Default)]
pub(crate) struct Post {
    pub(crate) failures: Mutex<VecDeque<DeliveryError>>,
    pub(crate) sent: watch::Sender<Vec<Delivery>>,
}

impl Deliver for Post {
    fn deliver(&self, delivery: Delivery) -> BoxFuture<'_, Result<(), DeliveryError>> {
        let failure = self.failures.lock().unwrap().pop_front();
        if failure.is_none() {
            self.sent.send_modify(|sent| sent.push(delivery));
        }
        Box::pin(std::future::ready(failure.map_or(Ok(()), Err)))
    }
}

/// Functions on memory, with everything a test may want to reach.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) functions: Functions,
    pub(crate) script: Arc<Script>,
    pub(crate) post: Arc<Post>,
    pub(crate) time: VirtualTime,
    pub(crate) tasks: Tasks,
    pub(crate) catalog: SharedStore,
    pub(crate) code: SharedBlobs,
    pub(crate) events: SharedBlobs,
    /// Kept for the code in it.
    _run: TempDir,
}

impl World {
    pub(crate) async fn new() -> Self {
        let (catalog, code, events) =
            (Arc::new(MemoryStore::new()), Arc::new(MemoryBlobs::new()), Arc::new(MemoryBlobs::new()));
        Self::over(catalog, code, events, Timestamp::from_seconds(1_767_225_600)).await
    }

    /// The same stored state under a new process.
    pub(crate) async fn restarted(self) -> Self {
        let now = self.functions.shared.service_clock.now();
        assert!(self.tasks.stop(Duration::from_secs(10)).await, "the work ends when told");
        Self::over(self.catalog, self.code, self.events, now).await
    }

    async fn over(catalog: SharedStore, code: SharedBlobs, events: SharedBlobs, now: Timestamp) -> Self {
        let (service_clock, time) = ServiceClock::virtual_at(now);
        let (script, tasks, run) = (Arc::new(Script::default()), Tasks::new(), tempfile::tempdir().unwrap());
        let post = Arc::new(Post::default());
        let functions = Functions::start(Options {
            catalog: Arc::clone(&catalog),
            code: Arc::clone(&code),
            events: Arc::clone(&events),
            code_directory: run.path().join("code"),
            strict_runtimes: false,
            roles: Arc::new(OneRole),
            deliver: Arc::clone(&post) as SharedDeliver,
            executor: Arc::clone(&script) as Arc<dyn Executor>,
            metrics: Metrics::new(service_clock.clone()),
            service_clock,
            host_clock: HostClock::real(),
            random: Random::seeded(1),
            tasks: tasks.clone(),
        })
        .await
        .unwrap();
        Self { functions, script, post, time, tasks, catalog, code, events, _run: run }
    }
}
