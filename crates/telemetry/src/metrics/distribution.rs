//! How values are spread, coarsely enough to be kept for every minute: counts per logarithmic step.

/// Each step is 5 % wide, so that a percentile is off by at most half of that; those of negative values are twice as
/// wide.
const STEP: f64 = 1.05;
/// Most steps with values; beyond it the two closest ones are merged.
const STEPS_MAX: usize = 40;

/// Counts of values, by step, in order. Zero and negative values have steps of their own.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Distribution(Vec<(i16, f64)>);

impl Distribution {
    pub(super) fn add(&mut self, value: f64, count: f64) {
        self.add_step(step_of(value), count);
    }

    pub(super) fn merge(&mut self, other: &Self) {
        for (step, count) in &other.0 {
            self.add_step(*step, *count);
        }
    }

    /// The value below which `percent` of all values lie, between `minimum` and `maximum`.
    pub(super) fn percentile(&self, percent: f64, minimum: f64, maximum: f64) -> f64 {
        let all: f64 = self.0.iter().map(|(_, count)| count).sum();
        let wanted = all * percent / 100.0;
        let mut below = 0.0;
        for (step, count) in &self.0 {
            below += count;
            if below >= wanted {
                return value_of(*step).clamp(minimum, maximum);
            }
        }
        maximum
    }

    fn add_step(&mut self, step: i16, count: f64) {
        match self.0.binary_search_by_key(&step, |(step, _)| *step) {
            Ok(index) => self.0[index].1 += count,
            Err(index) => {
                self.0.insert(index, (step, count));
                if self.0.len() > STEPS_MAX {
                    self.merge_closest();
                }
            }
        }
    }

    fn merge_closest(&mut self) {
        let gap = |index: &usize| i32::from(self.0[index + 1].0) - i32::from(self.0[*index].0);
        let closest = (0..self.0.len() - 1).min_by_key(gap).expect("there are more than two steps");
        let (_, count) = self.0.remove(closest);
        self.0[closest].1 += count;
    }
}

/// Steps of positive values lie around 0, those of negative ones mirrored far below; zero is between.
const ZERO: i16 = -16_384;

#[expect(clippy::cast_possible_truncation, reason = "bounded before the cast")]
fn step_of(value: f64) -> i16 {
    if value == 0.0 {
        return ZERO;
    }
    let step = (value.abs().ln() / STEP.ln()).round().clamp(-16_000.0, 16_000.0) as i16;
    if value > 0.0 { step } else { ZERO - 1 - (step / 2 + 8_000) }
}

fn value_of(step: i16) -> f64 {
    match step.cmp(&ZERO) {
        std::cmp::Ordering::Equal => 0.0,
        std::cmp::Ordering::Greater => STEP.powi(step.into()),
        std::cmp::Ordering::Less => -STEP.powi((i32::from(ZERO) - 1 - i32::from(step) - 8_000) * 2),
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

    proptest! {
        #[test]
        fn percentiles_are_close(values in prop::collection::vec(0.5_f64..2.0, 1..60), percent in 0_u32..=100) {
            let (minimum, maximum) = (values.iter().copied().fold(9.0, f64::min), values.iter().copied().fold(0.0, f64::max));
            let found = distribution(&values).percentile(percent.into(), minimum, maximum);
            // The value at the same rank, or one beside it.
            let mut sorted = values;
            sorted.sort_by(f64::total_cmp);
            let rank = sorted.len() * percent as usize / 100;
            let around = &sorted[rank.saturating_sub(1)..sorted.len().min(rank + 1)];
            prop_assert!(around.iter().any(|value| (value - found).abs() <= value * 0.026), "{found} {rank} {sorted:?}");
        }

        #[test]
        fn it_stays_small(values in prop::collection::vec(any::<f64>().prop_filter("finite", |v| v.is_finite()), 0..300)) {
            let distribution = distribution(&values);
            prop_assert!(distribution.0.len() <= STEPS_MAX);
            let count: f64 = distribution.0.iter().map(|(_, count)| count).sum();
            let expected = f64::from(u32::try_from(values.len()).unwrap());
            prop_assert!((count - expected).abs() < 0.5);
            prop_assert!(distribution.0.is_sorted_by_key(|(step, _)| *step));
        }
    }
}
