//! The text form of the transcripts.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use http::header::CONTENT_TYPE;

use super::{Bytes, Encoding, HeaderMap, HeaderName, HeaderValue, Response};
use crate::event_stream;

/// A file: the cases by operation.
#[derive(Debug, Default)]
pub(super) struct Transcript {
    pub(super) cases: BTreeMap<String, Vec<Case>>,
}

#[derive(Debug)]
pub(super) struct Case {
    /// The operation and `minimal` or `full`.
    pub(super) title: String,
    /// As they stand in the file.
    input_line: String,
    output_line: String,
    pub(super) input: serde_json::Value,
    pub(super) output: serde_json::Value,
    /// The lines of the request and of the answer by protocol, in the order of the file.
    pub(super) exchanges: BTreeMap<String, (Vec<String>, Vec<String>)>,
}

impl Transcript {
    pub(super) fn parse(text: &str) -> Self {
        let mut transcript = Self::default();
        for part in format!("\n{text}").split("\n# ").skip(1) {
            let case = Case::parse(part.strip_suffix('\n').unwrap_or(part));
            let operation = case.title.split(' ').next().expect("a title starts with the operation").to_owned();
            transcript.cases.entry(operation).or_default().push(case);
        }
        transcript
    }

    pub(super) fn print(&self) -> String {
        let mut text = String::new();
        for case in self.cases.values().flatten() {
            let Case { title, input_line, output_line, .. } = case;
            writeln!(text, "# {title}\ninput {input_line}\noutput {output_line}")
                .expect("writing to a string succeeds");
            for (protocol, (request, answer)) in &case.exchanges {
                for (kind, lines) in [("request", request), ("response", answer)] {
                    writeln!(text, "--- {protocol} {kind}\n{}", lines.join("\n"))
                        .expect("writing to a string succeeds");
                }
            }
        }
        text
    }
}

impl Case {
    fn parse(part: &str) -> Self {
        let mut sections = part.split("\n--- ");
        let head: Vec<&str> = sections.next().expect("a split has a first piece").lines().collect();
        let line = |index: usize, name: &str| {
            let line: &str = head.get(index).expect("a case starts with three lines");
            line.strip_prefix(name).expect("the line is named").to_owned()
        };
        let (input_line, output_line) = (line(1, "input "), line(2, "output "));
        let mut exchanges: BTreeMap<String, (Vec<String>, Vec<String>)> = BTreeMap::new();
        for section in sections {
            let mut lines = section.split('\n').map(str::to_owned);
            let title = lines.next().expect("a split has a first piece");
            let (protocol, kind) = title.split_once(' ').expect("a section names a protocol and a side");
            let exchange = exchanges.entry(protocol.to_owned()).or_default();
            *(if kind == "request" { &mut exchange.0 } else { &mut exchange.1 }) = lines.collect();
        }
        Self {
            title: line(0, ""),
            input: serde_json::from_str(&input_line).expect("the input is JSON"),
            output: serde_json::from_str(&output_line).expect("the output is JSON"),
            input_line,
            output_line,
            exchanges,
        }
    }
}

/// The target, the headers and the body of a request.
pub(super) fn request(lines: &[String], encoding: Encoding) -> (String, HeaderMap, Bytes) {
    let (start, body) = lines.split_at(lines.iter().position(String::is_empty).expect("a blank line ends the headers"));
    let (_, target) = start[0].split_once(' ').expect("a request line has two words");
    let headers = start[1..].iter().map(|line| {
        let (name, value) = line.split_once(": ").expect("a header has a colon");
        (HeaderName::try_from(name).expect("a name"), HeaderValue::try_from(value).expect("a value"))
    });
    let body = body[1..].join("\n");
    let body = if matches!(encoding, Encoding::Cbor | Encoding::RpcCbor) { from_hex(&body) } else { body.into_bytes() };
    (target.to_owned(), headers.collect(), Bytes::from(body))
}

/// The lines of an answer; CBOR and event streams are written in hexadecimal.
pub(super) fn answer(response: &Response<Bytes>, encoding: Encoding) -> Vec<String> {
    let mut lines = vec![response.status().as_u16().to_string()];
    for (name, value) in response.headers() {
        lines.push(format!("{name}: {}", value.to_str().expect("header values are text")));
    }
    lines[1..].sort();
    let body = response.body();
    let is_event_stream = response.headers().get(CONTENT_TYPE).is_some_and(|value| value == event_stream::CONTENT_TYPE);
    let body = match encoding {
        _ if is_event_stream => to_hex(body),
        Encoding::Cbor | Encoding::RpcCbor => to_hex(body),
        _ => String::from_utf8(body.to_vec()).expect("the samples are text"),
    };
    lines.extend([String::new(), body]);
    lines
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

fn from_hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.chars().map(|c| u8::try_from(c.to_digit(16).expect("hex")).expect("a digit")).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}
