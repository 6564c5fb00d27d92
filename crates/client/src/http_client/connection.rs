//! One HTTP/1.1 connection.

use std::pin::Pin;

use bytes::Bytes;
use http::{Request, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::{Answer, Error};
use crate::Trust;

pub(super) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    /// Moves the connection's bytes; polled only while an answer is awaited.
    driver: Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>,
}

/// What became of a request.
pub(super) enum Exchange {
    /// Answered; the flag says whether the connection is still open.
    Answered(Answer, bool),
    /// The connection was closed before the request left: it can be sent again without doing anything twice.
    NotSent(Request<Full<Bytes>>),
    Failed(Error),
}

impl Connection {
    /// Connects; with `trust`, over TLS.
    pub(super) async fn open(endpoint: &Uri, trust: Option<&Trust>) -> Result<Self, Error> {
        let host = endpoint.host().unwrap_or_default().trim_matches(['[', ']']);
        let port = endpoint.port_u16().unwrap_or(if trust.is_some() { 443 } else { 80 });
        let failed = |source| Error::Connect { endpoint: endpoint.to_string(), source };
        let stream = TcpStream::connect((host, port)).await.map_err(failed)?;
        // Small requests would otherwise wait for the answer to an earlier segment.
        let _only_slower = stream.set_nodelay(true);
        match trust {
            None => Self::on(stream).await,
            // In a box, because its state is large and most connections have none.
            Some(trust) => {
                let secured = async { Self::on(trust.secure(stream, host).await.map_err(failed)?).await };
                Box::pin(secured).await
            }
        }
    }

    async fn on<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: S) -> Result<Self, Error> {
        let handshake = http1::handshake(TokioIo::new(stream)).await;
        let (sender, driver) = handshake.map_err(|error| Error::Connection(error.to_string()))?;
        Ok(Self { sender, driver: Box::pin(driver) })
    }

    /// Whether the other side has left it open, as far as is known.
    pub(super) fn is_open(&mut self) -> bool {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        self.driver.as_mut().poll(&mut context).is_pending() && !self.sender.is_closed()
    }

    /// Sends a request and reads its answer.
    pub(super) async fn exchange(&mut self, request: Request<Full<Bytes>>, answer_bytes_max: usize) -> Exchange {
        let Self { sender, driver } = self;
        let exchange = send(sender, request, answer_bytes_max);
        tokio::pin!(exchange);
        tokio::select! {
            biased;
            outcome = &mut exchange => outcome,
            // The connection ended; what it brought before may still complete the answer, and if not, the exchange
            // knows best what became of the request.
            _ended = driver => match exchange.await {
                Exchange::Answered(answer, _) => Exchange::Answered(answer, false),
                other => other,
            }
        }
    }
}

async fn send(
    sender: &mut SendRequest<Full<Bytes>>,
    request: Request<Full<Bytes>>,
    answer_bytes_max: usize,
) -> Exchange {
    if sender.ready().await.is_err() {
        return Exchange::NotSent(request);
    }
    let response = match sender.try_send_request(request).await {
        Ok(response) => response,
        Err(mut error) => {
            return match error.take_message() {
                Some(request) => Exchange::NotSent(request),
                None => Exchange::Failed(Error::Connection(error.error().to_string())),
            };
        }
    };
    let (parts, body) = response.into_parts();
    match Limited::new(body, answer_bytes_max).collect().await {
        Ok(body) => {
            let answer = Answer { status: parts.status, headers: parts.headers, body: body.to_bytes() };
            Exchange::Answered(answer, true)
        }
        Err(error) => Exchange::Failed(Error::Connection(error.to_string())),
    }
}
