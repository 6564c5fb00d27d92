//! Every setting once: as a flag, as an environment variable and as a key of the configuration file.

use std::fmt;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::Context;
use clap::{Args, ValueEnum};
use millstream_env::Timestamp;
use serde::Deserialize;

use super::destinations::Destination;

/// The settings of `serve`. The keys of the file are the long flags; a flag goes before its variable, that before the file.
#[derive(Args, Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Settings {
    /// A TOML file with the same keys as these flags
    #[arg(long, value_name = "FILE", env = "MILLSTREAM_CONFIG")]
    #[serde(skip)]
    pub(crate) config: Option<PathBuf>,

    /// Where records, functions and everything else is kept [default: ./millstream-data]
    #[arg(long, value_name = "DIR", env = "MILLSTREAM_DATA_DIR")]
    pub(crate) data_dir: Option<PathBuf>,

    /// Keep everything in memory: nothing survives the end of the process
    #[arg(long, value_name = "BOOL", env = "MILLSTREAM_EPHEMERAL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) ephemeral: Option<bool>,

    /// Remove the oldest records beyond this size of the log, even before their retention ends [default: no limit]
    #[arg(long, value_name = "SIZE", env = "MILLSTREAM_LOG_BYTES_MAX")]
    pub(crate) log_bytes_max: Option<Size>,

    /// Refuse new records while the disk has less free space than this [default: 2GiB]
    #[arg(long, value_name = "SIZE", env = "MILLSTREAM_DISK_FREE_MIN")]
    pub(crate) disk_free_min: Option<Size>,

    /// The address of the endpoint; port 0 takes a free one [default: 127.0.0.1:4566]
    #[arg(long, value_name = "ADDR:PORT", env = "MILLSTREAM_LISTEN")]
    pub(crate) listen: Option<SocketAddr>,

    /// Who may call: `open` takes any foreign access key for its account's root [default: open]
    #[arg(long, env = "MILLSTREAM_AUTH")]
    pub(crate) auth: Option<Auth>,

    /// Allow an address that other machines can reach, although nobody's signature is checked
    #[arg(long, value_name = "BOOL", env = "MILLSTREAM_ALLOW_OPEN_NETWORK", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) allow_open_network: Option<bool>,

    /// A web page that may call this server, such as `https://app.example`; may be repeated, `*` means any
    #[arg(long, value_name = "ORIGIN", env = "MILLSTREAM_ALLOW_ORIGIN", value_delimiter = ',')]
    pub(crate) allow_origin: Vec<String>,

    /// A name under which clients reach this server, besides localhost and IP addresses; may be repeated
    #[arg(long, value_name = "NAME", env = "MILLSTREAM_HOST_NAME", value_delimiter = ',')]
    pub(crate) host_name: Vec<String>,

    /// A service outside for failed batches, such as `s3=https://minio.example:9000`; may be repeated, for `sqs`, `sns` and `s3`.
    /// The environment has its credentials, as `MILLSTREAM_DESTINATION_ACCESS_KEY_ID`, `MILLSTREAM_DESTINATION_SECRET_ACCESS_KEY`
    /// and perhaps `MILLSTREAM_DESTINATION_SESSION_TOKEN`, or as `AWS_ACCESS_KEY_ID` and so on
    #[arg(long, value_name = "SERVICE=URL", env = "MILLSTREAM_DESTINATION", value_delimiter = ',')]
    pub(crate) destination: Vec<Destination>,

    /// A file of PEM certificates that such services are also trusted by
    #[arg(long, value_name = "FILE", env = "MILLSTREAM_DESTINATION_CA")]
    pub(crate) destination_ca: Option<PathBuf>,

    /// Whether shards and operations take only as much a second as at AWS, or as much as this machine can [default: off]
    #[arg(long, env = "MILLSTREAM_SHARD_LIMITS")]
    pub(crate) shard_limits: Option<ShardLimits>,

    /// The clock that records, retention, batching windows and retries go by: the real one, or one that stands still until
    /// `millstream clock advance` moves it, for tests; needs --ephemeral [default: real]
    #[arg(long, env = "MILLSTREAM_CLOCK")]
    pub(crate) clock: Option<Clock>,

    /// When a virtual clock begins, such as 2026-01-31T08:00:00Z [default: the present time]
    #[arg(long, value_name = "TIMESTAMP", env = "MILLSTREAM_CLOCK_START")]
    pub(crate) clock_start: Option<Moment>,

    /// How functions are kept apart from this machine and from each other [default: auto]
    #[arg(long, env = "MILLSTREAM_ISOLATION")]
    pub(crate) isolation: Option<Isolation>,

    /// Refuse a function whose exact runtime version is not installed, instead of taking the nearest one
    #[arg(long, value_name = "BOOL", env = "MILLSTREAM_STRICT_RUNTIMES", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) strict_runtimes: Option<bool>,

    /// The user ids that functions run under when the server runs as root
    #[arg(long, value_name = "FIRST-LAST", env = "MILLSTREAM_FUNCTION_UIDS")]
    pub(crate) function_uids: Option<Uids>,

    /// Where the run directory of functions is made: a place that other users may enter
    #[arg(long, value_name = "DIR", env = "MILLSTREAM_RUN_DIR")]
    pub(crate) run_dir: Option<PathBuf>,

    /// The form of this server's own log [default: text]
    #[arg(long, env = "MILLSTREAM_LOG_FORMAT")]
    pub(crate) log_format: Option<LogFormat>,

    /// How much is logged: error, warn, info, debug, or `tracing` directives [default: info]
    #[arg(long, value_name = "FILTER", env = "MILLSTREAM_LOG")]
    pub(crate) log: Option<String>,
}

