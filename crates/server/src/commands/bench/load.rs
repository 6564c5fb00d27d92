//! The load: connections that put batches of records, each request built, hashed and signed as an SDK would.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base64_simd::{Out, STANDARD};
use http::header::{CONTENT_TYPE, HOST};
use http::{HeaderMap, HeaderValue};
use millstream_client::Credentials;
use millstream_client::sigv4::{Signer, sha256};
use millstream_env::{HostClock, Random};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::Mutex;

use super::super::histogram::Histogram;

/// Answers are small: 500 sequence numbers are about 55 KB.
const ANSWER_BYTES_MAX: usize = 4 << 20;
/// Incompressible bytes that the records are cut from.
const NOISE_BYTES: usize = 1 << 20;
/// What the time of the put takes at the start of each record; see [`super::super::bootstrap`].
pub(crate) const RECORD_BYTES_MIN: i64 = 16;

/// What to put, and where.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    pub(crate) address: SocketAddr,
    pub(crate) credentials: Credentials,
    pub(crate) region: String,
    /// A connection puts into each in turn; not empty.
    pub(crate) streams: Vec<String>,
    pub(crate) records_per_request: usize,
    pub(crate) record_bytes: usize,
}

/// What all connections have done so far.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    pub(crate) records: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) latencies: Mutex<Histogram>,
}

/// When a connection puts: until the end, and not faster than its part of the wanted rate.
#[derive(Debug)]
pub(crate) struct Pace {
    clock: HostClock,
    end: Duration,
    /// Between two requests; zero for no limit.
    interval: Duration,
    next: Duration,
}

impl Pace {
    /// `rate` is in records per second over all connections; 0 for no limit.
    pub(crate) fn new(clock: HostClock, end: Duration, rate: u64, records_per_request: u32, connections: u32) -> Self {
        let micros = u64::from(records_per_request) * u64::from(connections) * 1_000_000;
        let interval = micros.checked_div(rate).map_or(Duration::ZERO, Duration::from_micros);
        let next = clock.monotonic();
        Self { clock, end, interval, next }
    }

    /// Waits for the next request's turn; `false` when there is none.
    async fn turn(&mut self) -> bool {
        let now = self.clock.monotonic();
        if now >= self.end {
            return false;
        }
        if self.next > now {
            self.clock.sleep(self.next.min(self.end).saturating_sub(now)).await;
        }
        self.next += self.interval;
        self.clock.monotonic() < self.end
    }
}

/// One connection: puts batch after batch at its pace.
pub(crate) async fn connection(
    load: Arc<Load>,
    progress: Arc<Progress>,
    random: Random,
    mut pace: Pace,
) -> anyhow::Result<()> {
    let mut stream = BufReader::with_capacity(1 << 17, TcpStream::connect(load.address).await?);
    stream.get_ref().set_nodelay(true)?;
    let mut noise = vec![0; NOISE_BYTES + load.record_bytes];
    random.fill(&mut noise);
    let mut writer =
        RequestWriter { load: &load, noise, random, turn: 0, body: Vec::new(), head: Vec::new(), record: Vec::new() };
    // Connections that put at the same time do not crowd at one stream.
    writer.turn = usize::try_from(writer.random.u64() % load.streams.len() as u64)?;
    let clock = pace.clock.clone();
    while pace.turn().await {
        writer.build(&clock)?;
        let started = clock.monotonic();
        stream.get_mut().write_all(&writer.head).await?;
        stream.get_mut().write_all(&writer.body).await?;
        let failed = read_answer(&mut stream).await?;
        let took = clock.monotonic().saturating_sub(started);
        progress.latencies.lock().await.record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        progress.failed.fetch_add(failed, Ordering::Relaxed);
        progress.records.fetch_add(load.records_per_request as u64 - failed, Ordering::Relaxed);
    }
    Ok(())
}

struct RequestWriter<'a> {
    load: &'a Load,
    noise: Vec<u8>,
    random: Random,
    /// Which stream is next.
    turn: usize,
    body: Vec<u8>,
    head: Vec<u8>,
    record: Vec<u8>,
}

