//! Where the destinations of each service are.

use std::sync::Arc;

use millstream_blobs::SharedBlobs;
use millstream_catalog::SharedStore;
use millstream_env::{HostClock, Random, ServiceClock, Tasks};

use crate::external::External;
use crate::s3::{self, Buckets};
use crate::sns::{self, Topics};
use crate::sqs::{self, Queues};

/// The services of destinations. Clones are the same.
#[derive(Clone, Debug)]
pub struct Places {
    pub sqs: Queues,
    pub sns: Topics,
    pub s3: Buckets,
    /// Services that are outside take precedence over those here.
    pub outside: External,
}

/// What the built-in services are made from.
#[derive(Clone, Debug)]
pub struct Parts {
    pub catalog: SharedStore,
    /// Long contents of queues' messages.
    pub messages: SharedBlobs,
    /// Contents of objects.
    pub objects: SharedBlobs,
    pub clock: ServiceClock,
    pub host_clock: HostClock,
    pub random: Random,
    pub tasks: Tasks,
    /// Told to stop first of all: long polls then end.
    pub requests: Tasks,
    /// `http://ADDR:PORT`, for what names its own place.
    pub endpoint: String,
    pub outside: External,
}

/// Something that is kept cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("queues cannot be opened: {0}")]
    Queues(#[from] sqs::OpenError),
    #[error("buckets cannot be opened: {0}")]
    Buckets(#[from] s3::Error),
}

impl Places {
    /// The built-in services with what is kept of them.
    pub async fn open(parts: Parts) -> Result<Self, OpenError> {
        let Parts { catalog, messages, objects, clock, host_clock, random, tasks, requests, endpoint, outside } = parts;
        let sqs = Queues::open(sqs::Parts {
            catalog: Arc::clone(&catalog),
            blobs: messages,
            clock: clock.clone(),
            host_clock: host_clock.clone(),
            random: random.clone(),
            tasks: tasks.clone(),
            requests,
        })
        .await?;
        let sns = Topics::new(sns::Parts {
            catalog: Arc::clone(&catalog),
            queues: sqs.clone(),
            clock: clock.clone(),
            random: random.clone(),
            endpoint,
        });
        let s3 = Buckets::open(s3::Parts { catalog, blobs: objects, clock, host_clock, random, tasks }).await?;
        Ok(Self { sqs, sns, s3, outside })
    }
}
