//! What an ARN is as a destination.

use millstream_types::Arn;

use crate::sns::{self, TopicKey};
use crate::sqs::{self, QueueKey};

/// What a destination is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DestinationKind {
    Queue,
    Topic,
    Bucket,
}

impl DestinationKind {
    /// What an execution role must be allowed so that documents are delivered: actions and resources. `object_key` matters
    /// for buckets only (Lambda guide, "Retaining discarded batches").
    pub fn needs(self, destination: &Arn, object_key: &str) -> Vec<(&'static str, String)> {
        match self {
            Self::Queue => vec![("sqs:SendMessage", destination.to_string())],
            Self::Topic => vec![("sns:Publish", destination.to_string())],
            Self::Bucket => vec![
                ("s3:PutObject", format!("{destination}/{object_key}")),
                ("s3:ListBucket", destination.to_string()),
            ],
        }
    }
}

/// Why an ARN cannot be a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoDestination {
    /// A FIFO queue or topic.
    #[error("FIFO queues and topics cannot be destinations")]
    Fifo,
    #[error("it is neither a standard SQS queue, a standard SNS topic nor an S3 bucket")]
    Unsupported,
}

/// What the ARN is as a destination of failed batches; whether there is such a thing is not asked.
pub fn destination_kind(arn: &Arn) -> Result<DestinationKind, NoDestination> {
    match arn.service.as_str() {
        "sqs" => {
            let queue = QueueKey::from_arn(arn).ok_or(NoDestination::Unsupported)?;
            if sqs::is_fifo(&queue.name) { Err(NoDestination::Fifo) } else { Ok(DestinationKind::Queue) }
        }
        "sns" => {
            let topic = TopicKey::from_arn(arn).ok_or(NoDestination::Unsupported)?;
            if sns::is_fifo(&topic.name) { Err(NoDestination::Fifo) } else { Ok(DestinationKind::Topic) }
        }
        "s3" if is_bucket(arn) => Ok(DestinationKind::Bucket),
        _ => Err(NoDestination::Unsupported),
    }
}

/// `arn:aws:s3:::<bucket>`: 3 to 63 lower-case letters, digits, dots and hyphens.
fn is_bucket(arn: &Arn) -> bool {
    let letters = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'.' || byte == b'-';
    arn.region.is_empty()
        && arn.account.is_empty()
        && (3..=63).contains(&arn.resource.len())
        && arn.resource.bytes().all(letters)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds() {
        let check = |arn: &str, expected| assert_eq!(destination_kind(&arn.parse().unwrap()), expected, "{arn}");
        check("arn:aws:sqs:us-west-2:123456789012:failed", Ok(DestinationKind::Queue));
        check("arn:aws:sns:us-west-2:123456789012:failed", Ok(DestinationKind::Topic));
        check("arn:aws:s3:::failed-batches", Ok(DestinationKind::Bucket));
        check("arn:aws:sqs:us-west-2:123456789012:failed.fifo", Err(NoDestination::Fifo));
        check("arn:aws:sns:us-west-2:123456789012:failed.fifo", Err(NoDestination::Fifo));
        for unsupported in [
            "arn:aws:sqs:us-west-2:123456789012:a/b",
            "arn:aws:sns:us-west-2:123456789012:failed:4e2a",
            "arn:aws:s3:::failed-batches/key",
            "arn:aws:lambda:us-west-2:123456789012:function:f",
        ] {
            check(unsupported, Err(NoDestination::Unsupported));
        }
    }
}
