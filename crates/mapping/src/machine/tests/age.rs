//! `MaximumRecordAgeInSeconds` (event source mapping reference, section 6.2).

use super::*;

fn age(batch_size: usize, retries_max: Option<u32>) -> Settings {
    Settings { record_age_max: Some(Duration::from_mins(1)), retries_max, ..settings(batch_size) }
}

#[test]
fn old_records_of_a_mixed_batch_are_given_up_and_the_fresh_ones_sent() {
    // Recorded: one record of 80 s and five new ones.
    let mut stream = vec![arrived(0, 0)];
    stream.extend((1..6).map(|position| arrived(position, 80_000)));
    let played = play(age(10, Some(0)), &stream, 80_000, |_, _| answers(""));
    assert_eq!(played.batches(), ["1..=5"]);
    assert_eq!(played.failures(), ["0 RecordAgeExceeded 1"]);
    assert_eq!(progress_text(&played.progress), "6");
}

#[test]
fn records_that_are_old_at_their_first_read_count_one_try_without_an_invocation() {
    let played = play(age(10, Some(0)), &records(0..3), 60_000, |_, _| answers(""));
    assert_eq!(played.deliveries, [""; 0]);
    assert_eq!(played.failures(), ["0..=2 RecordAgeExceeded 1"]);
    assert_eq!(played.failed[0].invocation, None);
    assert!(!played.failed[0].reason.has_response(), "such a record says nothing of a response");
    assert_eq!(played.history.last().unwrap().outcome, BatchOutcome::TooOld);
}

#[test]
fn a_record_becomes_too_old_at_its_very_age() {
    let played = play(age(10, None), &records(0..1), 59_999, |_, _| answers(""));
    assert_eq!(played.deliveries, ["59999: 0"]);
}

#[test]
fn a_record_that_becomes_too_old_while_it_is_retried_counts_eight_tries() {
    // Recorded with endless retries, 60 s, and a function that fails at once.
    let mut last = 0;
    let played = play(age(1, None), &records(0..1), 0, |now, _| {
        last = now;
        fails()
    });
    assert_eq!(played.failures(), ["0 RecordAgeExceeded 8"]);
    assert_eq!(last, 31_500);
    assert_eq!(played.failed[0].at, at(60_000), "it does not wait for the next try");
}

#[test]
fn throttled_records_become_too_old() {
    let played = play(age(2, Some(0)), &records(0..2), 0, |_, _| throttled());
    assert_eq!(played.failures(), ["0..=1 RecordAgeExceeded 1"]);
}

#[test]
fn a_waiting_batch_loses_its_old_records_and_the_others_are_tried_again() {
    let stream = [arrived(0, 0), arrived(1, 30_000)];
    let played = play(age(2, None), &stream, 30_000, |now, _| if now < 61_000 { fails() } else { answers("") });
    assert_eq!(played.failures(), ["0 RecordAgeExceeded 7"]);
    assert_eq!(played.batches().last(), Some(&"1"));
    assert_eq!(played.deliveries_of(1), 7);
    assert_eq!(progress_text(&played.progress), "2");
}

#[test]
fn records_that_wait_behind_a_failing_batch_become_too_old() {
    let played =
        play(age(1, None), &records(0..3), 0, |_, records| if has(records, 0) { fails() } else { answers("") });
    assert_eq!(played.failures(), ["0 RecordAgeExceeded 8", "1 RecordAgeExceeded 1", "2 RecordAgeExceeded 1"]);
}

#[test]
fn without_a_limit_no_record_is_too_old() {
    let played = play(settings(1), &records(0..1), 86_400_000, |_, _| answers(""));
    assert_eq!(played.batches(), ["0"]);
}
