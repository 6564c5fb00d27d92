//! AWS's published cases and recorded requests of botocore, signed here.

use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use super::encoding::PathForm;
use super::*;
use crate::Credentials;

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

fn text<'a>(vector: &'a Value, member: &str) -> &'a str {
    vector[member].as_str().expect("every member of a vector is a string")
}

fn headers(vector: &Value) -> HeaderMap {
    let pairs = vector["headers"].as_array().expect("headers are a list").iter();
    pairs.map(|pair| header(pair[0].as_str().unwrap(), pair[1].as_str().unwrap())).collect()
}

fn header(name: &str, value: &str) -> (HeaderName, HeaderValue) {
    (name.parse().unwrap(), value.parse().unwrap())
}

#[test]
fn published_vectors_are_reproduced() {
    let vectors: Vec<Value> = serde_json::from_str(include_str!("../../vectors/sigv4.json")).unwrap();
    assert!(vectors.len() > 25);
    let credentials = Credentials::new("AKIDEXAMPLE", SECRET);
    for vector in &vectors {
        let service = text(vector, "service");
        let mut headers = headers(vector);
        let now = date::parse_amz(headers["x-amz-date"].to_str().unwrap()).unwrap();
        let signer = Signer { credentials: &credentials, region: text(vector, "region"), service };
        let body_sha256 = sha256(text(vector, "body").as_bytes());
        signer.sign(text(vector, "method"), text(vector, "target"), &mut headers, &body_sha256, now).unwrap();
        let authorization = headers["authorization"].to_str().unwrap();
        let expected =
            format!("SignedHeaders={}, Signature={}", text(vector, "signed_headers"), text(vector, "signature"));
        assert!(authorization.ends_with(&expected), "{}: {authorization}", text(vector, "name"));
    }
}

#[test]
fn the_recorded_canonical_hash_is_reproduced() {
    let headers = [header("host", "localhost:4566"), header("x-amz-date", "20260102T030405Z")].into_iter().collect();
    let parts = CanonicalParts {
        method: "POST",
        target: "/2015-03-31/functions/f%3Aalias/invocations?Qualifier=%24LATEST",
        path_form: PathForm::NormalizedTwice,
        headers: &headers,
        authority: None,
        signed_headers: "host;x-amz-date",
        payload_hash: &hex(&sha256(b"{}")),
        presigned: false,
    };
    assert_eq!(parts.hash(), "138f9a730ade68b045fe1f6c47840b270fc6b9620d9d7834ae142232efe7afab");
}

#[test]
fn the_recorded_presigned_request_is_reproduced() {
    let credentials = Credentials::new("AKIDEXAMPLE", SECRET);
    let signer = Signer { credentials: &credentials, region: "us-east-1", service: "sts" };
    let now = date::parse_amz("20260102T030405Z").unwrap();
    let target = "/?Action=GetCallerIdentity&Version=2011-06-15";
    let signed = signer.presign("GET", "localhost:4566", target, 900, now).unwrap();
    let expected = "X-Amz-Signature=6af6d305265ae9d8e385397736fd48111fe3287cfbbfaafd04cf21b3f87f967b";
    assert!(signed.ends_with(expected), "{signed}");
}

#[test]
fn the_authority_stands_in_for_the_host() {
    let with = |headers: &HeaderMap, authority| {
        CanonicalParts {
            method: "GET",
            target: "/",
            path_form: PathForm::NormalizedTwice,
            headers,
            authority,
            signed_headers: "host",
            payload_hash: UNSIGNED_PAYLOAD,
            presigned: false,
        }
        .hash()
    };
    let named = [header("host", "a:1")].into_iter().collect();
    assert_eq!(with(&HeaderMap::new(), Some("a:1")), with(&named, None));
    assert_eq!(with(&named, Some("b:1")), with(&named, None));
}

#[test]
fn a_request_without_host_is_not_signed() {
    let credentials = Credentials::new("AKIDEXAMPLE", SECRET);
    let signer = Signer { credentials: &credentials, region: "us-east-1", service: "sts" };
    let result = signer.sign("GET", "/", &mut HeaderMap::new(), &sha256(b""), millstream_env::Timestamp::EPOCH);
    assert!(matches!(result, Err(SignError::NoHost)));
}
