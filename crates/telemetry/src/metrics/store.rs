//! All series, by their names.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use millstream_env::{ServiceClock, Timestamp};
use millstream_types::Scope;

use super::Unit;
use super::series::{Budget, HOURS_KEPT, STEPS_MAX, Series};

/// Most series at a time: a function has 15, a mapping up to 8.
pub const SERIES_MAX: usize = 32_768;
/// As many of them may be there when a user adds one, so that users leave room for what Millstream records.
pub(super) const USER_SERIES_MAX: usize = SERIES_MAX / 2;
/// Between two searches for series without data.
const SWEEP_PAUSE_MS: u64 = 60_000;

/// What identifies a series. Ordered as listings show metrics.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) scope: Scope,
    pub(super) namespace: String,
    pub(super) name: String,
    /// Sorted: their order does not matter (CloudWatch).
    pub(super) dimensions: Vec<(String, String)>,
    pub(super) unit: Unit,
}

impl Key {
    pub(super) fn new(scope: &Scope, namespace: &str, name: &str, dimensions: &[(&str, &str)], unit: Unit) -> Self {
        let mut dimensions: Vec<_> =
            dimensions.iter().map(|(n, value)| ((*n).to_owned(), (*value).to_owned())).collect();
        dimensions.sort();
        Self { scope: scope.clone(), namespace: namespace.to_owned(), name: name.to_owned(), dimensions, unit }
    }

    /// The same metric, whatever the unit.
    pub(super) fn is_metric(&self, other: &Self) -> bool {
        (&self.scope, &self.namespace, &self.name, &self.dimensions)
            == (&other.scope, &other.namespace, &other.name, &other.dimensions)
    }
}

/// Who records into a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    Millstream,
    User,
}

/// There are as many series as may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there are too many metrics with data already")]
pub(super) struct TooManySeries;

/// All metrics. Clones share them.
#[derive(Clone, Debug)]
pub struct Metrics {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    clock: ServiceClock,
    series: RwLock<BTreeMap<Key, Series>>,
    own_budget: Arc<Budget>,
    users_budget: Arc<Budget>,
    /// When idle series were looked for last, in milliseconds.
    swept: AtomicU64,
}

impl Metrics {
    pub fn new(clock: ServiceClock) -> Self {
        let budget = || Arc::new(Budget::new(STEPS_MAX / 2));
        let (series, swept) = (RwLock::default(), AtomicU64::new(0));
        Self { inner: Arc::new(Inner { clock, series, own_budget: budget(), users_budget: budget(), swept }) }
    }

    /// The series of a metric: a microsecond, so that it may be asked for each time, though whoever records often keeps
    /// it. One that is kept is not dropped for being idle. Beyond [`SERIES_MAX`] what is recorded is lost.
    pub fn series(
        &self,
        scope: &Scope,
        namespace: &str,
        name: &str,
        dimensions: &[(&str, &str)],
        unit: Unit,
    ) -> Series {
        self.obtain(Key::new(scope, namespace, name, dimensions, unit), Owner::Millstream).unwrap_or_else(
            |TooManySeries| {
                tracing::debug!(namespace, name, "a metric is not kept: there are too many");
                Series::new(Arc::new(Budget::new(0)))
            },
        )
    }

    /// The series of that key, which is made as long as there are fewer than that owner may add to.
    pub(super) fn obtain(&self, key: Key, owner: Owner) -> Result<Series, TooManySeries> {
        if let Some(known) = self.inner.series.read().expect("no code panics while holding this lock").get(&key) {
            return Ok(known.clone());
        }
        let mut all = self.inner.series.write().expect("no code panics while holding this lock");
        self.sweep(&mut all);
        if let Some(known) = all.get(&key) {
            return Ok(known.clone());
        }
        let (series_max, budget) = match owner {
            Owner::Millstream => (SERIES_MAX, &self.inner.own_budget),
            Owner::User => (USER_SERIES_MAX, &self.inner.users_budget),
        };
        if all.len() >= series_max {
            return Err(TooManySeries);
        }
        Ok(all.entry(key).or_insert(Series::new(Arc::clone(budget))).clone())
    }

    /// The series of a metric, one for each unit.
    pub(super) fn of_metric(&self, key: &Key) -> Vec<(Unit, Series)> {
        let all = self.inner.series.read().expect("no code panics while holding this lock");
        let first = Key { unit: Unit::ALL[0], ..key.clone() };
        let from = all.range((Bound::Included(first), Bound::Unbounded));
        from.take_while(|(found, _)| found.is_metric(key)).map(|(found, series)| (found.unit, series.clone())).collect()
    }

    /// Shows, in order, every series that somebody holds or that has data.
    pub(super) fn visit(&self, mut visit: impl FnMut(&Key, &Series)) {
        let now = self.now();
        let all = self.inner.series.read().expect("no code panics while holding this lock");
        all.iter().filter(|(_, series)| series.is_shared() || !is_old(series, now)).for_each(|(k, s)| visit(k, s));
    }

    /// Shows, in order, the series of a scope, and of a namespace if given, that have data.
    pub(super) fn visit_with_data(&self, scope: &Scope, namespace: Option<&str>, mut visit: impl FnMut(&Key, &Series)) {
        let now = self.now();
        let first = Key::new(scope, namespace.unwrap_or_default(), "", &[], Unit::ALL[0]);
        let all = self.inner.series.read().expect("no code panics while holding this lock");
        all.range((Bound::Included(first), Bound::Unbounded))
            .take_while(|(key, _)| key.scope == *scope && namespace.is_none_or(|wanted| wanted == key.namespace))
            .filter(|(_, series)| !is_old(series, now))
            .for_each(|(key, series)| visit(key, series));
    }

    /// Steps of all series together.
    #[cfg(test)]
    pub(super) fn steps(&self) -> usize {
        self.inner.own_budget.steps() + self.inner.users_budget.steps()
    }

    pub(super) fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }

    /// Drops the series that nobody holds and that have no data any more, and of the others what is old.
    fn sweep(&self, all: &mut BTreeMap<Key, Series>) {
        let now = self.now();
        if now.millis() < self.inner.swept.load(Ordering::Relaxed).saturating_add(SWEEP_PAUSE_MS) {
            return;
        }
        self.inner.swept.store(now.millis(), Ordering::Relaxed);
        all.retain(|_, series| {
            let keep = series.is_shared() || !is_old(series, now);
            if keep {
                series.age(now);
            } else {
                series.forget();
            }
            keep
        });
    }
}

fn is_old(series: &Series, now: Timestamp) -> bool {
    now.since(series.newest()) > Duration::from_hours(HOURS_KEPT)
}
