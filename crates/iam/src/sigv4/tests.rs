use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use millstream_catalog::{MemoryStore, SharedStore};
use millstream_client::Credentials;
use millstream_client::sigv4::{Signer, date, sha256};
use millstream_env::{HostClock, Random, ServiceClock, Timestamp};
use millstream_types::AccountId;
use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::caller::Principal;
use crate::iam::{Iam, SessionGrant};

const NOW: &str = "20260102T030405Z";
const SERVICES: &[&str] = &["kinesis"];

fn now() -> Timestamp {
    date::parse_amz(NOW).unwrap()
}

fn run<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

fn iam(mode: AuthMode) -> Iam {
    let store: SharedStore = Arc::new(MemoryStore::new());
    let clock = HostClock::fixed_at(now());
    run(Iam::open(store, ServiceClock::real(), clock, Random::seeded(1), mode)).unwrap()
}

fn session(iam: &Iam, environment: Option<&str>) -> Credentials {
    let grant = SessionGrant {
        account: AccountId::default_account(),
        role_name: "role".to_owned(),
        role_id: "AROAAAAAAAAAAAAAAAAAA".to_owned(),
        session_name: "session".to_owned(),
        lifetime: Duration::from_mins(1),
        environment: environment.map(Arc::from),
        session_policies: Vec::new(),
    };
    iam.issue_session(grant).unwrap().credentials
}

/// A request as it travels.
#[derive(Clone, Debug)]
struct Request {
    method: String,
    target: String,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Request {
    fn new(target: &str) -> Self {
        let headers = headers(&[("host", "localhost:4566"), ("x-amz-target", "Kinesis_20131202.ListStreams")]);
        Self { method: "POST".to_owned(), target: target.to_owned(), headers, body: b"{}".to_vec() }
    }

    fn signed(credentials: &Credentials, at: Timestamp) -> Self {
        let mut request = Self::new("/?b=2&a=1");
        request.sign(credentials, at);
        request
    }

    fn sign(&mut self, credentials: &Credentials, at: Timestamp) {
        let signer = Signer { credentials, region: "eu-west-1", service: "kinesis" };
        let hash = sha256(&self.body);
        signer.sign(&self.method, &self.target, &mut self.headers, &hash, at).unwrap();
    }

    fn authenticate(&self, authenticator: &Authenticator, at: Timestamp) -> Result<Authenticated, AuthError> {
        let body_sha256 = sha256(&self.body);
        let parts = RequestParts {
            method: &self.method,
            target: &self.target,
            headers: &self.headers,
            authority: None,
            body_sha256: &body_sha256,
            services: SERVICES,
        };
        run(authenticator.authenticate(&parts, at))
    }

    /// The refusal at [`now`].
    fn refusal(&self, iam: &Iam) -> (AuthErrorKind, String) {
        let error = self.authenticate(iam.authenticator(), now()).unwrap_err();
        (error.kind, error.message)
    }
}

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap())).collect()
}

#[test]
fn published_vectors_verify() {
    let vectors: Vec<Value> = serde_json::from_str(include_str!("../../../client/vectors/sigv4.json")).unwrap();
    let iam = iam(AuthMode::Open);
    for vector in &vectors {
        let text = |member: &str| vector[member].as_str().unwrap();
        let mut headers: HeaderMap = HeaderMap::new();
        for pair in vector["headers"].as_array().unwrap() {
            let name: HeaderName = pair[0].as_str().unwrap().parse().unwrap();
            headers.append(name, pair[1].as_str().unwrap().parse().unwrap());
        }
        let day = &headers["x-amz-date"].to_str().unwrap()[..8];
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/{day}/us-east-1/{}/aws4_request, SignedHeaders={}, Signature={}",
            text("service"),
            text("signed_headers"),
            text("signature"),
        );
        headers.insert("authorization", authorization.parse().unwrap());
        let presented = Presented::read(text("target"), &headers).unwrap();
        let parts = RequestParts {
            method: text("method"),
            target: text("target"),
            headers: &headers,
            authority: None,
            body_sha256: &sha256(text("body").as_bytes()),
            services: &[],
        };
        let secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
        assert_eq!(iam.authenticator().verify(&parts, &presented, secret).map(drop), Ok(()), "{}", text("name"));
        assert!(
            iam.authenticator().verify(&parts, &Presented { signature: "0".repeat(64), ..presented }, secret).is_err()
        );
    }
}

