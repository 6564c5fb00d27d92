mod classes;
mod cold;
mod crash;
mod damage;
mod faults;
mod lone;
mod model;
mod sample;
mod tags;

use std::sync::Arc;

use millstream_env::{Disk, HostClock, Random, RealDisk, ServiceClock, Tasks};
use millstream_testkit::SimDisk;

use super::*;
use crate::conformance::support::START;
use crate::conformance::{Fixture, Settings};

pub(crate) fn small(folder: impl Into<std::path::PathBuf>) -> Options {
    Options {
        block_bytes: 64 << 10,
        segment_bytes_min: 128 << 10,
        segment_bytes_max: 256 << 10,
        tail_cache_bytes_max: 1 << 20,
        disk_free_min: 0,
        idle_after: Duration::from_millis(5),
        housekeeping_every: Duration::from_millis(5),
        ..Options::new(folder)
    }
}

pub(crate) fn environment(disk: Arc<dyn Disk>, clock: ServiceClock) -> Environment {
    Environment {
        disk,
        service_clock: clock,
        host_clock: HostClock::real(),
        random: Random::seeded(1),
        tasks: Tasks::new(),
    }
}

fn fixture_on(disk: Arc<dyn Disk>, options: Options, keep: Box<dyn std::any::Any + Send>) -> Fixture {
    let (clock, time) = ServiceClock::virtual_at(START);
    let (log, _) = DiskLog::open(options, environment(disk, clock)).expect("a new folder can be opened");
    Fixture { log: Arc::new(log), time, keep }
}

fn with(settings: Settings, options: Options) -> Options {
    Options {
        admitted_bytes_max: settings.admitted_bytes_max,
        admission_wait_max: settings.admission_wait_max,
        ..options
    }
}

mod real_disk {
    use super::*;

    async fn fixture(settings: Settings) -> Fixture {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let options = with(settings, Options { disk_free_min: 0, ..Options::new(folder.path()) });
        fixture_on(Arc::new(RealDisk), options, Box::new(folder))
    }

    crate::conformance_suite!(fixture);
}

/// Small blocks and segments and hardly any cache: everything rolls, and reads go to the files.
mod small_segments {
    use super::*;

    async fn fixture(settings: Settings) -> Fixture {
        let options = Options { tail_cache_bytes_max: 0, ..with(settings, small("/data")) };
        fixture_on(Arc::new(SimDisk::new(1)), options, Box::new(()))
    }

    crate::conformance_suite!(fixture);
}
