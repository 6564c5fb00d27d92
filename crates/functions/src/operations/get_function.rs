//! `GetFunction` and `GetFunctionConfiguration`.

use millstream_iam::RequestContext;
use millstream_wire::lambda::error::{GetFunctionConfigurationError, GetFunctionError};
use millstream_wire::lambda::{
    Concurrency, FunctionCodeLocation, FunctionConfiguration, GetFunctionConfigurationRequest, GetFunctionRequest,
    GetFunctionResponse,
};

use crate::failure::Failure;
use crate::functions::Functions;
use crate::names::Target;

impl Functions {
    pub async fn get_function(
        &self,
        context: &RequestContext,
        input: GetFunctionRequest,
    ) -> Result<GetFunctionResponse, GetFunctionError> {
        let target = Target::of(context, &input.function_name, input.qualifier.as_deref())?;
        let resolved = self.resolve(&target).await?;
        let token = self.shared.downloads.token(resolved.version.code.digest);
        Ok(GetFunctionResponse {
            configuration: Some(resolved.shown(&target).configuration()),
            code: Some(FunctionCodeLocation {
                repository_type: Some("S3".to_owned()),
                location: Some(format!("{}/_millstream/code/{token}", context.endpoint)),
                ..FunctionCodeLocation::default()
            }),
            concurrency: resolved
                .function
                .reserved_concurrency
                .map(|limit| Concurrency { reserved_concurrent_executions: i32::try_from(limit).ok() }),
            tags: Some(resolved.function.tags).filter(|tags| !tags.is_empty()),
            ..GetFunctionResponse::default()
        })
    }

    pub async fn get_function_configuration(
        &self,
        context: &RequestContext,
        input: GetFunctionConfigurationRequest,
    ) -> Result<FunctionConfiguration, GetFunctionConfigurationError> {
        let qualifier = input.qualifier.as_deref();
        Ok(self.configuration(context, &input.function_name, qualifier).await?)
    }

    async fn configuration(
        &self,
        context: &RequestContext,
        name: &str,
        qualifier: Option<&str>,
    ) -> Result<FunctionConfiguration, Failure> {
        let target = Target::of(context, name, qualifier)?;
        let resolved = self.resolve(&target).await?;
        Ok(resolved.shown(&target).configuration())
    }
}
