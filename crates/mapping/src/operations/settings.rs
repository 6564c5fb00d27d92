//! The settings that a request gives, checked, and put on top of those that are there.

use millstream_destinations::{NoDestination, destination_kind};
use millstream_types::Arn;
use millstream_wire::lambda::{
    CreateEventSourceMappingRequest, DestinationConfig, EventSourceMappingMetric, FilterCriteria, FunctionResponseType,
    UpdateEventSourceMappingRequest,
};

use super::failure::Failure;
use crate::filter::Filters;
use crate::record::Settings;

/// Filters of a mapping (AWS's default; its quota can be raised to 10 on request).
const FILTERS_MAX: usize = 5;
/// Smallest age limit; the model says otherwise (event source mapping reference 1.1).
const RECORD_AGE_SECONDS_MIN: i32 = 60;

/// What create and update requests have alike.
#[derive(Debug)]
pub(super) struct GivenSettings<'a> {
    batch_size: Option<i32>,
    maximum_batching_window_in_seconds: Option<i32>,
    parallelization_factor: Option<i32>,
    bisect_batch_on_function_error: Option<bool>,
    maximum_retry_attempts: Option<i32>,
    maximum_record_age_in_seconds: Option<i32>,
    tumbling_window_in_seconds: Option<i32>,
    function_response_types: Option<&'a Vec<FunctionResponseType>>,
    filter_criteria: Option<&'a FilterCriteria>,
    destination_config: Option<&'a DestinationConfig>,
    kms_key_arn: Option<&'a String>,
    metrics: Option<&'a Vec<EventSourceMappingMetric>>,
    has_metrics_config: bool,
}

macro_rules! given_settings {
    ($($request:ty),*) => {$(
        impl<'a> From<&'a $request> for GivenSettings<'a> {
            fn from(request: &'a $request) -> Self {
                Self {
                    batch_size: request.batch_size,
                    maximum_batching_window_in_seconds: request.maximum_batching_window_in_seconds,
                    parallelization_factor: request.parallelization_factor,
                    bisect_batch_on_function_error: request.bisect_batch_on_function_error,
                    maximum_retry_attempts: request.maximum_retry_attempts,
                    maximum_record_age_in_seconds: request.maximum_record_age_in_seconds,
                    tumbling_window_in_seconds: request.tumbling_window_in_seconds,
                    function_response_types: request.function_response_types.as_ref(),
                    filter_criteria: request.filter_criteria.as_ref(),
                    destination_config: request.destination_config.as_ref(),
                    kms_key_arn: request.kms_key_arn.as_ref(),
                    metrics: request.metrics_config.as_ref().and_then(|config| config.metrics.as_ref()),
                    has_metrics_config: request.metrics_config.is_some(),
                }
            }
        }
    )*};
}

given_settings!(CreateEventSourceMappingRequest, UpdateEventSourceMappingRequest);

