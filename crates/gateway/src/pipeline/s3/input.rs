//! What the headers of requests say.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64_simd::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue};
use millstream_client::sigv4::date;
use millstream_client::sigv4::encoding::query_pairs;
use millstream_destinations::s3::checksum::{Algorithm, Checksum, Kind};
use millstream_destinations::s3::conditions::{ReadConditions, WriteConditions};
use millstream_destinations::s3::{Expected, Metadata};
use millstream_types::Timestamp;

use super::CONTENT_SHA256;
use super::refusal::Refusal;

/// Kept and given back as they came.
const SYSTEM_HEADERS: [&str; 6] =
    ["content-type", "cache-control", "content-disposition", "content-encoding", "content-language", "expires"];
/// The type of an object that came without one.
const DEFAULT_TYPE: &str = "binary/octet-stream";
const USER: &str = "x-amz-meta-";
/// How many bytes an object of parts is to have.
const SIZE: &str = "x-amz-mp-object-size";
/// Headers that ask for what is not there, by their beginnings.
const NOT_IMPLEMENTED: [&str; 13] = [
    // S3 Control, which shares the signing name.
    "x-amz-account-id",
    "x-amz-bypass-governance-retention",
    "x-amz-copy-source-range",
    "x-amz-copy-source-server-side-encryption",
    "x-amz-grant-",
    "x-amz-mfa",
    "x-amz-object-lock-",
    "x-amz-if-match-last-modified-time",
    "x-amz-if-match-size",
    "x-amz-server-side-encryption",
    "x-amz-tagging",
    "x-amz-website-redirect-location",
    "x-amz-write-offset-bytes",
];

/// Parameters that are the signature, not what it signs.
const SIGNATURE_PARAMETERS: [&str; 7] = [
    "x-amz-algorithm",
    "x-amz-credential",
    "x-amz-date",
    "x-amz-expires",
    "x-amz-security-token",
    "x-amz-signature",
    "x-amz-signedheaders",
];

/// The headers of a request, with those that stand in its query: a presigned link has them there.
pub(super) fn with_query<'a>(headers: &'a HeaderMap, query: &str) -> Result<Cow<'a, HeaderMap>, Refusal> {
    let mut all = Cow::Borrowed(headers);
    for (name, value) in query_pairs(query) {
        let name = name.to_ascii_lowercase();
        if !name.starts_with(b"x-amz-") || SIGNATURE_PARAMETERS.iter().any(|known| known.as_bytes() == name) {
            continue;
        }
        let bad = || Refusal::invalid_request("A parameter of the query cannot be a header");
        let name = HeaderName::from_bytes(&name).map_err(|_| bad())?;
        let value = HeaderValue::from_bytes(&value).map_err(|_| bad())?;
        // Bodies in chunks begin with the signature of a header.
        if name == CONTENT_SHA256 && value.as_bytes().starts_with(b"STREAMING-") {
            return Err(Refusal::not_implemented());
        }
        if all.get(&name).is_some_and(|given| *given != value) {
            return Err(Refusal::invalid_request(format!("{name} is given twice, with different values")));
        }
        all.to_mut().insert(name, value);
    }
    Ok(all)
}

/// A header's value, if it is plain text.
pub(super) fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| std::str::from_utf8(value.as_bytes()).ok())
}

/// Refuses what the headers ask for and is not there, or not for this caller.
pub(super) fn refuse_headers(headers: &HeaderMap, account: &str) -> Result<(), Refusal> {
    // Whether tags are copied or not is the same where there are none.
    let refused = |name: &str| {
        name != "x-amz-tagging-directive" && NOT_IMPLEMENTED.iter().any(|beginning| name.starts_with(beginning))
    };
    if headers.keys().any(|name| refused(name.as_str())) {
        return Err(Refusal::not_implemented());
    }
    if header(headers, "x-amz-bucket-object-lock-enabled").is_some_and(|enabled| enabled != "false") {
        return Err(Refusal::not_implemented());
    }
    if header(headers, "x-amz-storage-class").is_some_and(|class| class != "STANDARD") {
        return Err(Refusal::not_implemented());
    }
    for name in ["x-amz-expected-bucket-owner", "x-amz-source-expected-bucket-owner"] {
        if header(headers, name).is_some_and(|owner| owner != account) {
            return Err(Refusal::access_denied("Access Denied"));
        }
    }
    match header(headers, "x-amz-acl") {
        None | Some("private" | "bucket-owner-full-control") => Ok(()),
        Some(_) => Err(Refusal::new(400, "AccessControlListNotSupported", "The bucket does not allow ACLs")),
    }
}

