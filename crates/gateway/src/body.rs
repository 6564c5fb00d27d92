//! Receives a request's body: bounded in size, in time and in what all requests together may hold, hashed as it comes.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Body;
use millstream_env::HostClock;
use sha2::{Digest, Sha256};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes of bodies that all requests being handled may hold together.
pub const IN_FLIGHT_BYTES_MAX: usize = 256 * 1024 * 1024;
/// How long a request waits for others to give back enough of the budget.
pub const BUDGET_WAIT: Duration = Duration::from_secs(2);
/// The longest pause between two pieces of a body.
pub const PIECE_TIMEOUT: Duration = Duration::from_secs(20);
/// The slowest a body may arrive as a whole, after a first [`PIECE_TIMEOUT`].
pub const BYTES_PER_SECOND_MIN: usize = 64 * 1024;
/// A body of unknown length takes its share of the budget in steps of this size.
const GROWTH_BYTES: usize = 256 * 1024;

/// What is left of the bytes that bodies may hold.
#[derive(Clone, Debug)]
pub struct Budget {
    bytes: Arc<Semaphore>,
    wait: Duration,
}

impl Budget {
    /// A budget of `bytes`, for which a request waits up to `wait`.
    pub fn new(bytes: usize, wait: Duration) -> Self {
        Self { bytes: Arc::new(Semaphore::new(bytes)), wait }
    }

    async fn take(&self, bytes: usize, clock: &HostClock) -> Result<OwnedSemaphorePermit, ReceiveError> {
        let bytes = u32::try_from(bytes).map_err(|_| ReceiveError::Overloaded)?;
        if let Ok(share) = Arc::clone(&self.bytes).try_acquire_many_owned(bytes) {
            return Ok(share);
        }
        match clock.timeout(self.wait, Arc::clone(&self.bytes).acquire_many_owned(bytes)).await {
            Some(share) => Ok(share.expect("the budget is never closed")),
            None => Err(ReceiveError::Overloaded),
        }
    }

    /// Bytes that nobody holds.
    pub fn available(&self) -> usize {
        self.bytes.available_permits()
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self::new(IN_FLIGHT_BYTES_MAX, BUDGET_WAIT)
    }
}

/// A body that has arrived whole. Its share of the budget is given back when this is dropped.
#[derive(Debug)]
pub struct Received {
    pub bytes: Bytes,
    pub sha256: [u8; 32],
    _share: Option<OwnedSemaphorePermit>,
}

/// Why a body was not received.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReceiveError {
    #[error("the body is larger than {bytes_max} bytes")]
    TooLarge { bytes_max: usize },
    #[error("the bodies of all requests together take too much memory")]
    Overloaded,
    #[error("the body did not arrive in time")]
    TimedOut,
    #[error("the connection ended inside the body")]
    Incomplete,
}

/// Reads `body` to its end. The budget is taken by its declared length before anything is read, otherwise as it grows.
pub async fn receive<B>(body: B, bytes_max: usize, budget: &Budget, clock: &HostClock) -> Result<Received, ReceiveError>
where
    B: Body<Data = Bytes> + Send,
{
    let declared = body.size_hint().exact().map(|length| usize::try_from(length).unwrap_or(usize::MAX));
    if declared.is_some_and(|length| length > bytes_max) {
        return Err(ReceiveError::TooLarge { bytes_max });
    }
    let share = match declared {
        Some(0) => return Ok(Received { bytes: Bytes::new(), sha256: Sha256::digest([]).into(), _share: None }),
        Some(length) => budget.take(length, clock).await?,
        None => budget.take(GROWTH_BYTES.min(bytes_max), clock).await?,
    };
    let bytes_expected = declared.unwrap_or(bytes_max);
    let limit = PIECE_TIMEOUT + Duration::from_secs((bytes_expected / BYTES_PER_SECOND_MIN) as u64);
    let pieces = Pieces { declared, bytes_max, budget, clock, share };
    clock.timeout(limit, pieces.collect(body)).await.unwrap_or(Err(ReceiveError::TimedOut))
}

struct Pieces<'a> {
    declared: Option<usize>,
    bytes_max: usize,
    budget: &'a Budget,
    clock: &'a HostClock,
    share: OwnedSemaphorePermit,
}

impl Pieces<'_> {
    async fn collect<B: Body<Data = Bytes> + Send>(mut self, body: B) -> Result<Received, ReceiveError> {
        let mut body = std::pin::pin!(body);
        let mut hash = Sha256::new();
        let mut whole = Whole::Empty;
        loop {
            let frame = self.clock.timeout(PIECE_TIMEOUT, body.frame()).await.ok_or(ReceiveError::TimedOut)?;
            let piece = match frame {
                None => break,
                Some(Err(_)) => return Err(ReceiveError::Incomplete),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(piece) => piece,
                    Err(_trailers) => continue,
                },
            };
            self.make_room(whole.len() + piece.len()).await?;
            hash.update(&piece);
            whole.push(piece, self.declared.unwrap_or(0));
        }
        Ok(Received { bytes: whole.into_bytes(), sha256: hash.finalize().into(), _share: Some(self.share) })
    }

    async fn make_room(&mut self, length: usize) -> Result<(), ReceiveError> {
        if length > self.bytes_max {
            return Err(ReceiveError::TooLarge { bytes_max: self.bytes_max });
        }
        let held = self.share.num_permits();
        if length > held {
            let more = (length - held).max(GROWTH_BYTES).min(self.bytes_max - held);
            self.share.merge(self.budget.take(more, self.clock).await?);
        }
        Ok(())
    }
}

