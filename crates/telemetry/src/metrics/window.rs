//! From what is kept to data points.

use millstream_env::Timestamp;

use super::series::{MINUTE_MS, Series, Spread, Values};

/// A span of time in periods: from `start` on, before `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    start: Timestamp,
    end: Timestamp,
    period_ms: u64,
}

/// The values of one period.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Point {
    /// When the period begins.
    pub(super) start: Timestamp,
    values: Values,
}

/// What a data point says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Measure {
    SampleCount,
    Average,
    Sum,
    Minimum,
    Maximum,
    Percentile(f64),
}

impl Window {
    /// Periods begin at `start`, rounded down to a whole minute (CloudWatch does so for recent data).
    pub(super) fn new(start: Timestamp, end: Timestamp, period_seconds: u64) -> Self {
        let start = Timestamp::from_millis(start.millis() - start.millis() % MINUTE_MS);
        Self { start, end, period_ms: period_seconds * 1000 }
    }

    /// How many periods there are, with or without data.
    pub(super) fn periods(&self) -> u64 {
        self.end.millis().saturating_sub(self.start.millis()).div_ceil(self.period_ms)
    }

    /// The periods with data, in order of time.
    pub(super) fn points(&self, series: &Series, spread: Spread) -> Vec<Point> {
        let mut points: Vec<Point> = Vec::new();
        series.for_each_step(self.start, self.end, |step| {
            let since = step.minute * MINUTE_MS - self.start.millis();
            let start = Timestamp::from_millis(self.start.millis() + since - since % self.period_ms);
            match points.last_mut().filter(|point| point.start == start) {
                None => points.push(Point { start, values: step.values.with(spread) }),
                Some(point) => point.values.merge(&step.values),
            }
        });
        points
    }
}

impl Point {
    /// None: a percentile of values that came as statistic sets, unless they are all the same.
    pub(super) fn value(&self, measure: Measure) -> Option<f64> {
        let set = &self.values.set;
        Some(match measure {
            Measure::SampleCount => set.sample_count,
            Measure::Average => set.sum / set.sample_count,
            Measure::Sum => set.sum,
            Measure::Minimum => set.minimum,
            Measure::Maximum => set.maximum,
            #[expect(clippy::float_cmp, reason = "the same value, not a similar one")]
            Measure::Percentile(_) if set.minimum == set.maximum => set.minimum,
            Measure::Percentile(percent) => {
                self.values.distribution.as_ref()?.percentile(percent, set.minimum, set.maximum)
            }
        })
    }
}

impl Measure {
    pub(super) fn spread(self) -> Spread {
        if matches!(self, Self::Percentile(_)) { Spread::Kept } else { Spread::Left }
    }

    /// `Sum`, `p99.9` and the like.
    pub(super) fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "SampleCount" => Self::SampleCount,
            "Average" => Self::Average,
            "Sum" => Self::Sum,
            "Minimum" => Self::Minimum,
            "Maximum" => Self::Maximum,
            _ => return Self::parse_percentile(text),
        })
    }

    /// `p` and a number from 0 to 100 with up to ten decimals (`GetMetricStatistics`).
    pub(super) fn parse_percentile(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('p')?;
        let plain = digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
            && digits.starts_with(|first: char| first.is_ascii_digit())
            && digits.split_once('.').is_none_or(|(_, decimals)| (1..=10).contains(&decimals.len()));
        let percent: f64 = digits.parse().ok().filter(|_| plain)?;
        (0.0..=100.0).contains(&percent).then_some(Self::Percentile(percent))
    }
}
