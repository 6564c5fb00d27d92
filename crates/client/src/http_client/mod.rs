//! A small HTTP/1.1 client that signs what it sends and keeps its connections.

mod connection;
mod error;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::header::HOST;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::Full;
use millstream_env::HostClock;
use serde_json::Value;

use self::connection::{Connection, Exchange};
pub use self::error::Error;
use self::error::service_error;
use crate::sigv4::{Signer, encoding, sha256};
use crate::{Credentials, Trust};

/// Connections kept while nothing is asked.
const IDLE_CONNECTIONS_MAX: usize = 16;
/// Largest answer taken.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// Longest wait for one answer: a synchronous invocation may take 15 minutes.
const ANSWER_TIMEOUT: Duration = Duration::from_mins(16);

/// Talks to one endpoint as one caller. Clones share their connections.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
    region: Arc<str>,
    timeout: Duration,
    answer_bytes_max: usize,
}

struct Inner {
    endpoint: Uri,
    authority: HeaderValue,
    credentials: Credentials,
    clock: HostClock,
    /// There for an endpoint with TLS.
    trust: Option<Trust>,
    idle: Mutex<Vec<Connection>>,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Client {
    /// A client of `endpoint` (`http://host:port`). Nothing is sent yet.
    pub fn new(
        endpoint: &str,
        credentials: Credentials,
        region: impl Into<Arc<str>>,
        clock: HostClock,
    ) -> Result<Self, Error> {
        Self::over(endpoint, credentials, region, clock, None)
    }

    /// A client of an `endpoint` that may also be `https://host`, believing its certificate by `trust`.
    pub fn with_trust(
        endpoint: &str,
        credentials: Credentials,
        region: impl Into<Arc<str>>,
        clock: HostClock,
        trust: Trust,
    ) -> Result<Self, Error> {
        Self::over(endpoint, credentials, region, clock, Some(trust))
    }

    fn over(
        endpoint: &str,
        credentials: Credentials,
        region: impl Into<Arc<str>>,
        clock: HostClock,
        trust: Option<Trust>,
    ) -> Result<Self, Error> {
        let invalid = || Error::Endpoint(endpoint.to_owned());
        let uri: Uri = endpoint.parse().map_err(|_| invalid())?;
        let trust = match uri.scheme_str() {
            Some("http") => None,
            Some("https") => Some(trust.ok_or_else(invalid)?),
            _ => return Err(invalid()),
        };
        let authority = uri.authority().filter(|_| uri.path() == "/" && uri.query().is_none()).ok_or_else(invalid)?;
        if authority.as_str().contains('@') {
            return Err(invalid());
        }
        let authority = HeaderValue::from_str(authority.as_str()).map_err(|_| invalid())?;
        let inner = Inner { endpoint: uri, authority, credentials, clock, trust, idle: Mutex::default() };
        Ok(Self {
            inner: Arc::new(inner),
            region: region.into(),
            timeout: ANSWER_TIMEOUT,
            answer_bytes_max: ANSWER_BYTES_MAX,
        })
    }

    /// A client on the same connections that waits at most `timeout` for an answer (16 minutes unless set).
    #[must_use]
    pub fn with_timeout(&self, timeout: Duration) -> Self {
        Self { timeout, ..self.clone() }
    }

    /// A client on the same connections that takes answers up to that size (64 MiB unless set).
    #[must_use]
    pub fn with_answer_bytes_max(&self, answer_bytes_max: usize) -> Self {
        Self { answer_bytes_max, ..self.clone() }
    }

    /// A client on the same connections that signs for another region.
    #[must_use]
    pub fn in_region(&self, region: &str) -> Self {
        Self { region: region.into(), ..self.clone() }
    }

    /// `scheme://host[:port]`
    pub fn endpoint(&self) -> String {
        self.inner.endpoint.to_string().trim_end_matches('/').to_owned()
    }

    /// Calls an operation of an awsJson1.1 service. An empty answer is `null`.
    pub async fn json(&self, service: &str, target: &str, input: &Value) -> Result<Value, Error> {
        let headers = [("content-type", "application/x-amz-json-1.1"), ("x-amz-target", target)];
        let answer = self.send(service, &Method::POST, "/", &headers, input.to_string().into()).await?;
        if answer.body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&answer.body).map_err(|error| Error::Answer(error.to_string()))
    }

