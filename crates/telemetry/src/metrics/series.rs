//! The data of one metric.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use millstream_env::Timestamp;

use super::distribution::Distribution;

/// Minutes for which each minute is kept apart.
pub const MINUTES_KEPT: u64 = 180;
/// Hours for which data is kept at all.
pub const HOURS_KEPT: u64 = 24;
/// Steps (of one or five minutes) with data that all series keep together: one half is for what Millstream records, the
/// other for what users put. When a half is used up, a series of it that has more than its share gives up its oldest steps
/// for a new one, so that every series keeps at least its newest; while series are idle that have more than their share,
/// there may be up to twice as many. A step takes 72 bytes, and 64 to 2,048 more where percentiles are kept.
pub const STEPS_MAX: usize = 200_000;

pub(super) const MINUTE_MS: u64 = 60_000;
/// Length of a merged step.
pub(super) const MERGED_MINUTES: u64 = 5;

/// Upper bounds of the buckets of durations, in milliseconds: what Prometheus is told.
pub(super) const BUCKETS_MS: [f64; 10] = [1.0, 5.0, 10.0, 50.0, 100.0, 500.0, 1000.0, 5000.0, 30_000.0, 300_000.0];

/// Several values, as CloudWatch puts them together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StatisticSet {
    pub sample_count: f64,
    pub sum: f64,
    pub minimum: f64,
    pub maximum: f64,
}

impl StatisticSet {
    /// `count` times the same value.
    pub fn of(value: f64, count: f64) -> Self {
        Self { sample_count: count, sum: value * count, minimum: value, maximum: value }
    }

    /// Whether it is the same value each time: what is said of it then says it of each.
    #[expect(clippy::float_cmp, reason = "the same value, not a similar one")]
    fn is_one_value(&self) -> bool {
        self.minimum == self.maximum && self.sum == self.minimum * self.sample_count
    }

    fn merge(&mut self, other: &Self) {
        self.sample_count += other.sample_count;
        self.sum += other.sum;
        self.minimum = self.minimum.min(other.minimum);
        self.maximum = self.maximum.max(other.maximum);
    }
}

/// How many steps some series keep together, and how many they should.
#[derive(Debug)]
pub(super) struct Budget {
    steps_max: usize,
    steps: AtomicUsize,
    series: AtomicUsize,
}

impl Budget {
    pub(super) fn new(steps_max: usize) -> Self {
        Self { steps_max, steps: AtomicUsize::new(0), series: AtomicUsize::new(0) }
    }

    #[cfg(test)]
    pub(super) fn steps(&self) -> usize {
        self.steps.load(Ordering::Relaxed)
    }

    fn is_exceeded(&self) -> bool {
        self.steps.load(Ordering::Relaxed) > self.steps_max
    }

    /// What each series may keep of an exceeded budget.
    fn share(&self) -> usize {
        (self.steps_max / self.series.load(Ordering::Relaxed).max(1)).max(1)
    }
}

/// Values of a time, put together.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Values {
    pub(super) set: StatisticSet,
    /// None: it is not known of all values, or not kept.
    pub(super) distribution: Option<Distribution>,
}

impl Values {
    fn none() -> Self {
        let set = StatisticSet { sample_count: 0.0, sum: 0.0, minimum: f64::INFINITY, maximum: f64::NEG_INFINITY };
        Self { set, distribution: Some(Distribution::default()) }
    }

    fn add(&mut self, set: &StatisticSet, spread: Spread) {
        self.set.merge(set);
        match &mut self.distribution {
            Some(known) if spread == Spread::Kept && set.is_one_value() => known.add(set.minimum, set.sample_count),
            known => *known = None,
        }
    }

    pub(super) fn with(&self, spread: Spread) -> Self {
        let distribution = self.distribution.as_ref().filter(|_| spread == Spread::Kept);
        Self { set: self.set, distribution: distribution.cloned() }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.set.merge(&other.set);
        match (&mut self.distribution, &other.distribution) {
            (Some(known), Some(other)) => known.merge(other),
            (known, _) => *known = None,
        }
    }
}

/// Whether percentiles are wanted of what is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spread {
    Kept,
    Left,
}

/// The values of one or five minutes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Step {
    /// Minutes since the epoch.
    pub(super) minute: u64,
    pub(super) values: Values,
}

/// Sums since the series began, which never shrink.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Totals {
    pub(super) count: f64,
    pub(super) sum: f64,
    /// Values up to each bound of [`BUCKETS_MS`], each counted once.
    pub(super) buckets: [f64; BUCKETS_MS.len()],
}

#[derive(Debug, Default)]
struct Data {
    /// Steps of one minute, in order.
    minutes: VecDeque<Step>,
    /// Steps of [`MERGED_MINUTES`], in order, all older.
    merged: VecDeque<Step>,
    totals: Totals,
    newest: Timestamp,
    /// The minute up to which data was merged and dropped.
    aged: u64,
}

/// A metric with its dimensions and unit, to record into. Clones are the same series.
#[derive(Clone, Debug)]
pub struct Series {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    data: Mutex<Data>,
    /// How many there are now of what is measured, where that is a thing that lasts.
    level: AtomicU32,
    budget: Arc<Budget>,
}

impl Series {
    pub(super) fn new(budget: Arc<Budget>) -> Self {
        budget.series.fetch_add(1, Ordering::Relaxed);
        Self { inner: Arc::new(Inner { data: Mutex::default(), level: AtomicU32::new(0), budget }) }
    }

    /// Adds one value. Values that are not finite, and those older than what is kept, are left out.
    pub fn record(&self, at: Timestamp, value: f64) {
        if value.is_finite() {
            self.record_set(at, at, &StatisticSet::of(value, 1.0), Spread::Kept);
        }
    }

