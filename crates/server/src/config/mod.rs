//! What a server is told: settings from flags, environment and file, and the checked whole.

pub(crate) mod destinations;
mod settings;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use millstream_destinations::external;
use millstream_env::Timestamp;

use crate::server::storage::LogLimits;
pub(crate) use settings::{Auth, Clock, Isolation, LogFormat, Moment, Settings, ShardLimits, refuse_unknown_variables};

/// The port of the endpoint: the one people's AWS tools are already pointed at when they work locally.
pub(crate) const DEFAULT_LISTEN: &str = "127.0.0.1:4566";

/// A server's configuration: complete and without contradictions.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) storage: Storage,
    pub(crate) listen: SocketAddr,
    pub(crate) log_limits: LogLimits,
    /// What records' time is told by.
    pub(crate) clock: Clock,
    /// When a virtual clock begins; `None` for the present time.
    pub(crate) clock_start: Option<Timestamp>,
    pub(crate) isolation: Isolation,
    pub(crate) shard_limits: ShardLimits,
    pub(crate) strict_runtimes: bool,
    /// User ids for functions when the server runs as root; `None` leaves the runtime's default.
    pub(crate) function_uids: Option<RangeInclusive<u32>>,
    /// Where the run directory of functions is made; `None` takes the system's place for temporary files.
    pub(crate) run_dir: Option<PathBuf>,
    pub(crate) allow_origins: Vec<String>,
    pub(crate) host_names: Vec<String>,
    /// Services outside that take failed batches.
    pub(crate) external: external::Options,
}

/// Where everything is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Storage {
    /// In memory: gone with the process.
    Memory,
    Folder(PathBuf),
}

impl Config {
    /// Takes settings whose sources are merged already, and checks them.
    pub(crate) fn new(settings: Settings) -> anyhow::Result<Self> {
        let ephemeral = settings.ephemeral.unwrap_or(false);
        if ephemeral && settings.data_dir.is_some() {
            anyhow::bail!("--ephemeral keeps everything in memory, so --data-dir has no use beside it; leave one out");
        }
        if ephemeral && (settings.log_bytes_max.is_some() || settings.disk_free_min.is_some()) {
            anyhow::bail!("--log-bytes-max and --disk-free-min are about the disk, which --ephemeral does not use");
        }
        if settings.clock == Some(Clock::Virtual) && !ephemeral {
            anyhow::bail!(
                "--clock virtual needs --ephemeral: records that are kept would get times that other runs of the server \
                 take for the future"
            );
        }
        if settings.clock_start.is_some() && settings.clock != Some(Clock::Virtual) {
            anyhow::bail!("--clock-start is for a clock that can be set: it needs --clock virtual");
        }
        if settings.auth == Some(Auth::Enforce) {
            anyhow::bail!("--auth enforce is not available in this version; only --auth open is");
        }
        let listen: SocketAddr = match settings.listen {
            Some(listen) => listen,
            None => DEFAULT_LISTEN.parse().expect("a valid address"),
        };
        if !listen.ip().is_loopback() && settings.allow_open_network != Some(true) {
            anyhow::bail!(
                "--listen {listen} can be reached from the network, where anybody could act as the root of any account; \
                 listen on 127.0.0.1, or give --allow-open-network if that is what you want"
            );
        }
        Ok(Self {
            storage: if ephemeral {
                Storage::Memory
            } else {
                Storage::Folder(settings.data_dir.unwrap_or_else(|| PathBuf::from("millstream-data")))
            },
            listen,
            log_limits: LogLimits {
                bytes_max: settings.log_bytes_max.map(|size| size.0),
                disk_free_min: settings.disk_free_min.map(|size| size.0),
            },
            clock: settings.clock.unwrap_or_default(),
            clock_start: settings.clock_start.map(|moment| moment.0),
            isolation: settings.isolation.unwrap_or_default(),
            shard_limits: settings.shard_limits.unwrap_or_default(),
            strict_runtimes: settings.strict_runtimes.unwrap_or(false),
            function_uids: settings.function_uids.map(|uids| uids.0),
            run_dir: settings.run_dir,
            allow_origins: settings.allow_origin,
            host_names: settings.host_name,
            external: destinations::external(&settings.destination, settings.destination_ca.as_deref(), &|name| {
                std::env::var(name).ok()
            })?,
        })
    }

    /// Everything in memory, on a free port of this machine only: for commands that bring their own server.
    pub(crate) fn local() -> Self {
        Self {
            storage: Storage::Memory,
            listen: ([127, 0, 0, 1], 0).into(),
            log_limits: LogLimits::default(),
            clock: Clock::default(),
            clock_start: None,
            isolation: Isolation::default(),
            shard_limits: ShardLimits::default(),
            strict_runtimes: false,
            function_uids: None,
            run_dir: None,
            allow_origins: Vec::new(),
            host_names: Vec::new(),
            external: external::Options::default(),
        }
    }
}
