//! `ReportBatchItemFailures`: every row of the reference's table (section 7).

use super::*;

/// What the response of three records leads to.
fn check(response: &str, expected: &str) {
    let settings = Settings { partial_failures: true, ..settings(3) };
    let mut bench = Bench::new(settings);
    bench.go(0, read(records(0..3), 3));
    assert_eq!(bench.go(0, ended(0, answers(response))), expected, "{response}");
}

const SUCCESS: &str = "Ok keep(3)";
const WHOLE: &str = "FunctionFailed keep!(0 3..=2x1)";

fn failures(ids: &[u64]) -> String {
    let items: Vec<String> = ids.iter().map(|id| format!(r#"{{"itemIdentifier":"{}"}}"#, number(*id))).collect();
    format!(r#"{{"batchItemFailures":[{}]}}"#, items.join(","))
}

#[test]
fn responses_that_mean_success() {
    check("", SUCCESS);
    check(r#""""#, SUCCESS);
    check("[]", SUCCESS);
    check("null", SUCCESS);
    check("{}", SUCCESS);
    check(r#"{"batchItemFailures":[]}"#, SUCCESS);
    check(r#"{"batchItemFailures":null}"#, SUCCESS);
}

#[test]
fn responses_without_the_key_mean_success() {
    check("done", SUCCESS);
    check(r#""done""#, SUCCESS);
    check("17", SUCCESS);
    check("true", SUCCESS);
    check(r#"["a","b"]"#, SUCCESS);
    check(r#"[["a"],{"b":1}]"#, SUCCESS);
    check(r#"{"statusCode":500}"#, SUCCESS);
    // A misspelt key is no key: the trap that loses records without a word, as on AWS.
    check(&failures(&[1]).replace("batchItemFailures", "batchItemFailure"), SUCCESS);
    check(&failures(&[1]).replace("batchItemFailures", "failedItems"), SUCCESS);
    check(&failures(&[1]).replace("batchItemFailures", "BatchItemFailures"), SUCCESS);
}

#[test]
fn responses_that_name_no_record_fail_the_whole_batch() {
    check(r#"{"batchItemFailures":[{"itemIdentifier":""}]}"#, WHOLE);
    check(r#"{"batchItemFailures":[{"itemIdentifier":null}]}"#, WHOLE);
    check(r#"{"batchItemFailures":[{"foo":123}]}"#, WHOLE);
    check(r#"{"batchItemFailures":[{"foo":null}]}"#, WHOLE);
    check(r#"{"batchItemFailures":[{}]}"#, WHOLE);
    check(r#"{"batchItemFailures":[null]}"#, WHOLE);
    check(r#"{"batchItemFailures":[{"itemIdentifier":123}]}"#, WHOLE);
    check(r#"{"batchItemFailures":[{"itemIdentifier":"123"}]}"#, WHOLE);
    check(r#"{"batchItemFailures":"all"}"#, WHOLE);
    check(&failures(&[7]), WHOLE);
    check(&failures(&[1, 7]), WHOLE);
    let other = ShardIdentity { id: ShardId(ShardIndex::new(1).unwrap()), created_seconds: 1_600_000_000 };
    let other = other.sequence_number(&record(1)).to_string();
    check(&failures(&[1]).replace(&number(1), &other), WHOLE);
}

#[test]
fn records_before_the_lowest_failed_one_are_done_with() {
    check(&failures(&[1]), "FunctionFailed keep!(1 2..=2x0)");
    check(&failures(&[2]), "FunctionFailed keep!(2 1..=2x0)");
    check(&failures(&[2, 1]), "FunctionFailed keep!(1 2..=2x0)");
    check(&failures(&[1, 1, 2]), "FunctionFailed keep!(1 2..=2x0)");
}

#[test]
fn a_failed_first_record_is_no_progress() {
    check(&failures(&[0]), WHOLE);
    check(&failures(&[2, 0]), WHOLE);
}

#[test]
fn ids_may_come_in_any_order() {
    let settings = Settings { partial_failures: true, ..settings(100) };
    let mut bench = Bench::new(settings);
    bench.go(0, read(records(0..40), 40));
    let response = failures(&[31, 9, 15]);
    assert_eq!(bench.go(0, ended(0, answers(response))), "FunctionFailed keep!(9 31..=39x0)");
}

#[test]
fn a_function_error_fails_the_whole_batch() {
    let settings = Settings { partial_failures: true, ..settings(3) };
    let mut bench = Bench::new(settings);
    bench.go(0, read(records(0..3), 3));
    assert_eq!(bench.go(0, failed()), WHOLE);
}

#[test]
fn the_rest_waits_before_it_is_sent_again() {
    let settings = Settings { partial_failures: true, ..settings(3) };
    let mut bench = Bench::new(settings);
    bench.go(0, read(records(0..3), 3));
    bench.go(0, ended(0, reports_failed(1)));
    assert_eq!(bench.deadline(), Some(500));
    assert_eq!(bench.go(500, time()), "invoke(1..=2)");
    assert_eq!(bench.history[0].decision, Decision::RetryRest);
}

#[test]
fn without_the_setting_the_response_is_not_looked_at() {
    let mut bench = Bench::new(settings(3));
    bench.go(0, read(records(0..3), 3));
    assert_eq!(bench.go(0, ended(0, reports_failed(1))), SUCCESS);
}
