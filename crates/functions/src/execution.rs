//! Running a function: from an [`Invocation`] to what the runtime needs, and back.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use millstream_env::BoxFuture;
use millstream_runtime::{FailureKind, FunctionSpec, InvokeRequest, Outcome as RuntimeOutcome, RuntimeReport};

use crate::failure::Failure;
use crate::functions::Functions;
use crate::invoke::{FunctionErrorKind, Invocation, Invoke, InvokeReport, Outcome};
use crate::names::{LATEST, Target};
use crate::operations::Resolved;
use crate::response::log_group;

/// Specifications kept ready. Beyond it all are made anew.
const SPECIFICATIONS_MAX: usize = 10_000;

/// The specifications of versions that were invoked: made once per change, shared by all invocations.
#[derive(Debug, Default)]
pub(crate) struct Specifications(Mutex<HashMap<String, Arc<FunctionSpec>>>);

impl Invoke for Functions {
    fn invoke(&self, invocation: Invocation) -> BoxFuture<'_, InvokeReport> {
        let request_id = self.shared.random.uuid();
        Box::pin(self.run(invocation, request_id))
    }
}

impl Functions {
    /// Runs a function under a request id that the caller knows.
    pub(crate) async fn run(&self, invocation: Invocation, request_id: String) -> InvokeReport {
        let Invocation { scope, function_name, qualifier, payload, client_context } = invocation;
        let target = Target { scope, name: function_name, qualifier };
        let spec = match self.specification(&target).await {
            Ok(spec) => spec,
            Err(failure) => return not_run(request_id, outcome_of(failure, &target)),
        };
        let request =
            InvokeRequest { request_id: request_id.clone(), invoked_arn: target.arn(), client_context, trace_id: None };
        let version = spec.version.clone();
        let measure = self.shared.measures.begin(&target.scope, &target, self.shared.service_clock.now());
        let RuntimeReport { outcome, log_tail, duration, .. } = self.shared.executor.run(spec, payload, request).await;
        let outcome = translated(outcome);
        measure.end(&outcome, duration);
        let has_run = matches!(outcome, Outcome::Ok(_) | Outcome::FunctionError { .. });
        InvokeReport { request_id, executed_version: has_run.then_some(version), outcome, log_tail }
    }

    async fn specification(&self, target: &Target) -> Result<Arc<FunctionSpec>, Failure> {
        let resolved = self.route(target).await?;
        let version = resolved.number.map_or_else(|| LATEST.to_owned(), |number| number.to_string());
        let key = target.qualified(Some(&version)).arn();
        // Not the revision id: completing a change gives a new one, but nothing else to run.
        let revision = format!("{}-{}", resolved.version.last_modified_ms, resolved.version.edition);
        if let Some(spec) = self.shared.specifications.lock().get(&key).filter(|spec| spec.revision == revision) {
            return Ok(Arc::clone(spec));
        }
        let code_directory = self.shared.code.folder(resolved.version.code.digest).await?;
        let layers_directory = self.shared.code.layers(&resolved.version.configuration.layer_digests()).await?;
        let spec = Arc::new(specification(target, version, revision, (code_directory, layers_directory), resolved));
        let mut kept = self.shared.specifications.lock();
        if kept.len() >= SPECIFICATIONS_MAX {
            kept.clear();
        }
        kept.insert(key, Arc::clone(&spec));
        Ok(spec)
    }
}

impl Specifications {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<FunctionSpec>>> {
        self.0.lock().expect("no code panics while holding this lock")
    }
}

fn specification(
    target: &Target,
    version: String,
    revision: String,
    (code_directory, layers_directory): (PathBuf, Option<PathBuf>),
    resolved: Resolved,
) -> FunctionSpec {
    let configuration = resolved.version.configuration;
    FunctionSpec {
        version,
        revision,
        layers_directory,
        environment: configuration.environment.unwrap_or_default(),
        memory_mb: configuration.memory_mb,
        ephemeral_storage_mb: configuration.ephemeral_storage_mb,
        timeout: Duration::from_secs(configuration.timeout_seconds.into()),
        log_group: log_group(&target.name, configuration.log_group.as_deref()),
        ..FunctionSpec::new(
            target.scope.clone(),
            &target.name,
            &configuration.runtime,
            &configuration.handler,
            code_directory,
            &configuration.role,
        )
    }
}

fn translated(outcome: RuntimeOutcome) -> Outcome {
    match outcome {
        RuntimeOutcome::Ok(bytes) => Outcome::Ok(bytes),
        RuntimeOutcome::FunctionError { kind, payload } => {
            let kind = match kind {
                FailureKind::Handler => FunctionErrorKind::Handler,
                FailureKind::TimedOut => FunctionErrorKind::TimedOut,
                FailureKind::ResponseTooLarge => FunctionErrorKind::ResponseTooLarge,
                FailureKind::InitFailed => FunctionErrorKind::InitFailed,
                FailureKind::Exited => FunctionErrorKind::Exited,
            };
            Outcome::FunctionError { kind, payload }
        }
        RuntimeOutcome::Throttled { reason } => Outcome::Throttled { reason },
        RuntimeOutcome::NotPermitted(reason) => Outcome::NotPermitted(reason),
        RuntimeOutcome::Unavailable(reason) => Outcome::ServiceError(reason),
    }
}

fn outcome_of(failure: Failure, target: &Target) -> Outcome {
    match failure {
        Failure::ResourceNotFound(_) => Outcome::NotFound(target.arn()),
        Failure::ResourceConflict(message) => Outcome::NotReady(message),
        Failure::InvalidParameterValue(message)
        | Failure::PreconditionFailed(message)
        | Failure::PolicyLengthExceeded(message) => Outcome::ServiceError(message),
        Failure::Common(error) => Outcome::ServiceError(error.to_string()),
    }
}

fn not_run(request_id: String, outcome: Outcome) -> InvokeReport {
    InvokeReport { request_id, executed_version: None, outcome, log_tail: Bytes::new() }
}
