//! The data of one metric.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use millstream_env::Timestamp;

use super::distribution::Distribution;

/// Minutes for which each minute is kept apart.
pub const MINUTES_KEPT: u64 = 180;
/// Hours for which data is kept at all.
pub const HOURS_KEPT: u64 = 24;
/// Steps (of one or five minutes) with data that all series keep together. A series that needs one more gives up its
/// oldest. A step takes some 100 bytes, at worst 700.
pub const STEPS_MAX: usize = 200_000;

const MINUTE_MS: u64 = 60_000;
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

    pub(super) fn merge(&mut self, other: &Self) {
        self.sample_count += other.sample_count;
        self.sum += other.sum;
        self.minimum = self.minimum.min(other.minimum);
        self.maximum = self.maximum.max(other.maximum);
    }
}

/// The values of one or five minutes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Step {
    /// Minutes since the epoch.
    pub(super) minute: u64,
    pub(super) set: StatisticSet,
    /// None: statistic sets of several values are among them, whose distribution nobody knows.
    pub(super) distribution: Option<Distribution>,
}

impl Step {
    fn merge(&mut self, set: &StatisticSet, distribution: Option<&Distribution>) {
        self.set.merge(set);
        match (&mut self.distribution, distribution) {
            (Some(known), Some(other)) => known.merge(other),
            (known, _) => *known = None,
        }
    }
}

/// Sums since the series began, which never shrink.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Totals {
    pub(super) count: f64,
    pub(super) sum: f64,
    pub(super) last: f64,
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
    data: Arc<Mutex<Data>>,
    /// Steps of all series.
    steps: Arc<AtomicUsize>,
}

impl Series {
    pub(super) fn new(steps: Arc<AtomicUsize>) -> Self {
        Self { data: Arc::default(), steps }
    }

    /// Adds one value. Values that are not finite, and those older than what is kept, are left out.
    pub fn record(&self, at: Timestamp, value: f64) {
        self.record_values(at, value, 1.0);
    }

    /// Adds `count` to the sum, as one sample: for events that are counted by the batch.
    pub fn record_count(&self, at: Timestamp, count: u64) {
        #[expect(clippy::cast_precision_loss, reason = "counts of a minute are far below 2^53")]
        self.record(at, count as f64);
    }

    fn record_values(&self, at: Timestamp, value: f64, count: f64) {
        if value.is_finite() {
            let mut distribution = Distribution::default();
            distribution.add(value, count);
            self.record_set(at, at, &StatisticSet::of(value, count), Some(&distribution));
        }
    }

    /// Adds several values of the time `at`, which may lie before and after `now`.
    pub(super) fn record_set(
        &self,
        now: Timestamp,
        at: Timestamp,
        set: &StatisticSet,
        distribution: Option<&Distribution>,
    ) {
        let mut data = self.lock();
        data.totals.add(set);
        data.newest = data.newest.max(at);
        data.age(now, &self.steps);
        data.add(at, set, distribution, &self.steps);
    }

    /// The steps from `start` on and before `end`, in order of time.
    pub(super) fn steps(&self, start: Timestamp, end: Timestamp) -> Vec<Step> {
        let inside = |step: &&Step| start.millis() <= step.minute * MINUTE_MS && step.minute * MINUTE_MS < end.millis();
        let data = self.lock();
        data.merged.iter().chain(&data.minutes).filter(inside).cloned().collect()
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
        Arc::strong_count(&self.data) > 1
    }

    /// Gives all steps back, before the series is dropped.
    pub(super) fn forget(&self) {
        let mut data = self.lock();
        let steps = data.minutes.len() + data.merged.len();
        data.minutes.clear();
        data.merged.clear();
        self.steps.fetch_sub(steps, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, Data> {
        self.data.lock().expect("no code panics while holding this lock")
    }
}

impl Totals {
    fn add(&mut self, set: &StatisticSet) {
        self.count += set.sample_count;
        self.sum += set.sum;
        self.last = set.maximum;
        // A set of several values counts at its average.
        let value = set.sum / set.sample_count;
        if let Some(bucket) = BUCKETS_MS.iter().position(|limit| value <= *limit) {
            self.buckets[bucket] += set.sample_count;
        }
    }
}

impl Data {
    fn add(&mut self, at: Timestamp, set: &StatisticSet, distribution: Option<&Distribution>, steps: &AtomicUsize) {
        let minute = at.millis() / MINUTE_MS;
        if minute >= first_minute(self.aged) {
            insert(&mut self.minutes, minute, set, distribution, steps);
        } else if minute >= first_merged(self.aged) {
            insert(&mut self.merged, merged_minute(minute), set, distribution, steps);
        }
        if steps.load(Ordering::Relaxed) > STEPS_MAX {
            let oldest = self.merged.pop_front().or_else(|| self.minutes.pop_front());
            steps.fetch_sub(usize::from(oldest.is_some()), Ordering::Relaxed);
        }
    }

    /// Moves what is old into merged steps, and drops what is older than all that is kept.
    fn age(&mut self, now: Timestamp, steps: &AtomicUsize) {
        let minute = now.millis() / MINUTE_MS;
        if minute <= self.aged {
            return;
        }
        self.aged = minute;
        while let Some(step) = pop_before(&mut self.minutes, first_minute(minute), steps) {
            insert(&mut self.merged, merged_minute(step.minute), &step.set, step.distribution.as_ref(), steps);
        }
        while pop_before(&mut self.merged, first_merged(minute), steps).is_some() {}
    }
}

/// The first minute that is kept apart, at the beginning of a merged step.
fn first_minute(now: u64) -> u64 {
    merged_minute(now.saturating_sub(MINUTES_KEPT))
}

fn first_merged(now: u64) -> u64 {
    merged_minute(now.saturating_sub(HOURS_KEPT * 60))
}

fn merged_minute(minute: u64) -> u64 {
    minute - minute % MERGED_MINUTES
}

fn pop_before(steps: &mut VecDeque<Step>, first: u64, count: &AtomicUsize) -> Option<Step> {
    if steps.front()?.minute >= first {
        return None;
    }
    count.fetch_sub(1, Ordering::Relaxed);
    steps.pop_front()
}

fn insert(
    steps: &mut VecDeque<Step>,
    minute: u64,
    set: &StatisticSet,
    distribution: Option<&Distribution>,
    count: &AtomicUsize,
) {
    // Nearly always the newest step or one after it.
    let index = steps.iter().rposition(|step| step.minute <= minute);
    if let Some(step) = index.map(|index| &mut steps[index]).filter(|step| step.minute == minute) {
        step.merge(set, distribution);
        return;
    }
    steps.insert(index.map_or(0, |index| index + 1), Step { minute, set: *set, distribution: distribution.cloned() });
    count.fetch_add(1, Ordering::Relaxed);
}
