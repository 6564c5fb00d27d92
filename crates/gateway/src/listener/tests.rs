#![expect(clippy::disallowed_methods, reason = "the clients of these tests are tasks of their own")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::AsyncReadExt;
use tokio::sync::Notify;

use super::*;

/// Echoes the body; `/wait` first waits for the gate. `/pieces` answers in pieces: one each time the gate opens, and
/// `/flood` gives large ones without end.
#[derive(Debug, Default)]
struct Echo {
    entered: Notify,
    gate: Arc<Notify>,
    /// A body in pieces was dropped.
    dropped: Arc<Notify>,
    /// Pieces of `/flood` that were made.
    flooded: Arc<AtomicUsize>,
}

/// Tells when it is dropped.
struct Dropped(Arc<Notify>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

impl Echo {
    fn pieces(&self) -> ResponseBody {
        let (gate, dropped) = (Arc::clone(&self.gate), Dropped(Arc::clone(&self.dropped)));
        let first = stream::once(std::future::ready(Bytes::from_static(b"opened ")));
        ResponseBody::pieces(first.chain(stream::unfold((gate, dropped), |(gate, dropped)| async move {
            gate.notified().await;
            Some((Bytes::from_static(b"piece "), (gate, dropped)))
        })))
    }

    fn flood(&self) -> ResponseBody {
        let (flooded, dropped) = (Arc::clone(&self.flooded), Dropped(Arc::clone(&self.dropped)));
        let piece = Bytes::from(vec![7; 1024 * 1024]);
        ResponseBody::pieces(stream::repeat(piece).inspect(move |_| {
            let _held = &dropped;
            flooded.fetch_add(1, Ordering::Relaxed);
        }))
    }
}

impl Handler for Echo {
    async fn handle(&self, request: Request<Incoming>) -> Response<ResponseBody> {
        match request.uri().path() {
            "/pieces" => return Response::new(self.pieces()),
            "/flood" => return Response::new(self.flood()),
            _ => {}
        }
        let waits = request.uri().path() == "/wait";
        self.entered.notify_one();
        let Ok(body) = request.into_body().collect().await else {
            return Response::builder().status(400).body(ResponseBody::default()).expect("a fixed answer");
        };
        if waits {
            self.gate.notified().await;
        }
        Response::new(body.to_bytes().into())
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

const ASK_FOR_PIECES: &[u8] = b"GET /pieces HTTP/1.1\r\nhost: localhost\r\n\r\n";

/// What arrives until `end`, which comes before the peer ends the connection.
async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut text = String::new();
    let mut bytes = [0; 4096];
    while !text.ends_with(end) {
        let length = stream.read(&mut bytes).await.unwrap();
        assert_ne!(length, 0, "ended after {text}");
        text.push_str(std::str::from_utf8(&bytes[..length]).unwrap());
    }
    text
}

#[tokio::test]
async fn pieces_go_out_one_by_one_over_http1() {
    let server = start(Options::default()).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(ASK_FOR_PIECES).await.unwrap();
    let head = read_until(&mut stream, "7\r\nopened \r\n").await;
    assert!(head.contains("\r\ntransfer-encoding: chunked\r\n"), "{head}");
    for _ in 0..3 {
        server.echo.gate.notify_one();
        assert_eq!(read_until(&mut stream, "\r\n6\r\npiece \r\n".trim_start()).await, "6\r\npiece \r\n");
    }
    drop(stream);
    server.echo.dropped.notified().await;
}

#[tokio::test]
async fn pieces_go_out_one_by_one_over_http2() {
    let server = start(Options::default()).await;
    let stream = TokioIo::new(TcpStream::connect(server.address).await.unwrap());
    let (mut client, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
    tokio::spawn(connection);
    let request = || Request::get("http://localhost/pieces").body(Full::<Bytes>::default()).unwrap();
    let mut body = client.send_request(request()).await.unwrap().into_body();
    let frame = body.frame().await.unwrap().unwrap();
    assert_eq!(frame.data_ref().unwrap(), "opened ");
    for _ in 0..3 {
        server.echo.gate.notify_one();
        assert_eq!(body.frame().await.unwrap().unwrap().data_ref().unwrap(), "piece ");
    }
    // A client that has seen enough ends the stream, not the connection.
    drop(body);
    server.echo.dropped.notified().await;
    let mut body = client.send_request(request()).await.unwrap().into_body();
    assert!(body.frame().await.is_some());
    server.tasks.cancel();
    let rest = body.collect().await.expect("a clean end");
    assert_eq!(rest.to_bytes(), "");
    assert!(server.tasks.stop(Duration::from_secs(10)).await);
}

#[tokio::test]
async fn the_shutdown_ends_answers_that_go_on() {
    let server = start(Options::default()).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(ASK_FOR_PIECES).await.unwrap();
    read_until(&mut stream, "opened \r\n").await;
    server.tasks.cancel();
    assert_eq!(read_to_end(&mut stream).await, "0\r\n\r\n", "a clean end");
    assert!(server.tasks.stop(Duration::from_secs(10)).await);
}

#[tokio::test]
async fn an_answer_that_waits_for_its_next_piece_is_not_idle() {
    let options = Options { idle_timeout: Duration::from_millis(40), ..Options::default() };
    let server = start(Options { header_timeout: Duration::from_millis(20), ..options }).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(ASK_FOR_PIECES).await.unwrap();
    read_until(&mut stream, "opened \r\n").await;
    for _ in 0..3 {
        // Another connection shows that the time of idle ones has passed.
        let answer = talk(&server, b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    }
    server.echo.gate.notify_one();
    assert_eq!(read_until(&mut stream, "piece \r\n").await, "6\r\npiece \r\n");
}

#[tokio::test]
async fn nothing_is_made_for_a_peer_that_takes_nothing_and_it_has_to_go() {
    let options = Options { idle_timeout: Duration::from_millis(100), ..Options::default() };
    let server = start(Options { header_timeout: Duration::from_millis(100), ..options }).await;
    let mut http1 = TcpStream::connect(server.address).await.unwrap();
    http1.write_all(b"GET /flood HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let stream = TokioIo::new(TcpStream::connect(server.address).await.unwrap());
    let (mut client, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
    tokio::spawn(connection);
    let request = Request::get("http://localhost/flood").body(Full::<Bytes>::default()).unwrap();
    let http2 = client.send_request(request).await.unwrap();
    // Both are told to go, and cut off when they do not.
    for _ in 0..2 {
        server.echo.dropped.notified().await;
    }
    let made = server.echo.flooded.load(Ordering::Relaxed);
    assert!(made < 32, "{made} MiB were made: more than the buffers of the system and one piece for each");
    drop((http1, http2));
}

#[tokio::test]
async fn an_http2_peer_that_does_not_read_one_answer_loses_it_and_keeps_its_connection() {
    let server = start(Options { stall_timeout: Duration::from_millis(100), ..Options::default() }).await;
    let stream = TokioIo::new(TcpStream::connect(server.address).await.unwrap());
    let (mut client, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
    tokio::spawn(connection);
    let get = |path| Request::get(format!("http://localhost/{path}")).body(Full::<Bytes>::default()).unwrap();
    let mut read = client.send_request(get("pieces")).await.unwrap().into_body();
    assert_eq!(read.frame().await.unwrap().unwrap().data_ref().unwrap(), "opened ");
    let unread = client.send_request(get("flood")).await.unwrap().into_body();
    server.echo.dropped.notified().await;
    // What it had taken nothing of is cut off, not ended.
    assert!(unread.collect().await.is_err());
    // One that waits for its server has all the time, and the connection goes on.
    server.echo.gate.notify_one();
    assert_eq!(read.frame().await.unwrap().unwrap().data_ref().unwrap(), "piece ");
    let request = Request::post("http://localhost/").body(Full::<Bytes>::from("more")).unwrap();
    let answer = client.send_request(request).await.unwrap();
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "more");
}
