use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use millstream_env::{ServiceClock, Timestamp};
use millstream_types::Scope;
use proptest::prelude::*;

use super::prometheus::escaped;
use super::series::{Budget, MERGED_MINUTES, Spread, Step};
use super::store::{Key, Metrics, Owner, SERIES_MAX, USER_SERIES_MAX};
use super::*;

/// Whether two sums of small whole numbers are equal, which floats hold exactly.
fn is(found: f64, expected: u32) -> bool {
    (found - f64::from(expected)).abs() < 0.5
}

const MINUTE: Duration = Duration::from_mins(1);
/// 2026-01-01T00:00:00Z
const START: Timestamp = Timestamp::from_seconds(1_767_225_600);

fn scope() -> Scope {
    Scope { account: "123456789012".parse().unwrap(), region: "us-east-1".parse().unwrap() }
}

fn metrics() -> (Metrics, millstream_env::VirtualTime) {
    let (clock, time) = ServiceClock::virtual_at(START);
    (Metrics::new(clock), time)
}

fn series(metrics: &Metrics, name: &str) -> Series {
    metrics.series(&scope(), "AWS/Lambda", name, &[("FunctionName", "f")], Unit::Count)
}

fn names(metrics: &Metrics) -> Vec<String> {
    let mut names = Vec::new();
    for namespace in ["AWS/Lambda", "Own"] {
        metrics.visit_with_data(&scope(), Some(namespace), |key, _| names.push(key.name.clone()));
    }
    names
}

fn everything(series: &Series) -> Vec<Step> {
    let mut steps = Vec::new();
    series.for_each_step(Timestamp::EPOCH, Timestamp::from_seconds(10_000_000_000), |step| steps.push(step.clone()));
    steps
}

#[test]
fn values_of_a_minute_are_one_set() {
    let (metrics, _time) = metrics();
    let calls = series(&metrics, "Invocations");
    for (seconds, value) in [(0, 1.0), (59, 3.0), (60, 5.0)] {
        calls.record(START.plus(Duration::from_secs(seconds)), value);
    }
    let sets: Vec<_> = everything(&calls).iter().map(|step| step.values.set).collect();
    assert_eq!(
        sets,
        [
            StatisticSet { sample_count: 2.0, sum: 4.0, minimum: 1.0, maximum: 3.0 },
            StatisticSet { sample_count: 1.0, sum: 5.0, minimum: 5.0, maximum: 5.0 },
        ]
    );
    assert!(is(series(&metrics, "Invocations").totals().sum, 9));
}

#[test]
fn what_is_not_a_number_is_left_out() {
    let (metrics, _time) = metrics();
    let calls = series(&metrics, "Invocations");
    calls.record(START, f64::NAN);
    calls.record(START, f64::INFINITY);
    assert!(everything(&calls).is_empty());
}

#[test]
fn a_late_value_joins_its_minute() {
    let (metrics, _time) = metrics();
    let calls = series(&metrics, "Invocations");
    for minutes in [5, 2, 5, 3] {
        calls.record(START.plus(MINUTE * minutes), 1.0);
    }
    let counts: Vec<_> = everything(&calls).iter().map(|step| step.values.set.sample_count).collect();
    assert_eq!(counts, [1.0, 1.0, 2.0]);
}

#[test]
fn idle_series_are_dropped_unless_they_are_held() {
    let (metrics, time) = metrics();
    let held = series(&metrics, "Held");
    held.record(START, 1.0);
    series(&metrics, "Idle").record(START, 1.0);
    time.advance(Duration::from_hours(HOURS_KEPT) + MINUTE);
    assert!(names(&metrics).is_empty(), "what has no data any more is not shown");
    series(&metrics, "New").record(metrics.now(), 1.0);
    held.record(metrics.now(), 2.0);
    assert_eq!(names(&metrics), ["Held", "New"]);
    assert!(is(series(&metrics, "Held").totals().sum, 3), "it is the same series as before");
    assert!(is(series(&metrics, "Idle").totals().sum, 0), "it began anew");
}

