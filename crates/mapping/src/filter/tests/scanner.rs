//! The scanner takes for JSON exactly what `serde_json` takes for it.

use proptest::prelude::*;

use crate::filter::scanner::{DATA_DEPTH_MAX, Scanner};

fn is_json(text: &str) -> bool {
    let mut scanner = Scanner::new(text);
    scanner.skip_value().and_then(|()| scanner.end()).is_ok()
}

#[test]
fn the_depth_is_bounded() {
    for (open, inner, close) in [("[", "", "]"), (r#"{"a":"#, "1", "}")] {
        let nested = |depth: usize| format!("{}{inner}{}", open.repeat(depth), close.repeat(depth));
        assert!(is_json(&nested(DATA_DEPTH_MAX)));
        assert!(!is_json(&nested(DATA_DEPTH_MAX + 1)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn agrees_with_serde_json(pieces in prop::collection::vec(prop::sample::select(vec![
        "{", "}", "[", "]", ",", ":", "\"a\"", "\"\\n\\u0041\"", "\"\\x\"", "\"\\u12\"", "\"", "\\", "1", "0", "01", "-",
        "1.5", "1.", "2e5", "2E+5", "e", ".5", "true", "false", "null", "nul", " ", "\n", "\t", "\u{1}", "\"\u{1}\"", "é",
    ]), 0..12)) {
        let text = pieces.concat();
        prop_assert_eq!(is_json(&text), serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok(), "{}", text);
    }
}