impl RequestWriter<'_> {
    fn build(&mut self, clock: &HostClock) -> anyhow::Result<()> {
        let Load { streams, records_per_request, record_bytes, .. } = self.load;
        let stream = &streams[self.turn];
        self.turn = (self.turn + 1) % streams.len();
        self.body.clear();
        self.body.extend_from_slice(format!("{{\"StreamName\":\"{stream}\",\"Records\":[").as_bytes());
        for i in 0..*records_per_request {
            let random = self.random.u64();
            let offset = usize::try_from(random % NOISE_BYTES as u64)?;
            self.record.clear();
            self.record.extend_from_slice(&clock.now_micros().to_le_bytes());
            self.record.extend_from_slice(&self.noise[offset..offset + record_bytes - 8]);
            self.body.extend_from_slice(if i == 0 { b"{\"Data\":\"" } else { b",{\"Data\":\"" });
            let start = self.body.len();
            self.body.resize(start + STANDARD.encoded_length(*record_bytes), 0);
            let _written = STANDARD.encode(&self.record, Out::from_slice(&mut self.body[start..]));
            self.body.extend_from_slice(format!("\",\"PartitionKey\":\"{random:016x}\"}}").as_bytes());
        }
        self.body.extend_from_slice(b"]}");
        self.sign(clock)
    }

    fn sign(&mut self, clock: &HostClock) -> anyhow::Result<()> {
        self.head = signed_head(self.load, "PutRecords", &self.body, clock)?;
        Ok(())
    }
}

/// The head of a signed request of Kinesis with this body.
pub(crate) fn signed_head(load: &Load, operation: &str, body: &[u8], clock: &HostClock) -> anyhow::Result<Vec<u8>> {
    let mut headers = HeaderMap::new();
    headers.insert(HOST, HeaderValue::from_str(&load.address.to_string())?);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-amz-json-1.1"));
    headers.insert("x-amz-target", HeaderValue::from_str(&format!("Kinesis_20131202.{operation}"))?);
    let signer = Signer { credentials: &load.credentials, region: &load.region, service: "kinesis" };
    signer.sign("POST", "/", &mut headers, &sha256(body), clock.now())?;
    let mut head = b"POST / HTTP/1.1\r\n".to_vec();
    for (name, value) in &headers {
        head.extend_from_slice(name.as_str().as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
    Ok(head)
}

/// Reads one answer; the number of records that failed.
async fn read_answer(stream: &mut BufReader<TcpStream>) -> anyhow::Result<u64> {
    let (mut line, mut status, mut length) = (String::new(), String::new(), 0);
    loop {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        let text = line.trim_end();
        if text.is_empty() {
            break;
        }
        match text.split_once(':') {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => length = value.trim().parse()?,
            None => text.clone_into(&mut status),
            Some(_) => {}
        }
    }
    anyhow::ensure!(length <= ANSWER_BYTES_MAX, "an answer of {length} bytes");
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    anyhow::ensure!(status.contains(" 200 "), "{status}: {}", String::from_utf8_lossy(&body));
    failed_records(&body)
}

/// The value of `FailedRecordCount`, without parsing the rest.
fn failed_records(body: &[u8]) -> anyhow::Result<u64> {
    let text = std::str::from_utf8(body)?;
    let (_, after) = text.split_once("\"FailedRecordCount\":").unwrap_or(("", "0"));
    let digits = after.trim_start().find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
    Ok(after.trim_start()[..digits].parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_of_failed_records_is_found() {
        assert_eq!(failed_records(br#"{"EncryptionType":"NONE","FailedRecordCount":17,"Records":[]}"#).unwrap(), 17);
        assert_eq!(failed_records(br#"{"FailedRecordCount":0,"Records":[]}"#).unwrap(), 0);
        assert_eq!(failed_records(b"{}").unwrap(), 0);
    }

    #[test]
    fn a_request_holds_the_records_it_promises() {
        let load = Load {
            address: "127.0.0.1:1".parse().unwrap(),
            credentials: Credentials::new("AKID", "secret"),
            region: "us-east-1".to_owned(),
            streams: vec!["s".to_owned(), "t".to_owned()],
            records_per_request: 3,
            record_bytes: 100,
        };
        let random = Random::seeded(1);
        let noise = vec![7; NOISE_BYTES + 100];
        let mut writer = RequestWriter {
            load: &load,
            noise,
            random,
            turn: 0,
            body: Vec::new(),
            head: Vec::new(),
            record: Vec::new(),
        };
        writer.build(&HostClock::real()).unwrap();
        let body: serde_json::Value = serde_json::from_slice(&writer.body).unwrap();
        assert_eq!(body["Records"].as_array().unwrap().len(), 3);
        let data = body["Records"][2]["Data"].as_str().unwrap();
        assert_eq!(STANDARD.decode_to_vec(data).unwrap().len(), 100);
        assert_eq!(body["StreamName"], "s");
        assert!(std::str::from_utf8(&writer.head).unwrap().contains("authorization: AWS4-HMAC-SHA256 "));
        writer.build(&HostClock::real()).unwrap();
        assert!(writer.body.starts_with(br#"{"StreamName":"t","#));
    }
}