/// The headers that belong to an object.
pub(super) fn metadata(headers: &HeaderMap) -> Result<Metadata, Refusal> {
    let (mut system, mut user) = (BTreeMap::new(), BTreeMap::new());
    for name in headers.keys() {
        let place = match name.as_str().strip_prefix(USER) {
            Some(user_name) => user.entry(user_name.to_owned()),
            None if SYSTEM_HEADERS.contains(&name.as_str()) => system.entry(name.as_str().to_owned()),
            None => continue,
        };
        let values: Option<Vec<&str>> =
            headers.get_all(name).iter().map(|value| std::str::from_utf8(value.as_bytes()).ok()).collect();
        let values = values.ok_or_else(|| Refusal::invalid_request(format!("The header {name} is not UTF-8")))?;
        place.or_insert(values.join(","));
    }
    if let Some(encoding) = system.remove("content-encoding") {
        // How it was sent is no property of the object.
        let kept: Vec<&str> = encoding.split(',').map(str::trim).filter(|name| *name != "aws-chunked").collect();
        if !kept.concat().is_empty() {
            system.insert("content-encoding".to_owned(), kept.join(","));
        }
    }
    system.retain(|_, value| !value.is_empty());
    system.entry("content-type".to_owned()).or_insert_with(|| DEFAULT_TYPE.to_owned());
    Ok(Metadata { system, user })
}

/// The checksum that a request gives of its content, in a header or behind the content.
pub(super) fn checksum(headers: &HeaderMap, trailers: &[(String, String)]) -> Result<Option<Checksum>, Refusal> {
    let named = headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
    let trailing = trailers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let mut found = None;
    for (name, value) in named.chain(trailing) {
        let Some(rest) = name.strip_prefix("x-amz-checksum-") else { continue };
        if matches!(rest, "algorithm" | "type" | "mode") {
            continue;
        }
        let algorithm = Algorithm::by_name(rest).ok_or_else(Refusal::not_implemented)?;
        if found.is_some() {
            return Err(several_checksums());
        }
        let claimed = Checksum::claimed(algorithm, value);
        found = Some(claimed.ok_or_else(|| Refusal::invalid_request(format!("Value for {name} header is invalid.")))?);
    }
    Ok(found)
}

/// The algorithm that a request names for the checksums of its object.
pub(super) fn algorithm(headers: &HeaderMap) -> Result<Option<Algorithm>, Refusal> {
    let names = ["x-amz-sdk-checksum-algorithm", "x-amz-checksum-algorithm"];
    let Some(name) = names.iter().find_map(|name| header(headers, name)) else { return Ok(None) };
    Algorithm::by_name(name).map(Some).ok_or_else(Refusal::not_implemented)
}

/// The checksum that an object of parts is to have: each algorithm has its own usual kind.
pub(super) fn upload_checksum(headers: &HeaderMap) -> Result<Option<(Algorithm, Kind)>, Refusal> {
    let Some(algorithm) = algorithm(headers)? else {
        return match header(headers, "x-amz-checksum-type") {
            None => Ok(None),
            Some(_) => Err(Refusal::invalid_request(
                "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.",
            )),
        };
    };
    let is_full = matches!(algorithm, Algorithm::Crc64Nvme);
    let kind = match header(headers, "x-amz-checksum-type") {
        None => {
            if is_full {
                Kind::FullObject
            } else {
                Kind::Composite
            }
        }
        Some("FULL_OBJECT") if !matches!(algorithm, Algorithm::Sha1 | Algorithm::Sha256) => Kind::FullObject,
        Some("COMPOSITE") if !is_full => Kind::Composite,
        Some(other) => {
            let name = algorithm.name().to_lowercase();
            return Err(Refusal::invalid_request(format!(
                "The {other} checksum type cannot be used with the {name} checksum algorithm."
            )));
        }
    };
    Ok(Some((algorithm, kind)))
}

