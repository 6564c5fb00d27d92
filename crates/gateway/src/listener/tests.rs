#![expect(clippy::disallowed_methods, reason = "the clients of these tests are tasks of their own")]

use std::time::Duration;

use http_body_util::BodyExt;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::AsyncReadExt;
use tokio::sync::Notify;

use super::*;

/// Echoes the body; `/wait` first waits for the gate.
#[derive(Debug, Default)]
struct Echo {
    entered: Notify,
    gate: Notify,
}

impl Handler for Echo {
    async fn handle(&self, request: Request<Incoming>) -> Response<ResponseBody> {
        let waits = request.uri().path() == "/wait";
        self.entered.notify_one();
        let Ok(body) = request.into_body().collect().await else {
            return Response::builder().status(400).body(Full::default()).expect("a fixed answer");
        };
        if waits {
            self.gate.notified().await;
        }
        Response::new(Full::new(body.to_bytes()))
    }
}

struct Server {
    address: SocketAddr,
    echo: Arc<Echo>,
    tasks: Tasks,
}

async fn start(options: Options) -> Server {
    let listener = Listener::bind(([127, 0, 0, 1], 0).into(), options, HostClock::real()).await.unwrap();
    let (address, echo, tasks) = (listener.local_address().unwrap(), Arc::new(Echo::default()), Tasks::new());
    tasks.spawn(listener.serve(Arc::clone(&echo), tasks.clone()));
    Server { address, echo, tasks }
}

/// What the peer answers until it ends the connection.
async fn talk(server: &Server, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(request).await.unwrap();
    read_to_end(&mut stream).await
}

async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    // A reset after the answer is an end too.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

fn post(path: &str, body: &'static str) -> Request<Full<Bytes>> {
    Request::post(path).header("host", "localhost").body(Full::from(body)).unwrap()
}

#[tokio::test]
async fn http1_is_answered_with_date_and_length() {
    let server = start(Options::default()).await;
    let answer =
        talk(&server, b"POST / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello")
            .await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("\r\ndate: ") && answer.contains("\r\ncontent-length: 5\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nhello"), "{answer}");
}

#[tokio::test]
async fn http2_with_prior_knowledge_is_answered_on_the_same_port() {
    let server = start(Options::default()).await;
    let stream = TokioIo::new(TcpStream::connect(server.address).await.unwrap());
    let (mut client, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
    tokio::spawn(connection);
    for body in ["one", "two"] {
        let request = Request::post("http://localhost/").body(Full::<Bytes>::from(body)).unwrap();
        let answer = client.send_request(request).await.unwrap();
        assert!(answer.headers().contains_key("date"));
        assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), body);
    }
}

#[tokio::test]
async fn one_connection_serves_many_requests() {
    let server = start(Options::default()).await;
    let stream = TokioIo::new(TcpStream::connect(server.address).await.unwrap());
    let (mut client, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    for body in ["one", "two", "three"] {
        let answer = client.send_request(post("/", body)).await.unwrap();
        assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), body);
    }
}

#[tokio::test]
async fn slow_prefaces_and_headers_are_cut_off() {
    let options = Options {
        preface_timeout: Duration::from_millis(50),
        header_timeout: Duration::from_millis(50),
        ..Options::default()
    };
    let server = start(options).await;
    for start in [&b""[..], b"PRI * HTTP/2.0\r\n", b"POST / HTTP/1.1\r\nhost: local"] {
        assert_eq!(talk(&server, start).await, "");
    }
}

#[tokio::test]
async fn idle_connections_are_ended_in_order() {
    let options = Options { idle_timeout: Duration::from_millis(50), ..Options::default() };
    let server = start(Options { header_timeout: Duration::from_millis(20), ..options }).await;
    let answer = talk(&server, b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
}

#[tokio::test]
async fn headers_beyond_the_limit_are_refused() {
    let server = start(Options::default()).await;
    let mut request = b"GET / HTTP/1.1\r\nhost: localhost\r\nx-large: ".to_vec();
    request.resize(request.len() + HEADER_BYTES_MAX, b'a');
    let answer = talk(&server, &request).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
}

#[tokio::test]
async fn a_connection_beyond_the_limit_is_told_so() {
    let server = start(Options { connections_max: 1, ..Options::default() }).await;
    let mut first = TcpStream::connect(server.address).await.unwrap();
    first.write_all(b"GET /wait HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await.unwrap();
    server.echo.entered.notified().await;
    assert!(talk(&server, b"").await.starts_with("HTTP/1.1 503"));
    server.echo.gate.notify_one();
    assert!(read_to_end(&mut first).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn the_shutdown_finishes_what_has_arrived() {
    let server = start(Options::default()).await;
    let mut busy = TcpStream::connect(server.address).await.unwrap();
    busy.write_all(b"GET /wait HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    server.echo.entered.notified().await;
    let mut idle = TcpStream::connect(server.address).await.unwrap();
    server.tasks.cancel();
    // The end of the idle connection shows that the shutdown has reached the connections.
    assert_eq!(read_to_end(&mut idle).await, "");
    server.echo.gate.notify_one();
    assert!(read_to_end(&mut busy).await.starts_with("HTTP/1.1 200"));
    assert!(server.tasks.stop(Duration::from_secs(10)).await);
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test]
async fn the_shutdown_does_not_wait_for_ever() {
    let server = start(Options::default()).await;
    let mut busy = TcpStream::connect(server.address).await.unwrap();
    busy.write_all(b"GET /wait HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    server.echo.entered.notified().await;
    assert!(!server.tasks.stop(Duration::from_millis(50)).await);
}

#[tokio::test]
async fn nonsense_never_hangs() {
    let server = start(Options { header_timeout: Duration::from_millis(200), ..Options::default() }).await;
    for nonsense in [&b"\0\0\0\0\r\n\r\n"[..], b"\x16\x03\x01\x02\x00\x01", b"GET\r\n\r\n", b"POST / HTTP/9.9\r\n\r\n"]
    {
        talk(&server, nonsense).await;
    }
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let answer = {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(&[&preface[..], &[0xff; 64]].concat()).await.unwrap();
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes).await;
        bytes
    };
    assert!(!answer.is_empty(), "an HTTP/2 peer is told why");
}
