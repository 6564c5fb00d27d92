//! What a connection has done lately, seen by the bytes that pass and the requests that are handled.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};
use std::time::Duration;

use millstream_env::HostClock;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Options;

/// Shared by a connection's stream, its requests and its watchdog, which run on several threads in HTTP/2.
#[derive(Debug)]
pub(super) struct Activity {
    clock: HostClock,
    /// Only HTTP/1.1 has one request's headers at a time.
    watch_headers: bool,
    state: Mutex<State>,
}

/// Moments are the clock's `monotonic`.
#[derive(Debug)]
struct State {
    requests: usize,
    /// A request began or ended, or the peer took bytes of an answer. Bytes that it sends do not count: a peer that
    /// trickles keeps no connection alive.
    last: Duration,
    /// When the first byte came of a request whose headers are not complete.
    headers_since: Option<Duration>,
}

/// Why a connection has to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expired {
    Headers,
    Idle,
}

impl Activity {
    pub(super) fn new(clock: HostClock, watch_headers: bool) -> Arc<Self> {
        let now = clock.monotonic();
        let state = State { requests: 0, last: now, headers_since: watch_headers.then_some(now) };
        Arc::new(Self { clock, watch_headers, state: Mutex::new(state) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no code panics while holding this lock")
    }

    /// A request is being handled until the result is dropped.
    pub(super) fn request(self: &Arc<Self>) -> RequestGuard {
        let now = self.clock.monotonic();
        let mut state = self.state();
        state.requests += 1;
        state.headers_since = None;
        state.last = now;
        drop(state);
        RequestGuard(Arc::clone(self))
    }

    /// Why the connection has to go now, or how long it is certain to be welcome.
    pub(super) fn check(&self, options: &Options) -> Result<Duration, Expired> {
        let state = self.state();
        if state.requests > 0 {
            return Ok(options.idle_timeout);
        }
        let now = self.clock.monotonic();
        let idle = left(state.last, options.idle_timeout, now).ok_or(Expired::Idle)?;
        match state.headers_since {
            // Headers may start at any moment, so the next look is no later than they may take.
            None if self.watch_headers => Ok(idle.min(options.header_timeout)),
            None => Ok(idle),
            Some(since) => Ok(idle.min(left(since, options.header_timeout, now).ok_or(Expired::Headers)?)),
        }
    }

    fn touch(&self) {
        self.state().last = self.clock.monotonic();
    }

    fn received(&self) {
        if !self.watch_headers {
            return;
        }
        let mut state = self.state();
        if state.requests == 0 && state.headers_since.is_none() {
            state.headers_since = Some(self.clock.monotonic());
        }
    }
}

/// What is left of `limit` since `start`, at `now`; `None` when it is over.
fn left(start: Duration, limit: Duration, now: Duration) -> Option<Duration> {
    limit.checked_sub(now.saturating_sub(start)).filter(|left| !left.is_zero())
}

/// One request being handled.
#[derive(Debug)]
pub(super) struct RequestGuard(Arc<Activity>);

impl Drop for RequestGuard {
    fn drop(&mut self) {
        let now = self.0.clock.monotonic();
        // Together: a watchdog that saw the request gone but not when it went would take the connection for idle.
        let mut state = self.0.state();
        state.requests -= 1;
        state.last = now;
    }
}

/// Of one HTTP/2 stream: since when it is its peer's turn to take what it was given. Its connection may be busy with other
/// streams meanwhile, so the connection's own activity tells nothing about it.
#[derive(Debug)]
pub(super) struct Turn {
    clock: HostClock,
    since: Mutex<Option<Duration>>,
}

tokio::task_local! {
    /// That of the stream which the present task serves.
    static TURN: Arc<Turn>;
}

impl Turn {
    pub(super) fn new(clock: HostClock) -> Arc<Self> {
        Arc::new(Self { clock, since: Mutex::default() })
    }

    /// That of the stream on which a request is being answered; `None` over HTTP/1.1.
    pub(super) fn of_this_stream() -> Option<Arc<Self>> {
        TURN.try_with(Arc::clone).ok()
    }

    /// Serves the stream until it is done, or until its peer has let `limit` pass.
    pub(super) async fn serve(self: Arc<Self>, limit: Duration, stream: impl Future) {
        let turn = Arc::clone(&self);
        tokio::select! {
            _ = TURN.scope(self, stream) => {}
            () = turn.missed(limit) => tracing::debug!("an answer is given up: its peer takes nothing of it"),
        }
    }

    /// The peer was given something.
    pub(super) fn begin(&self) {
        *self.since() = Some(self.clock.monotonic());
    }

    /// The peer has taken everything.
    pub(super) fn end(&self) {
        *self.since() = None;
    }

    fn since(&self) -> MutexGuard<'_, Option<Duration>> {
        self.since.lock().expect("no code panics while holding this lock")
    }

    async fn missed(&self, limit: Duration) {
        let mut wait = Some(limit);
        while let Some(time) = wait {
            self.clock.sleep(time).await;
            let since = *self.since();
            wait = since.map_or(Some(limit), |since| left(since, limit, self.clock.monotonic()));
        }
    }
}

/// A stream that reports its bytes to an [`Activity`].
#[derive(Debug)]
pub(super) struct Watched<S> {
    stream: S,
    activity: Arc<Activity>,
}

impl<S> Watched<S> {
    pub(super) fn new(stream: S, activity: Arc<Activity>) -> Self {
        Self { stream, activity }
    }

    fn sent(&self, result: &Poll<io::Result<usize>>) {
        if matches!(result, Poll::Ready(Ok(length)) if *length > 0) {
            self.activity.touch();
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.activity.received();
        }
        result
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.sent(&result);
        result
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, bytes);
        self.sent(&result);
        result
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
