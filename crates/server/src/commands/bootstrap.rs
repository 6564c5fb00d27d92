//! A compiled function for `demo` and `bench`: this binary, started under the name `bootstrap` by a `provided` runtime.
//!
//! It speaks the Runtime API over one kept connection, one invocation at a time, with the standard library only, so that
//! what the benchmarks measure is the server and not a client library.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;

use millstream_env::HostClock;
use serde::Deserialize;
use serde_json::{Value, json};

use super::histogram::Histogram;

/// The handler of the demo; see `demo/handler.py` for what it does.
pub(crate) const DEMO_HANDLER: &str = "bootstrap.demo";
/// Counts records and the time from put to handler, as the first eight bytes of each record tell it.
pub(crate) const BENCH_HANDLER: &str = "bootstrap.bench";

/// Event bodies are at most 6 MiB; anything far beyond is not a Runtime API.
const EVENT_BYTES_MAX: usize = 16 << 20;

/// Whether this process was started as a function and not as a command.
pub(crate) fn is_wanted() -> bool {
    let name = std::env::args_os().next();
    name.is_some_and(|name| Path::new(&name).file_name().is_some_and(|file| file == "bootstrap"))
        && std::env::var_os("AWS_LAMBDA_RUNTIME_API").is_some()
}

/// The content of a package's `bootstrap`: this very binary.
pub(crate) fn package() -> anyhow::Result<Vec<u8>> {
    let mut content = Vec::new();
    std::fs::OpenOptions::new().read(true).open(std::env::current_exe()?)?.read_to_end(&mut content)?;
    Ok(content)
}

/// Serves invocations until the environment is taken down.
pub(crate) fn run() -> io::Result<()> {
    let host = std::env::var("AWS_LAMBDA_RUNTIME_API").map_err(io::Error::other)?;
    let handler = std::env::var("_HANDLER").unwrap_or_default();
    let mut api = RuntimeApi::connect(&host)?;
    let mut function = Function { clock: HostClock::real(), attempts: HashMap::new() };
    loop {
        let (request_id, body) = api.next()?;
        let result = match handler.as_str() {
            DEMO_HANDLER => function.demo(&body),
            BENCH_HANDLER => function.bench(&body),
            other => Err(format!("there is no handler {other}")),
        };
        match result {
            Ok(answer) => api.post(&request_id, "response", &answer)?,
            Err(message) => {
                let error = json!({ "errorType": "Error", "errorMessage": message, "stackTrace": [] });
                api.post(&request_id, "error", &error)?;
            }
        }
    }
}

/// One connection to the Runtime API.
struct RuntimeApi {
    host: String,
    stream: BufReader<TcpStream>,
}

impl RuntimeApi {
    fn connect(host: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(host)?;
        stream.set_nodelay(true)?;
        Ok(Self { host: host.to_owned(), stream: BufReader::with_capacity(1 << 16, stream) })
    }

    /// Waits for an invocation: its request id and event.
    fn next(&mut self) -> io::Result<(String, Vec<u8>)> {
        let request = format!("GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: {}\r\n\r\n", self.host);
        self.stream.get_mut().write_all(request.as_bytes())?;
        let (headers, body) = self.answer()?;
        let id = headers.get("lambda-runtime-aws-request-id").cloned();
        Ok((id.ok_or_else(|| io::Error::other("an invocation without request id"))?, body))
    }

    fn post(&mut self, request_id: &str, kind: &str, body: &Value) -> io::Result<()> {
        let body = body.to_string();
        let request = format!(
            "POST /2018-06-01/runtime/invocation/{request_id}/{kind} HTTP/1.1\r\nHost: {}\r\nContent-Type: \
             application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.host,
            body.len()
        );
        self.stream.get_mut().write_all(request.as_bytes())?;
        self.answer().map(drop)
    }