    /// Calls an operation of a query service; gives the XML document.
    pub async fn query(
        &self,
        service: &str,
        version: &str,
        action: &str,
        parameters: &[(&str, &str)],
    ) -> Result<String, Error> {
        let mut form = format!("Action={action}&Version={version}");
        for (name, value) in parameters {
            form.push('&');
            form.push_str(name);
            form.push('=');
            form.push_str(&encoding::encode(value.as_bytes()));
        }
        let headers = [("content-type", "application/x-www-form-urlencoded; charset=utf-8")];
        let answer = self.send(service, &Method::POST, "/", &headers, form.into()).await?;
        String::from_utf8(answer.body.into()).map_err(|error| Error::Answer(error.to_string()))
    }

    /// Sends a request to a REST service and gives the body of its answer.
    pub async fn rest(&self, service: &str, method: &Method, path: &str, body: Bytes) -> Result<Bytes, Error> {
        Ok(self.send(service, method, path, &[("content-type", "application/json")], body).await?.body)
    }

    /// Signs and sends a request. A status that is not a success becomes [`Error::Service`].
    pub async fn send(
        &self,
        service: &str,
        method: &Method,
        target: &str,
        headers: &[(&'static str, &str)],
        body: Bytes,
    ) -> Result<Answer, Error> {
        let Inner { endpoint, authority, credentials, clock, .. } = &*self.inner;
        let mut request = Request::builder().method(method).uri(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.header(HOST, authority).body(Full::new(body.clone()))?;
        let signer = Signer { credentials, region: &self.region, service };
        signer.sign(method.as_str(), target, request.headers_mut(), &sha256(&body), clock.now())?;
        let exchange = self.exchange(request);
        let timed_out = Error::Timeout { seconds: self.timeout.as_secs() };
        let answer = clock.timeout(self.timeout, exchange).await.ok_or(timed_out)??;
        tracing::trace!(%endpoint, service, target, status = answer.status.as_u16(), "answered");
        if answer.status.is_success() { Ok(answer) } else { Err(service_error(&answer)) }
    }

    /// A kept connection may have been closed meanwhile: what did not leave on it goes on a new one.
    async fn exchange(&self, mut request: Request<Full<Bytes>>) -> Result<Answer, Error> {
        while let Some(connection) = self.take_idle() {
            match self.exchange_on(connection, request).await {
                Exchange::NotSent(unsent) => request = unsent,
                Exchange::Answered(answer, _) => return Ok(answer),
                Exchange::Failed(error) => return Err(error),
            }
        }
        let connection = Connection::open(&self.inner.endpoint, self.inner.trust.as_ref()).await?;
        match self.exchange_on(connection, request).await {
            Exchange::Answered(answer, _) => Ok(answer),
            Exchange::NotSent(_) => Err(Error::Connection("closed before the request was sent".to_owned())),
            Exchange::Failed(error) => Err(error),
        }
    }

    /// Keeps the connection when it stays open.
    async fn exchange_on(&self, mut connection: Connection, request: Request<Full<Bytes>>) -> Exchange {
        let outcome = connection.exchange(request, self.answer_bytes_max).await;
        if let Exchange::Answered(_, true) = &outcome {
            self.keep(connection);
        }
        outcome
    }

    /// A kept connection that is still open as far as its driver knows.
    fn take_idle(&self) -> Option<Connection> {
        let mut idle = self.inner.idle.lock().expect("no code panics while holding this lock");
        while let Some(mut connection) = idle.pop() {
            if connection.is_open() {
                return Some(connection);
            }
        }
        None
    }

    fn keep(&self, connection: Connection) {
        let mut idle = self.inner.idle.lock().expect("no code panics while holding this lock");
        if idle.len() < IDLE_CONNECTIONS_MAX {
            idle.push(connection);
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { endpoint, credentials, .. } = &*self.inner;
        f.debug_struct("Client")
            .field("endpoint", endpoint)
            .field("credentials", credentials)
            .field("region", &self.region)
            .finish_non_exhaustive()
    }
}
