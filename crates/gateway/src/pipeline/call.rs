//! What all protocols share: the body, the caller, his permissions, the call.

use std::fmt::Debug;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use http::header::USER_AGENT;
use http::request::Parts as Head;
use hyper::body::Body;
use millstream_iam::{ConditionContext, RequestContext};
use millstream_wire::protocol::{Encoding, Request, encode_error};
use millstream_wire::{ApiError, CommonError, Value};

use super::Shared;
use crate::answer::Answer;
use crate::authenticate::{Admission, authenticate, context, refusal};
use crate::body::{ReceiveError, Received, receive};
use crate::operation::{Entry, Need, Table};

/// Largest bodies, by what they may hold. Kinesis: 10 MiB of records, a third more as base64, and some room.
pub(super) const KINESIS_BYTES_MAX: usize = 20 * 1024 * 1024;
/// A zip of 50 MiB as base64, and its settings: AWS's own limit.
pub(super) const LAMBDA_CODE_BYTES_MAX: usize = 70_167_211;
/// Everything else.
pub(super) const OTHER_BYTES_MAX: usize = 8 * 1024 * 1024;

/// One request on its way.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub(super) shared: &'a Shared,
    pub(super) admission: Admission,
    pub(super) head: Head,
    pub(super) request_id: String,
}

impl Call<'_> {
    /// Reads the body, which may have up to `bytes_max` bytes.
    pub(super) async fn receive<B>(&self, body: B, bytes_max: usize) -> Result<Received, CommonError>
    where
        B: Body<Data = Bytes> + Send,
    {
        let parts = &self.shared.parts;
        receive(body, bytes_max, &parts.budget, &parts.clock).await.map_err(|error| match error {
            ReceiveError::TooLarge { bytes_max } => {
                CommonError::RequestTooLarge(format!("Request must be smaller than {bytes_max} bytes"))
            }
            ReceiveError::Overloaded => {
                parts.metrics.refused_overload.fetch_add(1, Ordering::Relaxed);
                CommonError::Throttling("Rate exceeded".to_owned())
            }
            // Nobody reads the answer to the second; the first deserves to be told something.
            ReceiveError::TimedOut | ReceiveError::Incomplete => CommonError::Malformed,
        })
    }

    /// Who calls, by a signature for `service`.
    pub(super) async fn authenticate(&self, service: &str, sha256: &[u8; 32]) -> Result<RequestContext, CommonError> {
        let parts = &self.shared.parts;
        let authenticator = parts.services.iam.authenticator();
        let services = [service];
        let caller = authenticate(authenticator, &self.admission, &parts.clock, &self.head, sha256, &services).await;
        let caller = caller.map_err(refusal)?;
        Ok(context(caller, &self.head, &self.request_id))
    }

    /// Refuses a caller who lacks one of the permissions.
    pub(super) async fn authorize(&self, context: &RequestContext, needs: &[Need]) -> Result<(), CommonError> {
        for Need { action, resource } in needs {
            let mut conditions = ConditionContext::new().with("aws:RequestedRegion", context.scope.region.as_str());
            if action == "iam:PassRole" {
                conditions.set("iam:PassedToService", "lambda.amazonaws.com");
            }
            let services = &self.shared.parts.services;
            let policy = match resource.parse() {
                Ok(arn) if action.starts_with("kinesis:") => services.streams.resource_policy(&arn).await,
                Ok(arn) if action.starts_with("lambda:") => services.functions.resource_policy(&arn).await,
                Ok(arn) if action.starts_with("sqs:") => services.queues.policy(&arn),
                Ok(arn) if action.starts_with("sns:") => {
                    let policy = services.topics.policy(&arn).await;
                    policy.map_err(|error| CommonError::Unavailable(error.to_string()))?
                }
                _ => None,
            };
            let decision = services
                .iam
                .authorize(&context.caller, action, resource, &conditions, policy.as_deref())
                .await
                .map_err(|error| CommonError::Unavailable(error.to_string()))?;
            decision.into_result().map_err(|denial| CommonError::AccessDenied(denial.to_string()))?;
        }
        Ok(())
    }

    /// Authorises and makes the call, with a value that passed the constraints of the input.
    pub(super) async fn run(&self, entry: &Entry, context: &RequestContext, input: Value) -> Result<Value, ApiError> {
        let prepared = (entry.prepare)(context, input);
        self.authorize(context, &prepared.needs.await).await?;
        prepared.call.await
    }

    /// What the protocols decode from.
    pub(super) fn request<'a>(&'a self, body: &'a Bytes) -> Request<'a> {
        let uri = &self.head.uri;
        Request { path: uri.path(), query: uri.query().unwrap_or_default(), headers: &self.head.headers, body }
    }

    /// The answer to a call of an operation of the table that failed.
    pub(super) fn refusal(&self, table: &Table, encoding: Encoding, error: &ApiError) -> Answer {
        encode_error(table.service, encoding, &self.request_id, error).into()
    }

    /// One line for each answered call, under the target `requests`: `--log info,requests=debug` shows them.
    pub(super) fn log_request(&self, service: &str, operation: &str, encoding: impl Debug, answer: &Answer) {
        let header = |name| self.head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        tracing::debug!(
            target: "requests",
            service,
            operation,
            ?encoding,
            http = ?self.head.version,
            status = answer.status.as_u16(),
            user_agent = header(USER_AGENT),
            request_id = %self.request_id,
            "answered",
        );
    }

    /// Logs what a caller is not told.
    pub(super) fn log_failure(&self, operation: &str, error: &ApiError) {
        match error {
            ApiError::Common(CommonError::InternalFailure(reason)) => {
                tracing::error!(operation, request_id = %self.request_id, %reason, "a call failed inside");
            }
            ApiError::Common(CommonError::Unavailable(reason)) => {
                tracing::warn!(operation, request_id = %self.request_id, %reason, "a call could not be served now");
            }
            _ => {}
        }
    }
}