    /// Adds `count` to the sum, as one sample: for events that are counted by the batch. Nobody asks for percentiles of them.
    pub fn record_count(&self, at: Timestamp, count: u64) {
        #[expect(clippy::cast_precision_loss, reason = "counts of a minute are far below 2^53")]
        self.record_set(at, at, &StatisticSet::of(count as f64, 1.0), Spread::Left);
    }

    /// There is one more now. Gives how many there are, with this one.
    pub fn raise(&self) -> u32 {
        self.inner.level.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// One of those that were told by [`Series::raise`] is there no more.
    pub fn lower(&self) {
        self.inner.level.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn level(&self) -> u32 {
        self.inner.level.load(Ordering::Relaxed)
    }

    /// Adds several values of the time `at`, which may lie before and after `now`.
    pub(super) fn record_set(&self, now: Timestamp, at: Timestamp, set: &StatisticSet, spread: Spread) {
        let mut data = self.lock();
        data.totals.add(set);
        data.newest = data.newest.max(at);
        data.age(now, &self.inner.budget);
        data.add(at, set, spread, &self.inner.budget);
    }

    /// Gives up what is old by now.
    pub(super) fn age(&self, now: Timestamp) {
        self.lock().age(now, &self.inner.budget);
    }

    /// The steps from `start` on and before `end`, in order of time.
    pub(super) fn for_each_step(&self, start: Timestamp, end: Timestamp, mut visit: impl FnMut(&Step)) {
        let inside = |step: &&Step| start.millis() <= step.minute * MINUTE_MS && step.minute * MINUTE_MS < end.millis();
        let data = self.lock();
        data.merged.iter().chain(&data.minutes).filter(inside).for_each(&mut visit);
    }

    pub(super) fn totals(&self) -> Totals {
        self.lock().totals.clone()
    }

    /// The time of the newest value.
    pub(super) fn newest(&self) -> Timestamp {
        self.lock().newest
    }

    /// Whether anybody else holds this series.
    pub(super) fn is_shared(&self) -> bool {
        Arc::strong_count(&self.inner) > 1
    }

    #[cfg(test)]
    pub(super) fn shares_budget_with(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner.budget, &other.inner.budget)
    }

    /// Gives all steps back, before the series is dropped.
    pub(super) fn forget(&self) {
        let mut data = self.lock();
        self.inner.budget.steps.fetch_sub(data.len(), Ordering::Relaxed);
        self.inner.budget.series.fetch_sub(1, Ordering::Relaxed);
        data.minutes.clear();
        data.merged.clear();
    }

    fn lock(&self) -> MutexGuard<'_, Data> {
        self.inner.data.lock().expect("no code panics while holding this lock")
    }
}

impl Totals {
    fn add(&mut self, set: &StatisticSet) {
        self.count += set.sample_count;
        self.sum += set.sum;
        // A set of several values counts at its average.
        let value = set.sum / set.sample_count;
        if let Some(bucket) = BUCKETS_MS.iter().position(|limit| value <= *limit) {
            self.buckets[bucket] += set.sample_count;
        }
    }
}

impl Data {
    fn len(&self) -> usize {
        self.minutes.len() + self.merged.len()
    }

    fn add(&mut self, at: Timestamp, set: &StatisticSet, spread: Spread, budget: &Budget) {
        let minute = at.millis() / MINUTE_MS;
        if minute >= first_minute(self.aged) {
            values_at(&mut self.minutes, minute, budget).add(set, spread);
        } else if minute >= first_merged(self.aged) {
            values_at(&mut self.merged, merged_minute(minute), budget).add(set, spread);
        }
        while budget.is_exceeded() && self.len() > budget.share() {
            self.merged.pop_front().or_else(|| self.minutes.pop_front());
            budget.steps.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Moves what is old into merged steps, and drops what is older than all that is kept.
    fn age(&mut self, now: Timestamp, budget: &Budget) {
        let minute = now.millis() / MINUTE_MS;
        if minute <= self.aged {
            return;
        }
        self.aged = minute;
        while let Some(step) = pop_before(&mut self.minutes, first_minute(minute), budget) {
            values_at(&mut self.merged, merged_minute(step.minute), budget).merge(&step.values);
        }
        while pop_before(&mut self.merged, first_merged(minute), budget).is_some() {}
    }
}

/// The first minute that is kept apart in the minute `now`, at the beginning of a merged step.
pub(super) fn first_minute(now: u64) -> u64 {
    merged_minute(now.saturating_sub(MINUTES_KEPT))
}

fn first_merged(now: u64) -> u64 {
    merged_minute(now.saturating_sub(HOURS_KEPT * 60))
}

fn merged_minute(minute: u64) -> u64 {
    minute - minute % MERGED_MINUTES
}

fn pop_before(steps: &mut VecDeque<Step>, first: u64, budget: &Budget) -> Option<Step> {
    if steps.front()?.minute >= first {
        return None;
    }
    budget.steps.fetch_sub(1, Ordering::Relaxed);
    steps.pop_front()
}

/// The values of a step, which is made when it is not there.
fn values_at<'a>(steps: &'a mut VecDeque<Step>, minute: u64, budget: &Budget) -> &'a mut Values {
    // Nearly always the newest step or one after it.
    let before = steps.iter().rposition(|step| step.minute <= minute);
    let index = match before {
        Some(index) if steps[index].minute == minute => index,
        _ => {
            let index = before.map_or(0, |index| index + 1);
            steps.insert(index, Step { minute, values: Values::none() });
            budget.steps.fetch_add(1, Ordering::Relaxed);
            index
        }
    };
    &mut steps[index].values
}
