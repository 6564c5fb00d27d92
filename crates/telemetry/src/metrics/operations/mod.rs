//! The CloudWatch operations, one file each.

mod get_metric_data;
mod get_metric_statistics;
mod list_metrics;
mod put_metric_data;
#[cfg(test)]
mod tests;

use millstream_types::Scope;
use millstream_wire::monitoring::Dimension;

use super::Unit;
use super::store::Key;

/// Shortest period: nothing is kept for less than a minute.
const PERIOD_SECONDS_MIN: u64 = 60;

/// The key of a metric in an answer or a request; the unit is one of several.
fn metric_key(scope: &Scope, namespace: &str, name: &str, dimensions: Option<&[Dimension]>, unit: Unit) -> Key {
    let dimensions: Vec<_> =
        dimensions.unwrap_or_default().iter().map(|each| (each.name.as_str(), each.value.as_str())).collect();
    Key::new(scope, namespace, name, &dimensions, unit)
}

/// The dimensions of a metric for an answer.
fn dimensions_of(key: &Key) -> Vec<Dimension> {
    key.dimensions.iter().map(|(name, value)| Dimension { name: name.clone(), value: value.clone() }).collect()
}

/// A period in seconds, or what is wrong with it.
fn checked_period(period: i32) -> Result<u64, String> {
    match u64::try_from(period) {
        Ok(period) if period >= PERIOD_SECONDS_MIN && period % PERIOD_SECONDS_MIN == 0 => Ok(period),
        Ok(1 | 5 | 10 | 20 | 30) => Err(format!(
            "The parameter Period has the value {period}: metrics of less than a minute are not kept here."
        )),
        _ => Err("The parameter Period must be a multiple of 60.".to_owned()),
    }
}
