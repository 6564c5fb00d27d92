//! Answers as a whole, and answers that go on.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::Stream;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use http_body_util::Full;
use hyper::body::{Body, Frame, SizeHint};
use millstream_env::Tasks;

use super::activity::{Activity, RequestGuard, Turn};

/// The body of every answer.
#[derive(Debug)]
pub enum ResponseBody {
    /// It was there from the beginning: the plain path.
    Whole(Full<Bytes>),
    /// It comes in pieces, each made when the connection can take it.
    Pieces(Box<Pieces>),
}

impl Default for ResponseBody {
    fn default() -> Self {
        Self::from(Bytes::new())
    }
}

impl From<Bytes> for ResponseBody {
    fn from(bytes: Bytes) -> Self {
        Self::Whole(Full::new(bytes))
    }
}

impl ResponseBody {
    /// A body of pieces that are whole messages, so that it may end after any of them.
    pub fn pieces(pieces: impl Stream<Item = Bytes> + Send + 'static) -> Self {
        Self::Pieces(Box::new(Pieces { source: Box::pin(pieces), connection: None }))
    }

    /// Ties the body to the connection it goes out on: it ends when `tasks` are told to stop, and while it waits for its
    /// next piece it counts as a request being handled.
    pub(super) fn on(mut self, activity: &Arc<Activity>, tasks: &Tasks) -> Self {
        if let Self::Pieces(pieces) = &mut self {
            let (activity, tasks) = (Arc::clone(activity), tasks.clone());
            let stop = Box::pin(async move { tasks.cancelled().await });
            pieces.connection = Some(Connection { activity, stop, waiting: None, turn: Turn::of_this_stream() });
        }
        self
    }
}

/// A body that goes on.
pub struct Pieces {
    source: BoxStream<'static, Bytes>,
    connection: Option<Connection>,
}

struct Connection {
    activity: Arc<Activity>,
    stop: BoxFuture<'static, ()>,
    /// There while the peer has been given everything there is. Not while a piece is on its way: then it is the peer's
    /// turn, and one that takes nothing makes its connection idle.
    waiting: Option<RequestGuard>,
    /// Over HTTP/2, where the connection asks for the next piece when the peer has taken the one before.
    turn: Option<Arc<Turn>>,
}

impl Pieces {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let Some(connection) = &mut self.connection else { return self.source.as_mut().poll_next(cx) };
        if connection.stop.as_mut().poll(cx).is_ready() {
            return Poll::Ready(None);
        }
        let piece = self.source.as_mut().poll_next(cx);
        if let Some(turn) = &connection.turn {
            if matches!(piece, Poll::Ready(Some(_))) { turn.begin() } else { turn.end() }
        }
        match piece {
            Poll::Pending if connection.waiting.is_none() => connection.waiting = Some(connection.activity.request()),
            Poll::Pending => {}
            Poll::Ready(_) => connection.waiting = None,
        }
        piece
    }
}

impl fmt::Debug for Pieces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pieces")
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Self::Whole(whole) => Pin::new(whole).poll_frame(cx),
            Self::Pieces(pieces) => pieces.poll_piece(cx).map(|piece| piece.map(|bytes| Ok(Frame::data(bytes)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(whole) => whole.is_end_stream(),
            Self::Pieces(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(whole) => whole.size_hint(),
            Self::Pieces(_) => SizeHint::default(),
        }
    }
}
