//! A runtime with everything around it scripted, and functions made from a few lines of code.
#![allow(dead_code, reason = "each test program uses its own part of this")]
#![expect(clippy::disallowed_methods, reason = "tests make the files of functions, with modes for other users")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use millstream_env::{BoxFuture, Random, Tasks, Timestamp};
use millstream_runtime::{
    Credentials, CredentialsIssuer, FunctionEndpoints, FunctionSpec, InvokeRequest, IssueError, IssueRequest, LogSink,
    LogTarget, Options, Outcome, Runtime, RuntimeReport,
};
use millstream_types::{AccountId, Scope};
use tempfile::TempDir;

/// A runtime of its own, with a run directory of its own.
pub(crate) struct Fixture {
    pub(crate) runtime: Runtime,
    pub(crate) logs: Arc<Lines>,
    pub(crate) issuer: Arc<Issuer>,
    pub(crate) folder: TempDir,
    tasks: Tasks,
}

/// Remembers log lines.
#[derive(Debug, Default)]
pub(crate) struct Lines(Mutex<Vec<(String, String)>>);

impl Lines {
    /// All lines so far, joined.
    pub(crate) fn text(&self) -> String {
        self.0.lock().unwrap().iter().map(|(_, line)| line.as_str()).collect()
    }

    pub(crate) fn events(&self) -> Vec<String> {
        self.0.lock().unwrap().iter().map(|(_, line)| line.clone()).collect()
    }

    pub(crate) fn streams(&self) -> Vec<String> {
        let mut streams: Vec<_> = self.0.lock().unwrap().iter().map(|(stream, _)| stream.clone()).collect();
        streams.dedup();
        streams
    }
}

impl LogSink for Lines {
    fn write(&self, target: &Arc<LogTarget>, _: Timestamp, message: Bytes) -> bool {
        let line = String::from_utf8(message.to_vec()).expect("log events are UTF-8");
        self.0.lock().unwrap().push((format!("{}:{}", target.group, target.stream), line));
        true
    }
}

/// Issues fixed credentials and remembers for whom.
#[derive(Debug, Default)]
pub(crate) struct Issuer {
    pub(crate) revoked: Mutex<Vec<String>>,
}

impl CredentialsIssuer for Issuer {
    fn issue<'a>(&'a self, request: IssueRequest<'a>) -> BoxFuture<'a, Result<Credentials, IssueError>> {
        let result = if request.role_arn.ends_with("/gone") {
            Err(IssueError::NotPermitted(request.role_arn.to_owned()))
        } else {
            Ok(Credentials {
                access_key_id: format!("ASIA{}", request.environment),
                secret_access_key: "secret".to_owned(),
                session_token: request.session_name.to_owned(),
            })
        };
        Box::pin(async move { result })
    }

    fn revoke<'a>(&'a self, environment: &'a str) -> BoxFuture<'a, ()> {
        self.revoked.lock().unwrap().push(environment.to_owned());
        Box::pin(async {})
    }
}

/// An endpoint that nobody serves.
#[derive(Debug)]
struct FixedEndpoint;

impl FunctionEndpoints for FixedEndpoint {
    fn open<'a>(&'a self, _environment: &'a str) -> BoxFuture<'a, std::io::Result<String>> {
        Box::pin(async { Ok("http://127.0.0.1:4567".to_owned()) })
    }

    fn close(&self, _environment: &str) {}
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Options)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        open_to_all(folder.path());
        let (logs, issuer, tasks) = (Arc::new(Lines::default()), Arc::new(Issuer::default()), Tasks::new());
        let run = folder.path().join("run");
        let mut options = Options::new(
            run,
            Arc::clone(&issuer) as Arc<dyn CredentialsIssuer>,
            Arc::clone(&logs) as Arc<dyn LogSink>,
            tasks.clone(),
        );
        // A copy, when the build folder is closed to the user of this test.
        let launcher = std::env::var_os("MILLSTREAM_TEST_LAUNCHER");
        options.launcher = launcher.unwrap_or_else(|| env!("CARGO_BIN_EXE_millstream-launcher").into()).into();
        options.endpoints = Some(Arc::new(FixedEndpoint));
        change(&mut options);
        let runtime = Runtime::start(options).await.unwrap();
        Self { runtime, logs, issuer, folder, tasks }
    }

    /// A function whose code is these files; those named `bootstrap` are executable.
    pub(crate) fn function(&self, runtime: &str, handler: &str, files: &[(&str, &str)]) -> FunctionSpec {
        let number = Random::system().u64();
        let code = self.folder.path().join(format!("code-{number}"));
        fs::create_dir(&code).unwrap();
        open_to_all(&code);
        for (name, text) in files {
            let file = code.join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(&file, text).unwrap();
            let mode = if *name == "bootstrap" { 0o755 } else { 0o644 };
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        }
        let scope = Scope { account: AccountId::default_account(), region: "us-east-1".parse().unwrap() };
        let role = "arn:aws:iam::000000000000:role/r";
        let mut spec = FunctionSpec::new(scope, &format!("f{number}"), runtime, handler, code, role);
        spec.timeout = Duration::from_secs(20);
        spec
    }

    pub(crate) fn python(&self, code: &str) -> FunctionSpec {
        self.function("python3.11", "app.handler", &[("app.py", code)])
    }

    pub(crate) fn node(&self, code: &str) -> FunctionSpec {
        self.function("nodejs20.x", "index.handler", &[("index.mjs", code)])
    }

    pub(crate) async fn invoke(&self, spec: &Arc<FunctionSpec>, event: &str) -> RuntimeReport {
        let request = InvokeRequest {
            request_id: Random::system().uuid(),
            invoked_arn: spec.function_arn.clone(),
            client_context: None,
            trace_id: None,
        };
        self.invoke_as(spec, event, request).await
    }

    pub(crate) async fn invoke_as(
        &self,
        spec: &Arc<FunctionSpec>,
        event: &str,
        request: InvokeRequest,
    ) -> RuntimeReport {
        let event = Bytes::copy_from_slice(event.as_bytes());
        self.runtime.invoke(Arc::clone(spec), event, request).await
    }

    /// Invokes and expects this response.
    pub(crate) async fn check(&self, spec: &Arc<FunctionSpec>, event: &str, expected: &str) -> RuntimeReport {
        let report = self.invoke(spec, event).await;
        assert_eq!(text(&report), expected, "log: {}", self.logs.text());
        assert!(matches!(report.outcome, Outcome::Ok(_)), "{:?}", report.outcome);
        report
    }

    /// Stops everything and waits for its end.
    pub(crate) async fn stop(self) {
        assert!(self.tasks.stop(Duration::from_secs(10)).await, "environments end with the server");
        assert_eq!(self.runtime.live(), 0);
    }
}

/// The response or the error document.
pub(crate) fn text(report: &RuntimeReport) -> String {
    match &report.outcome {
        Outcome::Ok(bytes) | Outcome::FunctionError { payload: bytes, .. } => {
            String::from_utf8(bytes.to_vec()).unwrap()
        }
        other => panic!("{other:?}"),
    }
}

pub(crate) fn open_to_all(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}
