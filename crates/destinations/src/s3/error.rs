//! Why a call of S3 is refused. The names are S3's codes; the protocol makes its answers of them.

use millstream_blobs::BlobError;
use millstream_catalog::StoreError;

use super::checksum::Algorithm;
use crate::finish::Unfinished;

/// A refused call.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The bucket is another account's, or said to be.
    #[error("Access Denied")]
    AccessDenied,
    #[error("The specified bucket does not exist")]
    NoSuchBucket(String),
    #[error("The specified key does not exist.")]
    NoSuchKey(String),
    #[error(
        "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed."
    )]
    NoSuchUpload(String),
    #[error("Your previous request to create the named bucket succeeded and you already own it.")]
    BucketAlreadyOwnedByYou(String),
    #[error(
        "The requested bucket name is not available. The bucket namespace is shared by all users of the system. Please select a \
         different name and try again."
    )]
    BucketAlreadyExists(String),
    #[error("The bucket you tried to delete is not empty")]
    BucketNotEmpty(String),
    #[error("The specified bucket is not valid.")]
    InvalidBucketName(String),
    #[error("You have attempted to create more buckets than allowed")]
    TooManyBuckets,
    #[error("Your key is too long")]
    KeyTooLong { bytes: usize },
    #[error("Your metadata headers exceed the maximum allowed metadata size")]
    MetadataTooLarge { bytes: usize },
    #[error("Your proposed upload exceeds the maximum allowed size")]
    EntityTooLarge { bytes: u64, bytes_max: u64 },
    #[error("Your proposed upload is smaller than the minimum allowed size")]
    EntityTooSmall { bytes: u64, part: u32 },
    #[error("The Content-MD5 you specified did not match what we received.")]
    BadContentMd5,
    #[error("The {} you specified did not match the calculated checksum.", .0.name())]
    BadChecksum(Algorithm),
    /// The named condition of the request does not hold.
    #[error("At least one of the pre-conditions you specified did not hold")]
    PreconditionFailed(&'static str),
    /// The caller has this already.
    #[error("Not Modified")]
    NotModified { etag: String, modified_ms: u64 },
    #[error("The requested range is not satisfiable")]
    InvalidRange { bytes: u64 },
    #[error(
        "One or more of the specified parts could not be found.  The part may not have been uploaded, or the specified entity \
         tag may not match the part's entity tag."
    )]
    InvalidPart,
    #[error("The list of parts was not in ascending order. The parts list must be specified in order by part number.")]
    InvalidPartOrder,
    #[error("{0}")]
    InvalidRequest(String),
    #[error("{message}")]
    InvalidArgument { name: &'static str, message: String },
    #[error("A conflicting conditional operation is currently in progress against this resource. Please try again.")]
    OperationAborted,
    /// Too much is going on: trying again helps.
    #[error("Please reduce your request rate.")]
    SlowDown,
    /// The disk or the catalog does not work at the moment; the text is for the log.
    #[error("Service is unable to handle request.")]
    Unavailable(String),
    /// As [`Error::Unavailable`], of a change that may have happened all the same: nothing that it refers to may be removed.
    #[error("Service is unable to handle request.")]
    OutcomeUnknown(String),
    /// What is stored cannot be read; the text is for the log.
    #[error("We encountered an internal error. Please try again.")]
    Internal(String),
}

impl Error {
    /// Whether the same call may succeed soon without anybody changing anything.
    pub fn may_pass(&self) -> bool {
        matches!(
            self,
            Self::OperationAborted
                | Self::SlowDown
                | Self::Unavailable(_)
                | Self::OutcomeUnknown(_)
                | Self::Internal(_)
        )
    }

    /// Why a change of the catalog failed. Only of an unavailable catalog it is not known whether the change happened.
    pub(super) fn of_change(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) => Self::OutcomeUnknown(error.to_string()),
            StoreError::Conflict | StoreError::TooLarge | StoreError::Full => error.into(),
        }
    }

    /// Whether what failed may have happened all the same.
    pub(super) fn may_have_happened(&self) -> bool {
        matches!(self, Self::OutcomeUnknown(_))
    }
}

impl From<Unfinished> for Error {
    fn from(error: Unfinished) -> Self {
        Self::OutcomeUnknown(error.to_string())
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict => Self::OperationAborted,
            StoreError::TooLarge | StoreError::Full | StoreError::Unavailable(_) => {
                Self::Unavailable(error.to_string())
            }
        }
    }
}

impl From<BlobError> for Error {
    fn from(error: BlobError) -> Self {
        match error {
            BlobError::Damaged(_) => Self::Internal(error.to_string()),
            BlobError::TooLarge { .. } | BlobError::Full | BlobError::Unavailable(_) => {
                Self::Unavailable(error.to_string())
            }
        }
    }
}
