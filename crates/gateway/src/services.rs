//! The services behind the gateway.

use millstream_destinations::s3::Buckets;
use millstream_destinations::{Queues, Topics};
use millstream_env::ClockControl;
use millstream_functions::Functions;
use millstream_iam::Iam;
use millstream_mapping::Mappings;
use millstream_streams::Streams;
use millstream_telemetry::{Logs, Metrics};

/// Their handles; clones are the same services.
#[derive(Clone, Debug)]
pub struct Services {
    pub iam: Iam,
    pub streams: Streams,
    pub functions: Functions,
    pub mappings: Mappings,
    pub logs: Logs,
    pub metrics: Metrics,
    /// The clock of all of them.
    pub clock: ClockControl,
    pub buckets: Buckets,
    pub queues: Queues,
    pub topics: Topics,
}
