//! Serves one connection until its peer, a limit or the shutdown ends it.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use millstream_env::{HostClock, Tasks};
use tokio::net::TcpStream;

use super::activity::{Activity, Expired, Turn, Watched};
use super::preface::{self, Protocol};
use super::{HEADER_BYTES_MAX, Handler, Options, Peer, STREAMS_PER_CONNECTION_MAX};

/// Read buffer of one HTTP/1.1 connection, at its largest.
const HTTP1_BUFFER_BYTES_MAX: usize = 256 * 1024;
/// What a peer may send ahead of the reader, on one HTTP/2 stream and on all of a connection.
const HTTP2_STREAM_WINDOW_BYTES: u32 = 1024 * 1024;
const HTTP2_CONNECTION_WINDOW_BYTES: u32 = 2 * 1024 * 1024;
const HTTP2_FRAME_BYTES_MAX: u32 = 64 * 1024;
/// How long a peer that was told to go may take to do so.
const FAREWELL: Duration = Duration::from_secs(5);

/// What a connection's task needs.
#[derive(Debug)]
pub(super) struct Connection<H> {
    pub(super) handler: Arc<H>,
    pub(super) options: Options,
    pub(super) clock: HostClock,
    pub(super) tasks: Tasks,
}

impl<H: Handler> Connection<H> {
    pub(super) async fn serve(self, stream: TcpStream, peer: Peer) {
        // Answers are written whole; waiting for more to send would only delay them.
        let _ = stream.set_nodelay(true);
        let detected = tokio::select! {
            detected = self.clock.timeout(self.options.preface_timeout, preface::detect(stream)) => detected,
            () = self.tasks.cancelled() => return,
        };
        let Some(Ok(Some((protocol, stream)))) = detected else { return };
        let activity = Activity::new(self.clock.clone(), protocol == Protocol::Http1);
        let stream = TokioIo::new(Watched::new(stream, Arc::clone(&activity)));
        let (handler, requests, tasks) = (Arc::clone(&self.handler), Arc::clone(&activity), self.tasks.clone());
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(peer);
            let (handler, requests, tasks) = (Arc::clone(&handler), Arc::clone(&requests), tasks.clone());
            let guard = requests.request();
            async move {
                let response = handler.handle(request).await.map(|body| body.on(&requests, &tasks));
                drop(guard);
                Ok::<_, Infallible>(response)
            }
        });
        match protocol {
            Protocol::Http1 => {
                let connection = pin!(http1_builder().serve_connection(stream, service));
                self.drive(connection, &activity).await;
            }
            Protocol::Http2 => {
                let connection = pin!(self.http2_builder().serve_connection(stream, service));
                self.drive(connection, &activity).await;
            }
        }
    }

    fn http2_builder(&self) -> http2::Builder<TreeExecutor> {
        let executor = TreeExecutor {
            tasks: self.tasks.clone(),
            clock: self.clock.clone(),
            stall_timeout: self.options.stall_timeout,
        };
        let mut builder = http2::Builder::new(executor);
        builder
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS_PER_CONNECTION_MAX)
            .initial_stream_window_size(HTTP2_STREAM_WINDOW_BYTES)
            .initial_connection_window_size(HTTP2_CONNECTION_WINDOW_BYTES)
            .max_frame_size(HTTP2_FRAME_BYTES_MAX)
            .max_header_list_size(u32::try_from(HEADER_BYTES_MAX).expect("a small constant"));
        builder
    }

    async fn drive<C>(&self, mut connection: Pin<&mut C>, activity: &Activity)
    where
        C: Future<Output = hyper::Result<()>> + Ended,
    {
        let mut wait = self.options.header_timeout;
        let mut leaving = false;
        loop {
            tokio::select! {
                biased;
                result = connection.as_mut() => {
                    if let Err(error) = result {
                        tracing::debug!(%error, "a connection ended early");
                    }
                    return;
                }
                () = self.tasks.cancelled(), if !leaving => {
                    leaving = true;
                    connection.as_mut().end();
                }
                () = self.clock.sleep(wait) => match activity.check(&self.options) {
                    Ok(left) => wait = left,
                    Err(Expired::Idle) if !leaving => {
                        leaving = true;
                        connection.as_mut().end();
                        wait = FAREWELL;
                    }
                    Err(Expired::Idle | Expired::Headers) => return,
                },
            }
        }
    }
}

/// A connection that can be told to end after what has arrived.
trait Ended {
    fn end(self: Pin<&mut Self>);
}

impl<I, S, B> Ended for http1::Connection<I, S>
where
    S: hyper::service::HttpService<Incoming, ResBody = B>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
    B: hyper::body::Body + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    fn end(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<I, S, B> Ended for http2::Connection<I, S, TreeExecutor>
where
    S: hyper::service::HttpService<Incoming, ResBody = B>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
    B: hyper::body::Body + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    TreeExecutor: hyper::rt::bounds::Http2ServerConnExec<S::Future, B>,
{
    fn end(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

fn http1_builder() -> http1::Builder {
    let mut builder = http1::Builder::new();
    // The header timeout is the watchdog's: hyper's would also end connections that only wait for their next request.
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .max_header_size(HEADER_BYTES_MAX)
        .max_buf_size(HTTP1_BUFFER_BYTES_MAX);
    builder
}

/// Runs the streams of an HTTP/2 connection in the task tree, so that the shutdown waits for them, and gives up those whose
/// peer takes nothing.
#[derive(Clone, Debug)]
struct TreeExecutor {
    tasks: Tasks,
    clock: HostClock,
    stall_timeout: Duration,
}

impl<F> hyper::rt::Executor<F> for TreeExecutor
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, future: F) {
        drop(self.tasks.spawn(Turn::new(self.clock.clone()).serve(self.stall_timeout, future)));
    }
}
