//! What create and update check alike.

use millstream_types::Scope;
use millstream_wire::lambda::{
    CreateEventSourceMappingRequest, DestinationConfig, FilterCriteria, UpdateEventSourceMappingRequest,
};

use super::failure::Failure;
use crate::contract::{Access, access};
use crate::mappings::Shared;
use crate::names::FunctionReference;

/// Settings whose effect is not there yet. A value that means what AWS does by default is accepted: Terraform and
/// others send defaults.
#[derive(Debug)]
pub(super) struct LaterSettings<'a> {
    parallelization_factor: Option<i32>,
    bisect_batch_on_function_error: Option<bool>,
    maximum_retry_attempts: Option<i32>,
    maximum_record_age_in_seconds: Option<i32>,
    tumbling_window_in_seconds: Option<i32>,
    function_response_types: usize,
    filter_criteria: Option<&'a FilterCriteria>,
    destination_config: Option<&'a DestinationConfig>,
    kms_key_arn: Option<&'a String>,
    metrics: usize,
}

macro_rules! later_settings {
    ($($request:ty),*) => {$(
        impl<'a> From<&'a $request> for LaterSettings<'a> {
            fn from(request: &'a $request) -> Self {
                let metrics = request.metrics_config.as_ref().and_then(|config| config.metrics.as_ref());
                Self {
                    parallelization_factor: request.parallelization_factor,
                    bisect_batch_on_function_error: request.bisect_batch_on_function_error,
                    maximum_retry_attempts: request.maximum_retry_attempts,
                    maximum_record_age_in_seconds: request.maximum_record_age_in_seconds,
                    tumbling_window_in_seconds: request.tumbling_window_in_seconds,
                    function_response_types: request.function_response_types.as_ref().map_or(0, Vec::len),
                    filter_criteria: request.filter_criteria.as_ref(),
                    destination_config: request.destination_config.as_ref(),
                    kms_key_arn: request.kms_key_arn.as_ref(),
                    metrics: metrics.map_or(0, Vec::len),
                }
            }
        }
    )*};
}

later_settings!(CreateEventSourceMappingRequest, UpdateEventSourceMappingRequest);

impl LaterSettings<'_> {
    /// AWS refuses it before it looks for the function (recorded).
    pub(super) fn check_on_success(&self) -> Result<(), Failure> {
        let on_success = self.destination_config.and_then(|config| config.on_success.as_ref());
        match on_success.and_then(|on_success| on_success.destination.as_ref()) {
            Some(_) => {
                Err(Failure::invalid("Unsupported DestinationConfig parameter for given event source mapping type."))
            }
            None => Ok(()),
        }
    }

    pub(super) fn check(&self) -> Result<(), Failure> {
        if let Some(0..=59) = self.maximum_record_age_in_seconds {
            return Err(Failure::invalid(
                "MaximumRecordAgeInSeconds must be either -1 (forever) or between 60 and 604800 (inclusive)",
            ));
        }
        let on_failure = self.destination_config.and_then(|config| config.on_failure.as_ref());
        let destination = on_failure.and_then(|on_failure| on_failure.destination.as_deref());
        let filters = self.filter_criteria.and_then(|criteria| criteria.filters.as_ref());
        let later = [
            ("ParallelizationFactor", self.parallelization_factor.is_some_and(|factor| factor != 1), "1"),
            ("BisectBatchOnFunctionError", self.bisect_batch_on_function_error == Some(true), "false"),
            ("MaximumRetryAttempts", self.maximum_retry_attempts.is_some_and(|attempts| attempts != -1), "-1"),
            ("MaximumRecordAgeInSeconds", self.maximum_record_age_in_seconds.is_some_and(|age| age != -1), "-1"),
            ("TumblingWindowInSeconds", self.tumbling_window_in_seconds.is_some_and(|seconds| seconds != 0), "0"),
            ("FunctionResponseTypes", self.function_response_types > 0, "[]"),
            ("FilterCriteria", filters.is_some_and(|filters| !filters.is_empty()), "no filters"),
            ("DestinationConfig.OnFailure", destination.is_some_and(|arn| !arn.is_empty()), "no destination"),
            ("KMSKeyArn", self.kms_key_arn.is_some_and(|arn| !arn.is_empty()), "no key"),
            ("MetricsConfig", self.metrics > 0, "no metrics"),
        ];
        match later.iter().find(|(_, is_set, _)| *is_set) {
            Some((name, _, default)) => Err(Failure::invalid(format!(
                "{name} is not supported by Millstream yet. Leave it out or use its default ({default})."
            ))),
            None => Ok(()),
        }
    }
}

/// Refuses a member that belongs to other event sources. `given` says which were sent.
pub(super) fn check_only_stream_settings(given: &[(&str, bool)]) -> Result<(), Failure> {
    match given.iter().find(|(_, is_given)| *is_given) {
        Some((name, _)) => {
            Err(Failure::invalid(format!("Unsupported {name} parameter for given event source mapping type.")))
        }
        None => Ok(()),
    }
}

/// The function that a request names, which must exist.
pub(super) async fn find_function(
    shared: &Shared,
    scope: &Scope,
    text: &str,
) -> Result<(FunctionReference, String), Failure> {
    // Not a 404: a mapping's function is a parameter (recorded).
    let missing = || Failure::invalid("Function does not exist");
    let function = FunctionReference::parse(scope, text).ok_or_else(missing)?;
    let role = shared.targets.execution_role(scope, &function.name, function.qualifier.as_deref()).await?;
    Ok((function, role.ok_or_else(missing)?))
}

/// Whether the function's role may poll the stream.
pub(super) async fn check_access(shared: &Shared, role_arn: &str, stream_arn: &str) -> Result<(), Failure> {
    // Clients recognise "cannot be assumed by Lambda" and "ensure the role can perform" and try again.
    match access(&shared.permissions, role_arn, stream_arn).await? {
        Access::Granted => Ok(()),
        Access::CannotBeAssumed => {
            Err(Failure::invalid("The role defined for the function cannot be assumed by Lambda."))
        }
        Access::Refused => Err(Failure::invalid(format!(
            "Cannot access stream {stream_arn}. Please ensure the role can perform the GetRecords, GetShardIterator, \
             DescribeStream, ListShards, and ListStreams Actions on your stream in IAM."
        ))),
    }
}

/// The refusal of a second mapping for a pair of stream and function; the blanks in it are AWS's (recorded).
pub(super) fn duplicate(stream_arn: &str, function: &FunctionReference, uuid: &str) -> Failure {
    Failure::ResourceConflict(format!(
        "The event source arn (\" {stream_arn} \") and function (\" {} \") provided mapping already exists. \
         Please update or delete the existing mapping with UUID {uuid}",
        function.name
    ))
}
