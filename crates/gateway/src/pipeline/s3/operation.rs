//! Which operation a request is: by method, bucket or object, and the sub-resource that the query names.

use http::Method;
use millstream_client::sigv4::encoding::query_pairs;

use super::address::Address;
use super::configuration::{self, Configuration};
use super::refusal::Refusal;

/// Everything that is served. What else S3 has is answered with its error `NotImplemented`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    ListBuckets,
    CreateBucket,
    DeleteBucket,
    HeadBucket,
    GetBucketLocation,
    ListObjects,
    ListObjectsV2,
    ListMultipartUploads,
    DeleteObjects,
    /// A setting that is not there: reading it is answered as S3 does for a new bucket.
    Configuration(&'static Configuration),
    GetObject,
    HeadObject,
    PutObject,
    CopyObject,
    DeleteObject,
    GetObjectTagging,
    CreateMultipartUpload,
    UploadPart,
    CompleteMultipartUpload,
    AbortMultipartUpload,
    ListParts,
}

impl Operation {
    /// As the API reference names it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::ListBuckets => "ListBuckets",
            Self::CreateBucket => "CreateBucket",
            Self::DeleteBucket => "DeleteBucket",
            Self::HeadBucket => "HeadBucket",
            Self::GetBucketLocation => "GetBucketLocation",
            Self::ListObjects => "ListObjects",
            Self::ListObjectsV2 => "ListObjectsV2",
            Self::ListMultipartUploads => "ListMultipartUploads",
            Self::DeleteObjects => "DeleteObjects",
            Self::Configuration(configuration) => configuration.operation,
            Self::GetObject => "GetObject",
            Self::HeadObject => "HeadObject",
            Self::PutObject => "PutObject",
            Self::CopyObject => "CopyObject",
            Self::DeleteObject => "DeleteObject",
            Self::GetObjectTagging => "GetObjectTagging",
            Self::CreateMultipartUpload => "CreateMultipartUpload",
            Self::UploadPart => "UploadPart",
            Self::CompleteMultipartUpload => "CompleteMultipartUpload",
            Self::AbortMultipartUpload => "AbortMultipartUpload",
            Self::ListParts => "ListParts",
        }
    }

    /// The operation of a request.
    pub(super) fn of(method: &Method, address: &Address, query: &Query, is_copy: bool) -> Result<Self, Refusal> {
        let resource = query.sub_resource();
        if address.bucket.is_empty() {
            return match (method, resource) {
                (&Method::GET, None) => Ok(Self::ListBuckets),
                _ => Err(unknown(method)),
            };
        }
        if address.key.is_empty() {
            of_bucket(method, resource, query)
        } else {
            of_object(method, resource, query, is_copy)
        }
    }
}

fn of_bucket(method: &Method, resource: Option<&str>, query: &Query) -> Result<Operation, Refusal> {
    match (method, resource) {
        (&Method::PUT, None) => Ok(Operation::CreateBucket),
        (&Method::DELETE, None) => Ok(Operation::DeleteBucket),
        (&Method::HEAD, None) => Ok(Operation::HeadBucket),
        (&Method::GET, None) if query.get("list-type") == Some("2") => Ok(Operation::ListObjectsV2),
        (&Method::GET, None) => Ok(Operation::ListObjects),
        (&Method::GET, Some("location")) => Ok(Operation::GetBucketLocation),
        (&Method::GET, Some("uploads")) => Ok(Operation::ListMultipartUploads),
        (&Method::POST, Some("delete")) => Ok(Operation::DeleteObjects),
        (&Method::GET, Some(name)) => match configuration::of(name) {
            Some(configuration) => Ok(Operation::Configuration(configuration)),
            None => Err(unknown(method)),
        },
        _ => Err(unknown(method)),
    }
}

fn of_object(method: &Method, resource: Option<&str>, query: &Query, is_copy: bool) -> Result<Operation, Refusal> {
    let upload = query.get("uploadId").is_some();
    match (method, resource) {
        (&Method::PUT, None) if upload && query.get("partNumber").is_some() && !is_copy => Ok(Operation::UploadPart),
        (&Method::PUT, None) if upload => Err(Refusal::not_implemented()),
        (&Method::PUT, None) => Ok(if is_copy { Operation::CopyObject } else { Operation::PutObject }),
        (&Method::GET, None) => Ok(if upload { Operation::ListParts } else { Operation::GetObject }),
        (&Method::HEAD, None) => Ok(Operation::HeadObject),
        (&Method::DELETE, None) => Ok(if upload { Operation::AbortMultipartUpload } else { Operation::DeleteObject }),
        (&Method::POST, Some("uploads")) => Ok(Operation::CreateMultipartUpload),
        (&Method::POST, None) if upload => Ok(Operation::CompleteMultipartUpload),
        (&Method::GET, Some("tagging")) => Ok(Operation::GetObjectTagging),
        _ => Err(unknown(method)),
    }
}

fn unknown(method: &Method) -> Refusal {
    match *method {
        Method::GET | Method::HEAD | Method::PUT | Method::POST | Method::DELETE => Refusal::not_implemented(),
        _ => Refusal::new(405, "MethodNotAllowed", "The specified method is not allowed against this resource."),
    }
}

/// The query of a request, decoded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Query(Vec<(String, String)>);

