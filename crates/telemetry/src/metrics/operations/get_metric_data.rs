//! `GetMetricData`: several metrics at once. Metric math is refused.

use std::collections::HashSet;

use millstream_env::Timestamp;
use millstream_iam::RequestContext;
use millstream_types::Scope;
use millstream_wire::CommonError;
use millstream_wire::monitoring::error::GetMetricDataError as Error;
use millstream_wire::monitoring::{
    GetMetricDataInput, GetMetricDataOutput, MetricDataQuery, MetricDataResult, ScanBy, StatusCode,
};

use super::{checked_period, metric_key};
use crate::metrics::Unit;
use crate::metrics::store::{Key, Metrics};
use crate::metrics::window::{Measure, Window};

/// Queries in one request (API reference).
const QUERIES_MAX: usize = 500;
/// Data points in one answer (API reference).
const DATAPOINTS_MAX: usize = 100_800;

impl Metrics {
    pub fn get_metric_data(
        &self,
        context: &RequestContext,
        input: GetMetricDataInput,
    ) -> Result<GetMetricDataOutput, Error> {
        check(&input)?;
        let skipped: usize = match &input.next_token {
            None => 0,
            Some(token) => token.parse().map_err(|_| Error::InvalidNextToken("The token is not valid".to_owned()))?,
        };
        let limit = match input.max_datapoints {
            None => DATAPOINTS_MAX,
            Some(limit) => usize::try_from(limit).unwrap_or(0).clamp(1, DATAPOINTS_MAX),
        };
        let queries = input.metric_data_queries.into_iter().map(|query| Query::new(&context.scope, query));
        let queries = queries.collect::<Result<Vec<_>, _>>()?;
        let is_ascending = input.scan_by == Some(ScanBy::TimestampAscending);
        // The data points of all queries, one after the other, are cut into pages.
        let (mut seen, mut results) = (0_usize, Vec::new());
        let (first, last) = (skipped, skipped.saturating_add(limit));
        for query in queries.into_iter().filter(|query| query.is_returned) {
            let mut points = query.points(self, input.start_time, input.end_time);
            if !is_ascending {
                points.reverse();
            }
            let (begin, end) = (seen, seen + points.len());
            seen = end;
            if skipped > 0 && end <= first {
                continue;
            }
            let page =
                &points[first.saturating_sub(begin).min(points.len())..last.saturating_sub(begin).min(points.len())];
            results.push(MetricDataResult {
                id: Some(query.id),
                label: Some(query.label),
                timestamps: Some(page.iter().map(|(at, _)| *at).collect()),
                values: Some(page.iter().map(|(_, value)| *value).collect()),
                status_code: Some(if end > last { StatusCode::PartialData } else { StatusCode::Complete }),
                messages: None,
            });
        }
        let next_token = (seen > last).then(|| last.to_string());
        Ok(GetMetricDataOutput { metric_data_results: Some(results), next_token, messages: Some(Vec::new()) })
    }
}

fn invalid(text: impl Into<String>) -> Error {
    CommonError::Validation(text.into()).into()
}

fn check(input: &GetMetricDataInput) -> Result<(), Error> {
    if input.start_time >= input.end_time {
        return Err(invalid("The parameter StartTime must be less than the parameter EndTime."));
    }
    if input.metric_data_queries.is_empty() || input.metric_data_queries.len() > QUERIES_MAX {
        return Err(invalid("The collection MetricDataQueries must have a size between 1 and 500."));
    }
    if input.label_options.is_some() {
        return Err(invalid("The parameter LabelOptions is not supported here: labels are plain texts."));
    }
    let mut ids = HashSet::new();
    for query in &input.metric_data_queries {
        if !ids.insert(query.id.as_str()) {
            return Err(invalid(format!(
                "The values for parameter id in MetricDataQueries are not unique: {}.",
                query.id
            )));
        }
    }
    Ok(())
}

struct Query {
    id: String,
    label: String,
    is_returned: bool,
    key: Key,
    unit: Option<Unit>,
    period: u64,
    measure: Measure,
}

impl Query {
    fn new(scope: &Scope, query: MetricDataQuery) -> Result<Self, Error> {
        let id = query.id;
        let is_name = id.starts_with(|first: char| first.is_ascii_lowercase())
            && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !is_name {
            return Err(invalid(format!(
                "The value {id} for parameter MetricDataQueries.member.Id is not matching the \
                                        expected pattern ^[a-z][a-zA-Z0-9_]*$."
            )));
        }
        if query.expression.is_some() {
            return Err(invalid(format!(
                "The parameter Expression of {id} is not supported here: metric math and Metrics Insights cannot be evaluated."
            )));
        }
        if query.account_id.as_deref().is_some_and(|account| account != scope.account.as_str()) {
            return Err(invalid(format!(
                "The parameter AccountId of {id} names another account: accounts cannot be linked here."
            )));
        }
        if query.label.as_deref().is_some_and(|label| label.contains("${")) {
            return Err(invalid(format!("The label of {id} is dynamic, which is not supported here.")));
        }
        let Some(stat) = query.metric_stat else {
            return Err(invalid(format!("Either MetricStat or Expression must be specified for {id}.")));
        };
        let (Some(namespace), Some(name)) = (&stat.metric.namespace, &stat.metric.metric_name) else {
            return Err(invalid(format!("Namespace and MetricName must be specified for {id}.")));
        };
        let measure = Measure::parse(&stat.stat)
            .ok_or_else(|| invalid(format!("The value {} for parameter Stat of {id} is not supported.", stat.stat)))?;
        Ok(Self {
            label: query.label.unwrap_or_else(|| name.clone()),
            is_returned: query.return_data != Some(false),
            key: metric_key(scope, namespace, name, stat.metric.dimensions.as_deref(), Unit::None),
            unit: stat.unit,
            period: checked_period(stat.period).map_err(invalid)?,
            measure,
            id,
        })
    }

    /// In order of time. Of several units the first with data is taken, unless the query names one.
    fn points(&self, metrics: &Metrics, start: Timestamp, end: Timestamp) -> Vec<(Timestamp, f64)> {
        let window = Window::new(start, end, self.period, metrics.now());
        let series = metrics.of_metric(&self.key).into_iter();
        let mut found = series
            .filter(|(unit, _)| self.unit.is_none_or(|wanted| wanted == *unit))
            .map(|(_, series)| window.points(&series, self.measure.spread()))
            .filter(|points| !points.is_empty());
        let points = found.next().unwrap_or_default();
        points.iter().filter_map(|point| Some((point.start, point.value(self.measure)?))).collect()
    }
}