#[test]
fn a_foreign_key_is_root_of_its_account_in_open_mode_only() {
    for (key, account) in [("test", "000000000000"), ("123456789012", "123456789012"), ("AKIDEXAMPLE", "000000000000")]
    {
        let mut request = Request::signed(&Credentials::new(key, "anything"), now());
        request.body = b"changed".to_vec();
        let long_after = now().plus(Duration::from_secs(1_000_000));
        let found = request.authenticate(iam(AuthMode::Open).authenticator(), long_after).unwrap();
        assert_eq!((found.caller.principal, found.caller.account.as_str()), (Principal::Root, account));
        assert_eq!((found.region.as_str(), found.service.as_str(), found.verified), ("eu-west-1", "kinesis", false));
        let refusal = request.authenticate(iam(AuthMode::Enforce).authenticator(), now()).unwrap_err();
        assert_eq!(refusal.kind, AuthErrorKind::UnknownKey);
    }
}

#[test]
fn an_issued_root_key_is_verified() {
    for mode in [AuthMode::Open, AuthMode::Enforce] {
        let iam = iam(mode);
        let account: AccountId = "123456789012".parse().unwrap();
        let key = run(iam.create_root_key(&account)).unwrap();
        let found = Request::signed(&key, now()).authenticate(iam.authenticator(), now()).unwrap();
        assert!(found.verified && found.caller.account == account && found.caller.principal == Principal::Root);
        let wrong = Credentials::new(key.access_key_id.clone(), "wrong");
        assert_eq!(Request::signed(&wrong, now()).refusal(&iam).0, AuthErrorKind::InvalidSignature);
        let with_token = Credentials { session_token: Some("t".to_owned()), ..key };
        assert_eq!(Request::signed(&with_token, now()).refusal(&iam).0, AuthErrorKind::UnknownKey);
    }
}

#[test]
fn an_issued_looking_key_that_is_unknown_is_refused_in_open_mode() {
    let iam = iam(AuthMode::Open);
    for kind in [crate::keys::KeyKind::LongTerm, crate::keys::KeyKind::Session] {
        let id = iam.shared.ring.issue_key_id(kind, &Random::seeded(77));
        let (kind, message) = Request::signed(&Credentials::new(id, "any"), now()).refusal(&iam);
        assert_eq!(kind, AuthErrorKind::UnknownKey);
        assert_eq!(message, "The security token included in the request is invalid.");
    }
}

#[test]
fn a_session_is_good_until_it_ends() {
    let iam = iam(AuthMode::Open);
    let request = Request::signed(&session(&iam, None), now());
    let at = |seconds| request.authenticate(iam.authenticator(), now().plus(Duration::from_secs(seconds)));
    let Principal::RoleSession { role_name, session_name, .. } = at(59).unwrap().caller.principal else {
        panic!("a session is no root")
    };
    assert_eq!((role_name.as_str(), session_name.as_str()), ("role", "session"));
    let refusal = at(60).unwrap_err();
    assert_eq!(refusal.kind, AuthErrorKind::Expired);
    assert_eq!(refusal.message, "The security token included in the request is expired");
}

#[test]
fn a_session_needs_its_own_token() {
    let iam = iam(AuthMode::Open);
    let (one, two) = (session(&iam, None), session(&iam, None));
    for token in [None, two.session_token, Some(String::new())] {
        let mixed = Credentials { session_token: token, ..one.clone() };
        assert_eq!(Request::signed(&mixed, now()).refusal(&iam).0, AuthErrorKind::UnknownKey);
    }
}

