//! Input that is made to hurt: whatever it is, the answer comes, and damage is never taken for a match.

use proptest::prelude::*;

use super::{parse, passes};
use crate::filter::json::PATTERN_DEPTH_MAX;
use crate::filter::{DATA_DEPTH_MAX, PATTERN_CHARACTERS_MAX};

const PATTERN: &str = r#"{"data":{"a":{"b":[1,{"exists":false}]},"c":[{"anything-but":"x"}]}}"#;

#[test]
fn deep_data_is_not_json() {
    for depth in [DATA_DEPTH_MAX - 1, 1_000_000] {
        for (open, close) in [("[", "]"), (r#"{"a":"#, "}"), (r#"{"z":"#, "}"), (r#"{"a":["#, "]}")] {
            let half = if open.ends_with(":[") { depth / 2 } else { depth };
            let data = format!(r#"{{"c":1,"a":{}1{}}}"#, open.repeat(half), close.repeat(half));
            assert_eq!(passes(&[r#"{"data":{"c":[1]}}"#], data.as_bytes()), depth < DATA_DEPTH_MAX, "{open} {depth}");
            passes(&[PATTERN], data.as_bytes());
            passes(&[PATTERN], open.repeat(half).as_bytes());
        }
    }
}

#[test]
fn what_is_broken_after_the_match_matches_nothing() {
    for tail in ["", "]", r#","b""#, "} x", "}}", "\u{0}", ",}"] {
        assert!(!passes(&[r#"{"data":{"a":[1]}}"#], format!(r#"{{"a":1{tail}"#).as_bytes()), "{tail}");
    }
    assert!(!passes(&[r#"{"data":{"a":[1]}}"#], b"{\"a\":1,\"b\":\"\xff\"}"));
}

#[test]
fn patterns_are_bounded() {
    let long = |characters: usize| format!(r#"{{"a":["{}"]}}"#, "é".repeat(characters - 10));
    assert_eq!(long(PATTERN_CHARACTERS_MAX).chars().count(), PATTERN_CHARACTERS_MAX);
    assert!(parse(&[&long(PATTERN_CHARACTERS_MAX)]).is_ok());
    assert!(parse(&[&long(PATTERN_CHARACTERS_MAX + 1)]).is_err());

    let nested = |depth: usize| format!("{}[1]{}", r#"{"a":"#.repeat(depth - 1), "}".repeat(depth - 1));
    assert!(parse(&[&nested(PATTERN_DEPTH_MAX)]).is_ok());
    assert!(parse(&[&nested(PATTERN_DEPTH_MAX + 1)]).is_err());

    let choices = |keys: usize| {
        let member = |key| format!(r#""{key}":{{"$or":[{{"a":[1]}},{{"b":[1]}}]}}"#);
        format!("{{{}}}", (0..keys).map(member).collect::<Vec<_>>().join(","))
    };
    assert!(parse(&[&choices(9)]).is_ok());
    assert!(parse(&[&choices(10)]).is_err());
    assert!(parse(&[&choices(90)]).is_err());
    // 512 combinations, each of which holds 49 conditions.
    let others = (0..40).fold(String::new(), |others, key| others + &format!(r#","k{key}":[1]"#));
    let wide = format!("{}{others}}}", choices(9).strip_suffix('}').unwrap());
    assert!(parse(&[&wide]).is_err());
}

#[test]
fn wide_data_takes_linear_time() {
    let elements = r#"{"b":1,"b2":2},"#.repeat(100_000);
    let data = format!(r#"{{"c":1,"a":[{elements}{{"b":2,"b2":1}}]}}"#);
    assert!(!passes(&[r#"{"data":{"a":{"b":[1],"b2":[1]}}}"#], data.as_bytes()));
    assert!(passes(&[r#"{"data":{"a":{"b":[2],"b2":[1]}}}"#], data.as_bytes()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn random_bytes_are_answered(pattern in prop::collection::vec(any::<u8>(), 0..80), data in prop::collection::vec(any::<u8>(), 0..80)) {
        let _ = parse(&[&String::from_utf8_lossy(&pattern)]);
        passes(&[PATTERN], &data);
    }

    /// Bytes that look like JSON, one of them changed: a record that matches is JSON.
    #[test]
    fn damaged_records_match_only_when_they_are_json(at in 0_usize..70, byte in any::<u8>()) {
        let mut data = br#"{"z":[{"y":"\u0041"},-1.5e3,null,true],"a":[{"b":1}],"c":"long text"}"#.to_vec();
        assert!(passes(&[PATTERN], &data));
        let at = at % data.len();
        data[at] = byte;
        if passes(&[PATTERN], &data) {
            prop_assert!(serde_json::from_slice::<serde_json::Value>(&data).is_ok());
        }
    }

    /// A valid pattern, some bytes changed: refused or accepted, never a panic, and usable then.
    #[test]
    fn damaged_patterns_are_answered(changes in prop::collection::vec((any::<usize>(), any::<u8>()), 1..4)) {
        let mut pattern = br#"{"data":{"a":{"b":[1,{"numeric":[">",1,"<=",2e3]}]},"$or":[{"c":["x"]},{"d":[{"exists":false}]}]}}"#.to_vec();
        for (at, byte) in changes {
            let at = at % pattern.len();
            pattern[at] = byte;
        }
        if let Ok(filters) = parse(&[&String::from_utf8_lossy(&pattern)]) {
            assert!(!filters.is_empty());
        }
    }
}
