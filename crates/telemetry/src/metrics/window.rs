//! From what is kept to data points.

use millstream_env::Timestamp;

use super::series::{MERGED_MINUTES, MINUTE_MS, Series, Spread, Values, first_minute};

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
    /// Periods begin at `start`, rounded down to a whole minute, and further back, where minutes are merged, to five of them
    /// (`GetMetricStatistics`, `StartTime`). There periods are of five minutes or a multiple: shorter ones become longer,
    /// so that the data of a merged step lies in one period.
    pub(super) fn new(start: Timestamp, end: Timestamp, period_seconds: u64, now: Timestamp) -> Self {
        let minute = start.millis() / MINUTE_MS;
        let is_recent = minute >= first_minute(now.millis() / MINUTE_MS);
        let resolution_ms = if is_recent { MINUTE_MS } else { MERGED_MINUTES * MINUTE_MS };
        let start = Timestamp::from_millis(start.millis() - start.millis() % resolution_ms);
        Self { start, end, period_ms: (period_seconds * 1000).next_multiple_of(resolution_ms) }
    }

    /// How many periods of that length there are, with or without data.
    pub(super) fn periods(&self, period_seconds: u64) -> u64 {
        self.end.millis().saturating_sub(self.start.millis()).div_ceil(period_seconds * 1000)
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
