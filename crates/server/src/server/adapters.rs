//! Joins crates that know each other only by a trait of the one that asks.

use std::sync::Arc;

use bytes::Bytes;
use millstream_catalog::StoreError;
use millstream_env::{BoxFuture, Timestamp};
use millstream_functions::ExecutionRoles;
use millstream_iam::Iam;
use millstream_runtime::{Credentials, CredentialsIssuer, IssueError, IssueRequest, LogSink, LogTarget};
use millstream_telemetry::{LogPermissions, LogWriter};
use millstream_types::Arn;

/// What others ask of identities.
#[derive(Clone, Debug)]
pub(super) struct Identities(pub(super) Iam);

impl ExecutionRoles for Identities {
    fn can_be_assumed_by_lambda<'a>(&'a self, role_arn: &'a str) -> BoxFuture<'a, bool> {
        Box::pin(async move {
            let allowed = log_failure(self.0.lambda_can_assume(role_arn).await);
            if !allowed {
                tracing::info!(
                    role = role_arn,
                    "Lambda cannot assume this role (hint: create it with `aws iam create-role`, and let its trust \
                     policy allow sts:AssumeRole to the service lambda.amazonaws.com)"
                );
            }
            allowed
        })
    }

    fn allows<'a>(&'a self, role_arn: &'a str, action: &'a str, resource: &'a str) -> BoxFuture<'a, bool> {
        Box::pin(async move { log_failure(self.0.role_allows(role_arn, action, resource).await) })
    }
}

impl LogPermissions for Identities {
    fn allows<'a>(&'a self, role_arn: &'a str, action: &'static str, resource: &'a Arn) -> BoxFuture<'a, bool> {
        Box::pin(async move { log_failure(self.0.role_allows(role_arn, action, &resource.to_string()).await) })
    }
}

impl CredentialsIssuer for Identities {
    fn issue<'a>(&'a self, request: IssueRequest<'a>) -> BoxFuture<'a, Result<Credentials, IssueError>> {
        Box::pin(async move {
            let IssueRequest { role_arn, session_name, environment, lifetime } = request;
            let issued = self.0.issue_role_session(role_arn, session_name, environment, lifetime).await;
            let session = issued.map_err(|error| match error {
                millstream_iam::IssueError::NotAssumable(_) => IssueError::NotPermitted(error.to_string()),
                _ => IssueError::Unavailable(error.to_string()),
            })?;
            let credentials = session.credentials;
            let session_token = credentials.session_token.expect("a session's credentials have a token");
            Ok(Credentials {
                access_key_id: credentials.access_key_id,
                secret_access_key: credentials.secret_access_key,
                session_token,
            })
        })
    }

    fn revoke<'a>(&'a self, environment: &'a str) -> BoxFuture<'a, ()> {
        self.0.revoke_environment(environment);
        Box::pin(std::future::ready(()))
    }
}

/// A catalog that does not answer allows nothing.
fn log_failure(answer: Result<bool, StoreError>) -> bool {
    answer.unwrap_or_else(|error| {
        tracing::error!(%error, "a role's permissions cannot be read");
        false
    })
}

/// The log lines of functions, on their way to CloudWatch Logs.
#[derive(Clone, Debug)]
pub(super) struct FunctionLogs(pub(super) LogWriter);

impl LogSink for FunctionLogs {
    fn write(&self, target: &Arc<LogTarget>, timestamp: Timestamp, message: Bytes) -> bool {
        let LogTarget { scope, group, stream, role_arn } = (**target).clone();
        let target = millstream_telemetry::LogTarget { scope, group, stream, role_arn };
        self.0.write(&Arc::new(target), timestamp, message)
    }
}