/// What a query may name beside settings of buckets that are read (the request URIs of the API reference).
const SUB_RESOURCES: [&str; 12] = [
    "attributes",
    "delete",
    "legal-hold",
    "location",
    "renameObject",
    "restore",
    "retention",
    "select",
    "session",
    "torrent",
    "uploads",
    "versions",
];
/// What would say which version or part of an object is meant, of which there is only one.
const SELECTORS: [&str; 1] = ["versionId"];

impl Query {
    pub(super) fn read(query: &str) -> Result<Self, Refusal> {
        let text = |bytes: Vec<u8>| {
            String::from_utf8(bytes).map_err(|_| Refusal::new(400, "InvalidURI", "Couldn't parse the specified URI."))
        };
        query_pairs(query).map(|(name, value)| Ok((text(name)?, text(value)?))).collect::<Result<_, _>>().map(Self)
    }

    /// The first value of a parameter.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The value of a parameter, or nothing.
    pub(super) fn text(&self, name: &str) -> &str {
        self.get(name).unwrap_or_default()
    }

    /// A number of lines, 1000 unless given.
    pub(super) fn lines(&self, name: &'static str) -> Result<usize, Refusal> {
        const LINES: usize = millstream_destinations::s3::limits::LISTED_MAX;
        match self.get(name) {
            None | Some("") => Ok(LINES),
            Some(text) => match text.parse::<i64>() {
                Ok(number) if (0..=i64::from(i32::MAX)).contains(&number) => {
                    Ok(usize::try_from(number).map_or(LINES, |lines| lines.min(LINES)))
                }
                Ok(_) => Err(Refusal::invalid_argument(
                    name,
                    text,
                    format!("Argument {name} must be an integer between 0 and 2147483647"),
                )),
                Err(_) => Err(Refusal::invalid_argument(
                    name,
                    text,
                    format!("Provided {name} not an integer or within integer range"),
                )),
            },
        }
    }

    fn sub_resource(&self) -> Option<&str> {
        let is_one = |name: &str| SUB_RESOURCES.contains(&name) || configuration::of(name).is_some();
        self.0.iter().map(|(name, _)| name.as_str()).find(|name| is_one(name))
    }

    /// Refuses what would select something that is not kept.
    pub(super) fn refuse_selectors(&self) -> Result<(), Refusal> {
        let selects = |name: &&str| self.get(name).is_some_and(|value| value != "null");
        if SELECTORS.iter().any(selects) { Err(Refusal::not_implemented()) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(method: &Method, target: &str, expected: Result<&str, &str>) {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let address = Address::read("127.0.0.1", &[], path).unwrap();
        let query = Query::read(query).unwrap();
        let operation = Operation::of(method, &address, &query, false);
        let found = operation.as_ref().map(|operation| operation.name()).map_err(|refusal| refusal.code);
        assert_eq!(found, expected, "{method} {target}");
    }

    #[test]
    fn requests_are_told_apart() {
        check(&Method::GET, "/", Ok("ListBuckets"));
        check(&Method::GET, "/?x-id=ListBuckets", Ok("ListBuckets"));
        check(&Method::PUT, "/b", Ok("CreateBucket"));
        check(&Method::GET, "/b?prefix=a&delimiter=/", Ok("ListObjects"));
        check(&Method::GET, "/b/?list-type=2&prefix=location", Ok("ListObjectsV2"));
        check(&Method::GET, "/b?location", Ok("GetBucketLocation"));
        check(&Method::GET, "/b?policy=", Ok("GetBucketPolicy"));
        check(&Method::POST, "/b?delete", Ok("DeleteObjects"));
        check(&Method::GET, "/b?uploads", Ok("ListMultipartUploads"));
        check(&Method::PUT, "/b/k", Ok("PutObject"));
        check(&Method::GET, "/b/k?x-id=GetObject", Ok("GetObject"));
        check(&Method::POST, "/b/k?uploads", Ok("CreateMultipartUpload"));
        check(&Method::PUT, "/b/k?partNumber=1&uploadId=x", Ok("UploadPart"));
        check(&Method::POST, "/b/k?uploadId=x", Ok("CompleteMultipartUpload"));
        check(&Method::DELETE, "/b/k?uploadId=x", Ok("AbortMultipartUpload"));
        check(&Method::GET, "/b/k?uploadId=x", Ok("ListParts"));
    }

    #[test]
    fn what_is_not_served_says_so() {
        for target in [
            "/b?acl",
            "/b?policy",
            "/b?versioning",
            "/b?lifecycle",
            "/b?tagging",
            "/b/k?acl",
            "/b/k?tagging",
            "/b/k?renameObject",
        ] {
            check(&Method::PUT, target, Err("NotImplemented"));
        }
        for target in ["/b?versions", "/b/k?acl", "/b/k?attributes", "/b/k?torrent", "/b?session"] {
            check(&Method::GET, target, Err("NotImplemented"));
        }
        check(&Method::POST, "/b", Err("NotImplemented"));
        check(&Method::POST, "/b/k?select&select-type=2", Err("NotImplemented"));
        check(&Method::DELETE, "/b?policy", Err("NotImplemented"));
        check(&Method::PATCH, "/b/k", Err("MethodNotAllowed"));
    }
}
