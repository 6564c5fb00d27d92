//! What a JSON number means for a shape. Fractions are cut off and values outside the type clamped, as recorded.

/// The whole number, within `min..=max`.
pub(crate) fn integer(text: &str, min: i64, max: i64) -> i64 {
    text.parse::<i64>().unwrap_or_else(|_| whole(real(text))).clamp(min, max)
}

pub(crate) fn real(text: &str) -> f64 {
    text.parse().expect("the scanner lets only numbers through, and all of them parse")
}

/// Milliseconds from seconds with a fraction; before the epoch is the epoch.
pub(crate) fn millis(text: &str) -> u64 {
    u64::try_from(whole((real(text) * 1000.0).round())).unwrap_or(0)
}

#[expect(clippy::cast_possible_truncation, reason = "a cast of a float saturates, which is what is wanted")]
fn whole(number: f64) -> i64 {
    number as i64
}
