use std::sync::atomic::{AtomicUsize, Ordering};

use millstream_env::Tasks;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;

fn client(endpoint: &str) -> Client {
    Client::new(endpoint, Credentials::new("test", "test"), "us-east-1", HostClock::real()).unwrap()
}

/// A server that gives each connection the answers listed, then closes it. Counts connections.
struct Server {
    endpoint: String,
    connections: Arc<AtomicUsize>,
    tasks: Tasks,
}

impl Server {
    async fn start(answers: &'static [&'static str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let (connections, tasks) = (Arc::new(AtomicUsize::new(0)), Tasks::new());
        let (counter, inner) = (Arc::clone(&connections), tasks.clone());
        tasks.spawn_dropped_on_cancel(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counter.fetch_add(1, Ordering::SeqCst);
                inner.spawn_dropped_on_cancel(answer_all(stream, answers));
            }
        });
        Self { endpoint, connections, tasks }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.tasks.cancel();
    }
}

/// Each request is taken to be one that fits a read and ends with its head or a body of `{}`.
async fn answer_all(mut stream: TcpStream, answers: &'static [&'static str]) {
    for answer in answers {
        let mut request = Vec::new();
        while !(request.ends_with(b"\r\n\r\n") || request.ends_with(b"{}")) {
            if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
                return;
            }
        }
        let head = String::from_utf8(request).unwrap();
        assert!(head.contains("authorization: AWS4-HMAC-SHA256 Credential=test/"), "{head}");
        stream.write_all(answer.as_bytes()).await.unwrap();
    }
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
const LAST: &str = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}";
const EMPTY: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
const REFUSED: &str =
    "HTTP/1.1 400 Bad Request\r\ncontent-length: 40\r\n\r\n{\"__type\":\"x#Denied\",\"message\":\"no way\"}";

#[tokio::test]
async fn one_connection_serves_call_after_call() {
    let server = Server::start(&[OK, EMPTY, REFUSED]).await;
    let client = client(&server.endpoint);
    let input = serde_json::json!({});
    let call = || client.json("kinesis", "Kinesis_20131202.ListStreams", &input);
    assert_eq!(call().await.unwrap(), input);
    assert_eq!(call().await.unwrap(), Value::Null);
    let error = call().await.unwrap_err();
    assert_eq!((error.code(), error.to_string().as_str()), (Some("Denied"), "Denied: no way"));
    assert_eq!(server.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_connection_the_server_gives_up_is_replaced() {
    let server = Server::start(&[LAST]).await;
    let client = client(&server.endpoint);
    for expected in 1..=3 {
        client.json("kinesis", "Kinesis_20131202.ListStreams", &serde_json::json!({})).await.unwrap();
        assert_eq!(server.connections.load(Ordering::SeqCst), expected);
    }
}

#[tokio::test]
async fn an_answer_that_does_not_come_times_out() {
    // The server goes on reading, because the body of a form is not what it waits for.
    let server = Server::start(&[OK]).await;
    let client = client(&server.endpoint).with_timeout(Duration::from_millis(20));
    let error = client.query("sts", "2011-06-15", "GetCallerIdentity", &[]).await.unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }), "{error}");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = client(&endpoint).query("sts", "2011-06-15", "GetCallerIdentity", &[]).await.unwrap_err();
    assert!(error.to_string().contains(&endpoint), "{error}");
}

#[test]
fn only_plain_http_endpoints_are_taken() {
    for endpoint in ["https://localhost", "localhost:4566", "", "http://"] {
        let client = Client::new(endpoint, Credentials::new("a", "b"), "us-east-1", HostClock::real());
        assert!(matches!(client, Err(Error::Endpoint(_))), "{endpoint}");
    }
}
