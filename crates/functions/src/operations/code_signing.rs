//! `GetFunctionCodeSigningConfig`: this server knows no code signing, so that every function is without.

use millstream_iam::RequestContext;
use millstream_wire::lambda::error::GetFunctionCodeSigningConfigError;
use millstream_wire::lambda::{GetFunctionCodeSigningConfigRequest, GetFunctionCodeSigningConfigResponse};

use crate::functions::Functions;
use crate::names::Target;

impl Functions {
    pub async fn get_function_code_signing_config(
        &self,
        context: &RequestContext,
        input: GetFunctionCodeSigningConfigRequest,
    ) -> Result<GetFunctionCodeSigningConfigResponse, GetFunctionCodeSigningConfigError> {
        let target = Target::of(context, &input.function_name, None)?;
        self.function(&target).await?;
        Ok(GetFunctionCodeSigningConfigResponse { code_signing_config_arn: String::new(), function_name: target.name })
    }
}
