//! A function of a `provided` runtime that speaks the Runtime API itself, with nothing but the standard library: shows
//! each event to the test and gives the test's answer back byte for byte, as its response or as its error.

use std::io::{Error, Read, Result, Write};
use std::net::TcpStream;

fn main() -> Result<()> {
    let api = setting("AWS_LAMBDA_RUNTIME_API");
    let director = setting("DIRECTOR");
    let director = director.trim_start_matches("http://").trim_end_matches('/');
    let version = setting("AWS_LAMBDA_FUNCTION_VERSION");
    loop {
        let next = call(&api, "GET", "/2018-06-01/runtime/invocation/next", "", b"")?;
        let id = next.header("lambda-runtime-aws-request-id");
        let arn = next.header("lambda-runtime-invoked-function-arn");
        let about = format!("request-id: {id}\r\ninvoked-arn: {arn}\r\nversion: {version}\r\ngeneration: 1\r\n");
        let answer = call(director, "POST", "/", &about, &next.body)?;
        let invocation = format!("/2018-06-01/runtime/invocation/{id}");
        if answer.header("act") == "raise" {
            let text = String::from_utf8_lossy(&answer.body).replace(['"', '\\'], "");
            let error = format!(r#"{{"errorType":"Raised","errorMessage":"{text}","stackTrace":[]}}"#);
            call(&api, "POST", &format!("{invocation}/error"), "", error.as_bytes())?;
        } else {
            call(&api, "POST", &format!("{invocation}/response"), "", &answer.body)?;
        }
    }
}

fn setting(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set"))
}

struct Answer {
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        let lines = self.head.lines().filter_map(|line| line.split_once(':'));
        lines.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map_or("", |(_, value)| value.trim())
    }
}

/// One request on a connection of its own; HTTP/1.0, so that the body is everything up to the end.
fn call(host: &str, method: &str, path: &str, headers: &str, body: &[u8]) -> Result<Answer> {
    let mut connection = TcpStream::connect(host)?;
    let length = body.len();
    write!(connection, "{method} {path} HTTP/1.0\r\nHost: {host}\r\nContent-Length: {length}\r\n{headers}\r\n")?;
    connection.write_all(body)?;
    let mut bytes = Vec::new();
    connection.read_to_end(&mut bytes)?;
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").ok_or_else(|| Error::other("no head"))?;
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    Ok(Answer { head, body: bytes.split_off(end + 4) })
}
