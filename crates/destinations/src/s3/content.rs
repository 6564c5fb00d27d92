//! Contents of objects as blobs.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use md5::{Digest as _, Md5};
use millstream_blobs::SharedBlobs;
use millstream_client::sigv4::hex;
use millstream_env::{HostClock, Random, Tasks};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Error;
use super::checksum::{Algorithm, Checksum};
use super::limits::{DOWNLOAD_BYTES_MAX, DOWNLOAD_WAIT};
use super::record::Piece;

/// Random bytes behind each content: equal contents of two objects are two blobs, removed one by one.
const MARK_BYTES: usize = 16;
/// Content up to this size is hashed where it stands: about half a millisecond.
const HASHED_AT_ONCE_BYTES_MAX: usize = 128 * 1024;
/// Content goes out in slices of this size, so that a slow reader is told from one that has gone.
const SLICE_BYTES: usize = 1024 * 1024;

/// What S3 says of a content.
#[derive(Debug)]
pub(super) struct Hashes {
    pub(super) md5: [u8; 16],
    pub(super) checksum: Checksum,
}

impl Hashes {
    fn of(content: &[u8], algorithm: Algorithm) -> Self {
        Self { md5: Md5::digest(content).into(), checksum: Checksum::of(algorithm, content) }
    }

    pub(super) fn etag(&self) -> String {
        hex(&self.md5)
    }
}

/// The blobs of all objects.
#[derive(Debug)]
pub(super) struct Contents {
    pub(super) blobs: SharedBlobs,
    clock: HostClock,
    random: Random,
    tasks: Tasks,
    pub(super) downloads: Arc<Semaphore>,
}

impl Contents {
    pub(super) fn new(blobs: SharedBlobs, clock: HostClock, random: Random, tasks: Tasks) -> Self {
        Self { blobs, clock, random, tasks, downloads: Arc::new(Semaphore::new(DOWNLOAD_BYTES_MAX)) }
    }

    /// Hashes off the asynchronous threads when it takes long.
    pub(super) async fn hash(&self, content: &Bytes, algorithm: Algorithm) -> Result<Hashes, Error> {
        if content.len() <= HASHED_AT_ONCE_BYTES_MAX {
            return Ok(Hashes::of(content, algorithm));
        }
        let content = content.clone();
        let hashing = self.tasks.blocking(move || Hashes::of(&content, algorithm));
        hashing.await.map_err(|error| Error::Internal(error.to_string()))
    }

    /// Stores a content; durable when it returns.
    pub(super) async fn store(&self, content: Bytes) -> Result<Piece, Error> {
        let bytes = content.len() as u64;
        let mut blob = content.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]));
        blob.extend_from_slice(&self.random.bytes::<MARK_BYTES>());
        let digest = self.blobs.put(blob.freeze()).await?;
        Ok(Piece { digest, bytes })
    }

    /// Removes contents that nothing refers to any more. When that fails, they cost space until the next start.
    pub(super) async fn remove(&self, pieces: Vec<Piece>) {
        for piece in pieces {
            if let Err(error) = self.blobs.delete(piece.digest).await {
                tracing::warn!(digest = %piece.digest, %error, "the content of a deleted object stays until the next start");
            }
        }
    }

    /// Makes room for bytes of objects in memory.
    pub(super) async fn share(&self, bytes: u64) -> Result<OwnedSemaphorePermit, Error> {
        let waiting = share(&self.downloads, to_usize(bytes));
        self.clock.timeout(DOWNLOAD_WAIT, waiting).await.ok_or(Error::SlowDown)
    }

    /// The bytes `range` of what `pieces` make together. `None` when the content is gone: somebody else has replaced or
    /// deleted the object.
    pub(super) async fn open(&self, pieces: &[Piece], range: Range<u64>) -> Result<Option<Content>, Error> {
        let mut content = self.content(pieces, range, Some(Arc::clone(&self.downloads)));
        // Whoever reads slowly cannot hold up all others for long.
        let loading = self.clock.timeout(DOWNLOAD_WAIT, content.load());
        Ok(loading.await.unwrap_or(Err(Error::SlowDown))?.then_some(content))
    }

    /// The same in room that the caller has made, for the content and a copy of it.
    pub(super) async fn whole(&self, pieces: &[Piece]) -> Result<Option<Bytes>, Error> {
        let range = 0..pieces.iter().map(|piece| piece.bytes).sum();
        let mut content = self.content(pieces, range, None);
        if !content.load().await? {
            return Ok(None);
        }
        content.whole().await.map(Some)
    }

    fn content(&self, pieces: &[Piece], range: Range<u64>, downloads: Option<Arc<Semaphore>>) -> Content {
        let mut wanted = VecDeque::new();
        let mut start = 0;
        for piece in pieces {
            let end = start + piece.bytes;
            let (from, to) = (range.start.max(start), range.end.min(end));
            if from < to {
                wanted.push_back((piece.clone(), to_usize(from - start)..to_usize(to - start)));
            }
            start = end;
        }
        let bytes = range.end - range.start;
        Content { blobs: Arc::clone(&self.blobs), wanted, now: Bytes::new(), bytes, downloads, share: None }
    }
}

