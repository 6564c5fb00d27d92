//! The services behind the gateway.

use millstream_iam::Iam;
use millstream_streams::Streams;

/// Their handles; clones are the same services.
#[derive(Clone, Debug)]
pub struct Services {
    pub iam: Iam,
    pub streams: Streams,
}
