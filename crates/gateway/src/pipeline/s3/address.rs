//! Which bucket and object a request is about: by the path (`/bucket/key`), or by the name of the host and the path
//! (`bucket.localhost`), as S3's two styles have it.

use std::net::IpAddr;

use super::refusal::Refusal;

/// The target of a request, decoded; not yet known to be valid names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Address {
    /// Empty: the account's buckets.
    pub(super) bucket: String,
    /// Empty: the bucket itself.
    pub(super) key: String,
}

impl Address {
    /// Of a request to `host` (without its port), where this server has `host_names` beside `localhost`.
    pub(super) fn read(host: &str, host_names: &[String], path: &str) -> Result<Self, Refusal> {
        let path = path.strip_prefix('/').unwrap_or(path);
        if let Some(bucket) = bucket_of_host(host, host_names) {
            return Ok(Self { bucket, key: decode(path)? });
        }
        let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
        Ok(Self { bucket: decode(bucket)?, key: decode(key)? })
    }

    /// Of `x-amz-copy-source`: `bucket/key` or `/bucket/key`, encoded as in a URL.
    pub(super) fn of_copy_source(text: &str) -> Result<Self, Refusal> {
        let (bucket, key) = text.strip_prefix('/').unwrap_or(text).split_once('/').unwrap_or_default();
        if let Some((_, version)) = key.split_once("?versionId=")
            && version != "null"
        {
            return Err(Refusal::not_implemented());
        }
        let key = key.split_once("?versionId=").map_or(key, |(key, _)| key);
        if bucket.is_empty() || key.is_empty() {
            return Err(Refusal::invalid_argument(
                "x-amz-copy-source",
                text,
                "Copy Source must mention the source bucket and key: sourcebucket/sourcekey",
            ));
        }
        Ok(Self { bucket: decode(bucket)?, key: decode(key)? })
    }
}

fn decode(text: &str) -> Result<String, Refusal> {
    let decoded: Vec<u8> = percent_encoding::percent_decode_str(text).collect();
    String::from_utf8(decoded).map_err(|_| Refusal::new(400, "InvalidURI", "Couldn't parse the specified URI."))
}

/// What stands before one of the server's names, but for `s3` and a region, which only say whom the request is for.
fn bucket_of_host(host: &str, host_names: &[String]) -> Option<String> {
    if host.parse::<IpAddr>().is_ok() || host.starts_with('[') {
        return None;
    }
    let host = host.to_ascii_lowercase();
    let names = host_names.iter().map(|name| name.to_ascii_lowercase()).chain(["localhost".to_owned()]);
    let front = names
        .filter_map(|name| host.strip_suffix(&name)?.strip_suffix('.').map(str::to_owned))
        .min_by_key(String::len)?;
    let labels: Vec<&str> = front.split('.').collect();
    let bucket_labels = match labels[..] {
        [.., "s3"] => labels.len() - 1,
        // The second label is a region, whatever its name.
        [.., "s3", _] => labels.len() - 2,
        _ => labels.len(),
    };
    let bucket = labels[..bucket_labels].join(".");
    (!bucket.is_empty()).then_some(bucket)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(host: &str, path: &str, bucket: &str, key: &str) {
        let names = ["mill.example".to_owned(), "s3.mill.example".to_owned()];
        let expected = Address { bucket: bucket.to_owned(), key: key.to_owned() };
        assert_eq!(Address::read(host, &names, path).ok(), Some(expected), "{host} {path}");
    }

    #[test]
    fn both_styles_name_bucket_and_key() {
        for host in [
            "127.0.0.1",
            "[::1]",
            "localhost",
            "s3.localhost",
            "s3.eu-west-1.localhost",
            "mill.example",
            "S3.Mill.Example",
        ] {
            check(host, "/", "", "");
            check(host, "/b", "b", "");
            check(host, "/b/", "b", "");
            check(host, "/b//a/../%C3%A9+%2B?", "b", "/a/../é++?");
        }
        for host in ["b.localhost", "b.s3.localhost", "b.s3.eu-west-1.localhost", "b.mill.example", "B.s3.mill.example"]
        {
            check(host, "/", "b", "");
            check(host, "/k/", "b", "k/");
            check(host, "//k", "b", "/k");
        }
        check("my.bucket.localhost", "/k", "my.bucket", "k");
        assert!(Address::read("localhost", &[], "/b/%FF").is_err());
    }

    #[test]
    fn copy_sources_are_addresses_too() {
        let check = |text: &str, expected: Option<(&str, &str)>| {
            let expected = expected.map(|(bucket, key)| Address { bucket: bucket.to_owned(), key: key.to_owned() });
            assert_eq!(Address::of_copy_source(text).ok(), expected, "{text}");
        };
        check("b/k%20x/y", Some(("b", "k x/y")));
        check("/b/k?versionId=null", Some(("b", "k")));
        for text in ["", "b", "b/", "/k", "b/k?versionId=7"] {
            check(text, None);
        }
    }
}
