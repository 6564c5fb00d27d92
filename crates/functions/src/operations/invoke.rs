//! `Invoke`.

mod body;

use bytes::Bytes;
use millstream_iam::RequestContext;
use millstream_types::limits::{ASYNC_PAYLOAD_BYTES_MAX, INVOKE_PAYLOAD_BYTES_MAX};
use millstream_wire::CommonError;
use millstream_wire::lambda::error::{InvokeError, TooManyRequestsException};
use millstream_wire::lambda::{InvocationRequest, InvocationResponse, InvocationType, LogType};

use crate::functions::Functions;
use crate::invoke::{Invocation, InvokeReport, Outcome};
use crate::names::Target;

/// What `X-Amz-Function-Error` says today, whoever reported the error (recorded).
const UNHANDLED: &str = "Unhandled";

impl Functions {
    pub async fn invoke(
        &self,
        context: &RequestContext,
        input: InvocationRequest,
    ) -> Result<InvocationResponse, InvokeError> {
        let target = Target::of(context, &input.function_name, input.qualifier.as_deref())?;
        if input.tenant_id.is_some() || input.durable_execution_name.is_some() {
            return Err(InvokeError::InvalidParameterValue(
                "Tenants and durable executions are not supported by this server yet.".to_owned(),
            ));
        }
        self.resolve(&target).await?;
        let invocation = Invocation {
            scope: target.scope,
            function_name: target.name,
            qualifier: target.qualifier,
            payload: checked_payload(&input)?,
            client_context: input.client_context.as_deref().map(body::client_context).transpose()?,
        };
        match input.invocation_type.unwrap_or(InvocationType::RequestResponse) {
            InvocationType::DryRun => Ok(empty(204)),
            InvocationType::Event => {
                self.shared.queue.accept(invocation, context.request_id.clone()).await?;
                Ok(empty(202))
            }
            InvocationType::RequestResponse => {
                let report = self.run(invocation, context.request_id.clone()).await;
                answer(report, input.log_type == Some(LogType::Tail))
            }
        }
    }
}

fn checked_payload(input: &InvocationRequest) -> Result<Bytes, InvokeError> {
    let payload = input.payload.clone().filter(|payload| !payload.is_empty());
    // A caller who sends nothing gives the function an empty object.
    let payload = payload.unwrap_or(Bytes::from_static(b"{}"));
    if payload.len() > INVOKE_PAYLOAD_BYTES_MAX {
        return Err(InvokeError::RequestTooLarge(format!(
            "Request must be smaller than {INVOKE_PAYLOAD_BYTES_MAX} bytes for the InvokeFunction operation"
        )));
    }
    if input.invocation_type == Some(InvocationType::Event) && payload.len() > ASYNC_PAYLOAD_BYTES_MAX {
        return Err(InvokeError::RequestTooLarge(format!(
            "{} byte payload is too large for the Event invocation type (limit {ASYNC_PAYLOAD_BYTES_MAX} bytes)",
            payload.len()
        )));
    }
    body::check_json(&payload)?;
    Ok(payload)
}

fn answer(report: InvokeReport, with_log: bool) -> Result<InvocationResponse, InvokeError> {
    let InvokeReport { executed_version, outcome, log_tail, .. } = report;
    let (payload, function_error) = match outcome {
        Outcome::Ok(payload) => (payload, None),
        Outcome::FunctionError { payload, .. } => (payload, Some(UNHANDLED.to_owned())),
        Outcome::Throttled { reason } => {
            return Err(InvokeError::TooManyRequests(TooManyRequestsException {
                message: "Rate Exceeded.".to_owned(),
                reason: reason.parse().ok(),
                retry_after_seconds: None,
            }));
        }
        Outcome::NotPermitted(reason) => {
            tracing::warn!(%reason, "a function was not invoked");
            let text = "The role defined for the function cannot be assumed by Lambda.";
            return Err(CommonError::AccessDenied(text.to_owned()).into());
        }
        Outcome::NotFound(arn) => return Err(InvokeError::ResourceNotFound(format!("Function not found: {arn}"))),
        Outcome::NotReady(message) => return Err(InvokeError::ResourceConflict(message)),
        Outcome::ServiceError(message) => return Err(InvokeError::Service(message)),
    };
    Ok(InvocationResponse {
        status_code: Some(200),
        payload: Some(payload),
        function_error,
        executed_version,
        log_result: with_log.then(|| base64_simd::STANDARD.encode_to_string(log_tail)),
        ..InvocationResponse::default()
    })
}

/// Without a version: recorded for asynchronous invocations.
fn empty(status: i32) -> InvocationResponse {
    InvocationResponse { status_code: Some(status), ..InvocationResponse::default() }
}