impl Settings {
    /// These settings, completed by those of the configuration file that they name.
    pub(crate) fn with_file(self) -> anyhow::Result<Self> {
        let Some(path) = &self.config else { return Ok(self) };
        let file = read(path).with_context(|| format!("the configuration file {} is not usable", path.display()))?;
        Ok(self.or(file))
    }

    fn or(self, file: Self) -> Self {
        let either = |mine: Vec<String>, other| if mine.is_empty() { other } else { mine };
        Self {
            config: self.config,
            // A place given nearer decides the kind of storage too: `--ephemeral` beside a file with `data-dir`.
            data_dir: if self.ephemeral == Some(true) { self.data_dir } else { self.data_dir.or(file.data_dir) },
            ephemeral: self.ephemeral.or(file.ephemeral),
            log_bytes_max: self.log_bytes_max.or(file.log_bytes_max),
            disk_free_min: self.disk_free_min.or(file.disk_free_min),
            listen: self.listen.or(file.listen),
            auth: self.auth.or(file.auth),
            allow_open_network: self.allow_open_network.or(file.allow_open_network),
            allow_origin: either(self.allow_origin, file.allow_origin),
            host_name: either(self.host_name, file.host_name),
            destination: if self.destination.is_empty() { file.destination } else { self.destination },
            destination_ca: self.destination_ca.or(file.destination_ca),
            shard_limits: self.shard_limits.or(file.shard_limits),
            clock: self.clock.or(file.clock),
            clock_start: self.clock_start.or(file.clock_start),
            isolation: self.isolation.or(file.isolation),
            strict_runtimes: self.strict_runtimes.or(file.strict_runtimes),
            function_uids: self.function_uids.or(file.function_uids),
            run_dir: self.run_dir.or(file.run_dir),
            log_format: self.log_format.or(file.log_format),
            log: self.log.or(file.log),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the configuration is read before there is anything to inject")]
fn read(path: &Path) -> anyhow::Result<Settings> {
    let text = String::from_utf8(std::fs::read(path)?)?;
    Ok(toml::from_str(&text)?)
}

/// Refuses variables of the environment that look like settings and are none: a misspelt one would be ignored.
pub(crate) fn refuse_unknown_variables(
    known: &[String],
    present: impl IntoIterator<Item = String>,
) -> anyhow::Result<()> {
    for name in present {
        let ours = name.starts_with("MILLSTREAM_") && !name.starts_with("MILLSTREAM_TEST_");
        if ours && !known.contains(&name) {
            anyhow::bail!("the environment variable {name} is no setting; the settings are {}", known.join(", "));
        }
    }
    Ok(())
}

/// Whether signatures are required.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Auth {
    Open,
    Enforce,
}

/// Limits of throughput and of calls.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ShardLimits {
    /// No limits
    #[default]
    Off,
    /// For a shard 1 MiB or 1000 records in and 2 MiB or 5 reads out a second, 2 MiB a second more for each enhanced consumer,
    /// and AWS's limits of calls per second
    Aws,
}

/// What records' time is told by.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Clock {
    /// The time of this machine
    #[default]
    Real,
    /// Stands still until it is moved; begins at the time of the start
    Virtual,
}

/// See `millstream_runtime::Isolation`.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Isolation {
    /// The best that this machine offers; without any, functions are refused
    #[default]
    Auto,
    /// None at all: for debugging, not as root
    None,
}

/// The form of the server's log.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LogFormat {
    #[default]
    Text,
    Json,
}

/// A moment as RFC 3339 writes it, not before 1970.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(try_from = "String")]
pub(crate) struct Moment(pub(crate) Timestamp);

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = time::OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339).ok();
        let millis = parsed.and_then(|moment| u64::try_from(moment.unix_timestamp_nanos() / 1_000_000).ok());
        let moment = millis.map(|millis| Self(Timestamp::from_millis(millis)));
        moment.ok_or_else(|| format!("{text:?} is not a moment such as 2026-01-31T08:00:00Z"))
    }
}

impl TryFrom<String> for Moment {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// Prints in UTC.
impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = i128::from(self.0.millis()) * 1_000_000;
        let moment = time::OffsetDateTime::from_unix_timestamp_nanos(nanos).map_err(|_| fmt::Error)?;
        f.write_str(&moment.format(&time::format_description::well_known::Rfc3339).map_err(|_| fmt::Error)?)
    }
}

/// `FIRST-LAST`, both included.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(try_from = "String")]
pub(crate) struct Uids(pub(crate) RangeInclusive<u32>);

impl FromStr for Uids {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let range = text.split_once('-').and_then(|(first, last)| Some(first.parse().ok()?..=last.parse().ok()?));
        match range {
            Some(range) if *range.start() > 0 && range.start() <= range.end() => Ok(Self(range)),
            _ => Err(format!("{text:?} is not a range of user ids without root, such as 700000-700999")),
        }
    }
}

impl TryFrom<String> for Uids {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl fmt::Display for Uids {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.0.start(), self.0.end())
    }
}

/// Bytes: a whole number, perhaps with `KiB`, `MiB`, `GiB` or `TiB`.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(try_from = "String")]
pub(crate) struct Size(pub(crate) u64);

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let units = [("KiB", 10), ("MiB", 20), ("GiB", 30), ("TiB", 40), ("", 0)];
        let (number, shift) = units
            .iter()
            .find_map(|(unit, shift)| Some((text.strip_suffix(unit)?, *shift)))
            .expect("every text ends with nothing");
        let bytes = number.trim_end().parse::<u64>().ok().and_then(|number| number.checked_mul(1 << shift));
        bytes.map(Self).ok_or_else(|| format!("{text:?} is not a size such as 500MiB, 20GiB or a number of bytes"))
    }
}

impl TryFrom<String> for Size {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}
