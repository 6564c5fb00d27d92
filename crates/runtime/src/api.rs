//! The Runtime API (2018-06-01) over HTTP: one loopback listener for each environment.
//!
//! Only translation: what a call means is decided by whoever implements [`Calls`]. Bodies are bounded, chunked ones and
//! their trailers included. A client of the API may keep a call to `next` open for ever.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use millstream_env::{BoxFuture, Tasks};
use millstream_types::limits::INVOKE_RESPONSE_BYTES_MAX;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::machine::{Answer, ErrorReport, Event, Posted};

/// Connections of one environment at once; further ones wait to be accepted.
const CONNECTIONS_MAX: usize = 32;

/// How much of a too large body is read and thrown away, so that its sender gets to see the answer.
const SURPLUS_BYTES_MAX: usize = 64 * 1024 * 1024;

const PREFIX: &str = "/2018-06-01/";

/// What the API is a face of.
pub(crate) trait Calls: Send + Sync + 'static {
    /// Waits for an invocation. The answer when there will be none.
    fn next(&self) -> BoxFuture<'_, Result<Delivery, Answer>>;

    /// Takes a posted result or error.
    fn post(&self, event: Event) -> Answer;
}

/// An invocation on its way to a runtime.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Delivery {
    pub(crate) request_id: Arc<str>,
    /// Milliseconds since the epoch.
    pub(crate) deadline_ms: u64,
    pub(crate) invoked_arn: String,
    pub(crate) trace_id: String,
    pub(crate) client_context: Option<String>,
    pub(crate) event: Bytes,
}

/// Serves connections until the task is dropped.
///
/// With `user`, only connections of that user are served: functions share the host's loopback, and this API hands out
/// events.
pub(crate) async fn serve(listener: TcpListener, calls: Arc<dyn Calls>, tasks: Tasks, user: Option<u32>) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let slot = Arc::clone(&slots).acquire_owned().await.expect("the semaphore is never closed");
        match listener.accept().await {
            Ok((stream, _)) if !is_from(&stream, user) => {
                tracing::warn!(?user, "a connection to a function's Runtime API came from somebody else");
            }
            Ok((stream, _)) => {
                let calls = Arc::clone(&calls);
                tasks.spawn_dropped_on_cancel(async move {
                    serve_connection(stream, calls).await;
                    drop(slot);
                });
            }
            // Out of descriptors, or the peer has gone again: the next one may work.
            Err(error) => {
                tracing::warn!(%error, "a function's connection cannot be accepted");
                tokio::task::yield_now().await;
            }
        }
    }
}

/// Whether the other end belongs to `user`. A connection that cannot be attributed does not.
fn is_from(stream: &TcpStream, user: Option<u32>) -> bool {
    let Some(user) = user else { return true };
    let (Ok(own), Ok(peer)) = (stream.local_addr(), stream.peer_addr()) else { return false };
    peer::owner(peer, own) == Some(user)
}

async fn serve_connection(stream: TcpStream, calls: Arc<dyn Calls>) {
    // Without it every small answer could wait for the peer's delayed acknowledgement.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let calls = Arc::clone(&calls);
        async move { Ok::<_, Infallible>(handle(request, &*calls).await) }
    });
    let mut server = hyper::server::conn::http1::Builder::new();
    // A client may close its side right after a result: that result counts.
    server.half_close(true);
    // A broken connection is the function's business: it connects again or ends.
    let _ = server.serve_connection(TokioIo::new(stream), service).await;
}

async fn handle(request: Request<Incoming>, calls: &dyn Calls) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    match route(&head.method, head.uri.path()) {
        Route::Next => match calls.next().await {
            Ok(delivery) => deliver(delivery),
            Err(answer) => render(&answer),
        },
        Route::Response { request_id } => {
            if let Some(mode) = head.headers.get("lambda-runtime-function-response-mode")
                && mode != "streaming"
            {
                let text = format!("Invalid function response mode: {}", String::from_utf8_lossy(mode.as_bytes()));
                return error(StatusCode::BAD_REQUEST, "InvalidFunctionResponseMode", &text);
            }
            let body = read(body).await;
            render(&calls.post(Event::Response { request_id, body }))
        }
        Route::Error { request_id } => match error_report(&head.headers, body).await {
            Ok(report) => render(&calls.post(Event::Error { request_id, report })),
            Err(answer) => render(&answer),
        },
        Route::InitError => match error_report(&head.headers, body).await {
            Ok(report) => render(&calls.post(Event::InitError { report })),
            Err(answer) => render(&answer),
        },
        Route::Ping => text(StatusCode::OK, "text/plain; charset=utf-8", "pong"),
        Route::Unknown => text(StatusCode::NOT_FOUND, "text/plain; charset=utf-8", "404 page not found\n"),
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Route {
    Next,
    Response { request_id: String },
    Error { request_id: String },
    InitError,
    Ping,
    Unknown,
}

fn route(method: &Method, path: &str) -> Route {
    let Some(path) = path.strip_prefix(PREFIX) else { return Route::Unknown };
    let mut parts = path.split('/');
    let parts = [(); 5].map(|()| parts.next());
    match (method, parts) {
        (&Method::GET, [Some("ping"), None, ..]) => Route::Ping,
        (&Method::GET, [Some("runtime"), Some("invocation"), Some("next"), None, _]) => Route::Next,
        (&Method::POST, [Some("runtime"), Some("init"), Some("error"), None, _]) => Route::InitError,
        (&Method::POST, [Some("runtime"), Some("invocation"), Some(id), Some("response"), None]) => {
            Route::Response { request_id: id.to_owned() }
        }
        (&Method::POST, [Some("runtime"), Some("invocation"), Some(id), Some("error"), None]) => {
            Route::Error { request_id: id.to_owned() }
        }
        _ => Route::Unknown,
    }
}

/// Reads a body within the bound for responses.
async fn read(mut body: Incoming) -> Posted {
    let (mut first, mut rest) = (Bytes::new(), BytesMut::new());
    let mut total = 0;
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return Posted::Truncated };
        match frame.into_data() {
            Ok(data) => {
                total += data.len();
                if total > INVOKE_RESPONSE_BYTES_MAX + SURPLUS_BYTES_MAX {
                    break;
                }
                if total > INVOKE_RESPONSE_BYTES_MAX {
                    rest.clear();
                } else if first.is_empty() {
                    first = data;
                } else {
                    rest.extend_from_slice(&data);
                }
            }
            Err(frame) => {
                if let Some(report) = frame.trailers_ref().and_then(stream_error) {
                    return Posted::StreamError(report);
                }
            }
        }
    }
    if total > INVOKE_RESPONSE_BYTES_MAX {
        return Posted::TooLarge;
    }
    // Small bodies come in one piece and are not copied.
    if rest.is_empty() {
        return Posted::Whole(first);
    }
    let mut whole = BytesMut::with_capacity(total);
    whole.extend_from_slice(&first);
    whole.extend_from_slice(&rest);
    Posted::Whole(whole.freeze())
}

