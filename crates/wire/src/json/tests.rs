use proptest::prelude::*;

use super::*;

fn string(text: &str) -> Option<String> {
    let mut scanner = Scanner::new(text.as_bytes());
    let value = scanner.string().ok()?;
    scanner.end().ok()?;
    Some(value.into_owned())
}

#[test]
fn strings_and_their_escapes() {
    assert_eq!(string(r#""plain""#).as_deref(), Some("plain"));
    assert_eq!(string(r#""a\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00""#).as_deref(), Some("a\"\\/\u{8}\u{c}\n\r\té😀"));
    for bad in [r#"""#, r#""\"#, r#""\x""#, r#""\u12""#, r#""\ud800""#, r#""\ud800\u0041""#, r#""\udc00""#, "\"\n\""] {
        assert_eq!(string(bad), None, "{bad}");
    }
}

#[test]
fn texts_that_are_not_json() {
    for bad in [
        "",
        " ",
        "{",
        "}",
        "[1,]",
        "[,1]",
        "{\"a\":1,}",
        "{\"a\"}",
        "{a:1}",
        "01",
        "1.",
        ".5",
        "+1",
        "1e",
        "nul",
        "tru",
        "[1 2]",
        "1 2",
        "\"a",
        "'a'",
        "[1}",
        "NaN",
    ] {
        assert!(!is_well_formed(bad.as_bytes()), "{bad}");
    }
    for good in ["0", "-0.5e+10", " [ ] ", "{ }", "[1,2]", "{\"a\":[{\"b\":null}],\"c\":true}", "\"\""] {
        assert!(is_well_formed(good.as_bytes()), "{good}");
    }
}

#[test]
fn nesting_is_bounded() {
    let nested = |depth: usize| [vec![b'['; depth], vec![b']'; depth]].concat();
    assert!(is_well_formed(&nested(64)));
    assert!(!is_well_formed(&nested(65)));
    assert!(!is_well_formed(&vec![b'['; 1_000_000]));
}

#[test]
fn numbers_are_cut_and_clamped() {
    assert_eq!(integer("12.7", i64::MIN, i64::MAX), 12);
    assert_eq!(integer("-12.7", i64::MIN, i64::MAX), -12);
    assert_eq!(integer("1e400", 0, i32::MAX.into()), i64::from(i32::MAX));
    assert_eq!(integer("9223372036854775807", i64::MIN, i64::MAX), i64::MAX);
    assert_eq!(millis("1700000000.123"), 1_700_000_000_123);
    assert_eq!(millis("-5"), 0);
}

#[test]
fn timestamps_have_up_to_three_decimals() {
    for (millis, text) in [(1_700_000_000_000, "1700000000"), (1_700_000_000_120, "1700000000.12"), (5, "0.005")] {
        let mut out = Vec::new();
        write_timestamp(&mut out, millstream_env::Timestamp::from_millis(millis));
        assert_eq!(out, text.as_bytes());
    }
}

proptest! {
    #[test]
    fn written_strings_read_back(text in any::<String>()) {
        let mut out = Vec::new();
        write_string(&mut out, &text);
        prop_assert_eq!(string(std::str::from_utf8(&out).unwrap()), Some(text.clone()));
        prop_assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
    }

    /// The scanner and an independent parser accept the same texts (serde_json bounds nesting at 128, we at 64).
    #[test]
    fn well_formed_means_what_others_mean(text in "[\\[\\]{}:,\"\\\\0-9a-f.eE+ntrulfas -]{0,24}") {
        let others = serde_json::from_str::<serde_json::Value>(&text);
        let number_out_of_range = others.as_ref().is_err_and(|error| error.to_string().contains("out of range"));
        prop_assume!(!number_out_of_range);
        prop_assert_eq!(is_well_formed(text.as_bytes()), others.is_ok());
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        is_well_formed(&bytes);
    }
}
