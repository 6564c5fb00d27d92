//! Names, ARNs and URLs of queues.

use millstream_types::{Arn, Region, Scope};

use super::failure::Failure;

/// Longest name (`CreateQueue`).
const NAME_LENGTH_MAX: usize = 80;

/// A queue among all accounts and regions.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct QueueKey {
    pub(crate) scope: Scope,
    pub(crate) name: String,
}

impl QueueKey {
    /// The queue of a URL that ends in `/<account>/<name>`, whatever stands before: clients reach one server by several
    /// names. The URL does not say the region.
    pub(crate) fn from_url(url: &str, region: &Region) -> Result<Self, Failure> {
        let invalid = || Failure::InvalidAddress(format!("The address {url} is not valid for this endpoint."));
        let (before, name) = url.rsplit_once('/').ok_or_else(invalid)?;
        let account = before.rsplit('/').next().and_then(|account| account.parse().ok()).ok_or_else(invalid)?;
        if !is_name(name) && !is_fifo(name) {
            return Err(invalid());
        }
        Ok(Self { scope: Scope { account, region: region.clone() }, name: name.to_owned() })
    }

    /// The queue of `arn:aws:sqs:<region>:<account>:<name>`.
    pub(crate) fn from_arn(arn: &Arn) -> Option<Self> {
        let named = arn.service == "sqs" && (is_name(&arn.resource) || is_fifo(&arn.resource));
        let scope = Scope { account: arn.account.parse().ok()?, region: arn.region.parse().ok()? };
        named.then(|| Self { scope, name: arn.resource.clone() })
    }

    pub(crate) fn arn(&self) -> Arn {
        self.scope.arn("sqs", &self.name)
    }

    /// `http://HOST/ACCOUNT/NAME`; `endpoint` is how the client reached this server.
    pub(crate) fn url(&self, endpoint: &str) -> String {
        format!("{endpoint}/{}/{}", self.scope.account, self.name)
    }
}

/// Letters, digits, hyphens and underscores, 1 to 80 of them.
pub(crate) fn is_name(text: &str) -> bool {
    (1..=NAME_LENGTH_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

/// The name of a FIFO queue, which there is none of here.
pub(crate) fn is_fifo(text: &str) -> bool {
    text.strip_suffix(".fifo").is_some_and(|stem| is_name(stem) && text.len() <= NAME_LENGTH_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_name_queues() {
        let region: Region = "us-west-2".parse().unwrap();
        let name = |url: &str| QueueKey::from_url(url, &region).map(|key| key.arn().to_string());
        let arn = Ok("arn:aws:sqs:us-west-2:123456789012:failed".to_owned());
        assert_eq!(name("http://127.0.0.1:4566/123456789012/failed"), arn);
        assert_eq!(name("https://sqs.us-west-2.amazonaws.com/123456789012/failed"), arn);
        assert_eq!(name("/123456789012/failed"), arn);
        for bad in [
            "",
            "failed",
            "http://h/failed",
            "http://h/12345678901/failed",
            "http://h/123456789012/",
            "http://h/123456789012/a b",
        ] {
            assert!(matches!(name(bad), Err(Failure::InvalidAddress(_))), "{bad}");
        }
    }

    #[test]
    fn names() {
        assert!(is_name(&"a".repeat(80)) && is_name("A-z_9"));
        assert!(!is_name(&"a".repeat(81)) && !is_name("") && !is_name("a.b") && !is_name("ä"));
        assert!(
            is_fifo("a.fifo")
                && !is_fifo(".fifo")
                && !is_fifo("a.fif0")
                && !is_fifo(&format!("{}.fifo", "a".repeat(76)))
        );
    }
}
