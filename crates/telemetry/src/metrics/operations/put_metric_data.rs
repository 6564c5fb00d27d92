//! `PutMetricData`: all of a request or nothing.

use std::time::Duration;

use millstream_env::Timestamp;
use millstream_iam::RequestContext;
use millstream_types::Scope;
use millstream_wire::CommonError;
use millstream_wire::monitoring::error::PutMetricDataError as Error;
use millstream_wire::monitoring::{MetricDatum, PutMetricDataInput};

use super::metric_key;
use crate::metrics::Unit;
use crate::metrics::series::{HOURS_KEPT, Spread, StatisticSet};
use crate::metrics::store::{Key, Metrics, Owner};

/// Data in one request (API reference).
const DATA_MAX: usize = 1000;
/// Different values in one datum (API reference).
const VALUES_MAX: usize = 150;
/// How far ahead a time may be (API reference).
const FUTURE_MAX: Duration = Duration::from_hours(2);
/// Values lie between plus and minus 2 to the power of this (API reference). Counts, of which the reference says nothing, lie
/// between that and its inverse: so sums and averages are finite, also of all that can ever be put together.
const VALUE_BITS: i32 = 360;

/// A datum that passed all checks.
struct Checked {
    key: Key,
    at: Timestamp,
    sets: Vec<StatisticSet>,
}

impl Metrics {
    pub fn put_metric_data(&self, context: &RequestContext, input: PutMetricDataInput) -> Result<(), Error> {
        if input.namespace.starts_with("AWS/") {
            return Err(invalid("The value AWS/ for parameter Namespace is invalid."));
        }
        if input.entity_metric_data.is_some() || input.strict_entity_validation.is_some() {
            return Err(invalid("The parameters EntityMetricData and StrictEntityValidation are not supported here."));
        }
        let data = input.metric_data.unwrap_or_default();
        if data.is_empty() {
            return Err(Error::MissingRequiredParameter("The parameter MetricData is required.".to_owned()));
        }
        if data.len() > DATA_MAX {
            return Err(invalid("The collection MetricData must not have a size greater than 1000."));
        }
        let now = self.now();
        let check =
            |(index, datum): (usize, &MetricDatum)| checked(&context.scope, &input.namespace, index + 1, datum, now);
        let data = data.iter().enumerate().map(check).collect::<Result<Vec<_>, _>>()?;
        // All series before the first value, so that a refusal leaves nothing behind.
        let series =
            data.iter().map(|datum| self.obtain(datum.key.clone(), Owner::User)).collect::<Result<Vec<_>, _>>();
        let series = series.map_err(|full| Error::from(CommonError::Throttling(full.to_string())))?;
        for (datum, series) in data.iter().zip(series) {
            for set in &datum.sets {
                series.record_set(now, datum.at, set, Spread::Kept);
            }
        }
        Ok(())
    }
}

fn invalid(text: impl Into<String>) -> Error {
    Error::InvalidParameterValue(text.into())
}

fn combination(text: impl Into<String>) -> Error {
    Error::InvalidParameterCombination(text.into())
}

fn checked(
    scope: &Scope,
    namespace: &str,
    number: usize,
    datum: &MetricDatum,
    now: Timestamp,
) -> Result<Checked, Error> {
    let member = format!("MetricData.member.{number}");
    match datum.storage_resolution {
        None | Some(60) => {}
        Some(1) => {
            return Err(invalid(format!(
                "The parameter {member}.StorageResolution is 1: metrics of less than a minute are not kept here."
            )));
        }
        Some(other) => {
            return Err(invalid(format!("The value {other} for parameter {member}.StorageResolution is invalid.")));
        }
    }
    let at = datum.timestamp.unwrap_or(now);
    if at.since(now) > FUTURE_MAX {
        return Err(invalid(format!(
            "The parameter {member}.Timestamp must specify a time no more than two hours in the future."
        )));
    }
    if now.since(at) > Duration::from_hours(HOURS_KEPT) {
        return Err(invalid(format!(
            "The parameter {member}.Timestamp must specify a time within the past {HOURS_KEPT} hours, for which metrics are kept here."
        )));
    }
    let unit = datum.unit.unwrap_or(Unit::None);
    let key = metric_key(scope, namespace, &datum.metric_name, datum.dimensions.as_deref(), unit);
    if key.dimensions.windows(2).any(|pair| pair[0].0 == pair[1].0) {
        return Err(invalid(format!("The parameter {member}.Dimensions has a name twice.")));
    }
    Ok(Checked { key, at, sets: sets(&member, datum)? })
}

/// The values of a datum, in whichever of the three forms they are given.
fn sets(member: &str, datum: &MetricDatum) -> Result<Vec<StatisticSet>, Error> {
    match (datum.value, &datum.statistic_values, &datum.values) {
        (Some(value), None, None) if datum.counts.is_none() => Ok(vec![single(member, value, 1.0)?]),
        (None, Some(given), None) if datum.counts.is_none() => {
            let set = StatisticSet {
                sample_count: given.sample_count,
                sum: given.sum,
                minimum: given.minimum,
                maximum: given.maximum,
            };
            for value in [set.sum, set.minimum, set.maximum] {
                bounded(member, value)?;
            }
            if !is_count(set.sample_count) || set.minimum > set.maximum {
                return Err(invalid(format!("The parameter {member}.StatisticValues is invalid.")));
            }
            Ok(vec![set])
        }
        (None, None, Some(values)) if !values.is_empty() => {
            let ones = vec![1.0; values.len()];
            let counts = datum.counts.as_ref().unwrap_or(&ones);
            if values.len() > VALUES_MAX || counts.len() != values.len() {
                return Err(combination(format!(
                    "The parameters {member}.Values and {member}.Counts must have the same size of at most {VALUES_MAX}."
                )));
            }
            values.iter().zip(counts).map(|(value, count)| single(member, *value, *count)).collect()
        }
        (None, None, _) => Err(Error::MissingRequiredParameter(format!(
            "At least one of the parameters must be specified: {member}.Value, {member}.Values, {member}.StatisticValues."
        ))),
        _ => Err(combination(format!(
            "The parameters {member}.Value, {member}.Values and {member}.StatisticValues are mutually exclusive and you have specified more than one."
        ))),
    }
}

fn single(member: &str, value: f64, count: f64) -> Result<StatisticSet, Error> {
    bounded(member, value)?;
    if !is_count(count) {
        return Err(invalid(format!("The value {count} for parameter {member}.Counts is invalid.")));
    }
    Ok(StatisticSet::of(value, count))
}

fn is_count(count: f64) -> bool {
    (2.0_f64.powi(-VALUE_BITS)..=2.0_f64.powi(VALUE_BITS)).contains(&count)
}

fn bounded(member: &str, value: f64) -> Result<(), Error> {
    if value.abs() <= 2.0_f64.powi(VALUE_BITS) {
        return Ok(());
    }
    Err(invalid(format!("The value {value} for parameter {member}.Value is invalid.")))
}