/// The error that a streaming response reports in its trailers, its document in base64.
fn stream_error(trailers: &HeaderMap) -> Option<ErrorReport> {
    let error_type = header(trailers, "lambda-runtime-function-error-type")?;
    let document = header(trailers, "lambda-runtime-function-error-body").unwrap_or_default();
    let body = base64_simd::STANDARD.decode_to_vec(document.as_bytes()).unwrap_or_default();
    Some(report(Some(error_type), body.into()))
}

async fn error_report(headers: &HeaderMap, body: Incoming) -> Result<ErrorReport, Answer> {
    let error_type = header(headers, "lambda-runtime-function-error-type");
    match read(body).await {
        Posted::Whole(body) => Ok(report(error_type, body)),
        Posted::TooLarge => Err(Answer::TooLarge),
        Posted::Truncated | Posted::StreamError(_) => Err(Answer::Truncated),
    }
}

/// The type stands in the header, or in the document; a document that is no JSON object is replaced by one.
fn report(header: Option<String>, body: Bytes) -> ErrorReport {
    #[derive(serde::Deserialize)]
    struct Document {
        #[serde(rename = "errorType")]
        error_type: Option<String>,
    }
    let document: Option<Document> = serde_json::from_slice(&body).ok();
    let replace = document.is_none();
    let error_type = header
        .or_else(|| document.and_then(|document| document.error_type))
        .unwrap_or_else(|| "Runtime.Unknown".to_owned());
    let body = if replace { serde_json::json!({ "errorType": error_type }).to_string().into() } else { body };
    ErrorReport { error_type, body }
}

fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

fn deliver(delivery: Delivery) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(delivery.event));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert("lambda-runtime-deadline-ms", delivery.deadline_ms.into());
    let texts = [
        ("lambda-runtime-aws-request-id", Some(&*delivery.request_id)),
        ("lambda-runtime-invoked-function-arn", Some(&*delivery.invoked_arn)),
        ("lambda-runtime-trace-id", Some(&*delivery.trace_id)),
        ("lambda-runtime-client-context", delivery.client_context.as_deref()),
    ];
    for (name, value) in texts {
        // Header values come from callers; one that HTTP cannot carry is left out rather than failing the invocation.
        if let Some(value) = value.and_then(|value| HeaderValue::from_bytes(value.as_bytes()).ok()) {
            headers.insert(name, value);
        }
    }
    response
}

fn render(answer: &Answer) -> Response<Full<Bytes>> {
    match answer {
        Answer::Accepted | Answer::None | Answer::Park => {
            text(StatusCode::ACCEPTED, "application/json", "{\"status\":\"OK\"}\n")
        }
        Answer::InvalidRequestId => error(StatusCode::BAD_REQUEST, "InvalidRequestID", "Invalid request ID"),
        Answer::InvalidTransition { from, to } => {
            let message = format!(
                "State transition from {from} to {to} failed for runtime. Error: State transition is not allowed"
            );
            error(StatusCode::FORBIDDEN, "InvalidStateTransition", &message)
        }
        Answer::TooLarge => {
            let message = format!("Exceeded maximum allowed payload size ({INVOKE_RESPONSE_BYTES_MAX} bytes).");
            error(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", &message)
        }
        Answer::Truncated => error(StatusCode::BAD_REQUEST, "TruncatedHTTPRequest", "HTTP request is truncated"),
    }
}

fn error(status: StatusCode, error_type: &str, message: &str) -> Response<Full<Bytes>> {
    let document = serde_json::json!({ "errorMessage": message, "errorType": error_type });
    text(status, "application/json", &format!("{document}\n"))
}

fn text(status: StatusCode, content_type: &'static str, body: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::copy_from_slice(body.as_bytes())));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

mod peer;

#[cfg(test)]
mod tests;
