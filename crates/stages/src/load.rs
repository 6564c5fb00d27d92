//! `PutRecords` requests as an SDK sends them: built once, signed again before each use, arriving in pieces.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request};
use hyper::body::{Body, Frame, SizeHint};
use millstream_client::Credentials;
use millstream_client::sigv4::{Signer, sha256};
use millstream_env::{HostClock, Random};
use millstream_wire::direct::Format;

use crate::services::REGION;

pub const RECORDS: usize = 500;
pub const RECORD_BYTES: usize = 1024;
/// About as much as a connection's buffer gives at a time.
const PIECE_BYTES: usize = 256 * 1024;

/// One request.
#[derive(Clone, Debug)]
pub struct PutRequest {
    pub format: Format,
    pub body: Bytes,
    pub sha256: [u8; 32],
    pub records: usize,
}

impl PutRequest {
    /// `records` records of [`RECORD_BYTES`] random bytes with random partition keys.
    pub fn new(stream: &str, format: Format, records: usize, random: &Random) -> Self {
        let each = (0..records).map(|_| {
            let mut data = vec![0; RECORD_BYTES];
            random.fill(&mut data);
            (data, format!("{:016x}", random.u64()))
        });
        let body = match format {
            Format::Json => json(stream, each),
            Format::Cbor => cbor(stream, records, each),
        };
        Self { format, sha256: sha256(&body), body: body.into(), records }
    }

    pub fn content_type(&self) -> &'static str {
        content_type(self.format)
    }

    /// The head, signed now.
    pub fn signed(&self, credentials: &Credentials, clock: &HostClock) -> anyhow::Result<Request<()>> {
        signed(credentials, clock, "PutRecords", self.content_type(), &self.sha256)
    }

    pub fn pieces(&self) -> Pieces {
        Pieces::new(self.body.clone())
    }
}

pub fn content_type(format: Format) -> &'static str {
    match format {
        Format::Json => "application/x-amz-json-1.1",
        Format::Cbor => "application/x-amz-cbor-1.1",
    }
}

/// The head of a call of Kinesis, signed now.
pub fn signed(
    credentials: &Credentials,
    clock: &HostClock,
    operation: &str,
    content_type: &'static str,
    body_sha256: &[u8; 32],
) -> anyhow::Result<Request<()>> {
    let mut headers = HeaderMap::new();
    headers.insert("host", HeaderValue::from_static("localhost:4566"));
    headers.insert("content-type", HeaderValue::from_static(content_type));
    headers.insert("x-amz-target", HeaderValue::from_str(&format!("Kinesis_20131202.{operation}"))?);
    let signer = Signer { credentials, region: REGION, service: "kinesis" };
    signer.sign("POST", "/", &mut headers, body_sha256, clock.now())?;
    let mut request = Request::post("/").body(())?;
    *request.headers_mut() = headers;
    Ok(request)
}

fn json(stream: &str, records: impl Iterator<Item = (Vec<u8>, String)>) -> Vec<u8> {
    let records = records.map(|(data, key)| {
        let data = base64_simd::STANDARD.encode_to_string(data);
        format!(r#"{{"Data":"{data}","PartitionKey":"{key}"}}"#)
    });
    let records: Vec<String> = records.collect();
    format!(r#"{{"StreamName":"{stream}","Records":[{}]}}"#, records.join(",")).into_bytes()
}

/// By hand: four kinds of items are all there is.
fn cbor(stream: &str, count: usize, records: impl Iterator<Item = (Vec<u8>, String)>) -> Vec<u8> {
    const BYTES: u8 = 0x40;
    const TEXT: u8 = 0x60;
    const LIST: u8 = 0x80;
    const MAP: u8 = 0xa0;
    /// The length follows in two bytes.
    const SHORT: u8 = 0x19;
    let head = |out: &mut Vec<u8>, kind: u8, length: usize| {
        out.push(kind | SHORT);
        out.extend_from_slice(&u16::try_from(length).expect("items here are short").to_be_bytes());
    };
    let text = |out: &mut Vec<u8>, text: &str| {
        head(out, TEXT, text.len());
        out.extend_from_slice(text.as_bytes());
    };
    let mut out = Vec::new();
    head(&mut out, MAP, 2);
    text(&mut out, "StreamName");
    text(&mut out, stream);
    text(&mut out, "Records");
    head(&mut out, LIST, count);
    for (data, key) in records {
        head(&mut out, MAP, 2);
        text(&mut out, "Data");
        head(&mut out, BYTES, data.len());
        out.extend_from_slice(&data);
        text(&mut out, "PartitionKey");
        text(&mut out, &key);
    }
    out
}

/// A body that comes a piece at a time, of a length that is told before.
#[derive(Debug)]
pub struct Pieces(Bytes);

impl Pieces {
    pub fn new(body: Bytes) -> Self {
        Self(body)
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.0.is_empty() {
            return Poll::Ready(None);
        }
        let length = self.0.len().min(PIECE_BYTES);
        Poll::Ready(Some(Ok(Frame::data(self.0.split_to(length)))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use millstream_wire::direct::put_records;

    use super::*;

    #[test]
    fn both_forms_are_requests_of_so_many_records() {
        for format in [Format::Json, Format::Cbor] {
            let request = PutRequest::new("s", format, 3, &Random::seeded(1));
            let decoded = put_records::decode(&request.body, format).unwrap();
            assert_eq!(decoded.stream_name.as_deref(), Some("s"));
            assert_eq!(decoded.entries.len(), 3);
            assert!(decoded.entries.iter().all(|entry| entry.data_length == RECORD_BYTES));
        }
    }
}