#[test]
fn a_session_survives_a_restart_but_that_of_an_environment_does_not() {
    let store: SharedStore = Arc::new(MemoryStore::new());
    let open = |seed| {
        let clock = HostClock::fixed_at(now());
        let random = Random::seeded(seed);
        run(Iam::open(Arc::clone(&store), ServiceClock::real(), clock, random, AuthMode::Open)).unwrap()
    };
    let before = open(1);
    let (free, bound) = (session(&before, None), session(&before, Some("environment")));
    let after = open(2);
    assert!(Request::signed(&free, now()).authenticate(after.authenticator(), now()).is_ok());
    assert_eq!(Request::signed(&bound, now()).refusal(&after).0, AuthErrorKind::UnknownKey);
}

#[test]
fn an_environments_listener_takes_its_own_session_only() {
    let iam = iam(AuthMode::Open);
    let (mine, other, free) = (session(&iam, Some("mine")), session(&iam, Some("other")), session(&iam, None));
    let authenticator = iam.authenticator().for_environment("mine");
    let ask = |credentials: &Credentials| Request::signed(credentials, now()).authenticate(&authenticator, now());
    assert!(ask(&mine).is_ok());
    for credentials in [&other, &free, &Credentials::new("test", "test")] {
        assert_eq!(ask(credentials).unwrap_err().kind, AuthErrorKind::UnknownKey);
    }
    iam.revoke_environment("mine");
    assert_eq!(ask(&mine).unwrap_err().kind, AuthErrorKind::UnknownKey);
    assert_eq!(Request::signed(&mine, now()).refusal(&iam).0, AuthErrorKind::UnknownKey);
}

#[test]
fn dates_outside_the_window_are_refused_with_the_recorded_texts() {
    let iam = iam(AuthMode::Open);
    let key = session(&iam, None);
    let signed = |text| Request::signed(&key, date::parse_amz(text).unwrap());
    assert!(signed("20260102T025905Z").authenticate(iam.authenticator(), now()).is_ok());
    assert!(signed("20260102T030905Z").authenticate(iam.authenticator(), now()).is_ok());
    let expired =
        "Signature expired: 20260102T025904Z is now earlier than 20260102T025905Z (20260102T030405Z - 5 min.)";
    assert_eq!(signed("20260102T025904Z").refusal(&iam), (AuthErrorKind::NotCurrent, expired.to_owned()));
    let early =
        "Signature not yet current: 20260102T030906Z is still later than 20260102T030905Z (20260102T030405Z + 5 min.)";
    assert_eq!(signed("20260102T030906Z").refusal(&iam), (AuthErrorKind::NotCurrent, early.to_owned()));
    let mut other_day = signed(NOW);
    let value = other_day.headers["authorization"].to_str().unwrap().replace("/20260102/", "/20260101/");
    other_day.headers.insert("authorization", value.parse().unwrap());
    let text = "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP";
    assert_eq!(other_day.refusal(&iam), (AuthErrorKind::WrongScope, text.to_owned()));
}

#[test]
fn a_scope_of_something_else_is_refused() {
    let iam = iam(AuthMode::Open);
    let check = |scope: &str, expected: &str| {
        let mut request = Request::new("/");
        let value = format!("AWS4-HMAC-SHA256 Credential=test/{scope}, SignedHeaders=host, Signature=x");
        request.headers.insert("authorization", value.parse().unwrap());
        request.headers.insert("x-amz-date", HeaderValue::from_static(NOW));
        assert_eq!(request.refusal(&iam).1, expected);
    };
    check("20260102/a_b/kinesis/aws4_request", "Credential should be scoped to a valid Region, not 'a_b'. ");
    check("20260102/a/sqs/aws4_request", "Credential should be scoped to correct service: 'kinesis'. ");
    check("20260102/a/kinesis/x", "Credential should be scoped with a valid terminator: 'aws4_request'");
    check(
        "20260102/a/kinesis",
        "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got 'test/20260102/a/kinesis'",
    );
}

