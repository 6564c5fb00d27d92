//! The variables that a user sets.

use std::collections::BTreeMap;

use millstream_wire::lambda::Environment;

use super::invalid;
use crate::failure::Failure;

/// All variables together, written as JSON (Lambda quotas).
const VARIABLES_BYTES_MAX: usize = 4096;

/// Names that the service sets itself (Lambda developer guide, reserved environment variables).
const RESERVED: [&str; 20] = [
    "AWS_ACCESS_KEY",
    "AWS_ACCESS_KEY_ID",
    "AWS_DEFAULT_REGION",
    "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_LAMBDA_INITIALIZATION_TYPE",
    "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_LAMBDA_MAX_CONCURRENCY",
    "AWS_LAMBDA_RUNTIME_API",
    "AWS_REGION",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_SESSION_TOKEN_EXPIRATION",
    "LAMBDA_RUNTIME_DIR",
    "LAMBDA_TASK_ROOT",
    "_HANDLER",
    "_X_AMZN_TRACE_ID",
];

pub(super) fn checked(environment: &Environment) -> Result<BTreeMap<String, String>, Failure> {
    let variables = environment.variables.clone().unwrap_or_default();
    let reserved: Vec<&str> = variables.keys().map(String::as_str).filter(|key| RESERVED.contains(key)).collect();
    if !reserved.is_empty() {
        return Err(invalid(format!(
            "Lambda was unable to configure your environment variables because the environment variables you have \
             provided contains reserved keys that are currently not supported for modification. Reserved keys used in \
             this request: {}",
            reserved.join(", ")
        )));
    }
    let measured = serde_json::to_string(&variables).expect("a map of texts becomes JSON");
    if measured.len() > VARIABLES_BYTES_MAX {
        return Err(invalid(format!(
            "Lambda was unable to configure your environment variables because the environment variables you have \
             provided exceeded the 4KB limit. String measured: {measured}"
        )));
    }
    if variables.iter().any(|(key, value)| key.contains(['\0', '=']) || value.contains('\0')) {
        return Err(invalid("Environment variables cannot contain a NUL character.".to_owned()));
    }
    Ok(variables)
}