#[test]
fn there_are_only_so_many_series() {
    let (metrics, time) = metrics();
    for number in 0..SERIES_MAX {
        series(&metrics, &number.to_string()).record(START, 1.0);
    }
    let key = |name| Key::new(&scope(), "AWS/Lambda", name, &[], Unit::Count);
    assert!(metrics.obtain(key("one more"), Owner::Millstream).is_err());
    series(&metrics, "one more").record(START, 1.0);
    assert_eq!(names(&metrics).len(), SERIES_MAX);
    time.advance(Duration::from_hours(HOURS_KEPT) + MINUTE);
    assert!(metrics.obtain(key("one more"), Owner::Millstream).is_ok());
}

#[test]
fn users_leave_room_for_what_functions_record() {
    let (metrics, _time) = metrics();
    let key = |number: usize| Key::new(&scope(), "Own", &number.to_string(), &[], Unit::Count);
    let made = (0..SERIES_MAX).take_while(|number| metrics.obtain(key(*number), Owner::User).is_ok()).count();
    assert_eq!(made, USER_SERIES_MAX);
    assert!(metrics.obtain(key(0), Owner::User).is_ok(), "those that are there stay usable");
    series(&metrics, "Invocations").record(START, 1.0);
    assert_eq!(names(&metrics).len(), 1);
}

#[test]
fn a_used_up_budget_is_shared() {
    let budget = Arc::new(Budget::new(10));
    let [old, new] = [(); 2].map(|()| Series::new(Arc::clone(&budget)));
    for minute in 0..20 {
        old.record(START.plus(MINUTE * minute), 1.0);
    }
    assert_eq!((everything(&old).len(), budget.steps()), (10, 10));
    for minute in 20..40 {
        let at = START.plus(MINUTE * minute);
        new.record(at, 1.0);
        assert_eq!(everything(&new).last().unwrap().minute, at.millis() / 60_000, "the newest is always kept");
        old.record(at, 1.0);
        assert!(budget.steps() <= 10, "{budget:?}");
    }
    assert_eq!((everything(&old).len(), everything(&new).len()), (5, 5));
}

#[test]
fn who_has_more_than_a_share_gives_up_steps_when_it_records() {
    let budget = Arc::new(Budget::new(10));
    let all: Vec<_> = (0..20).map(|_| Series::new(Arc::clone(&budget))).collect();
    for (index, series) in all.iter().enumerate() {
        for minute in 0..if index == 0 { 20 } else { 2 } {
            series.record(START.plus(MINUTE * minute), 1.0);
        }
        assert!(!everything(series).is_empty());
    }
    assert_eq!(budget.steps(), 10 + 19, "one for each but the idle one");
    all[0].record(START.plus(MINUTE * 20), 1.0);
    assert_eq!(budget.steps(), 20);
}

#[test]
fn a_search_for_idle_series_drops_what_is_old_in_the_others() {
    let (metrics, time) = metrics();
    let held = series(&metrics, "Held");
    held.record(START, 1.0);
    time.advance(Duration::from_hours(HOURS_KEPT) + 6 * MINUTE);
    series(&metrics, "New").record(metrics.now(), 1.0);
    assert_eq!(metrics.steps(), 1);
}

#[test]
fn a_step_takes_as_much_as_is_said_of_it() {
    assert_eq!(size_of::<Step>(), 72);
}

#[test]
fn users_and_millstream_keep_steps_apart() {
    let (metrics, _time) = metrics();
    let own = series(&metrics, "Invocations");
    let key = Key::new(&scope(), "Own", "m", &[], Unit::Count);
    let theirs = metrics.obtain(key, Owner::User).unwrap();
    assert!(!own.shares_budget_with(&theirs) && own.shares_budget_with(&series(&metrics, "Errors")));
}

