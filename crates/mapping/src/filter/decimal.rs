//! Numbers as the `numeric` operator compares them: exact decimals, cut to six places.
//!
//! EventBridge: "between -5.0e9 and +5.0e9 inclusive, with 15 digits of precision, or six digits to the right of the
//! decimal point". What lies beyond the sixth place is cut off downwards, as in EventBridge's own rule engine, where
//! numbers are moved above zero before they are cut.

/// Places after the decimal point that are compared.
const PLACES: i64 = 6;
/// 10 to the power of [`PLACES`].
const SCALE: i64 = 1_000_000;
/// Largest magnitude, in millionths.
pub(super) const MILLIONTHS_MAX: i64 = 5_000_000_000 * SCALE;
/// Digits before the decimal point that a number within the bounds can have.
const WHOLE_DIGITS_MAX: i64 = 10;

/// The value of a JSON number in millionths, or none when it is out of bounds.
pub(super) fn millionths(number: &str) -> Option<i64> {
    let (negative, number) = number.strip_prefix('-').map_or((false, number), |rest| (true, rest));
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mut weight = i64::try_from(whole.len()).ok()?.saturating_add(saturating_integer(exponent));
    let mut value: i64 = 0;
    let mut is_cut = false;
    for digit in whole.bytes().chain(fraction.bytes()).map(|byte| i64::from(byte - b'0')) {
        weight = weight.saturating_sub(1);
        if digit == 0 {
            continue;
        }
        if weight >= WHOLE_DIGITS_MAX {
            return None;
        }
        match u32::try_from(weight.saturating_add(PLACES)) {
            Ok(power) => value += digit * 10_i64.pow(power),
            Err(_) => is_cut = true,
        }
    }
    if value > MILLIONTHS_MAX || (value == MILLIONTHS_MAX && is_cut) {
        return None;
    }
    Some(if negative { -value - i64::from(is_cut) } else { value })
}

/// An exponent; beyond what matters here it does not matter how large it is.
fn saturating_integer(text: &str) -> i64 {
    text.parse().unwrap_or(if text.starts_with('-') { i64::MIN / 4 } else { i64::MAX / 4 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(number: &str, expected: Option<i64>) {
        assert_eq!(millionths(number), expected, "{number}");
    }

    #[test]
    fn decimals_are_exact() {
        check("0", Some(0));
        check("-0.0", Some(0));
        check("0.1", Some(100_000));
        check("0.30", Some(300_000));
        check("3.018e2", Some(301_800_000));
        check("3018E-1", Some(301_800_000));
        check("0.000001", Some(1));
        check("4999999999.999999", Some(4_999_999_999_999_999));
        check("0e99999999999999999999999", Some(0));
    }

    #[test]
    fn what_is_beyond_six_places_is_cut_downwards() {
        check("0.0000019", Some(1));
        check("-0.0000011", Some(-2));
        check("1e-99999999999999999999", Some(0));
        check("-1e-99999999999999999999", Some(-1));
    }

    #[test]
    fn bounds_are_inclusive_and_exact() {
        check("5000000000", Some(MILLIONTHS_MAX));
        check("-5.0e9", Some(-MILLIONTHS_MAX));
        check("5000000000.0000001", None);
        check("-5000000000.0000001", None);
        check("5000000001", None);
        check("1e10", None);
        check("1e99999999999999999999", None);
    }
}
