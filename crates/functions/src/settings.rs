//! From the members of a request to a checked [`Configuration`].
//!
//! A setting whose effect this server does not have yet is refused with a clear error, never silently accepted. A value
//! that equals AWS's default is always accepted: tools send defaults.

mod environment;
mod later;

use millstream_wire::CommonError;
use millstream_wire::lambda::{
    Architecture, CreateFunctionRequest, LogFormat, LoggingConfig, UpdateFunctionConfigurationRequest,
};

use crate::failure::Failure;
use crate::record::Configuration;
use crate::runtimes;
use later::Later;

/// Longest run of a function, in seconds (Lambda quotas).
const TIMEOUT_SECONDS_MAX: i32 = 900;
/// Largest memory of a function (Lambda quotas; the model's larger number is for managed instances).
const MEMORY_MB_MAX: i32 = 10_240;
/// The sizes of `/tmp` (Lambda quotas).
const EPHEMERAL_STORAGE_MB: std::ops::RangeInclusive<i32> = 512..=10_240;

/// The configuration of a new function.
pub(crate) fn of_new(request: &CreateFunctionRequest, strict_runtimes: bool) -> Result<Configuration, Failure> {
    Later::of_create(request).refuse()?;
    let runtime = request
        .runtime
        .clone()
        .ok_or_else(|| invalid("Runtime is mandatory for functions created with deployment packages.".to_owned()))?;
    let handler = request
        .handler
        .clone()
        .ok_or_else(|| invalid("Handler is mandatory for functions created with deployment packages.".to_owned()))?;
    let mut configuration = Configuration {
        role: request.role.clone(),
        runtime,
        handler,
        description: String::new(),
        timeout_seconds: 3,
        memory_mb: 128,
        ephemeral_storage_mb: 512,
        architecture: Architecture::X86_64.as_str().to_owned(),
        environment: None,
        log_group: None,
        layers: Vec::new(),
    };
    apply(
        &mut configuration,
        &Change {
            description: request.description.as_ref(),
            timeout: request.timeout,
            memory_size: request.memory_size,
            ephemeral_storage_mb: request.ephemeral_storage.as_ref().map(|storage| storage.size),
            environment: request.environment.as_ref(),
            logging: request.logging_config.as_ref(),
        },
    )?;
    set_architecture(&mut configuration, request.architectures.as_deref())?;
    runtimes::check(&configuration.runtime, strict_runtimes)?;
    Ok(configuration)
}

/// Changes a function's configuration by what the request gives.
pub(crate) fn update(
    configuration: &mut Configuration,
    request: &UpdateFunctionConfigurationRequest,
    strict_runtimes: bool,
) -> Result<(), Failure> {
    Later::of_update(request).refuse()?;
    if let Some(role) = &request.role {
        configuration.role.clone_from(role);
    }
    if let Some(handler) = &request.handler {
        configuration.handler.clone_from(handler);
    }
    if let Some(runtime) = &request.runtime {
        // A function keeps the runtime it has, whatever became of it since; only a new one is checked.
        runtimes::check(runtime, strict_runtimes)?;
        configuration.runtime.clone_from(runtime);
    }
    apply(
        configuration,
        &Change {
            description: request.description.as_ref(),
            timeout: request.timeout,
            memory_size: request.memory_size,
            ephemeral_storage_mb: request.ephemeral_storage.as_ref().map(|storage| storage.size),
            environment: request.environment.as_ref(),
            logging: request.logging_config.as_ref(),
        },
    )
}

/// Native programs must have been built for this machine; interpreted ones run on any.
pub(crate) fn set_architecture(
    configuration: &mut Configuration,
    architectures: Option<&[Architecture]>,
) -> Result<(), Failure> {
    let Some(wanted) = architectures.and_then(<[_]>::first) else { return Ok(()) };
    let foreign = match wanted {
        Architecture::X86_64 => cfg!(not(target_arch = "x86_64")),
        Architecture::Arm64 => cfg!(not(target_arch = "aarch64")),
    };
    // The default is accepted anywhere: a tool may send it without meaning it.
    if foreign && runtimes::is_native(&configuration.runtime) && *wanted != Architecture::X86_64 {
        return Err(invalid(format!(
            "Architectures [{}] cannot be run by this server, whose machine is {}.",
            wanted.as_str(),
            std::env::consts::ARCH
        )));
    }
    wanted.as_str().clone_into(&mut configuration.architecture);
    Ok(())
}

/// What both requests can change in the same way.
struct Change<'a> {
    description: Option<&'a String>,
    timeout: Option<i32>,
    memory_size: Option<i32>,
    ephemeral_storage_mb: Option<i32>,
    environment: Option<&'a millstream_wire::lambda::Environment>,
    logging: Option<&'a LoggingConfig>,
}

fn apply(configuration: &mut Configuration, change: &Change<'_>) -> Result<(), Failure> {
    if let Some(description) = change.description {
        configuration.description.clone_from(description);
    }
    if let Some(seconds) = change.timeout {
        configuration.timeout_seconds = bounded(seconds, 1, TIMEOUT_SECONDS_MAX, "timeout")?;
    }
    if let Some(megabytes) = change.memory_size {
        configuration.memory_mb = bounded(megabytes, 128, MEMORY_MB_MAX, "memorySize")?;
    }
    if let Some(megabytes) = change.ephemeral_storage_mb {
        let (least, most) = EPHEMERAL_STORAGE_MB.into_inner();
        configuration.ephemeral_storage_mb = bounded(megabytes, least, most, "ephemeralStorage.size")?;
    }
    if let Some(environment) = change.environment {
        configuration.environment = Some(environment::checked(environment)?);
    }
    if let Some(logging) = change.logging {
        configuration.log_group = log_group(logging)?.or(configuration.log_group.take());
    }
    Ok(())
}

fn log_group(logging: &LoggingConfig) -> Result<Option<String>, Failure> {
    if logging.log_format.is_some_and(|format| format != LogFormat::Text) {
        return Err(later::refused("LoggingConfig.LogFormat JSON", "Text"));
    }
    if logging.application_log_level.is_some() || logging.system_log_level.is_some() {
        return Err(invalid(
            "ApplicationLogLevel and SystemLogLevel can only be set when LogFormat is JSON, which this server does not \
             support yet."
                .to_owned(),
        ));
    }
    Ok(logging.log_group.clone())
}

fn bounded(value: i32, least: i32, most: i32, member: &str) -> Result<u32, Failure> {
    let relation = match value {
        _ if value > most => format!("less than or equal to {most}"),
        _ if value < least => format!("greater than or equal to {least}"),
        _ => return Ok(value.unsigned_abs()),
    };
    Err(Failure::Common(CommonError::Validation(format!(
        "1 validation error detected: Value '{value}' at '{member}' failed to satisfy constraint: Member must have value \
         {relation}"
    ))))
}

pub(crate) fn invalid(message: String) -> Failure {
    Failure::InvalidParameterValue(message)
}

#[cfg(test)]
mod tests;
