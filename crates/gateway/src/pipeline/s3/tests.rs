//! Whole requests for S3 through a gateway: what clients' libraries hide, signed chunks, nonsense; and this server as the
//! destination outside of another one.

use std::fmt::Write as _;

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::Full;
use millstream_client::Credentials;
use millstream_client::sigv4::{CredentialScope, Signer, SigningKey, hex, key::string_to_sign, sha256};
use millstream_destinations::external::{External, Options};
use millstream_destinations::{Delivery, DeliveryError};
use millstream_env::{HostClock, Tasks};
use millstream_iam::RequestContext;
use millstream_wire::iam::{AttachRolePolicyRequest, CreateRoleRequest};
use proptest::prelude::*;

use crate::listener::{self, Listener};
use crate::testing::{Answered, Fixture, ask, context, foreign_key};

impl Fixture {
    /// A request of the account's root.
    async fn s3(&self, method: &str, uri: &str, headers: &[(&str, &str)], body: &[u8]) -> Answered {
        let mut request = Request::builder()
            .method(method)
            .uri(uri)
            .header("host", "127.0.0.1:4566")
            .header("authorization", foreign_key("s3"))
            .header("x-amz-date", "20260102T030405Z");
        if !headers.iter().any(|(name, _)| *name == "x-amz-content-sha256") {
            request = request.header("x-amz-content-sha256", hex(&sha256(body)));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        ask(&self.gateway, request.body(Full::from(body.to_vec())).unwrap()).await
    }
}

#[tokio::test]
async fn answers_have_s3s_own_form() {
    let fixture = Fixture::new().await;
    assert_eq!(fixture.s3("PUT", "/mill", &[], b"").await.status, 200);
    let put = fixture.s3("PUT", "/mill/a%26b", &[], b"grain").await;
    assert_eq!((put.status.as_u16(), put.text()), (200, ""));
    assert_eq!(put.header("x-amz-checksum-type"), "FULL_OBJECT");
    assert_eq!((put.header("x-amz-request-id").len(), put.header("x-amz-id-2").len()), (36, 96));
    assert_eq!(put.header("x-amzn-requestid"), "");
    let missing = fixture.s3("GET", "/mill/a%3Cb", &[], b"").await;
    assert_eq!((missing.status.as_u16(), missing.header("content-type")), (404, "application/xml"));
    let expected = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>NoSuchKey</Code><Message>The specified key does \
                    not exist.</Message><Key>a&lt;b</Key><Resource>/mill/a%3Cb</Resource><RequestId>";
    assert!(missing.text().starts_with(expected), "{}", missing.text());
    let head = fixture.s3("HEAD", "/mill/unknown", &[], b"").await;
    assert_eq!((head.status.as_u16(), head.text()), (404, ""));
    let head = fixture.s3("HEAD", "/mill/a%26b", &[], b"").await;
    assert_eq!((head.header("content-length"), head.header("content-type")), ("5", "binary/octet-stream"));
}

#[tokio::test]
async fn requests_are_refused_with_s3s_codes() {
    let fixture = Fixture::new().await;
    fixture.s3("PUT", "/mill", &[], b"").await;
    let check = async |method: &str, uri: &str, headers: &[(&str, &str)], status: u16, code: &str| {
        let answer = fixture.s3(method, uri, headers, b"x").await;
        assert_eq!(answer.status.as_u16(), status, "{method} {uri} {headers:?} {}", answer.text());
        assert!(answer.text().contains(&format!("<Code>{code}</Code>")), "{}", answer.text());
    };
    let wrong = "0".repeat(64);
    let of_chunks = ("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER");
    check("PUT", "/mill/k", &[("x-amz-content-sha256", &wrong)], 400, "XAmzContentSHA256Mismatch").await;
    check("PUT", "/mill/k", &[("x-amz-content-sha256", "nonsense")], 400, "InvalidArgument").await;
    check("PUT", "/mill/k", &[("x-amz-content-sha256", "STREAMING-OTHER")], 501, "NotImplemented").await;
    check("PUT", "/mill/k", &[of_chunks], 411, "MissingContentLength").await;
    check("PUT", "/mill/k", &[of_chunks, ("x-amz-decoded-content-length", "99999999999")], 400, "EntityTooLarge").await;
    check("PUT", "/mill/k", &[("content-md5", "x")], 400, "InvalidDigest").await;
    check("PUT", "/mill/k?versionId=7", &[], 501, "NotImplemented").await;
    check("GET", "/mill?list-type=2&max-keys=-1", &[], 400, "InvalidArgument").await;
    check("GET", "/mill?list-type=2&continuation-token=%21", &[], 400, "InvalidArgument").await;
    check("GET", "/mill?encoding-type=x", &[], 400, "InvalidArgument").await;
    check("POST", "/mill?delete", &[], 400, "InvalidRequest").await;
    check("POST", "/mill?delete", &[("content-md5", "nUVd4ok4xHq1lwKGJvLENg==")], 400, "BadDigest").await;
    check("POST", "/mill?delete", &[("x-amz-checksum-crc32", "jNwWgw==")], 400, "MalformedXML").await;
    check("PUT", "/mill2", &[], 400, "MalformedXML").await;
    check("PUT", "/UPPER", &[], 400, "InvalidBucketName").await;
    check("PUT", "/mill/%FF", &[], 400, "InvalidURI").await;
    check("PUT", &format!("/mill/{}", "k".repeat(1025)), &[], 400, "KeyTooLongError").await;
    check("PATCH", "/mill/k", &[], 405, "MethodNotAllowed").await;
    let long = "v".repeat(2050);
    check("PUT", "/mill/k", &[("x-amz-meta-a", &long)], 400, "MetadataTooLarge").await;

    let unsigned = Request::get("/mill?X-Amz-Credential=x%2F20260102%2Fus-east-1%2Fs3%2Faws4_request");
    let answer = ask(&fixture.gateway, unsigned.header("host", "127.0.0.1").body(Full::default()).unwrap()).await;
    assert_eq!(answer.status, 403, "{}", answer.text());
    let listed = fixture.s3("GET", "/mill", &[], b"").await;
    assert!(!listed.text().contains("<Contents>"), "nothing was put: {}", listed.text());
}

/// An issued key, and a body in chunks that are signed with it.
struct Chunks {
    credentials: Credentials,
    clock: HostClock,
}

impl Chunks {
    async fn send(&self, fixture: &Fixture, damage: impl Fn(&mut String)) -> Answered {
        let (now, form) = (self.clock.now(), "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER");
        let mut request = Request::put("/mill/signed")
            .header("host", "127.0.0.1:4566")
            .header("x-amz-content-sha256", form)
            .header("x-amz-decoded-content-length", "11")
            .header("x-amz-trailer", "x-amz-checksum-crc32")
            .body(Full::<Bytes>::default())
            .unwrap();
        // The signer hashes bodies only; the literal of this form takes their place.
        let amz_date = millstream_client::sigv4::date::format_amz(now);
        let scope = CredentialScope { date: amz_date[..8].into(), region: "us-west-2".into(), service: "s3".into() };
        let key = SigningKey::derive(&self.credentials.secret_access_key, &scope);
        request.headers_mut().insert("x-amz-date", amz_date.parse().unwrap());
        let names = "host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-trailer";
        let parts = millstream_client::sigv4::CanonicalParts {
            method: "PUT",
            target: "/mill/signed",
            path_form: millstream_client::sigv4::encoding::PathForm::Once,
            headers: request.headers(),
            authority: None,
            signed_headers: names,
            payload_hash: form,
            presigned: false,
        };
        let mut last = key.sign(&string_to_sign(&amz_date, &scope, &parts.hash()));
        let id = &self.credentials.access_key_id;
        let value = format!("AWS4-HMAC-SHA256 Credential={id}/{scope}, SignedHeaders={names}, Signature={last}");
        request.headers_mut().insert("authorization", value.parse().unwrap());
        let mut body = String::new();
        for data in ["hello ", "world", ""] {
            let (empty, hash) = (hex(&sha256(b"")), hex(&sha256(data.as_bytes())));
            last = key.sign(&format!("AWS4-HMAC-SHA256-PAYLOAD\n{amz_date}\n{scope}\n{last}\n{empty}\n{hash}"));
            write!(body, "{:x};chunk-signature={last}\r\n{data}", data.len()).unwrap();
            body += if data.is_empty() { "" } else { "\r\n" };
        }
        let trailer = "x-amz-checksum-crc32:DUoRhQ==\n";
        let hash = hex(&sha256(trailer.as_bytes()));
        last = key.sign(&format!("AWS4-HMAC-SHA256-TRAILER\n{amz_date}\n{scope}\n{last}\n{hash}"));
        write!(body, "{}\r\nx-amz-trailer-signature:{last}\r\n\r\n", trailer.trim_end()).unwrap();
        damage(&mut body);
        ask(&fixture.gateway, request.map(|_| Full::from(body))).await
    }
}

#[tokio::test]
async fn chunks_of_issued_keys_are_verified_one_by_one() {
    let fixture = Fixture::new().await;
    let credentials = fixture.iam.create_root_key(&"123456789012".parse().unwrap()).await.unwrap();
    fixture.s3("PUT", "/mill", &[], b"").await;
    let chunks = Chunks { credentials, clock: HostClock::real() };
    let answer = chunks.send(&fixture, |_| ()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(fixture.s3("GET", "/mill/signed", &[], b"").await.text(), "hello world");
    let refused = async |damage: fn(&mut String)| {
        let answer = chunks.send(&fixture, damage).await;
        assert!(answer.text().contains("SignatureDoesNotMatch"), "{}", answer.text());
    };
    refused(|body| *body = body.replace("world", "earth")).await;
    refused(|body| *body = body.replace("x-amz-trailer-signature:", "x-amz-trailer-signature:0")).await;
    refused(|body| *body = body.split("x-amz-trailer").next().unwrap().to_owned() + "\r\n").await;
    refused(|body| *body = body.replace("x-amz-checksum-crc32:DUoRhQ==\r\n", "")).await;
}

/// Millstream as the bucket outside of another Millstream.
#[tokio::test]
async fn one_server_is_the_destination_of_another() {
    let (outside, inside) = (Fixture::new().await, Fixture::new().await);
    outside.s3("PUT", "/mill", &[], b"").await;
    let credentials = outside.iam.create_root_key(&"123456789012".parse().unwrap()).await.unwrap();
    let (clock, tasks) = (HostClock::real(), Tasks::new());
    let address = "127.0.0.1:0".parse().unwrap();
    let listening = Listener::bind(address, listener::Options::default(), clock.clone()).await.unwrap();
    let endpoint = format!("http://{}", listening.local_address().unwrap());
    tasks.spawn(listening.serve(std::sync::Arc::new(outside.gateway.clone()), tasks.clone()));

    let role = role(&inside, &context()).await;
    let send = async |credentials: Credentials, bucket: &str| {
        let options = Options { s3: Some(endpoint.clone()), credentials: Some(credentials), ..Options::default() };
        let delivery = Delivery {
            destination: format!("arn:aws:s3:::{bucket}").parse().unwrap(),
            role_arn: role.clone(),
            region: "us-west-2".parse().unwrap(),
            document: "{\"a\":1}".into(),
            object_key: "aws/lambda/x y+z/ä".to_owned(),
        };
        let external = External::new(&options, &clock).unwrap();
        external.send(&delivery).await
    };
    assert_eq!(send(credentials.clone(), "mill").await, Ok(()));
    let got = outside.s3("GET", "/mill/aws/lambda/x%20y%2Bz/%C3%A4", &[], b"").await;
    assert_eq!((got.text(), got.header("content-type")), ("{\"a\":1}", "application/json"));
    let refused = send(credentials.clone(), "unknown").await;
    assert!(matches!(&refused, Err(DeliveryError::Refused(text)) if text.contains("NoSuchBucket")), "{refused:?}");
    let wrong = Credentials { secret_access_key: "wrong".to_owned(), ..credentials };
    let refused = send(wrong, "mill").await;
    assert!(
        matches!(&refused, Err(DeliveryError::Refused(text)) if text.contains("SignatureDoesNotMatch")),
        "{refused:?}"
    );
    tasks.cancel();
}

async fn role(fixture: &Fixture, context: &RequestContext) -> String {
    let trust = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},
        "Action":"sts:AssumeRole"}}"#;
    let role = CreateRoleRequest {
        role_name: "mill".to_owned(),
        assume_role_policy_document: trust.to_owned(),
        ..CreateRoleRequest::default()
    };
    fixture.iam.create_role(context, role).await.unwrap();
    let attach = AttachRolePolicyRequest {
        role_name: "mill".to_owned(),
        policy_arn: "arn:aws:iam::aws:policy/AmazonS3FullAccess".to_owned(),
    };
    fixture.iam.attach_role_policy(context, attach).await.unwrap();
    "arn:aws:iam::123456789012:role/mill".to_owned()
}

