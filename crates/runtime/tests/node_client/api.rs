//! A Runtime API that serves a list of events and writes down every call.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Result, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Mutex;
use std::sync::mpsc::Sender;
use std::thread::Scope;

use crate::cases::Case;
use crate::transcript::Request;

const PREFIX: &str = "/2018-06-01";

/// Headers that are written down.
const HEADERS: &[&str] = &["content-type", "transfer-encoding", "trailer"];
const HEADER_PREFIX: &str = "lambda-runtime-";

/// Time left of each invocation. No case takes nearly that long.
const DEADLINE_MS: u128 = 20_000;

/// What the waiting side wants to know.
#[derive(Debug)]
pub(crate) enum Notice {
    /// The client asks for an event and there is none left.
    WaitsForEvent,
    /// The client's process has ended.
    Ended(std::process::ExitStatus),
}

/// The server's memory.
#[derive(Debug)]
pub(crate) struct Recorder<'a> {
    case: &'a Case,
    state: Mutex<State>,
    notices: Sender<Notice>,
}

#[derive(Debug, Default)]
struct State {
    requests: Vec<Request>,
    events_served: usize,
    closed: bool,
}

impl<'a> Recorder<'a> {
    pub(crate) fn new(case: &'a Case, notices: Sender<Notice>) -> Self {
        Self { case, state: Mutex::default(), notices }
    }

    /// Accepts connections until [`close`](Self::close).
    pub(crate) fn serve<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>, listener: &TcpListener) {
        for stream in listener.incoming() {
            if self.state.lock().unwrap().closed {
                return;
            }
            // A client that is killed breaks its connection.
            scope.spawn(move || stream.and_then(|stream| self.serve_connection(stream)));
        }
    }

    /// Ends [`serve`](Self::serve) of this listener.
    pub(crate) fn close(&self, listener: &TcpListener) {
        self.state.lock().unwrap().closed = true;
        TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    }

    /// Everything seen so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.state.lock().unwrap().requests.clone()
    }

    fn serve_connection(&self, stream: TcpStream) -> Result<()> {
        stream.set_nodelay(true)?;
        let mut reader = BufReader::new(stream.try_clone()?);
        let mut writer = stream;
        while let Some(request) = read_request(&mut reader)? {
            let is_next = request.call == "GET /runtime/invocation/next";
            let mut state = self.state.lock().unwrap();
            state.requests.push(request);
            if !is_next {
                drop(state);
                writer.write_all(b"HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nContent-Length: 16\r\n\r\n{\"status\":\"OK\"}\n")?;
                continue;
            }
            let number = state.events_served;
            state.events_served += 1;
            drop(state);
            match self.case.events.get(number) {
                Some(event) => writer.write_all(self.delivery(number, event).as_bytes())?,
                None => drop(self.notices.send(Notice::WaitsForEvent)),
            }
        }
        Ok(())
    }

    fn delivery(&self, number: usize, event: &str) -> String {
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis();
        let mut headers = String::new();
        for &(name, value) in self.case.headers {
            headers.extend([name, ": ", value, "\r\n"]);
        }
        format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nLambda-Runtime-Aws-Request-Id: request-{}\r\n\
             Lambda-Runtime-Deadline-Ms: {}\r\n\
             Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:us-east-1:000000000000:function:f\r\n\
             {headers}Content-Length: {}\r\n\r\n{event}",
            number + 1,
            now + DEADLINE_MS,
            event.len()
        )
    }
}

/// The next request of a connection; none at its end.
fn read_request(reader: &mut impl BufRead) -> Result<Option<Request>> {
    let mut first = String::new();
    if reader.read_line(&mut first)? == 0 {
        return Ok(None);
    }
    let call = first.trim_end().trim_end_matches(" HTTP/1.1").replacen(PREFIX, "", 1);
    let all = read_headers(reader)?;
    let mut trailers = BTreeMap::new();
    let body = if all.get("transfer-encoding").is_some_and(|value| value == "chunked") {
        let body = read_chunks(reader)?;
        trailers = read_headers(reader)?;
        body
    } else {
        let length = all.get("content-length").map_or(0, |value| value.parse().unwrap());
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        body
    };
    let wanted = |name: &str| HEADERS.contains(&name) || name.starts_with(HEADER_PREFIX);
    let headers = all.into_iter().filter(|(name, _)| wanted(name)).collect();
    Ok(Some(Request { call, headers, body: String::from_utf8_lossy(&body).into_owned(), trailers }))
}

fn read_headers(reader: &mut impl BufRead) -> Result<BTreeMap<String, String>> {
    let mut headers: BTreeMap<String, String> = BTreeMap::new();
    loop {
        let mut line = Vec::new();
        reader.read_until(b'\n', &mut line)?;
        let line = String::from_utf8_lossy(&line);
        let Some((name, value)) = line.trim_end().split_once(':') else { return Ok(headers) };
        // A header may be given several times instead of with a list.
        let value = value.trim();
        headers
            .entry(name.to_ascii_lowercase())
            .and_modify(|list| list.extend([", ", value]))
            .or_insert_with(|| value.to_owned());
    }
}

fn read_chunks(reader: &mut impl BufRead) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Ok(length) = usize::from_str_radix(line.trim(), 16) else {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        };
        if length == 0 {
            return Ok(body);
        }
        let start = body.len();
        body.resize(start + length, 0);
        reader.read_exact(&mut body[start..])?;
        reader.read_line(&mut line)?;
    }
}
