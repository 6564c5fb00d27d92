//! Conditions of requests on an object's present state (RFC 9110, section 13; S3 guide, "Conditional requests"), and ranges.

use std::ops::Range;

use super::Error;

/// Conditions of a read. Dates are seconds since 1970.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadConditions {
    pub if_match: Option<String>,
    pub if_none_match: Option<String>,
    pub if_modified_since: Option<u64>,
    pub if_unmodified_since: Option<u64>,
}

impl ReadConditions {
    /// Whether an object of that tag and time may be given to the reader. Tags go before dates.
    pub fn check(&self, etag: &str, modified_ms: u64) -> Result<(), Error> {
        let modified = modified_ms / 1000;
        match (&self.if_match, self.if_unmodified_since) {
            (Some(tags), _) if !matches(tags, etag) => return Err(Error::PreconditionFailed("If-Match")),
            (None, Some(moment)) if modified > moment => return Err(Error::PreconditionFailed("If-Unmodified-Since")),
            _ => {}
        }
        match (&self.if_none_match, self.if_modified_since) {
            (Some(tags), _) if matches(tags, etag) => {}
            (None, Some(moment)) if modified <= moment => {}
            _ => return Ok(()),
        }
        Err(Error::NotModified { etag: etag.to_owned(), modified_ms })
    }
}

/// Conditions of a change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WriteConditions {
    /// The object must have one of these tags, or just be there (`*`).
    pub if_match: Option<String>,
    /// There must be no object.
    pub if_none_match: bool,
}

impl WriteConditions {
    /// Whether the object, of which the tag is given when it is there, may be changed.
    pub fn check(&self, key: &str, etag: Option<&str>) -> Result<(), Error> {
        if self.if_none_match && etag.is_some() {
            return Err(Error::PreconditionFailed("If-None-Match"));
        }
        match (&self.if_match, etag) {
            (None, _) => Ok(()),
            (Some(_), None) => Err(Error::NoSuchKey(key.to_owned())),
            (Some(tags), Some(etag)) if matches(tags, etag) => Ok(()),
            (Some(_), Some(_)) => Err(Error::PreconditionFailed("If-Match")),
        }
    }
}

/// Whether the tag is in the list, with or without quotation marks.
fn matches(tags: &str, etag: &str) -> bool {
    tags.split(',').map(str::trim).any(|tag| {
        let tag = tag.strip_prefix("W/").unwrap_or(tag);
        tag == "*" || tag.trim_matches('"') == etag
    })
}

/// The part of `bytes` that a `Range` header asks for. `None` means the whole: without a header, and with one that is of
/// another unit, of several ranges or malformed, which S3 ignores.
pub fn range(header: Option<&str>, bytes: u64) -> Result<Option<Range<u64>>, Error> {
    let Some((first, last)) = header.and_then(|text| text.strip_prefix("bytes=")).and_then(|text| text.split_once('-'))
    else {
        return Ok(None);
    };
    let number =
        |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<u64>().ok()).flatten();
    let unsatisfiable = Err(Error::InvalidRange { bytes });
    match (number(first), number(last)) {
        // The last so many bytes.
        (None, Some(count)) if first.is_empty() => {
            if count == 0 || bytes == 0 {
                unsatisfiable
            } else {
                Ok(Some(bytes.saturating_sub(count)..bytes))
            }
        }
        (Some(first), None) if last.is_empty() => {
            if first >= bytes {
                unsatisfiable
            } else {
                Ok(Some(first..bytes))
            }
        }
        (Some(first), Some(last)) if first <= last => {
            if first >= bytes {
                unsatisfiable
            } else {
                Ok(Some(first..last.saturating_add(1).min(bytes)))
            }
        }
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn tags_go_before_dates() {
        let check = |conditions: ReadConditions, expected: Result<(), &str>| {
            let result = conditions.check("abc", 10_500).map_err(|error| match error {
                Error::PreconditionFailed(name) => name,
                Error::NotModified { .. } => "not modified",
                other => panic!("{other}"),
            });
            assert_eq!(result, expected, "{conditions:?}");
        };
        let none = ReadConditions::default;
        let some = |text: &str| Some(text.to_owned());
        check(none(), Ok(()));
        for tags in ["\"abc\"", "abc", "*", "\"x\", \"abc\"", "W/\"abc\""] {
            check(ReadConditions { if_match: some(tags), if_unmodified_since: Some(1), ..none() }, Ok(()));
            check(
                ReadConditions { if_none_match: some(tags), if_modified_since: Some(1), ..none() },
                Err("not modified"),
            );
        }
        check(ReadConditions { if_match: some("\"x\""), if_unmodified_since: Some(99), ..none() }, Err("If-Match"));
        check(ReadConditions { if_none_match: some("x"), if_modified_since: Some(99), ..none() }, Ok(()));
        check(ReadConditions { if_unmodified_since: Some(9), ..none() }, Err("If-Unmodified-Since"));
        check(ReadConditions { if_unmodified_since: Some(10), ..none() }, Ok(()));
        check(ReadConditions { if_modified_since: Some(10), ..none() }, Err("not modified"));
        check(ReadConditions { if_modified_since: Some(9), ..none() }, Ok(()));
    }

    #[test]
    fn changes_may_ask_for_absence_or_a_tag() {
        let absent = WriteConditions { if_none_match: true, if_match: None };
        assert_eq!(absent.check("k", None), Ok(()));
        assert_eq!(absent.check("k", Some("e")), Err(Error::PreconditionFailed("If-None-Match")));
        let tagged = WriteConditions { if_none_match: false, if_match: Some("\"e\"".to_owned()) };
        assert_eq!(tagged.check("k", Some("e")), Ok(()));
        assert_eq!(tagged.check("k", Some("f")), Err(Error::PreconditionFailed("If-Match")));
        assert_eq!(tagged.check("k", None), Err(Error::NoSuchKey("k".to_owned())));
    }

    #[test]
    fn ranges_are_cut_to_the_content() {
        let check = |header: &str, expected: Result<Option<Range<u64>>, ()>| {
            assert_eq!(range(Some(header), 10).map_err(|_| ()), expected, "{header}");
        };
        check("bytes=0-4", Ok(Some(0..5)));
        check("bytes=4-", Ok(Some(4..10)));
        check("bytes=9-99", Ok(Some(9..10)));
        check("bytes=-3", Ok(Some(7..10)));
        check("bytes=-99", Ok(Some(0..10)));
        check("bytes=10-", Err(()));
        check("bytes=10-11", Err(()));
        check("bytes=-0", Err(()));
        for ignored in ["bytes=5-4", "bytes=-", "bytes=a-b", "lines=1-2", "bytes=0-1,3-4", "bytes=+1-2", ""] {
            check(ignored, Ok(None));
        }
        assert_eq!(range(None, 10), Ok(None));
        assert_eq!(range(Some("bytes=0-"), 0), Err(Error::InvalidRange { bytes: 0 }));
        assert_eq!(range(Some("bytes=0-18446744073709551615"), 5), Ok(Some(0..5)));
    }

    proptest! {
        #[test]
        fn no_header_leads_outside(header in "bytes=[0-9]{0,20}-[0-9]{0,20}", bytes in 0_u64..1000) {
            if let Ok(Some(range)) = range(Some(&header), bytes) {
                prop_assert!(range.start < range.end && range.end <= bytes);
            }
        }
    }
}