#[test]
fn a_request_without_a_whole_signature_is_told_what_is_missing() {
    let iam = iam(AuthMode::Open);
    let check = |target: &str, pairs: &[(&str, &str)], kind: AuthErrorKind, expected: &str| {
        let mut request = Request::new(target);
        request.headers.extend(headers(pairs));
        assert_eq!(request.refusal(&iam), (kind, expected.to_owned()));
    };
    check("/", &[], AuthErrorKind::Missing, "Missing Authentication Token");
    check(
        "/?X-Amz-Algorithm=",
        &[("authorization", "x")],
        AuthErrorKind::InvalidSignature,
        "Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header.",
    );
    check(
        "/",
        &[("authorization", "Bearer x")],
        AuthErrorKind::Incomplete,
        "Authorization header requires 'Credential' parameter. Authorization header requires 'Signature' parameter. \
         Authorization header requires 'SignedHeaders' parameter. Authorization header requires existence of either a \
         'X-Amz-Date' or a 'Date' header. Authorization=Bearer x",
    );
    check(
        "/",
        &[("authorization", "AWS4-HMAC-SHA256 Credential=a,Signature=b"), ("date", "x")],
        AuthErrorKind::Incomplete,
        "Authorization header requires 'SignedHeaders' parameter. Authorization=AWS4-HMAC-SHA256 Credential=a,Signature=b",
    );
    check(
        "/?X-Amz-Algorithm",
        &[],
        AuthErrorKind::Incomplete,
        "AWS query-string parameters must include 'X-Amz-Algorithm'. AWS query-string parameters must include \
         'X-Amz-Credential'. AWS query-string parameters must include 'X-Amz-Signature'. AWS query-string parameters \
         must include 'X-Amz-SignedHeaders'. AWS query-string parameters must include 'X-Amz-Date'. Re-examine the \
         query-string parameters.",
    );
    check(
        "/?X-Amz-Algorithm=a&X-Amz-Credential=b&X-Amz-Signature=c&X-Amz-Date=d",
        &[],
        AuthErrorKind::Incomplete,
        "AWS query-string parameters must include 'X-Amz-SignedHeaders'. Re-examine the query-string parameters.",
    );
    check(
        "/",
        &[("authorization", "AWS4-ECDSA-P256-SHA256 Credential=a,Signature=b,SignedHeaders=c"), ("x-amz-date", NOW)],
        AuthErrorKind::Incomplete,
        "Unsupported AWS 'algorithm': 'AWS4-ECDSA-P256-SHA256'.",
    );
}

#[test]
fn presigned_requests_are_good_for_as_long_as_they_say() {
    let iam = iam(AuthMode::Open);
    let key = run(iam.create_root_key(&AccountId::default_account())).unwrap();
    let signer = Signer { credentials: &key, region: "eu-west-1", service: "kinesis" };
    let target = signer.presign("GET", "localhost:4566", "/?Action=x", 900, now()).unwrap();
    let headers = headers(&[("host", "localhost:4566")]);
    let request = Request { method: "GET".to_owned(), target, headers, body: Vec::new() };
    let at = |seconds| request.authenticate(iam.authenticator(), now().plus(Duration::from_secs(seconds)));
    assert!(at(900).unwrap().verified);
    let expected =
        "Signature expired: 20260102T030405Z is now earlier than 20260102T030406Z (20260102T031906Z - 15 min.)";
    assert_eq!(at(901).unwrap_err().message, expected);
    let mut other = request.clone();
    other.target = other.target.replace("Action=x", "Action=y");
    assert_eq!(other.refusal(&iam).0, AuthErrorKind::InvalidSignature);
    other.target = request.target.replace("Expires=900", "Expires=604801");
    assert_eq!(other.refusal(&iam).0, AuthErrorKind::Incomplete);
}

#[test]
fn headers_that_matter_must_be_signed() {
    let iam = iam(AuthMode::Open);
    let key = session(&iam, None);
    let mut request = Request::signed(&key, now());
    request.headers.insert("x-amz-log-type", HeaderValue::from_static("Tail"));
    assert_eq!(request.refusal(&iam).0, AuthErrorKind::InvalidSignature);
    let mut request = Request::signed(&key, now());
    request.headers.insert("user-agent", HeaderValue::from_static("anything"));
    assert!(request.authenticate(iam.authenticator(), now()).is_ok());
    let value = request.headers["authorization"].to_str().unwrap().replace("=host;", "=");
    request.headers.insert("authorization", value.parse().unwrap());
    assert!(request.refusal(&iam).1.starts_with("'Host' or ':authority'"));
}

