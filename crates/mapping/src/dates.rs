//! Moments as AWS writes them into events and failure records: always UTC.

use millstream_env::Timestamp;
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

const SECONDS: &[BorrowedFormatItem<'_>] = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
const MILLIS: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
const OBJECT_KEY: &[BorrowedFormatItem<'_>] =
    format_description!("[year]/[month]/[day]/[year]-[month]-[day]T[hour].[minute].[second]");

/// `2020-12-09T07:04:00Z`
pub(crate) fn seconds(moment: Timestamp) -> String {
    write(moment, SECONDS)
}

/// `2019-11-14T00:38:06.021Z`
pub(crate) fn millis(moment: Timestamp) -> String {
    write(moment, MILLIS)
}

/// `2019/11/14/2019-11-14T00.38.06`, the middle of an object's key.
pub(crate) fn object_key(moment: Timestamp) -> String {
    write(moment, OBJECT_KEY)
}

fn write(moment: Timestamp, format: &[BorrowedFormatItem<'_>]) -> String {
    let date = OffsetDateTime::from_unix_timestamp_nanos(i128::from(moment.millis()) * 1_000_000)
        .expect("clocks stay before the year 9999");
    date.format(format).expect("every moment can be written")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_as_recorded() {
        let moment = Timestamp::from_millis(1_573_691_886_021);
        assert_eq!(seconds(moment), "2019-11-14T00:38:06Z");
        assert_eq!(millis(moment), "2019-11-14T00:38:06.021Z");
        assert_eq!(object_key(moment), "2019/11/14/2019-11-14T00.38.06");
    }
}
