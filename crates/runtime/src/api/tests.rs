use std::sync::Mutex;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

/// Answers every call the same way and remembers what was posted.
struct Scripted {
    delivery: Option<Delivery>,
    answer: Answer,
    posted: Mutex<Vec<Event>>,
}

impl Calls for Scripted {
    fn next(&self) -> BoxFuture<'_, Result<Delivery, Answer>> {
        let answer = self.delivery.clone().ok_or(self.answer.clone());
        Box::pin(async move { answer })
    }

    fn post(&self, event: Event) -> Answer {
        self.posted.lock().unwrap().push(event);
        self.answer.clone()
    }
}

/// Sends a raw request on a connection of its own; returns the response and what was posted by it.
async fn exchange(delivery: Option<Delivery>, answer: Answer, request: &[u8]) -> (String, Vec<Event>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let scripted = Arc::new(Scripted { delivery, answer, posted: Mutex::default() });
    let tasks = Tasks::new();
    tasks.spawn_dropped_on_cancel(serve(listener, Arc::clone(&scripted) as Arc<dyn Calls>, tasks.clone(), None));
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut response = Vec::new();
    stream.read_to_end(&mut response).await.unwrap();
    tasks.cancel();
    let posted = std::mem::take(&mut *scripted.posted.lock().unwrap());
    (String::from_utf8(response).unwrap(), posted)
}

async fn check(answer: Answer, status: &str, body: &str) {
    let request = b"POST /2018-06-01/runtime/invocation/a/response HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}";
    let (response, _) = exchange(None, answer, request).await;
    assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{response}");
    assert!(response.ends_with(body), "{response}");
}

#[tokio::test]
async fn next_carries_the_invocation_in_its_headers() {
    let delivery = Delivery {
        request_id: "id".into(),
        deadline_ms: 1_234,
        invoked_arn: "arn:f".to_owned(),
        trace_id: "Root=1".to_owned(),
        client_context: None,
        event: Bytes::from_static(b"[1]"),
    };
    let request = b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: h\r\n\r\n";
    let (response, _) = exchange(Some(delivery), Answer::Accepted, request).await;
    for part in [
        "HTTP/1.1 200 OK",
        "lambda-runtime-aws-request-id: id",
        "lambda-runtime-deadline-ms: 1234",
        "lambda-runtime-invoked-function-arn: arn:f",
        "lambda-runtime-trace-id: Root=1",
        "content-type: application/json",
    ] {
        assert!(response.contains(part), "{part} in {response}");
    }
    assert!(response.ends_with("\r\n\r\n[1]"));
    assert!(!response.contains("client-context"));
}

#[tokio::test]
async fn answers_have_the_emulators_forms() {
    check(Answer::Accepted, "202", "{\"status\":\"OK\"}\n").await;
    check(
        Answer::InvalidRequestId,
        "400",
        "{\"errorMessage\":\"Invalid request ID\",\"errorType\":\"InvalidRequestID\"}\n",
    )
    .await;
    let transition = Answer::InvalidTransition { from: "Started", to: "InvocationResponse" };
    check(transition, "403", "\"errorType\":\"InvalidStateTransition\"}\n").await;
    check(Answer::TooLarge, "413", "\"errorType\":\"RequestEntityTooLarge\"}\n").await;
}

#[tokio::test]
async fn chunked_bodies_and_their_trailers_are_read() {
    let head = "POST /2018-06-01/runtime/invocation/a/response HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\
                Lambda-Runtime-Function-Response-Mode: streaming\r\nTrailer: Lambda-Runtime-Function-Error-Type, \
                Lambda-Runtime-Function-Error-Body\r\n\r\n";
    let whole = format!("{head}2\r\n[1\r\n1\r\n]\r\n0\r\n\r\n");
    let (_, posted) = exchange(None, Answer::Accepted, whole.as_bytes()).await;
    let expected = Posted::Whole(Bytes::from_static(b"[1]"));
    assert!(matches!(&posted[..], [Event::Response { body, .. }] if *body == expected));
    let failed = format!(
        "{head}2\r\n[1\r\n0\r\nLambda-Runtime-Function-Error-Type: Late\r\nLambda-Runtime-Function-Error-Body: e30=\r\n\r\n"
    );
    let (_, posted) = exchange(None, Answer::Accepted, failed.as_bytes()).await;
    let expected = ErrorReport { error_type: "Late".to_owned(), body: Bytes::from_static(b"{}") };
    assert!(matches!(&posted[..], [Event::Response { body: Posted::StreamError(report), .. }] if *report == expected));
}

#[tokio::test]
async fn a_broken_and_a_too_large_body_are_told_apart() {
    let head = "POST /2018-06-01/runtime/invocation/a/response HTTP/1.1\r\nHost: h\r\n";
    let (_, posted) = exchange(None, Answer::Truncated, format!("{head}Content-Length: 5\r\n\r\n[1").as_bytes()).await;
    assert!(matches!(&posted[..], [Event::Response { body: Posted::Truncated, .. }]));
    let mut large = format!("{head}Content-Length: {}\r\n\r\n", INVOKE_RESPONSE_BYTES_MAX + 1).into_bytes();
    large.resize(large.len() + INVOKE_RESPONSE_BYTES_MAX + 1, b'1');
    let (_, posted) = exchange(None, Answer::TooLarge, &large).await;
    assert!(matches!(&posted[..], [Event::Response { body: Posted::TooLarge, .. }]));
}

#[test]
fn an_errors_type_comes_from_its_header_or_its_document() {
    let document = Bytes::from_static(br#"{"errorType":"T","errorMessage":"m"}"#);
    assert_eq!(report(None, document.clone()).error_type, "T");
    assert_eq!(
        report(Some("H".to_owned()), document.clone()),
        ErrorReport { error_type: "H".to_owned(), body: document }
    );
    assert_eq!(report(None, Bytes::new()).body, br#"{"errorType":"Runtime.Unknown"}"#[..]);
}

#[test]
fn only_the_apis_own_paths_are_routes() {
    assert_eq!(route(&Method::GET, "/2018-06-01/runtime/invocation/next"), Route::Next);
    assert_eq!(route(&Method::GET, "/2018-06-01/ping"), Route::Ping);
    assert_eq!(route(&Method::POST, "/2018-06-01/runtime/init/error"), Route::InitError);
    for path in
        ["/", "/2018-06-01/", "/2018-06-01/runtime/invocation/next/x", "/2018-06-01/runtime/invocation/a/b/response"]
    {
        assert_eq!(route(&Method::GET, path), Route::Unknown, "{path}");
    }
}

#[tokio::test]
async fn connections_of_other_users_are_closed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let scripted = Arc::new(Scripted { delivery: None, answer: Answer::Accepted, posted: Mutex::default() });
    let tasks = Tasks::new();
    let stranger = rustix::process::getuid().as_raw() + 1;
    tasks.spawn_dropped_on_cancel(serve(listener, scripted as Arc<dyn Calls>, tasks.clone(), Some(stranger)));
    let mut stream = TcpStream::connect(address).await.unwrap();
    let mut response = Vec::new();
    // Closed without an answer, or reset when the request was not read.
    let _ = stream.write_all(b"GET /2018-06-01/ping HTTP/1.1\r\nHost: h\r\n\r\n").await;
    let _ = stream.read_to_end(&mut response).await;
    assert_eq!(response, b"");
    tasks.cancel();
}
