mod hostile;
mod naive;
mod property;
mod scanner;
mod table;

use millstream_types::Timestamp;

use super::{Filters, InvalidPattern, RecordView};

pub(super) fn parse(patterns: &[&str]) -> Result<Filters, InvalidPattern> {
    Filters::parse(&patterns.iter().map(|pattern| (*pattern).to_owned()).collect::<Vec<_>>())
}

/// Whether a record with `data` passes `patterns`.
#[track_caller]
pub(super) fn passes(patterns: &[&str], data: &[u8]) -> bool {
    parse(patterns).unwrap().matches(&RecordView {
        partition_key: "key-1",
        sequence_number: &"49590338271490256608559692538361571095921575989136588898",
        arrival: Timestamp::from_millis(1_545_084_650_980),
        data,
    })
}
