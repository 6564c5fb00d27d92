//! The answer that most operations give: a version's configuration as AWS shows it.

use millstream_blobs::Digest;
use millstream_env::Timestamp;
use millstream_types::Scope;
use millstream_wire::lambda::{
    Architecture, EnvironmentResponse, EphemeralStorage, FunctionConfiguration, LastUpdateStatus,
    LastUpdateStatusReasonCode, Layer, LogFormat, LoggingConfig, PackageType, RuntimeVersionConfig, SnapStartApplyOn,
    SnapStartOptimizationStatus, SnapStartResponse, State, StateReasonCode, TracingConfigResponse, TracingMode,
};
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use crate::layers::LayerUse;
use crate::names::{LATEST, function_arn};
use crate::record::{Lifecycle, VersionRecord};

/// `2026-01-01T00:00:00.123+0000`, as Lambda writes its text timestamps.
const LAST_MODIFIED: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]+0000");
const CREATING: &str = "The function is being created.";

/// A version, and how to name it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shown<'a> {
    pub(crate) scope: &'a Scope,
    pub(crate) name: &'a str,
    /// What the ARN ends in; `None` for the plain ARN of the function.
    pub(crate) qualifier: Option<&'a str>,
    /// `None` is `$LATEST`.
    pub(crate) number: Option<u64>,
    pub(crate) version: &'a VersionRecord,
}

impl Shown<'_> {
    pub(crate) fn configuration(&self) -> FunctionConfiguration {
        let Self { scope, name, version, .. } = *self;
        let configuration = &version.configuration;
        let mut shown = FunctionConfiguration {
            architectures: configuration.architecture.parse::<Architecture>().ok().map(|one| vec![one]),
            code_sha256: Some(version.code.sha256_base64()),
            code_size: i64::try_from(version.code.bytes).ok(),
            description: Some(configuration.description.clone()),
            environment: configuration
                .environment
                .clone()
                .map(|variables| EnvironmentResponse { variables: Some(variables), error: None }),
            ephemeral_storage: Some(EphemeralStorage { size: number(configuration.ephemeral_storage_mb) }),
            function_arn: Some(function_arn(scope, name, self.qualifier)),
            function_name: Some(name.to_owned()),
            handler: Some(configuration.handler.clone()),
            last_modified: Some(last_modified(Timestamp::from_millis(version.last_modified_ms))),
            logging_config: Some(LoggingConfig {
                log_format: Some(LogFormat::Text),
                log_group: Some(log_group(name, configuration.log_group.as_deref())),
                ..LoggingConfig::default()
            }),
            layers: Some(configuration.layers.iter().map(layer).collect()).filter(|layers: &Vec<_>| !layers.is_empty()),
            memory_size: Some(number(configuration.memory_mb)),
            package_type: Some(PackageType::Zip),
            revision_id: Some(version.revision_id.clone()),
            role: Some(configuration.role.clone()),
            runtime: Some(configuration.runtime.clone()),
            runtime_version_config: Some(RuntimeVersionConfig {
                runtime_version_arn: Some(runtime_version_arn(scope, &configuration.runtime)),
                error: None,
            }),
            snap_start: Some(SnapStartResponse {
                apply_on: Some(SnapStartApplyOn::None),
                optimization_status: Some(SnapStartOptimizationStatus::Off),
            }),
            timeout: Some(number(configuration.timeout_seconds)),
            tracing_config: Some(TracingConfigResponse { mode: Some(TracingMode::PassThrough) }),
            version: Some(self.number.map_or_else(|| LATEST.to_owned(), |number| number.to_string())),
            ..FunctionConfiguration::default()
        };
        show_lifecycle(&mut shown, version.lifecycle);
        shown
    }

    /// As listings show it: without the state (recorded).
    pub(crate) fn list_item(&self) -> FunctionConfiguration {
        FunctionConfiguration {
            state: None,
            state_reason: None,
            state_reason_code: None,
            last_update_status: None,
            last_update_status_reason: None,
            last_update_status_reason_code: None,
            runtime_version_config: None,
            ..self.configuration()
        }
    }
}

fn show_lifecycle(shown: &mut FunctionConfiguration, lifecycle: Lifecycle) {
    match lifecycle {
        Lifecycle::Creating => {
            shown.state = Some(State::Pending);
            shown.state_reason = Some(CREATING.to_owned());
            shown.state_reason_code = Some(StateReasonCode::Creating);
        }
        Lifecycle::Updating => {
            shown.state = Some(State::Active);
            shown.last_update_status = Some(LastUpdateStatus::InProgress);
            shown.last_update_status_reason = Some(CREATING.to_owned());
            shown.last_update_status_reason_code = Some(LastUpdateStatusReasonCode::Creating);
        }
        Lifecycle::Ready => {
            shown.state = Some(State::Active);
            shown.last_update_status = Some(LastUpdateStatus::Successful);
        }
    }
}

/// The log group of a function.
pub(crate) fn log_group(name: &str, configured: Option<&str>) -> String {
    configured.map_or_else(|| format!("/aws/lambda/{name}"), str::to_owned)
}

fn layer(used: &LayerUse) -> Layer {
    Layer { arn: Some(used.arn.clone()), code_size: i64::try_from(used.code.bytes).ok(), ..Layer::default() }
}

pub(crate) fn last_modified(moment: Timestamp) -> String {
    let nanoseconds = i128::from(moment.millis()) * 1_000_000;
    time::OffsetDateTime::from_unix_timestamp_nanos(nanoseconds)
        .ok()
        .and_then(|moment| moment.format(LAST_MODIFIED).ok())
        .unwrap_or_default()
}

/// One version of each runtime: a hash of its name stands for it.
fn runtime_version_arn(scope: &Scope, runtime: &str) -> String {
    let hash = Digest::of(runtime.as_bytes());
    format!("arn:aws:lambda:{}::runtime:{hash}", scope.region)
}

/// For numbers that were bounded when they were set.
fn number(value: u32) -> i32 {
    i32::try_from(value).expect("bounded far below i32::MAX when it was set")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modification_times_have_millis_and_no_colon() {
        assert_eq!(last_modified(Timestamp::from_millis(1_709_573_858_033)), "2024-03-04T17:37:38.033+0000");
        assert_eq!(last_modified(Timestamp::EPOCH), "1970-01-01T00:00:00.000+0000");
    }
}