/// What a request says of the object that its parts are to make.
pub(super) fn expected(headers: &HeaderMap) -> Result<Expected, Refusal> {
    let mut expected = Expected::default();
    for (name, value) in headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?))) {
        match name.strip_prefix("x-amz-checksum-") {
            None | Some("algorithm" | "mode") => {}
            Some("type") => expected.kind = Some(value.to_owned()),
            Some(algorithm) => {
                let algorithm = Algorithm::by_name(algorithm).ok_or_else(Refusal::not_implemented)?;
                if expected.checksum.replace((algorithm, value.to_owned())).is_some() {
                    return Err(several_checksums());
                }
            }
        }
    }
    if let Some(text) = header(headers, SIZE) {
        let bytes = text.parse().map_err(|_| Refusal::invalid_argument(SIZE, text, "It must be a number of bytes"))?;
        expected.bytes = Some(bytes);
    }
    Ok(expected)
}

fn several_checksums() -> Refusal {
    Refusal::invalid_request("Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")
}

/// Refuses a body behind which something is missing that was announced, such as its checksum.
pub(super) fn require_trailers(headers: &HeaderMap, trailers: &[(String, String)]) -> Result<(), Refusal> {
    let announced = headers.get_all("x-amz-trailer").iter().filter_map(|value| value.to_str().ok());
    let mut announced = announced.flat_map(|names| names.split(',')).map(str::trim).filter(|name| !name.is_empty());
    if announced.all(|name| trailers.iter().any(|(found, _)| found.eq_ignore_ascii_case(name))) {
        return Ok(());
    }
    Err(Refusal::new(
        400,
        "MalformedTrailerError",
        "The request contained trailing data that was not well-formed or did not conform to our published schema.",
    ))
}

/// The MD5 that a request gives of its body.
pub(super) fn content_md5(headers: &HeaderMap) -> Result<Option<[u8; 16]>, Refusal> {
    let Some(value) = headers.get("content-md5") else { return Ok(None) };
    let md5 = STANDARD.decode_to_vec(value.as_bytes()).ok().and_then(|bytes| bytes.try_into().ok());
    md5.map(Some).ok_or_else(|| Refusal::new(400, "InvalidDigest", "The Content-MD5 you specified was invalid."))
}

/// Conditions of a read; those of a copy's source have `x-amz-copy-source-` before their names.
pub(super) fn read_conditions(headers: &HeaderMap, before: &str) -> ReadConditions {
    let text = |name: &str| header(headers, &format!("{before}{name}")).map(str::to_owned);
    // A date that is none is no condition (RFC 9110, section 13.1.3).
    let moment = |name: &str| text(name).and_then(|value| date::parse_http(&value)).map(Timestamp::seconds);
    ReadConditions {
        if_match: text("if-match"),
        if_none_match: text("if-none-match"),
        if_modified_since: moment("if-modified-since"),
        if_unmodified_since: moment("if-unmodified-since"),
    }
}

