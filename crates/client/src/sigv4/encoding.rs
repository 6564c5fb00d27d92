//! Percent-encoding and the canonical forms of path and query.

/// How a service's path enters the canonical request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathForm {
    /// Dot segments and doubled slashes removed, then every segment encoded again: every service but S3.
    NormalizedTwice,
    /// Encoded once, otherwise as it is: S3, whose keys may hold dots and slashes.
    Once,
}

impl PathForm {
    /// The form `service` (a signing name) uses.
    pub fn of_service(service: &str) -> Self {
        if service == "s3" { Self::Once } else { Self::NormalizedTwice }
    }
}

/// Appends `bytes` with everything but `A-Z a-z 0-9 - _ . ~` (and `/` if `keep_slash`) as `%XX`.
pub fn encode_into(output: &mut String, bytes: &[u8], keep_slash: bool) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for &byte in bytes {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => output.push(byte.into()),
            b'/' if keep_slash => output.push('/'),
            _ => {
                output.push('%');
                output.push(DIGITS[usize::from(byte >> 4)].into());
                output.push(DIGITS[usize::from(byte & 15)].into());
            }
        }
    }
}

/// `bytes` percent-encoded (RFC 3986), slashes too.
pub fn encode(bytes: &[u8]) -> String {
    let mut output = String::with_capacity(bytes.len());
    encode_into(&mut output, bytes, false);
    output
}

/// Splits a request target, `path?query`; the query is empty when there is none.
pub fn split_target(target: &str) -> (&str, &str) {
    target.split_once('?').unwrap_or((target, ""))
}

/// The canonical form of `path`, which is still encoded as it was sent.
pub fn canonical_path(path: &str, form: PathForm) -> String {
    let mut output = String::with_capacity(path.len() + 16);
    match form {
        PathForm::Once => {
            let decoded: Vec<u8> = percent_encoding::percent_decode_str(path).collect();
            encode_into(&mut output, &decoded, true);
        }
        PathForm::NormalizedTwice => encode_into(&mut output, normalize(path).as_bytes(), true),
    }
    if output.is_empty() {
        output.push('/');
    }
    output
}

fn normalize(path: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            _ => segments.push(segment),
        }
    }
    let mut normalized = String::with_capacity(path.len());
    for segment in &segments {
        normalized.push('/');
        normalized.push_str(segment);
    }
    if segments.is_empty() || path.ends_with('/') {
        normalized.push('/');
    }
    normalized
}

/// The decoded names and values of a query, in the order sent. A `+` stands for a space, as in forms.
pub fn query_pairs(query: &str) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> + '_ {
    query.split('&').filter(|part| !part.is_empty()).map(|part| {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        (decode_component(name), decode_component(value))
    })
}

fn decode_component(text: &str) -> Vec<u8> {
    percent_encoding::percent_decode_str(&text.replace('+', " ")).collect()
}

/// The canonical form of `query`, without the parameter `X-Amz-Signature` if `presigned`.
pub fn canonical_query(query: &str, presigned: bool) -> String {
    let mut pairs: Vec<(String, String)> = query_pairs(query)
        .filter(|(name, _)| !(presigned && name == b"X-Amz-Signature"))
        .map(|(name, value)| (encode(&name), encode(&value)))
        .collect();
    pairs.sort_unstable();
    let mut output = String::with_capacity(query.len() + 16);
    for (name, value) in &pairs {
        if !output.is_empty() {
            output.push('&');
        }
        output.push_str(name);
        output.push('=');
        output.push_str(value);
    }
    output
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_are_normalized_and_encoded_again() {
        let check = |path, expected| assert_eq!(canonical_path(path, PathForm::NormalizedTwice), expected, "{path}");
        check("", "/");
        check("/", "/");
        check("//", "/");
        check("/./", "/");
        check("/foo/bar/../..", "/");
        check("/../../x", "/x");
        check("/./foo", "/foo");
        check("//foo//", "/foo/");
        check("/foo%20bar", "/foo%2520bar");
        check("/f%3Aalias/invocations", "/f%253Aalias/invocations");
        check("/a:b", "/a%3Ab");
        check("/-._~0189azAZ", "/-._~0189azAZ");
    }

    #[test]
    fn s3_paths_are_encoded_once_and_kept() {
        let check = |path, expected| assert_eq!(canonical_path(path, PathForm::Once), expected, "{path}");
        check("/bucket//a/../b%20c:d", "/bucket//a/../b%20c%3Ad");
        check("", "/");
    }

    #[test]
    fn queries_are_sorted_by_name_then_value() {
        let check = |query, expected| assert_eq!(canonical_query(query, false), expected, "{query}");
        check("", "");
        check("b=2&a=1", "a=1&b=2");
        check("p=b&p=a&p=", "p=&p=a&p=b");
        check("k", "k=");
        check("a=x%20y&b=x+y&c=%2b&&d=1/2", "a=x%20y&b=x%20y&c=%2B&d=1%2F2");
        check("foo=%zz", "foo=%25zz");
        check("%E1%88%B4=bar", "%E1%88%B4=bar");
        check("X-Amz-Signature=1", "X-Amz-Signature=1");
        assert_eq!(canonical_query("X-Amz-Signature=1&a=b", true), "a=b");
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded_again(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let pairs: Vec<_> = query_pairs(&format!("k={}", encode(&bytes))).collect();
            prop_assert_eq!(pairs, vec![(b"k".to_vec(), bytes)]);
        }

        #[test]
        fn a_query_means_the_same_in_any_order(mut parts in prop::collection::vec("[a-c]{1,2}=[a-c%+ ]{0,3}", 0..6)) {
            let before = canonical_query(&parts.join("&"), false);
            parts.reverse();
            prop_assert_eq!(canonical_query(&parts.join("&"), false), before);
        }

        #[test]
        fn any_path_becomes_plain_and_has_no_dots_left(path in ".{0,60}") {
            let canonical = canonical_path(&path, PathForm::NormalizedTwice);
            prop_assert!(canonical.starts_with('/') && canonical.is_ascii());
            prop_assert!(!canonical.split('/').any(|segment| segment == "." || segment == ".."));
            prop_assert!(canonical_path(&path, PathForm::Once).is_ascii());
        }
    }
}
