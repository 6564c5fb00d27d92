//! The forms of dates that requests and policies carry.

use millstream_env::Timestamp;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime};

const AMZ: &[BorrowedFormatItem<'_>] = format_description!("[year][month][day]T[hour][minute][second]Z");
const ISO: &[BorrowedFormatItem<'_>] = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
const HTTP: &[BorrowedFormatItem<'_>] = format_description!(
    "[weekday repr:short case_sensitive:false], [day] [month repr:short case_sensitive:false] [year] [hour]:[minute]:[second] GMT"
);

/// `moment` as `YYYYMMDD'T'HHMMSS'Z'`, the form of `X-Amz-Date`. Moments after the year 9999 show as its last second.
pub fn format_amz(moment: Timestamp) -> String {
    format(moment, AMZ)
}

/// `moment` as `YYYY-MM-DDTHH:MM:SSZ` (ISO 8601), the form of dates in policies and query answers.
pub fn format_iso(moment: Timestamp) -> String {
    format(moment, ISO)
}

/// `moment` as in the header `Date` (RFC 9110, IMF-fixdate).
pub fn format_http(moment: Timestamp) -> String {
    format(moment, HTTP)
}

/// The moment of an `X-Amz-Date`.
pub fn parse_amz(text: &str) -> Option<Timestamp> {
    // The length is checked because a format alone would also take signs and longer years.
    if text.len() == 16 { parse(text, AMZ) } else { None }
}

/// The moment of a `Date` header.
pub fn parse_http(text: &str) -> Option<Timestamp> {
    parse(text, HTTP)
}

fn format(moment: Timestamp, form: &[BorrowedFormatItem<'_>]) -> String {
    const LAST_SECOND: i64 = 253_402_300_799;
    let seconds = i64::try_from(moment.seconds()).unwrap_or(LAST_SECOND).min(LAST_SECOND);
    let date = OffsetDateTime::from_unix_timestamp(seconds).expect("seconds lie between 1970 and 9999");
    date.format(form).expect("every part of the form is known")
}

fn parse(text: &str, form: &[BorrowedFormatItem<'_>]) -> Option<Timestamp> {
    let seconds = PrimitiveDateTime::parse(text, form).ok()?.assume_utc().unix_timestamp();
    Some(Timestamp::from_seconds(u64::try_from(seconds).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_name_the_same_moment() {
        let moment = Timestamp::from_seconds(1_440_938_160);
        assert_eq!(format_amz(moment), "20150830T123600Z");
        assert_eq!(format_iso(moment), "2015-08-30T12:36:00Z");
        assert_eq!(format_http(moment), "Sun, 30 Aug 2015 12:36:00 GMT");
        assert_eq!(parse_amz("20150830T123600Z"), Some(moment));
        assert_eq!(parse_http("Sun, 30 Aug 2015 12:36:00 GMT"), Some(moment));
    }

    #[test]
    fn what_is_not_a_date_is_refused() {
        for text in ["", "20150830", "20150830T123600", "20151330T123600Z", "20150830t123600z", "+2015830T123600Z"] {
            assert_eq!(parse_amz(text), None, "{text}");
        }
        assert_eq!(parse_amz("19690101T000000Z"), None);
        assert_eq!(parse_http("yesterday"), None);
        assert_eq!(format_amz(Timestamp::from_millis(u64::MAX)), "99991231T235959Z");
    }
}
