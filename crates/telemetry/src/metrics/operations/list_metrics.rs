//! `ListMetrics`

use std::time::Duration;

use millstream_iam::RequestContext;
use millstream_wire::monitoring::error::ListMetricsError;
use millstream_wire::monitoring::{DimensionFilter, ListMetricsInput, ListMetricsOutput, Metric};

use super::dimensions_of;
use crate::metrics::store::{Key, Metrics};

/// Metrics in one answer (API reference).
const METRICS_MAX: usize = 500;
/// `RecentlyActive`: `PT3H`.
const RECENT: Duration = Duration::from_hours(3);

impl Metrics {
    pub fn list_metrics(
        &self,
        context: &RequestContext,
        input: ListMetricsInput,
    ) -> Result<ListMetricsOutput, ListMetricsError> {
        let ListMetricsInput {
            namespace,
            metric_name,
            dimensions,
            next_token,
            recently_active,
            include_linked_accounts,
            owning_account,
        } = input;
        let own = context.scope.account.as_str();
        if owning_account.as_deref().is_some_and(|account| account != own) {
            let text = "The parameter OwningAccount names another account: accounts cannot be linked here.";
            return Err(ListMetricsError::InvalidParameterValue(text.to_owned()));
        }
        let skipped: usize = match &next_token {
            None => 0,
            Some(token) => token.parse().map_err(|_| {
                ListMetricsError::InvalidParameterValue("The parameter NextToken has an invalid value.".to_owned())
            })?,
        };
        let now = self.now();
        let is_wanted = |key: &Key| {
            metric_name.as_ref().is_none_or(|wanted| *wanted == key.name)
                && dimensions.iter().flatten().all(|filter| has_dimension(key, filter))
        };
        let mut found: Vec<Key> = Vec::new();
        self.visit_with_data(&context.scope, namespace.as_deref(), |key, series| {
            let is_recent = recently_active.is_none() || now.since(series.newest()) <= RECENT;
            // A metric is told once, whatever its units.
            if is_recent && is_wanted(key) && found.last().is_none_or(|last| !last.is_metric(key)) {
                found.push(key.clone());
            }
        });
        let end = found.len().min(skipped.saturating_add(METRICS_MAX));
        let metrics: Vec<_> = found.get(skipped..end).unwrap_or_default().iter().map(metric).collect();
        Ok(ListMetricsOutput {
            owning_accounts: (include_linked_accounts == Some(true))
                .then(|| metrics.iter().map(|_| own.to_owned()).collect()),
            metrics: Some(metrics),
            next_token: (end < found.len()).then(|| end.to_string()),
        })
    }
}

fn has_dimension(key: &Key, filter: &DimensionFilter) -> bool {
    key.dimensions
        .iter()
        .any(|(name, value)| *name == filter.name && filter.value.as_ref().is_none_or(|wanted| wanted == value))
}

fn metric(key: &Key) -> Metric {
    Metric {
        namespace: Some(key.namespace.clone()),
        metric_name: Some(key.name.clone()),
        dimensions: Some(dimensions_of(key)),
    }
}