impl GivenSettings<'_> {
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

    /// `before` with what is given instead. Ranges of single numbers were checked by the model's constraints.
    pub(super) fn over(&self, before: &Settings) -> Result<Settings, Failure> {
        let number = |value: Option<i32>, before| value.and_then(|value| u32::try_from(value).ok()).unwrap_or(before);
        let settings = Settings {
            batch_size: number(self.batch_size, before.batch_size).max(1),
            maximum_batching_window_in_seconds: number(
                self.maximum_batching_window_in_seconds,
                before.maximum_batching_window_in_seconds,
            ),
            parallelization_factor: number(self.parallelization_factor, before.parallelization_factor).max(1),
            maximum_retry_attempts: limit(self.maximum_retry_attempts, before.maximum_retry_attempts),
            maximum_record_age_in_seconds: self.record_age(before)?,
            bisect_batch_on_function_error: self
                .bisect_batch_on_function_error
                .unwrap_or(before.bisect_batch_on_function_error),
            report_batch_item_failures: self
                .function_response_types
                .map_or(before.report_batch_item_failures, |types| !types.is_empty()),
            tumbling_window_in_seconds: number(self.tumbling_window_in_seconds, before.tumbling_window_in_seconds),
            filters: self.filters(before)?,
            on_failure: self.on_failure(before)?,
            event_count_metrics: self.event_count_metrics(before)?,
        };
        self.check_key()?;
        if settings.tumbling_window_in_seconds > 0 && settings.parallelization_factor > 1 {
            return Err(Failure::invalid(
                "ParallelizationFactor greater than 1 cannot be used together with TumblingWindowInSeconds: the state \
                 of a window is that of its whole shard. Leave one of them out.",
            ));
        }
        Ok(settings)
    }

    fn record_age(&self, before: &Settings) -> Result<Option<u32>, Failure> {
        if self.maximum_record_age_in_seconds.is_some_and(|age| (0..RECORD_AGE_SECONDS_MIN).contains(&age)) {
            return Err(Failure::invalid(
                "MaximumRecordAgeInSeconds must be either -1 (forever) or between 60 and 604800 (inclusive)",
            ));
        }
        Ok(limit(self.maximum_record_age_in_seconds, before.maximum_record_age_in_seconds))
    }

    /// Criteria without filters remove those that are there; without criteria they stay.
    fn filters(&self, before: &Settings) -> Result<Vec<Option<String>>, Failure> {
        let Some(criteria) = self.filter_criteria else { return Ok(before.filters.clone()) };
        let filters = criteria.filters.iter().flatten().map(|filter| filter.pattern.clone());
        let settings = Settings { filters: filters.collect(), ..Settings::default() };
        if settings.filters.len() > FILTERS_MAX {
            return Err(Failure::invalid(format!(
                "The number of filters ({}) exceeds the limit of {FILTERS_MAX} filters of an event source mapping.",
                settings.filters.len()
            )));
        }
        match Filters::parse(&settings.filter_patterns()) {
            Ok(_) => Ok(settings.filters),
            Err(_) => Err(Failure::invalid("Invalid filter pattern definition.")),
        }
    }

    /// An empty destination removes the one that is there.
    fn on_failure(&self, before: &Settings) -> Result<Option<String>, Failure> {
        let on_failure = self.destination_config.and_then(|config| config.on_failure.as_ref());
        match on_failure.and_then(|on_failure| on_failure.destination.as_deref()) {
            None => Ok(before.on_failure.clone()),
            Some("") => Ok(None),
            Some(arn) => {
                check_destination(arn)?;
                Ok(Some(arn.to_owned()))
            }
        }
    }

    fn event_count_metrics(&self, before: &Settings) -> Result<Option<bool>, Failure> {
        if !self.has_metrics_config {
            return Ok(before.event_count_metrics);
        }
        let metrics = self.metrics.map_or(&[][..], Vec::as_slice);
        if let Some(foreign) = metrics.iter().find(|metric| **metric != EventSourceMappingMetric::EventCount) {
            return Err(Failure::invalid(format!(
                "Unsupported MetricsConfig parameter for given event source mapping type: {}.",
                foreign.as_str()
            )));
        }
        Ok(Some(!metrics.is_empty()))
    }

    fn check_key(&self) -> Result<(), Failure> {
        match self.kms_key_arn {
            Some(arn) if !arn.is_empty() => Err(Failure::invalid(
                "KMSKeyArn is not supported by Millstream: it has no key management service that could encrypt the \
                 filter criteria with a customer key. Leave it out.",
            )),
            _ => Ok(()),
        }
    }
}

/// -1 stands for no limit.
fn limit(given: Option<i32>, before: Option<u32>) -> Option<u32> {
    match given {
        None => before,
        Some(value) => u32::try_from(value).ok(),
    }
}

/// What the ARN of a destination must name. Whether it exists is found out when something is sent there.
fn check_destination(text: &str) -> Result<(), Failure> {
    let invalid = |why: &str| {
        Failure::invalid(format!(
            "The provided destination config DestinationConfig(onSuccess=null, onFailure=OnFailure(destination={text})) \
             is invalid. {why}"
        ))
    };
    match text.parse::<Arn>().map_err(|_| NoDestination::Unsupported).and_then(|arn| destination_kind(&arn)) {
        Ok(_) => Ok(()),
        Err(NoDestination::Fifo) => {
            Err(invalid("FIFO queues and topics are not supported as failure destinations of streams."))
        }
        Err(NoDestination::Unsupported) => Err(invalid("Give the ARN of an SQS queue, an SNS topic or an S3 bucket.")),
    }
}
