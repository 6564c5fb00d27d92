//! Golden transcripts: per operation and protocol the request as botocore writes it, the input it means, and the answer.
//!
//! `tests/golden/<service>.txt` holds them. Requests, inputs and outputs come from `xtask/codegen/transcripts.py write`,
//! answers from a run of these tests with `MILLSTREAM_GOLDEN=rewrite`; `transcripts.py check` shows that botocore reads
//! the answers. `tests/golden/errors.txt` holds every error body, written by this module alone.

mod errors;
mod event_stream;
mod from_json;
mod transcript;

use std::collections::BTreeMap;
use std::path::PathBuf;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response};

use crate::error::Samples;
use crate::protocol::{Encoding, Request, decode_value, encode};
use crate::typed::Typed;
use crate::{Operation, Protocol, Service, iam, kinesis, lambda, logs, millstream, monitoring, sns, sqs, sts};
use from_json::from_json;
use transcript::{Case, Transcript};

/// Sees every operation of a service with its Rust types.
pub(crate) trait Visitor {
    fn visit<O: Operation<Error: Samples>>(&mut self, service: &Service);
}

const REQUEST_ID: &str = "00000000-0000-4000-8000-000000000000";

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format!("{name}.txt"))
}

fn rewriting() -> bool {
    std::env::var_os("MILLSTREAM_GOLDEN").is_some_and(|value| value == "rewrite")
}

fn read(name: &str) -> String {
    std::fs::read_to_string(file(name)).unwrap_or_default()
}

/// Compares the text with the committed file, or replaces it.
#[expect(clippy::disallowed_methods, reason = "transcripts are files of this repository")]
fn settle(name: &str, text: &str) {
    if rewriting() {
        std::fs::write(file(name), text).expect("the folder of the transcripts can be written");
        return;
    }
    for (line, (present, wanted)) in read(name).lines().zip(text.lines()).enumerate() {
        assert_eq!(present, wanted, "{name}.txt, line {}", line + 1);
    }
    assert_eq!(read(name).len(), text.len(), "{name}.txt has more or fewer lines");
}

/// Runs the cases of one service.
struct Runner {
    cases: BTreeMap<String, Vec<Case>>,
}

impl Visitor for Runner {
    fn visit<O: Operation<Error: Samples>>(&mut self, service: &Service) {
        let cases = self.cases.get_mut(O::NAME).unwrap_or_else(|| panic!("no transcript of {}", O::NAME));
        for case in cases {
            let names: Vec<String> = case.exchanges.keys().cloned().collect();
            for name in names {
                let answer = exchange::<O>(service, case, &name);
                case.exchanges.get_mut(&name).expect("just listed").1 = answer;
            }
        }
    }
}

/// Checks that the request means the input, and gives the answer with the output.
fn exchange<O: Operation>(service: &Service, case: &Case, protocol: &str) -> Vec<String> {
    let encoding = match protocol {
        "json" if matches!(service.protocol, Protocol::Several { .. }) => Encoding::Json10,
        "json" => json_of(service),
        "cbor" => Encoding::Cbor,
        "rest-json" => Encoding::RestJson,
        "query" => Encoding::Query,
        "smithy-rpc-v2-cbor" => Encoding::RpcCbor,
        other => panic!("unknown protocol {other}"),
    };
    let shape = O::shape();
    let (target, headers, body) = transcript::request(&case.exchanges[protocol].0, encoding);
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let decoded = decode_value(service, shape, encoding, &Request { path, query, headers: &headers, body: &body });
    let decoded = decoded.unwrap_or_else(|error| panic!("{} {protocol}: {error}", case.title));
    assert_eq!(decoded, from_json(shape.input, &case.input), "{} {protocol}", case.title);
    assert_eq!(O::Input::from_value(decoded.clone()).into_value(), decoded, "{} {protocol}", case.title);

    if O::NAME == kinesis::op::SubscribeToShard::NAME {
        return transcript::answer(&event_stream::answer(&case.output), encoding);
    }
    let output = shape.output.map(|output| from_json(output, &case.output));
    let output = O::Output::from_value(output.unwrap_or_else(|| ().into_value()));
    transcript::answer(&encode::<O>(service, encoding, REQUEST_ID, output), encoding)
}

fn json_of(service: &Service) -> Encoding {
    match service.protocol {
        Protocol::Json { version: "1.0", .. } => Encoding::Json10,
        _ => Encoding::Json11,
    }
}

fn run(name: &str, visit: impl FnOnce(&mut Runner)) {
    let mut transcript = Transcript::parse(&read(name));
    let mut runner = Runner { cases: std::mem::take(&mut transcript.cases) };
    visit(&mut runner);
    transcript.cases = runner.cases;
    settle(name, &transcript.print());
}

#[test]
fn kinesis_transcripts() {
    run("kinesis", kinesis::op::visit);
}

#[test]
fn lambda_transcripts() {
    run("lambda", lambda::op::visit);
}

#[test]
fn iam_transcripts() {
    run("iam", iam::op::visit);
}

#[test]
fn sts_transcripts() {
    run("sts", sts::op::visit);
}

#[test]
fn logs_transcripts() {
    run("logs", logs::op::visit);
}

#[test]
fn monitoring_transcripts() {
    run("monitoring", monitoring::op::visit);
}

#[test]
fn millstream_transcripts() {
    run("millstream", millstream::op::visit);
}

#[test]
fn sqs_transcripts() {
    run("sqs", sqs::op::visit);
}

#[test]
fn sns_transcripts() {
    run("sns", sns::op::visit);
}
