//! The settings of a simulated mapping, at random.

use std::sync::Arc;
use std::time::Duration;

use millstream_env::Random;
use millstream_log::Record;

use crate::filter::{Filters, RecordView};
use crate::machine::Settings;

/// Partition keys of the simulated producers.
pub(super) const KEYS: [&str; 7] = ["a", "b", "c", "d", "e", "f", "g"];

/// Settings of any combination that a mapping can have.
pub(super) fn random(random: &Random) -> Settings {
    let below = |bound| random.below(bound) as usize;
    let tumbling_window = [None, None, None, Some(10), Some(60)][below(5)].map(Duration::from_secs);
    let filters: &[&str] = match below(4) {
        0 => &[r#"{"partitionKey":["a","b","c"]}"#],
        1 => &[r#"{"data":{"n":[{"numeric":[">",20]}]}}"#, r#"{"partitionKey":[{"prefix":"g"}]}"#],
        _ => &[],
    };
    let patterns: Vec<String> = filters.iter().map(|pattern| (*pattern).to_owned()).collect();
    Settings {
        batch_size: [1, 2, 3, 10, 100][below(5)],
        batching_window: Duration::from_secs([0, 0, 1, 5][below(4)]),
        lanes: if tumbling_window.is_some() { 1 } else { [1, 1, 2, 3, 10][below(5)] },
        retries_max: [None, None, Some(0), Some(1), Some(3)][below(5)],
        record_age_max: [None, None, Some(60), Some(90)][below(4)].map(Duration::from_secs),
        bisect: below(2) == 0,
        partial_failures: below(2) == 0,
        tumbling_window,
        taken_apart: None,
        filters: Arc::new(Filters::parse(&patterns).expect("valid patterns")),
    }
}

/// Whether the filters let `record` pass.
pub(super) fn passes(settings: &Settings, record: &Record) -> bool {
    settings.filters.matches(&RecordView {
        partition_key: std::str::from_utf8(&record.partition_key).expect("the keys above"),
        sequence_number: &"0",
        arrival: record.arrival,
        data: &record.data,
    })
}