#[test]
fn a_named_payload_hash_must_be_that_of_the_body() {
    let iam = iam(AuthMode::Open);
    let key = session(&iam, None);
    let ask = |hash: &str| {
        let mut request = Request::new("/");
        request.headers.insert("x-amz-content-sha256", hash.parse().unwrap());
        request.sign(&key, now());
        request.authenticate(iam.authenticator(), now())
    };
    assert!(ask(&millstream_client::sigv4::hex(&sha256(b"{}"))).is_ok());
    assert_eq!(ask(&"0".repeat(64)).unwrap_err(), AuthError::mismatch());
    assert_eq!(ask("STREAMING-AWS4-HMAC-SHA256-PAYLOAD").unwrap_err(), AuthError::mismatch());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn reading_any_header_never_panics(authorization in ".{0,200}", date in ".{0,20}", query in ".{0,80}") {
        let mut map = HeaderMap::new();
        for (name, value) in [("authorization", authorization), ("x-amz-date", date)] {
            if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
                map.insert(name.parse::<HeaderName>().unwrap(), value);
            }
        }
        let _outcome = Presented::read(&format!("/?{query}"), &map);
    }

    #[test]
    fn reading_almost_right_signatures_never_panics(
        parts in prop::collection::vec(("(Credential|Signature|SignedHeaders|x)", "[a-z0-9/;=é%]{0,30}", "(, |,| |)"), 0..6),
        query in prop::collection::vec(("X-Amz-(Algorithm|Credential|Signature|SignedHeaders|Date|Expires)", "[A-Z0-9/%é+-]{0,20}"), 0..8),
    ) {
        let rest: Vec<String> = parts.iter().map(|(name, value, end)| format!("{name}={value}{end}")).collect();
        let query: Vec<String> = query.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut map = headers(&[("x-amz-date", NOW)]);
        let _outcome = Presented::read(&format!("/?{}", query.join("&")), &map);
        map.insert("authorization", HeaderValue::from_bytes(format!("AWS4-HMAC-SHA256 {}", rest.concat()).as_bytes()).unwrap());
        let _outcome = Presented::read("/", &map);
    }

    #[test]
    fn what_the_signer_signs_verifies_and_any_change_does_not(
        method in "(GET|POST|PUT|DELETE)",
        path in "(/[a-zA-Z0-9.%_:~ -]{0,8}){1,4}",
        query in prop::collection::vec(("[a-zA-Z0-9%+/-]{1,5}", "[a-zA-Z0-9%+/=-]{0,5}"), 0..4),
        value in "[a-zA-Z0-9 ,;]{0,12}",
        body in prop::collection::vec(any::<u8>(), 0..64),
        change in 0_usize..6,
    ) {
        let iam = iam(AuthMode::Open);
        let key = session(&iam, None);
        let query: Vec<String> = query.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut request = Request::new(&format!("{path}?{}", query.join("&")));
        request.method = method;
        request.body = body;
        request.headers.insert("x-custom", value.parse().unwrap());
        request.sign(&key, now());
        prop_assert!(request.authenticate(iam.authenticator(), now()).is_ok());
        match change {
            0 => request.method.push('X'),
            1 => request.target.insert_str(1, "changed"),
            2 => request.target.push_str("&changed=1"),
            3 => request.body.push(0),
            4 => { request.headers.insert("x-custom", HeaderValue::from_static("changed-value-here")); }
            _ => { request.headers.insert("host", HeaderValue::from_static("elsewhere")); }
        }
        let refusal = request.authenticate(iam.authenticator(), now()).unwrap_err();
        prop_assert_eq!(refusal.kind, AuthErrorKind::InvalidSignature);
    }
}