/// The usual signer makes the same of a plain body as S3's clients do.
#[tokio::test]
async fn signed_paths_are_encoded_once() {
    let fixture = Fixture::new().await;
    let credentials = fixture.iam.create_root_key(&"123456789012".parse().unwrap()).await.unwrap();
    fixture.s3("PUT", "/mill", &[], b"").await;
    let signer = Signer { credentials: &credentials, region: "us-west-2", service: "s3" };
    for target in ["/mill/a%20b", "/mill//a/../b", "/mill/%C3%A9%2B", "/mill/a+b", "/mill/a%3Ab%2Fc"] {
        let mut request = Request::put(target)
            .header("host", "127.0.0.1:4566")
            .header("x-amz-content-sha256", hex(&sha256(b"x")))
            .body(Full::from(&b"x"[..]))
            .unwrap();
        let now = HostClock::real().now();
        signer.sign(Method::PUT.as_str(), target, request.headers_mut(), &sha256(b"x"), now).unwrap();
        let answer = ask(&fixture.gateway, request).await;
        assert_eq!(answer.status, 200, "{target} {}", answer.text());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn nonsense_gets_an_error_and_changes_nothing(
        method in "GET|PUT|POST|DELETE|HEAD",
        path in "/(mill/?|mill/k|mill/parts|(mill/)?[a-z%/?&=+]{0,12})",
        query in "(\\?(delete|uploads|uploadId=x|uploadId=_|acl|partNumber=1&uploadId=(y|_)|list-type=2)\
                  (&[a-z]{1,6}=[a-z%]{0,4})?)?",
        body in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let fixture = Fixture::new().await;
            fixture.s3("PUT", "/mill", &[], b"").await;
            fixture.s3("PUT", "/mill/k", &[], b"grain").await;
            let begun = fixture.s3("POST", "/mill/parts?uploads", &[], b"").await;
            let id = begun.text().split("<UploadId>").nth(1).and_then(|rest| rest.split('<').next()).unwrap();
            let target = format!("{path}{}", query.replace('_', id));
            let Ok(uri) = target.parse::<http::Uri>() else { return Ok(()) };
            let before = fixture.state().await;
            let answer = fixture.s3(&method, &uri.to_string(), &[], &body).await;
            prop_assert!(!answer.status.is_server_error() || answer.status == 501, "{} {}", answer.status, answer.text());
            if !answer.status.is_success() {
                prop_assert_eq!(fixture.state().await, before);
            }
            Ok(())
        })?;
    }
}
