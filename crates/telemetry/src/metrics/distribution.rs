//! How values are spread, coarsely enough to be kept for every minute: counts per logarithmic step.

/// The finest steps are 5 % wide: a percentile is off by at most half of that. Each coarsening makes them twice as wide
/// on the logarithmic scale. Where values lie over nine powers of ten, a percentile is off by at most a ninth.
const STEP: f64 = 1.05;
/// Most steps with values; one more coarsens all of them.
pub(super) const STEPS_MAX: usize = 128;

/// Counts of values, by step, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Distribution {
    steps: Vec<(Key, f64)>,
    /// How often the steps were coarsened.
    coarseness: u8,
}

impl Distribution {
    pub(super) fn add(&mut self, value: f64, count: f64) {
        self.add_step(Key::of(value), 0, count);
    }

    pub(super) fn merge(&mut self, other: &Self) {
        while self.coarseness < other.coarseness {
            self.coarsen();
        }
        for (key, count) in &other.steps {
            self.add_step(*key, other.coarseness, *count);
        }
    }

    /// The value below which `percent` of all values lie, between `minimum` and `maximum`.
    pub(super) fn percentile(&self, percent: f64, minimum: f64, maximum: f64) -> f64 {
        let all: f64 = self.steps.iter().map(|(_, count)| count).sum();
        let wanted = all * percent / 100.0;
        let mut below = 0.0;
        for (key, count) in &self.steps {
            below += count;
            if below >= wanted {
                return key.middle(self.coarseness).clamp(minimum, maximum);
            }
        }
        maximum
    }

    /// `coarseness` is that of `key`, at most our own.
    fn add_step(&mut self, key: Key, coarseness: u8, count: f64) {
        loop {
            let key = key.coarser(self.coarseness - coarseness);
            match self.steps.binary_search_by_key(&key, |(key, _)| *key) {
                Ok(index) => self.steps[index].1 += count,
                Err(_) if self.steps.len() >= STEPS_MAX => {
                    self.coarsen();
                    continue;
                }
                Err(index) => self.steps.insert(index, (key, count)),
            }
            return;
        }
    }

    /// Puts each two neighbouring steps together.
    fn coarsen(&mut self) {
        self.coarseness += 1;
        self.steps.iter_mut().for_each(|(key, _)| *key = key.coarser(1));
        self.steps.dedup_by(|(key, count), (before, sum)| {
            let is_same = key == before;
            if is_same {
                *sum += *count;
            }
            is_same
        });
    }
}

/// A step, ordered as its values are: `ZERO` is that of zero, those of positive values lie around `ONE`, those of negative
/// ones are their mirror images.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key(i32);

/// Every finite number other than zero has a logarithm to the base of [`STEP`] between plus and minus 15,300.
const ONE: i32 = 1 << 15;

impl Key {
    const ZERO: Self = Self(0);

    #[expect(clippy::cast_possible_truncation, reason = "far inside of what fits")]
    fn of(value: f64) -> Self {
        if value == 0.0 {
            return Self::ZERO;
        }
        Self((ONE + (value.abs().ln() / STEP.ln()).round() as i32) * if value > 0.0 { 1 } else { -1 })
    }

    /// The step that this one belongs to after so many coarsenings more.
    fn coarser(self, times: u8) -> Self {
        if self == Self::ZERO { self } else { Self((ONE + ((self.0.abs() - ONE) >> times)) * self.0.signum()) }
    }

    /// The value in the middle, on the logarithmic scale.
    fn middle(self, coarseness: u8) -> f64 {
        if self == Self::ZERO {
            return 0.0;
        }
        let width = f64::from(1_u32 << coarseness);
        let exponent = f64::from(self.0.abs() - ONE) * width + (width - 1.0) / 2.0;
        STEP.powf(exponent) * f64::from(self.0.signum())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn distribution(values: &[f64]) -> Distribution {
        let mut distribution = Distribution::default();
        for value in values {
            distribution.add(*value, 1.0);
        }
        distribution
    }

    /// Whether a percentile of `values` is the one at its rank, or one beside it, but for a part of it.
    fn is_close(mut values: Vec<f64>, percent: u32, part: f64) -> Result<(), TestCaseError> {
        values.sort_by(f64::total_cmp);
        let found = distribution(&values).percentile(percent.into(), values[0], values[values.len() - 1]);
        let rank = values.len() * percent as usize / 100;
        let around = &values[rank.saturating_sub(1)..values.len().min(rank + 1)];
        let is_close = around.iter().any(|value| (value - found).abs() <= value.abs() * part);
        prop_assert!(is_close, "{percent} % of {}: {found}, expected {around:?}", values.len());
        Ok(())
    }

    proptest! {
        #[test]
        fn percentiles_are_close(values in prop::collection::vec(0.5_f64..2.0, 1..60), percent in 0_u32..=100) {
            is_close(values, percent, 0.026)?;
        }

        #[test]
        fn percentiles_of_many_far_apart_are_close(
            exponents in prop::collection::vec(-3.0_f64..6.0, 1..5000),
            sign in prop::sample::select(vec![-1.0, 1.0]),
            percent in 0_u32..=100,
        ) {
            is_close(exponents.iter().map(|exponent| sign * 10.0_f64.powf(*exponent)).collect(), percent, 0.11)?;
        }

        #[test]
        fn percentiles_of_waiting_times_are_close(
            chances in prop::collection::vec(1e-6_f64..1.0, 1..5000),
            percent in 0_u32..=100,
        ) {
            is_close(chances.iter().map(|chance| -chance.ln() * 100.0).collect(), percent, 0.11)?;
        }

        #[test]
        fn what_is_merged_is_as_if_it_were_one(
            all in prop::collection::vec((-300.0_f64..300.0, any::<bool>()), 0..600),
            middle in 0_usize..600,
        ) {
            let values: Vec<_> =
                all.iter().map(|(exponent, is_positive)| if *is_positive { 1.0 } else { -1.0 } * 10.0_f64.powf(*exponent)).collect();
            let (left, right) = values.split_at(middle.min(values.len()));
            let mut merged = distribution(left);
            merged.merge(&distribution(right));
            prop_assert_eq!(merged, distribution(&values));
        }

        #[test]
        fn it_stays_small(values in prop::collection::vec(any::<f64>().prop_filter("finite", |v| v.is_finite()), 0..600)) {
            let distribution = distribution(&values);
            prop_assert!(distribution.steps.len() <= STEPS_MAX);
            let count: f64 = distribution.steps.iter().map(|(_, count)| count).sum();
            let expected = f64::from(u32::try_from(values.len()).unwrap());
            prop_assert!((count - expected).abs() < 0.5);
            prop_assert!(distribution.steps.is_sorted_by_key(|(key, _)| *key));
        }
    }
}
