//! One port that speaks HTTP/1.1 and HTTP/2 with prior knowledge, with a bound on everything a peer can make it hold.
//!
//! - `preface`: tells the two protocols apart by their first bytes, under a timer.
//! - `activity`: what a connection has done lately, and when that means that it has to go.
//! - `body`: answers as a whole and answers that go on, as subscriptions do.
//! - `connection`: serves one connection until its peer, a limit or the shutdown ends it.
//!
//! The JavaScript SDK and the Java SDK speak HTTP/2 with prior knowledge to `http://` endpoints, hence the one port.
//! What a request means is the [`Handler`]'s business; the listener knows nothing of AWS.

mod activity;
mod body;
mod connection;
mod preface;
#[cfg(test)]
mod tests;

use std::fmt::Debug;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use millstream_env::{HostClock, Tasks};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

pub use body::ResponseBody;

/// Bytes of a request's line and headers together.
pub const HEADER_BYTES_MAX: usize = 64 * 1024;
/// Streams that one HTTP/2 connection may have open at once.
pub const STREAMS_PER_CONNECTION_MAX: u32 = 256;
/// How long the listener waits after the system refused it a connection (no descriptors left, usually).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// What a connection beyond the limit is told: every SDK retries it.
const FULL_ANSWER: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\nretry-after: 1\r\n\r\n";

/// The address a request came from, among the extensions of the request.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

/// Answers requests.
pub trait Handler: Send + Sync + 'static {
    /// `request` carries a [`Peer`].
    fn handle(&self, request: Request<Incoming>) -> impl Future<Output = Response<ResponseBody>> + Send;
}

/// The bounds of a listener.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Connections open at once; one more is answered 503 and closed.
    pub connections_max: usize,
    /// From the first byte of a connection to the end of its preface.
    pub preface_timeout: Duration,
    /// From the first byte of an HTTP/1.1 request to the end of its headers.
    pub header_timeout: Duration,
    /// How long a connection may stay without a request being handled and without a byte of an answer being taken. An answer
    /// that goes on counts as a request while it has nothing to send: a peer that takes nothing has to go nevertheless.
    pub idle_timeout: Duration,
    /// How long an HTTP/2 peer may take for one piece of an answer that goes on, while it uses the connection otherwise.
    pub stall_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connections_max: 10_000,
            preface_timeout: Duration::from_secs(15),
            header_timeout: Duration::from_secs(15),
            idle_timeout: Duration::from_mins(2),
            stall_timeout: Duration::from_mins(5),
        }
    }
}

/// A bound socket, not yet served.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    options: Options,
    clock: HostClock,
}

impl Listener {
    /// Binds `address`; port 0 takes a free one.
    pub async fn bind(address: SocketAddr, options: Options, clock: HostClock) -> io::Result<Self> {
        Ok(Self { socket: TcpListener::bind(address).await?, options, clock })
    }

    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Accepts and serves connections, as tasks of `tasks`, until these are cancelled. Then no more are accepted, and
    /// each connection ends after the requests that have arrived on it; `tasks.stop(limit)` waits for that.
    pub async fn serve<H: Handler>(self, handler: Arc<H>, tasks: Tasks) {
        let places = Arc::new(Semaphore::new(self.options.connections_max));
        loop {
            let (stream, peer) = tokio::select! {
                biased;
                () = tasks.cancelled() => return,
                accepted = self.socket.accept() => match accepted {
                    Ok(accepted) => accepted,
                    Err(error) => {
                        tracing::warn!(%error, "a connection could not be accepted");
                        self.clock.sleep(ACCEPT_PAUSE).await;
                        continue;
                    }
                },
            };
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                refuse(stream);
                continue;
            };
            let connection = connection::Connection {
                handler: Arc::clone(&handler),
                options: self.options,
                clock: self.clock.clone(),
                tasks: tasks.clone(),
            };
            tasks.spawn(async move {
                connection.serve(stream, Peer(peer)).await;
                drop(place);
            });
        }
    }
}

/// Tells a peer that there is no place, as far as that is possible without waiting for it.
fn refuse(stream: TcpStream) {
    let _ = stream.try_write(FULL_ANSWER);
    let mut stream = stream;
    // Polled once: an orderly end instead of a reset, when the system takes it at once.
    let _ = futures_util::FutureExt::now_or_never(stream.shutdown());
}