async fn share(downloads: &Arc<Semaphore>, bytes: usize) -> OwnedSemaphorePermit {
    let permits = u32::try_from(bytes).expect("a piece has 64 MiB at most");
    Arc::clone(downloads).acquire_many_owned(permits).await.expect("it is never closed")
}

/// Bytes of an object on their way to a reader.
#[derive(Debug)]
pub struct Content {
    blobs: SharedBlobs,
    /// Blobs that are not loaded yet, and what of them.
    wanted: VecDeque<(Piece, Range<usize>)>,
    now: Bytes,
    bytes: u64,
    /// Where room is taken for what is loaded; `None` when it has been already.
    downloads: Option<Arc<Semaphore>>,
    /// The room of what is loaded now.
    share: Option<OwnedSemaphorePermit>,
}

impl Content {
    /// How many bytes there are, from beginning to end.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The next bytes; `None` at the end. An object of parts that is replaced while it is read ends in an error.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        if self.now.is_empty() {
            if self.wanted.is_empty() {
                return Ok(None);
            }
            if !self.load().await? {
                return Err(Error::Internal("the object was replaced while it was read".to_owned()));
            }
        }
        Ok(Some(self.now.split_to(SLICE_BYTES.min(self.now.len()))))
    }

    /// All bytes; for contents that are known to be short.
    pub async fn whole(mut self) -> Result<Bytes, Error> {
        let mut whole = BytesMut::new();
        while let Some(bytes) = self.next().await? {
            whole.extend_from_slice(&bytes);
        }
        Ok(whole.freeze())
    }

    /// Loads the next piece; `false` when it is gone.
    async fn load(&mut self) -> Result<bool, Error> {
        let Some((Piece { digest, bytes }, range)) = self.wanted.pop_front() else { return Ok(true) };
        // In this order: whoever waits holds nothing.
        self.share = None;
        if let Some(downloads) = &self.downloads {
            self.share = Some(share(downloads, to_usize(bytes)).await);
        }
        let Some(blob) = self.blobs.get(digest).await? else { return Ok(false) };
        if blob.len() < range.end + MARK_BYTES {
            return Err(Error::Internal(format!("blob {digest} is shorter than its object says")));
        }
        self.now = blob.slice(range);
        // A small part must not keep the whole.
        if self.now.len() < blob.len() / 2 {
            self.now = Bytes::copy_from_slice(&self.now);
            if let Some(share) = &mut self.share {
                drop(share.split(share.num_permits().saturating_sub(self.now.len())));
            }
        }
        Ok(true)
    }
}

fn to_usize(bytes: u64) -> usize {
    usize::try_from(bytes).expect("a piece has 64 MiB at most")
}
