//! A small histogram of durations: exact below 32 µs, within 1/16 above, up to hours, in a few hundred counters.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Counts durations in microseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Histogram {
    /// Bucket to count; only those in use.
    buckets: BTreeMap<u32, u64>,
}

impl Histogram {
    pub(crate) fn record(&mut self, micros: u64) {
        *self.buckets.entry(bucket(micros)).or_default() += 1;
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for (bucket, count) in &other.buckets {
            *self.buckets.entry(*bucket).or_default() += count;
        }
    }

    pub(crate) fn count(&self) -> u64 {
        self.buckets.values().sum()
    }

    /// The smallest bucket bound that at least `percent` of the durations do not exceed, in milliseconds; 0 when empty.
    pub(crate) fn percentile_ms(&self, percent: u64) -> f64 {
        let wanted = (self.count() * percent).div_ceil(100);
        let mut seen = 0;
        for (bucket, count) in &self.buckets {
            seen += count;
            if seen >= wanted {
                return micros_to_ms(bound(*bucket));
            }
        }
        0.0
    }
}

/// One bucket for each of the first 32 microseconds, then sixteen for each power of two.
fn bucket(micros: u64) -> u32 {
    let shift = (micros | 16).ilog2() - 4;
    let mantissa = u32::try_from(micros >> shift).expect("five bits are left");
    shift * 16 + mantissa
}

/// The largest duration of a bucket.
fn bound(bucket: u32) -> u64 {
    let (exponent, mantissa) = if bucket < 32 { (0, bucket) } else { (bucket / 16 - 1, bucket % 16 + 16) };
    ((u64::from(mantissa) + 1) << exponent) - 1
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people; microseconds of a year fit 52 bits")]
pub(crate) fn micros_to_ms(micros: u64) -> f64 {
    micros as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_what_its_bound_says() {
        for micros in (0..5000).chain([10_000, 123_456, 9_999_999, 3_600_000_000]) {
            let bucket = bucket(micros);
            assert!(micros <= bound(bucket), "{micros}");
            assert!(bucket == 0 || micros > bound(bucket - 1), "{micros}");
            assert!(bound(bucket) - micros <= micros / 16 + 1, "{micros}");
        }
    }

    #[test]
    fn percentiles_come_from_the_counts() {
        let mut histogram = Histogram::default();
        (1..=10).for_each(|micros| histogram.record(micros));
        assert!((histogram.percentile_ms(50) - 0.005).abs() < 1e-9);
        assert!((histogram.percentile_ms(99) - 0.010).abs() < 1e-9);
        assert!(Histogram::default().percentile_ms(50) < 1e-9);
    }
}
