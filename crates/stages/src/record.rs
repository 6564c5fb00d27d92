//! What the stages have spent.

use std::collections::BTreeMap;
use std::time::Duration;

use millstream_testkit::cost::{Allocations, cpu_of_process};
use serde::{Deserialize, Serialize};

/// The beginning of a stage's run.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    cpu: Duration,
    allocations: Allocations,
}

impl Mark {
    /// From here on. Threads of the log count too: a commit is mostly theirs.
    pub fn now() -> Self {
        // The clock last, and first at the end, so that reading the counters is not counted.
        let allocations = Allocations::of_process();
        Self { cpu: cpu_of_process(), allocations }
    }
}

/// What one stage cost in the end.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    pub cpu_ns_per_record: f64,
    pub cpu_seconds_per_gib: f64,
    pub allocations_per_record: f64,
    pub allocated_bytes_per_record: f64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    cpu: Duration,
    allocations: Allocations,
    records: usize,
    bytes: usize,
}

impl Sum {
    fn figures(&self) -> Figures {
        let (records, gib) = (float(self.records as u64), float(self.bytes as u64) / f64::from(1 << 30));
        Figures {
            cpu_ns_per_record: self.cpu.as_secs_f64() * 1e9 / records,
            cpu_seconds_per_gib: self.cpu.as_secs_f64() / gib,
            allocations_per_record: float(self.allocations.count) / records,
            allocated_bytes_per_record: float(self.allocations.bytes) / records,
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
pub fn float(number: u64) -> f64 {
    number as f64
}

/// The stages of one round, in the order in which they first came.
#[derive(Debug, Default)]
pub struct Recorder {
    stages: Vec<(String, Sum)>,
}

impl Recorder {
    /// Ends the run of a stage that began at `mark` and was about `records` records with `bytes` bytes of data.
    pub fn end(&mut self, mark: Mark, stage: &str, records: usize, bytes: usize) {
        let cpu = cpu_of_process().saturating_sub(mark.cpu);
        let allocations = Allocations::of_process() - mark.allocations;
        let place = self.stages.iter().position(|(name, _)| name == stage).unwrap_or_else(|| {
            self.stages.push((stage.to_owned(), Sum::default()));
            self.stages.len() - 1
        });
        let sum = &mut self.stages[place].1;
        sum.cpu += cpu;
        sum.allocations = sum.allocations + allocations;
        sum.records += records;
        sum.bytes += bytes;
    }
}

/// The median of each figure over rounds, in the order of the stages.
pub fn medians(rounds: &[Recorder]) -> Vec<(String, Figures)> {
    let mut all: BTreeMap<&str, Vec<Figures>> = BTreeMap::new();
    for (name, sum) in rounds.iter().flat_map(|round| &round.stages) {
        all.entry(name).or_default().push(sum.figures());
    }
    let stages = rounds.first().map(|round| round.stages.as_slice()).unwrap_or_default();
    let of_stage = |(name, _): &(String, Sum)| {
        let figures = &all[name.as_str()];
        let median_of = |figure: fn(&Figures) -> f64| median(figures.iter().map(figure).collect());
        let median = Figures {
            cpu_ns_per_record: median_of(|f| f.cpu_ns_per_record),
            cpu_seconds_per_gib: median_of(|f| f.cpu_seconds_per_gib),
            allocations_per_record: median_of(|f| f.allocations_per_record),
            allocated_bytes_per_record: median_of(|f| f.allocated_bytes_per_record),
        };
        (name.clone(), median)
    };
    stages.iter().map(of_stage).collect()
}

/// The middle one; `values` holds at least one.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_rounds_is_reported_per_record() {
        let round = |count: u64, micros: u64| {
            let sum = Sum {
                cpu: Duration::from_micros(micros),
                allocations: Allocations { count, bytes: 10 * count },
                records: 10,
                bytes: 1 << 20,
            };
            Recorder { stages: vec![("parse".to_owned(), sum)] }
        };
        let medians = medians(&[round(100, 1), round(20, 3), round(30, 2)]);
        let expected = Figures {
            cpu_ns_per_record: 200.0,
            cpu_seconds_per_gib: 0.002_048,
            allocations_per_record: 3.0,
            allocated_bytes_per_record: 30.0,
        };
        let [(name, figures)] = &medians[..] else { panic!("one stage") };
        assert_eq!(name, "parse");
        assert!((figures.cpu_ns_per_record - expected.cpu_ns_per_record).abs() < 1e-6);
        assert!((figures.cpu_seconds_per_gib - expected.cpu_seconds_per_gib).abs() < 1e-9);
        assert!((figures.allocations_per_record - expected.allocations_per_record).abs() < 1e-9);
        assert!((figures.allocated_bytes_per_record - expected.allocated_bytes_per_record).abs() < 1e-9);
    }
}