#[test]
fn prometheus_is_told_totals() {
    let (metrics, time) = metrics();
    let calls = series(&metrics, "Invocations");
    calls.record(START, 1.0);
    time.advance(Duration::from_hours(3));
    calls.record(metrics.now(), 2.0);
    let function = [("FunctionName", "a\"b\\")];
    let duration = metrics.series(&scope(), "AWS/Lambda", "Duration", &function, Unit::Milliseconds);
    duration.record(metrics.now(), 7.0);
    duration.record(metrics.now(), 1e9);
    let with_resource = [("FunctionName", "f"), ("Resource", "f:1")];
    metrics.series(&scope(), "AWS/Lambda", "Invocations", &with_resource, Unit::Count).record(metrics.now(), 1.0);
    metrics.series(&scope(), "Own", "Invocations", &[("FunctionName", "f")], Unit::Count).record(metrics.now(), 1.0);
    let text = metrics.prometheus();
    let labels = r#"account="123456789012",region="us-east-1",function="f""#;
    assert!(text.contains(&format!("\nmillstream_function_invocations_total{{{labels}}} 3\n")), "{text}");
    assert_eq!(text.matches("millstream_function_invocations_total{").count(), 1, "{text}");
    let labels = r#"account="123456789012",region="us-east-1",function="a\"b\\""#;
    for (suffix, le, value) in [
        ("bucket", ",le=\"0.005\"", "0"),
        ("bucket", ",le=\"0.01\"", "1"),
        ("bucket", ",le=\"300\"", "1"),
        ("bucket", ",le=\"+Inf\"", "2"),
        ("sum", "", "1000000.007"),
        ("count", "", "2"),
    ] {
        let line = format!("\nmillstream_function_duration_seconds_{suffix}{{{labels}{le}}} {value}\n");
        assert!(text.contains(&line), "{line} in {text}");
    }
    assert_eq!(text.matches("# TYPE").count(), 2, "{text}");
}

#[test]
fn prometheus_is_told_of_every_series_that_is_held() {
    let (metrics, time) = metrics();
    let calls = series(&metrics, "Invocations");
    calls.record(START, 1.0);
    series(&metrics, "Errors").record(START, 1.0);
    let _unused = series(&metrics, "Throttles");
    time.advance(2 * Duration::from_hours(HOURS_KEPT));
    let text = metrics.prometheus();
    let values: Vec<_> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| (line.split_once('{').unwrap().0, line.rsplit_once(' ').unwrap().1))
        .collect();
    assert_eq!(values, [("millstream_function_invocations_total", "1"), ("millstream_function_throttles_total", "0")]);
}

#[test]
fn prometheus_is_told_how_many_run_now() {
    let (metrics, _time) = metrics();
    let running = series(&metrics, "ConcurrentExecutions");
    assert_eq!((running.raise(), running.raise()), (1, 2));
    running.record_count(START, 2);
    running.lower();
    let text = metrics.prometheus();
    assert!(
        text.lines().any(|l| l.starts_with("millstream_function_concurrent_executions{") && l.ends_with(" 1")),
        "{text}"
    );
}

#[test]
fn labels_are_escaped() {
    assert_eq!(escaped("a\\b\"c\nd"), r#"a\\b\"c\nd"#);
}

proptest! {
    /// What is kept equals the plain rule: minutes for a while, five minutes before that, nothing older. Sums of what is
    /// kept are those of the values, and the shared count of steps is right.
    #[test]
    fn series_keep_what_they_say(values in prop::collection::vec((0_u64..60, 0_u64..200, -5_i32..50), 1..200)) {
        let (metrics, _time) = metrics();
        let calls = series(&metrics, "Invocations");
        let start = START.millis() / 60_000;
        let (mut now, mut expected) = (start, BTreeMap::<u64, f64>::new());
        for (forward, back, value) in values {
            now += forward;
            let minute = now - back;
            let first = |kept: u64| (now - kept) - (now - kept) % MERGED_MINUTES;
            let merged = |minute: u64| minute - minute % MERGED_MINUTES;
            // Age, then add.
            let old = std::mem::take(&mut expected);
            for (at, sum) in old {
                let at = if at < first(MINUTES_KEPT) { merged(at) } else { at };
                if at >= first(HOURS_KEPT * 60) {
                    *expected.entry(at).or_default() += sum;
                }
            }
            let at = if minute < first(MINUTES_KEPT) { merged(minute) } else { minute };
            if minute >= first(HOURS_KEPT * 60) {
                *expected.entry(at).or_default() += f64::from(value);
            }
            let set = StatisticSet::of(value.into(), 1.0);
            calls.record_set(Timestamp::from_millis(now * 60_000), Timestamp::from_millis(minute * 60_000), &set, Spread::Kept);
        }
        let found: BTreeMap<u64, f64> = everything(&calls).iter().map(|step| (step.minute, step.values.set.sum)).collect();
        prop_assert_eq!(&found, &expected);
        prop_assert_eq!(everything(&calls).len(), expected.len());
        prop_assert_eq!(metrics.steps(), expected.len());
    }
}
