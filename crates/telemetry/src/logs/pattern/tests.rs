use proptest::prelude::*;

use super::Pattern;

fn check(pattern: &str, message: &str, expected: bool) {
    assert_eq!(Pattern::parse(pattern).unwrap().matches(message), expected, "{pattern} on {message}");
}

#[test]
fn words_are_all_needed_and_exclusions_count() {
    check("", "anything", true);
    check("ERROR", "an ERROR here", true);
    check("ERROR", "an error here", false);
    check("ERROR code", "code 5: ERROR", true);
    check("ERROR code", "ERROR", false);
    check("?WARN ?ERROR", "WARN", true);
    check("?WARN ?ERROR", "INFO", false);
    check("request ?WARN ?ERROR", "request WARN", true);
    check("request ?WARN ?ERROR", "request", false);
    check("ERROR -retry", "ERROR", true);
    check("ERROR -retry", "ERROR, retry", false);
    check("\"Decoded payload: Hello\"", "Decoded payload: Hello, this is a test.", true);
    check("\"a \\\"b\\\"\"", "a \"b\"", true);
    check("-\"a b\"", "a  b", true);
}

#[test]
fn json_conditions() {
    let event = r#"{"level":"error","code":503,"nested":{"list":[{"x":"yes"}]},"none":null,"flag":true}"#;
    check(r#"{ $.level = "error" }"#, event, true);
    check(r#"{$.level="err*"}"#, event, true);
    check(r#"{ $.level = "*r*r" }"#, event, true);
    check(r#"{ $.level = "x*" }"#, event, false);
    check("{ $.level != error }", event, false);
    check("{ $.code >= 500 && $.code < 600 }", event, true);
    check("{ $.code = 500 || $.code = 503 }", event, true);
    check("{ ($.code = 500 || $.flag IS TRUE) && $.none IS NULL }", event, true);
    check("{ $.nested.list[0].x = yes }", event, true);
    check("{ $.nested.list[1].x = yes }", event, false);
    check("{ $.missing NOT EXISTS }", event, true);
    check("{ $.missing = 1 }", event, false);
    check("{ $.level = \"error\" }", "no JSON", false);
}

#[test]
fn what_is_not_understood_is_refused() {
    let deep = format!("{{ {} $.a = 1 {} }}", "(".repeat(40), ")".repeat(40));
    for pattern in [
        "[a, b]",
        "%x%",
        "a:b",
        "\"open",
        "?",
        "-",
        "{",
        "{}",
        "{ $ = 1 }",
        "{ $.a }",
        "{ $.a = }",
        "{ $.a = %x% }",
        "{ $.a > x }",
        "{ ($.a = 1 }",
        "{ $.a = 1 } x",
        "{ $.a IS 1 }",
        "{ $.a[99999999999999999999] = 1 }",
        &deep,
    ] {
        assert!(Pattern::parse(pattern).is_err(), "{pattern}");
    }
}

proptest! {
    #[test]
    fn any_pattern_is_judged_without_a_panic(
        pattern in "[{}$.a\"?*%&|()\\[\\] =<>!0-9ISNUL-]{0,40}|\\PC{0,40}", message in "\\PC{0,40}|\\{\"a\":(1|\"a\")\\}",
    ) {
        if let Ok(pattern) = Pattern::parse(&pattern) {
            let _ = pattern.matches(&message);
        }
    }
}
