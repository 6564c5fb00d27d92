//! What event source mappings ask of a destination.

use std::fmt::Debug;
use std::sync::Arc;

use bytes::Bytes;
use millstream_env::BoxFuture;
use millstream_types::{Arn, Region};

/// One document for one destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// A standard SQS queue, a standard SNS topic or an S3 bucket.
    pub destination: Arn,
    /// The execution role in whose name it is sent; it needs `sqs:SendMessage`, `sns:Publish`, or `s3:PutObject` and
    /// `s3:ListBucket`.
    pub role_arn: String,
    /// The region of the event source mapping: the ARN of a bucket names none.
    pub region: Region,
    /// The body of the message or object: JSON.
    pub document: Bytes,
    /// The key of the object; only S3 looks at it.
    pub object_key: String,
}

/// Why a document was not delivered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeliveryError {
    /// Trying again soon may help.
    #[error("the destination cannot be reached at the moment: {0}")]
    Unavailable(String),
    /// Trying again does not help before somebody changes something: no such queue, no permission, a document that is
    /// too large.
    #[error("the destination refuses: {0}")]
    Refused(String),
}

/// Delivers documents.
pub trait Deliver: Send + Sync + Debug {
    /// Sends once. When it returns `Ok`, the document is durable at the destination.
    fn deliver(&self, delivery: Delivery) -> BoxFuture<'_, Result<(), DeliveryError>>;
}

/// A shared [`Deliver`].
pub type SharedDeliver = Arc<dyn Deliver>;
