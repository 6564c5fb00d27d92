//! The guard of the gate: a short load of `PutRecords`, and bounds that a noisy machine keeps.
//!
//! Bounded are the CPU time per GiB of payload and what is written for each byte of it; never wall time. The bound of
//! the CPU time grows with the machine: a yardstick, hashing and copying the same bodies, is measured in turns with the
//! load, and where it takes longer than it did for the baseline, the load may too.

use std::path::Path;
use std::sync::Arc;

use futures_util::future::try_join_all;
use millstream_client::sigv4::sha256;
use millstream_env::Random;
use millstream_testkit::cost::cpu_of_process;
use millstream_wire::direct::Format;
use serde::{Deserialize, Serialize};

use crate::load::{PutRequest, RECORD_BYTES, RECORDS};
use crate::put::SHARDS;
use crate::record::{float, median};
use crate::services::{World, disk_log};

/// Requests at a time, as from so many connections.
const CONNECTIONS: usize = 8;
/// Of each connection, in one round.
const REQUESTS: usize = 8;
const ROUNDS: usize = 7;

/// Times the baseline's CPU time, after the machine is accounted for.
const CPU_FACTOR_MAX: f64 = 2.5;
/// Bytes written for each byte of data and partition key.
const WRITE_AMPLIFICATION_MAX: f64 = 1.10;

/// What the load cost.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Load {
    pub cpu_seconds_per_gib: f64,
    pub yardstick_seconds_per_gib: f64,
    pub write_amplification: f64,
}

/// Puts some rounds of requests into a log in `folder`.
pub async fn measure(folder: &Path) -> anyhow::Result<Load> {
    let log = disk_log(folder)?;
    let world = World::new(Arc::new(log.clone())).await?;
    world.stream("guard", SHARDS).await?;
    let random = Random::seeded(1);
    let requests: Vec<_> = (0..CONNECTIONS).map(|_| PutRequest::new("guard", Format::Json, RECORDS, &random)).collect();
    let gib = float((CONNECTIONS * REQUESTS * RECORDS * RECORD_BYTES) as u64) / f64::from(1 << 30);
    let (mut cpu, mut yardsticks) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        yardsticks.push(yardstick(&requests) / gib);
        let mut spent = 0.0;
        for _ in 0..REQUESTS {
            // Signing is the client's work.
            let signed = requests
                .iter()
                .map(|request| Ok(request.signed(&world.credentials, &world.clock)?.map(|()| request.pieces())));
            let signed = signed.collect::<anyhow::Result<Vec<_>>>()?;
            let before = cpu_of_process();
            try_join_all(signed.into_iter().map(|request| world.answer(request))).await?;
            spent += cpu_of_process().saturating_sub(before).as_secs_f64();
        }
        cpu.push(spent / gib);
    }
    let stats = log.stats();
    log.close().await;
    Ok(Load {
        cpu_seconds_per_gib: median(cpu),
        yardstick_seconds_per_gib: median(yardsticks),
        write_amplification: float(stats.written_bytes) / float(stats.payload_bytes),
    })
}

/// CPU seconds of hashing and copying what one round puts.
fn yardstick(requests: &[PutRequest]) -> f64 {
    let before = cpu_of_process();
    for request in requests {
        for _ in 0..REQUESTS {
            std::hint::black_box(sha256(&request.body));
            std::hint::black_box(request.body.to_vec());
        }
    }
    cpu_of_process().saturating_sub(before).as_secs_f64()
}

/// What `load` does not keep of the bounds that `baseline` gives; empty when all is well.
pub fn judge(load: &Load, baseline: &Load) -> Vec<String> {
    let mut faults = Vec::new();
    let slower = (load.yardstick_seconds_per_gib / baseline.yardstick_seconds_per_gib).max(1.0);
    let cpu_max = baseline.cpu_seconds_per_gib * CPU_FACTOR_MAX * slower;
    if load.cpu_seconds_per_gib > cpu_max {
        faults.push(format!(
            "PutRecords takes {:.2} CPU-s per GiB; the bound is {cpu_max:.2}: {CPU_FACTOR_MAX} x the baseline's {:.2} on \
             a machine that is {slower:.2} x slower",
            load.cpu_seconds_per_gib, baseline.cpu_seconds_per_gib
        ));
    }
    if load.write_amplification > WRITE_AMPLIFICATION_MAX {
        faults.push(format!(
            "the log writes {:.3} bytes for each byte put; the bound is {WRITE_AMPLIFICATION_MAX}",
            load.write_amplification
        ));
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bounds_are_kept_or_named() {
        let baseline = Load { cpu_seconds_per_gib: 4.0, yardstick_seconds_per_gib: 1.0, write_amplification: 1.03 };
        assert_eq!(judge(&baseline, &baseline), [""; 0]);
        let slow = Load { cpu_seconds_per_gib: 11.0, ..baseline };
        assert_eq!(judge(&slow, &baseline).len(), 1);
        let on_a_slow_machine = Load { yardstick_seconds_per_gib: 1.5, ..slow };
        assert_eq!(judge(&on_a_slow_machine, &baseline), [""; 0]);
        let on_a_fast_machine = Load { yardstick_seconds_per_gib: 0.1, ..slow };
        assert_eq!(judge(&on_a_fast_machine, &baseline).len(), 1);
        let wasteful = Load { write_amplification: 1.2, ..baseline };
        assert_eq!(judge(&wasteful, &baseline).len(), 1);
    }
}
