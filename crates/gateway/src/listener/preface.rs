//! HTTP/1.1 or HTTP/2 with prior knowledge: the first bytes tell.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

/// What every HTTP/2 client sends first (RFC 9113, section 3.4).
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The protocol a peer speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Http1,
    Http2,
}

/// Reads until the protocol is known. `None` when the peer ended the connection without sending anything.
pub(super) async fn detect<S>(mut stream: S) -> io::Result<Option<(Protocol, Replayed<S>)>>
where
    S: AsyncRead + Unpin,
{
    let mut seen = [0; HTTP2_PREFACE.len()];
    let mut length = 0;
    while length < seen.len() && seen[..length] == HTTP2_PREFACE[..length] {
        match stream.read(&mut seen[length..]).await? {
            0 if length == 0 => return Ok(None),
            0 => break,
            n => length += n,
        }
    }
    let protocol = if seen == HTTP2_PREFACE { Protocol::Http2 } else { Protocol::Http1 };
    Ok(Some((protocol, Replayed { seen: Bytes::copy_from_slice(&seen[..length]), stream })))
}

/// A stream whose first bytes were read already and are read again from here.
#[derive(Debug)]
pub(super) struct Replayed<S> {
    seen: Bytes,
    stream: S,
}

impl<S: AsyncRead + Unpin> AsyncRead for Replayed<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.seen.has_remaining() {
            let length = self.seen.len().min(buffer.remaining());
            buffer.put_slice(&self.seen.split_to(length));
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Replayed<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
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
        Pin::new(&mut self.stream).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn check(input: &[u8], expected: Option<Protocol>) {
        let found = detect(input).await.unwrap();
        assert_eq!(found.as_ref().map(|(protocol, _)| *protocol), expected);
        if let Some((_, mut replayed)) = found {
            let mut all = Vec::new();
            AsyncReadExt::read_to_end(&mut replayed, &mut all).await.unwrap();
            assert_eq!(all, input, "nothing that was read is lost");
        }
    }

    impl<S: AsyncRead + Unpin> Replayed<S> {
        async fn read_in_pieces_of(mut self, size: usize) -> Vec<u8> {
            let (mut all, mut piece) = (Vec::new(), vec![0; size]);
            loop {
                match self.read(&mut piece).await.unwrap() {
                    0 => return all,
                    n => all.extend_from_slice(&piece[..n]),
                }
            }
        }
    }

    #[tokio::test]
    async fn the_first_bytes_tell() {
        check(b"", None).await;
        check(b"GET / HTTP/1.1\r\n\r\n", Some(Protocol::Http1)).await;
        check(b"P", Some(Protocol::Http1)).await;
        check(b"POST / HTTP/1.1\r\n\r\n", Some(Protocol::Http1)).await;
        check(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nframes", Some(Protocol::Http2)).await;
        check(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\rX", Some(Protocol::Http1)).await;
    }

    #[tokio::test]
    async fn small_reads_see_every_byte() {
        let input = &b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nand more"[..];
        let (_, replayed) = detect(input).await.unwrap().unwrap();
        assert_eq!(replayed.read_in_pieces_of(5).await, input);
    }
}
