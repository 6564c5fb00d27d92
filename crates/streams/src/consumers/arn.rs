//! The name of one consumer for ever.

use millstream_types::{Arn, Scope};

use crate::names::{StreamName, is_stream_name};

/// `<stream ARN>/consumer/<name>:<creation>`: a name that is registered again makes another consumer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ConsumerArn {
    pub stream: StreamName,
    /// 1 to 128 of `[a-zA-Z0-9_.-]`.
    pub name: String,
    /// When it was registered, in seconds since the epoch.
    pub created: u64,
}

impl ConsumerArn {
    pub fn arn(&self) -> Arn {
        let Self { stream, name, created } = self;
        stream.scope.arn("kinesis", format_args!("stream/{}/consumer/{name}:{created}", stream.name))
    }

    /// The consumer that an ARN names; `None` when it names something else.
    pub fn from_arn(arn: &Arn) -> Option<Self> {
        let (stream, consumer) = arn.resource.strip_prefix("stream/")?.split_once("/consumer/")?;
        let (name, created) = consumer.split_once(':')?;
        // The canonical form only: a consumer has one ARN, and policies compare texts.
        let created = created.parse().ok().filter(|seconds: &u64| seconds.to_string() == created)?;
        let scope = Scope { account: arn.account.parse().ok()?, region: arn.region.parse().ok()? };
        let fits = arn.service == "kinesis" && arn.partition == "aws" && is_stream_name(stream) && is_stream_name(name);
        let stream = StreamName { scope, name: stream.to_owned() };
        fits.then(|| Self { stream, name: name.to_owned(), created })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arns_round_trip() {
        let arn: Arn = "arn:aws:kinesis:eu-west-1:123456789012:stream/a.b/consumer/c-D_1:1700000000".parse().unwrap();
        let consumer = ConsumerArn::from_arn(&arn).unwrap();
        assert_eq!((consumer.name.as_str(), consumer.created), ("c-D_1", 1_700_000_000));
        assert_eq!(consumer.arn(), arn);
    }

    #[test]
    fn other_arns_name_no_consumer() {
        for resource in [
            "stream/a",
            "stream/a/consumer/b",
            "stream/a/consumer/b:",
            "stream/a/consumer/b:x",
            "stream/a/consumer/b:01",
            "stream/a/consumer/b:+1",
            "stream/a/consumer/b:1:2",
            "stream/a/consumer/:1",
            "stream//consumer/b:1",
            "stream/a/consumer/b/c:1",
            "stream/a/consumer/b:18446744073709551616",
        ] {
            let arn = format!("arn:aws:kinesis:eu-west-1:123456789012:{resource}").parse().unwrap();
            assert_eq!(ConsumerArn::from_arn(&arn), None, "{resource}");
        }
        let arn = "arn:aws:lambda:eu-west-1:123456789012:stream/a/consumer/b:1".parse().unwrap();
        assert_eq!(ConsumerArn::from_arn(&arn), None);
    }
}
