//! `GetMetricStatistics`

use millstream_iam::RequestContext;
use millstream_wire::monitoring::error::GetMetricStatisticsError as Error;
use millstream_wire::monitoring::{Datapoint, GetMetricStatisticsInput, GetMetricStatisticsOutput, Statistic};

use super::{checked_period, metric_key};
use crate::metrics::Unit;
use crate::metrics::series::Spread;
use crate::metrics::store::Metrics;
use crate::metrics::window::{Measure, Point, Window};

/// Data points in one answer (API reference).
const DATAPOINTS_MAX: u64 = 1440;

impl Metrics {
    /// Data of each unit apart, unless the request names one.
    pub fn get_metric_statistics(
        &self,
        context: &RequestContext,
        input: GetMetricStatisticsInput,
    ) -> Result<GetMetricStatisticsOutput, Error> {
        let period = checked_period(input.period).map_err(Error::InvalidParameterValue)?;
        if input.start_time >= input.end_time {
            let text = "The parameter StartTime must be less than the parameter EndTime.";
            return Err(Error::InvalidParameterCombination(text.to_owned()));
        }
        let window = Window::new(input.start_time, input.end_time, period, self.now());
        // Of the periods that were asked for, also where they become longer.
        let periods = window.periods(period);
        if periods > DATAPOINTS_MAX {
            return Err(Error::InvalidParameterCombination(format!(
                "You have requested up to {} datapoints, which exceeds the limit of 1,440. You may reduce the \
                 datapoints requested by increasing Period, or decreasing the time range.",
                with_commas(periods)
            )));
        }
        let wanted = Wanted::of(&input)?;
        let (namespace, name) = (&input.namespace, &input.metric_name);
        let key = metric_key(&context.scope, namespace, name, input.dimensions.as_deref(), Unit::None);
        let mut datapoints = Vec::new();
        for (unit, series) in self.of_metric(&key) {
            if input.unit.is_none_or(|wanted| wanted == unit) {
                datapoints
                    .extend(window.points(&series, wanted.spread()).iter().map(|point| wanted.datapoint(point, unit)));
            }
        }
        Ok(GetMetricStatisticsOutput { label: Some(input.metric_name), datapoints: Some(datapoints) })
    }
}

/// What each data point shall say.
struct Wanted {
    statistics: Vec<Statistic>,
    percentiles: Vec<(String, Measure)>,
}

impl Wanted {
    fn of(input: &GetMetricStatisticsInput) -> Result<Self, Error> {
        let statistics = input.statistics.clone().unwrap_or_default();
        let extended = input.extended_statistics.as_deref().unwrap_or_default();
        if statistics.is_empty() && extended.is_empty() {
            return Err(Error::MissingRequiredParameter(
                "The parameter Statistics or the parameter ExtendedStatistics is required.".to_owned(),
            ));
        }
        let percentiles = extended.iter().map(|text| match Measure::parse_percentile(text) {
            Some(measure) => Ok((text.clone(), measure)),
            None => Err(Error::InvalidParameterValue(format!(
                "The value {text} for parameter ExtendedStatistics is not supported: only percentiles (p0 to p100) are."
            ))),
        });
        Ok(Self { statistics, percentiles: percentiles.collect::<Result<_, _>>()? })
    }

    fn spread(&self) -> Spread {
        if self.percentiles.is_empty() { Spread::Left } else { Spread::Kept }
    }

    fn datapoint(&self, point: &Point, unit: Unit) -> Datapoint {
        let value = |statistic, measure| self.statistics.contains(&statistic).then(|| point.value(measure)).flatten();
        let percentiles: std::collections::BTreeMap<_, _> = self
            .percentiles
            .iter()
            .filter_map(|(name, measure)| Some((name.clone(), point.value(*measure)?)))
            .collect();
        Datapoint {
            timestamp: Some(point.start),
            sample_count: value(Statistic::SampleCount, Measure::SampleCount),
            average: value(Statistic::Average, Measure::Average),
            sum: value(Statistic::Sum, Measure::Sum),
            minimum: value(Statistic::Minimum, Measure::Minimum),
            maximum: value(Statistic::Maximum, Measure::Maximum),
            unit: Some(unit),
            extended_statistics: (!percentiles.is_empty()).then_some(percentiles),
        }
    }
}

fn with_commas(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