    fn answer(&mut self) -> io::Result<(HashMap<String, String>, Vec<u8>)> {
        let mut headers = HashMap::new();
        let mut line = String::new();
        loop {
            line.clear();
            if self.stream.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            match line.trim_end().split_once(": ") {
                Some((name, value)) => _ = headers.insert(name.to_ascii_lowercase(), value.to_owned()),
                None if line.trim_end().is_empty() => break,
                None => {}
            }
        }
        let length = headers.get("content-length").map_or(Ok(0), |length| length.parse::<usize>());
        let length = length.ok().filter(|length| *length <= EVENT_BYTES_MAX);
        let mut body = vec![0; length.ok_or_else(|| io::Error::other("an answer of no sensible length"))?];
        self.stream.read_exact(&mut body)?;
        Ok((headers, body))
    }
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(rename = "Records", borrow)]
    records: Vec<EventRecord<'a>>,
}

#[derive(Deserialize)]
struct EventRecord<'a> {
    #[serde(borrow)]
    kinesis: Kinesis<'a>,
    #[serde(rename = "eventID")]
    event_id: &'a str,
}

#[derive(Deserialize)]
struct Kinesis<'a> {
    data: &'a str,
}

#[derive(Deserialize)]
struct DemoRecord {
    run: u64,
    number: u64,
    put_at: f64,
    #[serde(default)]
    fails: u64,
}

struct Function {
    clock: HostClock,
    /// How often each record of the demo has failed so far.
    attempts: HashMap<u64, u64>,
}

impl Function {
    fn demo(&mut self, body: &[u8]) -> Result<Value, String> {
        let now = self.clock.now_micros();
        let event: Event<'_> = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        let decode = |record: &EventRecord<'_>| {
            let data = base64_simd::STANDARD.decode_to_vec(record.kinesis.data).map_err(|error| error.to_string())?;
            serde_json::from_slice::<DemoRecord>(&data).map_err(|error| error.to_string())
        };
        let records = event.records.iter().map(decode).collect::<Result<Vec<_>, _>>()?;
        let shard = event.records.first().and_then(|record| record.event_id.split(':').next()).unwrap_or_default();
        let failing = records.iter().find(|r| r.fails > self.attempts.get(&r.number).copied().unwrap_or_default());
        let culprit = failing.map(|record| record.number);
        let attempt = culprit.map(|number| {
            let attempt = self.attempts.entry(number).or_default();
            *attempt += 1;
            *attempt
        });
        say(
            "demo",
            &json!({
                "run": records.first().map(|record| record.run),
                "outcome": if culprit.is_some() { "failed" } else { "done" },
                "shard": shard,
                "numbers": records.iter().map(|r| r.number).collect::<Vec<_>>(),
                "latencies_ms": records.iter().map(|r| latency_ms(now, r.put_at)).collect::<Vec<_>>(),
                "culprit": culprit,
                "attempt": attempt,
            }),
        )?;
        culprit.map_or(Ok(Value::Null), |number| Err(format!("record {number} is not ready yet")))
    }

    fn bench(&mut self, body: &[u8]) -> Result<Value, String> {
        let now = self.clock.now_micros();
        let event: Event<'_> = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        let mut latencies = Histogram::default();
        for record in &event.records {
            // Twelve characters hold the eight bytes of the time of the put, and one more.
            let start = record.kinesis.data.get(..12).ok_or("a record of the benchmark has at least nine bytes")?;
            let start = base64_simd::STANDARD.decode_to_vec(start).map_err(|error| error.to_string())?;
            let put_at = start.first_chunk::<8>().map(|bytes| u64::from_le_bytes(*bytes)).unwrap_or_default();
            latencies.record(now.saturating_sub(put_at));
        }
        say("bench", &json!({ "records": event.records.len(), "latencies": latencies }))?;
        Ok(Value::Null)
    }
}

#[expect(clippy::cast_precision_loss, reason = "a latency for people; microseconds since the epoch fit 52 bits")]
fn latency_ms(now_micros: u64, put_at_seconds: f64) -> f64 {
    let micros = now_micros as f64 - put_at_seconds * 1e6;
    micros.round() / 1000.0
}

/// One line of the function's log, in one write.
fn say(who: &str, report: &Value) -> Result<(), String> {
    io::stdout().write_all(format!("{who} {report}\n").as_bytes()).map_err(|error| error.to_string())
}
