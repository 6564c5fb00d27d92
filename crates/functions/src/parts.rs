//! What functions need from others, as traits, so that the logic here is tested without processes and policies.

use std::fmt::Debug;
use std::sync::Arc;

use bytes::Bytes;
use millstream_env::BoxFuture;
use millstream_runtime::{FunctionSpec, InvokeRequest, Runtime, RuntimeReport};

/// Knows which roles Lambda may take on.
pub trait ExecutionRoles: Send + Sync + Debug {
    /// Whether the role exists and trusts `lambda.amazonaws.com`.
    fn can_be_assumed_by_lambda<'a>(&'a self, role_arn: &'a str) -> BoxFuture<'a, bool>;

    /// Whether the role's policies allow `action` (`service:Name`) on the resource with this ARN.
    fn allows<'a>(&'a self, role_arn: &'a str, action: &'a str, resource: &'a str) -> BoxFuture<'a, bool>;
}

/// Runs functions that are resolved to one version with its code in place.
pub trait Executor: Send + Sync + Debug {
    fn run(&self, spec: Arc<FunctionSpec>, event: Bytes, request: InvokeRequest) -> BoxFuture<'_, RuntimeReport>;

    /// Lets a function have so much concurrency for itself, and not more; `None` lets it share the rest.
    fn reserve(&self, function_arn: &str, limit: Option<u32>);

    /// Stops the environments of a function that is deleted.
    fn retire(&self, function_arn: &str);
}

impl Executor for Runtime {
    fn run(&self, spec: Arc<FunctionSpec>, event: Bytes, request: InvokeRequest) -> BoxFuture<'_, RuntimeReport> {
        Box::pin(self.invoke(spec, event, request))
    }

    fn reserve(&self, function_arn: &str, limit: Option<u32>) {
        Self::reserve(self, function_arn, limit);
    }

    fn retire(&self, function_arn: &str) {
        Self::retire(self, function_arn);
    }
}