/// Conditions of a change.
pub(super) fn write_conditions(headers: &HeaderMap) -> Result<WriteConditions, Refusal> {
    let if_none_match = match header(headers, "if-none-match") {
        None => false,
        Some("*") => true,
        Some(_) => return Err(Refusal::not_implemented()),
    };
    Ok(WriteConditions { if_match: header(headers, "if-match").map(str::to_owned), if_none_match })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&str, &str)| {
            (name.parse::<HeaderName>().unwrap(), HeaderValue::from_bytes(value.as_bytes()).unwrap())
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn metadata_is_what_belongs_to_the_object() {
        let sent = headers(&[
            ("content-encoding", "aws-chunked,gzip"),
            ("x-amz-meta-name", "é"),
            ("cache-control", "no-cache"),
            ("x-amz-date", "now"),
        ]);
        let metadata = metadata(&sent).unwrap();
        assert_eq!(metadata.user, BTreeMap::from([("name".to_owned(), "é".to_owned())]));
        let expected = [("cache-control", "no-cache"), ("content-encoding", "gzip"), ("content-type", DEFAULT_TYPE)];
        assert_eq!(metadata.system, expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
        let chunked = super::metadata(&headers(&[("content-encoding", "aws-chunked")])).unwrap();
        assert!(!chunked.system.contains_key("content-encoding"));
    }

    #[test]
    fn presigned_links_have_headers_in_their_query() {
        let sent = headers(&[("x-amz-acl", "private"), ("host", "h")]);
        let query = "X-Amz-Date=d&x-amz-meta-a=b%20c&X-Amz-Storage-Class=GLACIER&x-amz-acl=private&prefix=x-amz-";
        let all = with_query(&sent, query).unwrap();
        assert_eq!((header(&all, "x-amz-meta-a"), header(&all, "x-amz-storage-class")), (Some("b c"), Some("GLACIER")));
        assert_eq!(all.len(), 4);
        assert_eq!(refuse_headers(&all, "000000000000").unwrap_err().code, "NotImplemented");
        for (query, code) in [
            ("x-amz-acl=public-read", "InvalidRequest"),
            ("x-amz-meta-a=%0A", "InvalidRequest"),
            ("x-amz-content-sha256=STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "NotImplemented"),
        ] {
            assert_eq!(with_query(&sent, query).unwrap_err().code, code, "{query}");
        }
    }

    #[test]
    fn what_is_not_there_is_refused() {
        for (name, value, code) in [
            ("x-amz-tagging", "a=b", "NotImplemented"),
            ("x-amz-server-side-encryption", "AES256", "NotImplemented"),
            ("x-amz-storage-class", "GLACIER", "NotImplemented"),
            ("x-amz-bucket-object-lock-enabled", "true", "NotImplemented"),
            ("x-amz-account-id", "000000000000", "NotImplemented"),
            ("x-amz-acl", "public-read", "AccessControlListNotSupported"),
            ("x-amz-expected-bucket-owner", "000000000001", "AccessDenied"),
        ] {
            let refusal = refuse_headers(&headers(&[(name, value)]), "000000000000").unwrap_err();
            assert_eq!(refusal.code, code, "{name}");
        }
        let fine = headers(&[
            ("x-amz-acl", "private"),
            ("x-amz-expected-bucket-owner", "000000000000"),
            ("x-amz-bucket-object-lock-enabled", "false"),
            ("x-amz-tagging-directive", "COPY"),
        ]);
        assert_eq!(refuse_headers(&fine, "000000000000"), Ok(()));
    }

    #[test]
    fn what_is_announced_has_to_come() {
        let announced = headers(&[("x-amz-trailer", "x-amz-checksum-crc32")]);
        let trailer = [("x-amz-checksum-crc32".to_owned(), "AAAAAA==".to_owned())];
        assert_eq!(require_trailers(&announced, &trailer), Ok(()));
        assert_eq!(require_trailers(&announced, &[]).unwrap_err().code, "MalformedTrailerError");
        assert_eq!(require_trailers(&headers(&[]), &[]), Ok(()));
        let alone = headers(&[("x-amz-checksum-type", "COMPOSITE")]);
        assert_eq!(upload_checksum(&alone).unwrap_err().code, "InvalidRequest");
    }

    #[test]
    fn one_checksum_is_taken_from_header_or_trailer() {
        let crc = || Some(Checksum::of(Algorithm::Crc32, b""));
        let trailer = [("x-amz-checksum-crc32".to_owned(), "AAAAAA==".to_owned())];
        assert_eq!(checksum(&headers(&[("x-amz-checksum-crc32", "AAAAAA==")]), &[]), Ok(crc()));
        assert_eq!(checksum(&headers(&[("x-amz-checksum-type", "x")]), &trailer), Ok(crc()));
        let code = |pairs: &[(&str, &str)]| checksum(&headers(pairs), &trailer).unwrap_err().code;
        assert_eq!(code(&[("x-amz-checksum-crc32c", "AAAAAA==")]), "InvalidRequest");
        assert_eq!(code(&[("x-amz-checksum-sha1", "AAAAAA==")]), "InvalidRequest");
        assert_eq!(code(&[("x-amz-checksum-xxhash64", "AAAAAA==")]), "NotImplemented");
    }
}