/// The pieces put together; a body of one piece is not copied.
enum Whole {
    Empty,
    One(Bytes),
    Many(BytesMut),
}

impl Whole {
    fn len(&self) -> usize {
        match self {
            Self::Empty => 0,
            Self::One(piece) => piece.len(),
            Self::Many(bytes) => bytes.len(),
        }
    }

    fn push(&mut self, piece: Bytes, length_expected: usize) {
        match self {
            Self::Empty => *self = Self::One(piece),
            Self::One(first) => {
                let mut bytes = BytesMut::with_capacity(length_expected.max(first.len() + piece.len()));
                bytes.extend_from_slice(first);
                bytes.extend_from_slice(&piece);
                *self = Self::Many(bytes);
            }
            Self::Many(bytes) => bytes.extend_from_slice(&piece),
        }
    }

    fn into_bytes(self) -> Bytes {
        match self {
            Self::Empty => Bytes::new(),
            Self::One(piece) => piece,
            Self::Many(bytes) => bytes.freeze(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::stream;
    use http_body_util::{Full, StreamBody};
    use hyper::body::Frame;

    use super::*;

    fn chunked(pieces: &[&'static [u8]]) -> impl Body<Data = Bytes, Error = Infallible> + Send + use<> {
        let frames: Vec<_> = pieces.iter().map(|piece| Ok(Frame::data(Bytes::from_static(piece)))).collect();
        StreamBody::new(stream::iter(frames))
    }

    fn small_budget(bytes: usize) -> Budget {
        Budget::new(bytes, Duration::from_millis(1))
    }

    async fn receive_all<B: Body<Data = Bytes> + Send>(
        body: B,
        bytes_max: usize,
        budget: &Budget,
    ) -> Result<Received, ReceiveError> {
        receive(body, bytes_max, budget, &HostClock::real()).await
    }

    #[tokio::test]
    async fn a_body_arrives_whole_with_its_hash() {
        let budget = small_budget(1 << 20);
        for body in [&[&b"hello "[..], b"", b"world"][..], &[b"hello world"], &[]] {
            let received = receive_all(chunked(body), 100, &budget).await.unwrap();
            assert_eq!(received.bytes, body.concat());
            assert_eq!(received.sha256, <[u8; 32]>::from(Sha256::digest(body.concat())));
        }
        let received = receive_all(Full::new(Bytes::new()), 0, &budget).await.unwrap();
        assert_eq!(received.sha256, <[u8; 32]>::from(Sha256::digest([])));
    }

    #[tokio::test]
    async fn a_body_beyond_the_limit_is_refused_with_and_without_a_length() {
        let budget = small_budget(1 << 20);
        for (length, fits) in [(10, true), (11, false)] {
            let bytes = Bytes::from(vec![0; length]);
            assert_eq!(receive_all(Full::new(bytes), 10, &budget).await.is_ok(), fits);
        }
        let result = receive_all(chunked(&[b"123456", b"123456"]), 10, &budget).await;
        assert_eq!(result.unwrap_err(), ReceiveError::TooLarge { bytes_max: 10 });
        assert_eq!(budget.available(), 1 << 20);
    }

    #[tokio::test]
    async fn the_budget_is_taken_by_length_and_given_back() {
        let budget = small_budget(100);
        let first = receive_all(Full::new(Bytes::from(vec![0; 60])), 100, &budget).await.unwrap();
        assert_eq!(budget.available(), 40);
        let second = receive_all(Full::new(Bytes::from(vec![0; 60])), 100, &budget).await;
        assert_eq!(second.unwrap_err(), ReceiveError::Overloaded);
        drop(first);
        assert!(receive_all(Full::new(Bytes::from(vec![0; 60])), 100, &budget).await.is_ok());
        assert_eq!(budget.available(), 100);
    }

    #[tokio::test]
    async fn a_body_without_a_length_takes_its_share_as_it_grows() {
        let piece: &'static [u8] = vec![7; GROWTH_BYTES].leak();
        let budget = small_budget(3 * GROWTH_BYTES);
        let received = receive_all(chunked(&[piece, piece, b"1"]), 10 * GROWTH_BYTES, &budget).await.unwrap();
        assert_eq!(budget.available(), 0);
        drop(received);
        let result = receive_all(chunked(&[piece, piece, piece, b"1"]), 10 * GROWTH_BYTES, &budget).await;
        assert_eq!(result.unwrap_err(), ReceiveError::Overloaded);
        assert_eq!(budget.available(), 3 * GROWTH_BYTES);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_stops_coming_is_given_up() {
        let never = StreamBody::new(stream::pending::<Result<Frame<Bytes>, Infallible>>());
        let result = receive_all(never, 10, &small_budget(1000)).await;
        assert_eq!(result.unwrap_err(), ReceiveError::TimedOut);
    }
}
