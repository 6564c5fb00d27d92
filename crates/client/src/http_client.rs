//! A small HTTP/1.1 client that signs what it sends and keeps its connections.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::header::HOST;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use millstream_env::HostClock;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::Credentials;
use crate::sigv4::{SignError, Signer, encoding, sha256};

/// Connections kept while nothing is asked.
const IDLE_CONNECTIONS_MAX: usize = 16;
/// Longest wait for one answer: a synchronous invocation may take 15 minutes.
const ANSWER_TIMEOUT: Duration = Duration::from_mins(16);
/// Largest answer taken.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// Talks to one endpoint as one caller. Clones share their connections.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    endpoint: Uri,
    authority: HeaderValue,
    credentials: Credentials,
    region: String,
    clock: HostClock,
    idle: Mutex<Vec<Connection>>,
}

struct Connection {
    sender: SendRequest<Full<Bytes>>,
    /// Moves the connection's bytes; polled only while an answer is awaited.
    driver: Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>,
}

impl Connection {
    /// Sends a request and reads its answer; also whether the connection is still open then.
    async fn exchange(&mut self, request: Request<Full<Bytes>>) -> Result<(Answer, bool), Error> {
        let Self { sender, driver } = self;
        let failed = |error: hyper::Error| Error::Connection(error.to_string());
        let exchange = async {
            sender.ready().await.map_err(failed)?;
            let (parts, body) = sender.send_request(request).await.map_err(failed)?.into_parts();
            let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
            let body = body.map_err(|error| Error::Connection(error.to_string()))?.to_bytes();
            Ok::<_, Error>(Answer { status: parts.status, headers: parts.headers, body })
        };
        tokio::pin!(exchange);
        tokio::select! {
            biased;
            answer = &mut exchange => Ok((answer?, true)),
            ended = driver => {
                // The connection ended; what it brought before may still complete the answer.
                ended.map_err(failed)?;
                Ok((exchange.await?, false))
            }
        }
    }
}

/// A call did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0} is not an http:// endpoint")]
    Endpoint(String),
    #[error(transparent)]
    Sign(#[from] SignError),
    #[error("the request cannot be sent: {0}")]
    Request(#[from] http::Error),
    #[error("cannot connect to {endpoint}: {source}; is the server running?")]
    Connect { endpoint: String, source: std::io::Error },
    #[error("the connection failed: {0}")]
    Connection(String),
    #[error("no answer within {} s", ANSWER_TIMEOUT.as_secs())]
    Timeout,
    /// The service refused the call.
    #[error("{code}: {message}")]
    Service { status: StatusCode, code: String, message: String },
    #[error("the answer is not what its service sends: {0}")]
    Answer(String),
}

impl Error {
    /// The service's error code, when the service answered.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Service { code, .. } => Some(code),
            _ => None,
        }
    }
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
        region: impl Into<String>,
        clock: HostClock,
    ) -> Result<Self, Error> {
        let invalid = || Error::Endpoint(endpoint.to_owned());
        let uri: Uri = endpoint.parse().map_err(|_| invalid())?;
        let authority = uri.authority().filter(|_| uri.scheme_str() == Some("http")).ok_or_else(invalid)?;
        let authority = HeaderValue::from_str(authority.as_str()).map_err(|_| invalid())?;
        let region = region.into();
        let inner = Inner { endpoint: uri, authority, credentials, region, clock, idle: Mutex::default() };
        Ok(Self { inner: Arc::new(inner) })
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
        let Inner { endpoint, authority, credentials, region, clock, .. } = &*self.inner;
        let mut request = Request::builder().method(method).uri(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.header(HOST, authority).body(Full::new(body.clone()))?;
        let signer = Signer { credentials, region, service };
        signer.sign(method.as_str(), target, request.headers_mut(), &sha256(&body), clock.now())?;
        let exchange = self.exchange(request);
        let answer = clock.timeout(ANSWER_TIMEOUT, exchange).await.ok_or(Error::Timeout)??;
        tracing::trace!(%endpoint, service, target, status = answer.status.as_u16(), "answered");
        if answer.status.is_success() { Ok(answer) } else { Err(service_error(&answer)) }
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Answer, Error> {
        let mut connection = match self.take_idle() {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        let (answer, open) = connection.exchange(request).await?;
        if open {
            self.keep(connection);
        }
        Ok(answer)
    }

    /// A kept connection that is still open as far as its driver knows.
    fn take_idle(&self) -> Option<Connection> {
        let mut idle = self.inner.idle.lock().expect("no code panics while holding this lock");
        while let Some(mut connection) = idle.pop() {
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            let open = connection.driver.as_mut().poll(&mut context).is_pending();
            if open && !connection.sender.is_closed() {
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

    async fn connect(&self) -> Result<Connection, Error> {
        let endpoint = &self.inner.endpoint;
        let host = endpoint.host().unwrap_or_default().trim_matches(['[', ']']);
        let stream = TcpStream::connect((host, endpoint.port_u16().unwrap_or(80))).await;
        let stream = stream.map_err(|source| Error::Connect { endpoint: endpoint.to_string(), source })?;
        // Small requests would otherwise wait for the answer to an earlier segment.
        let _only_slower = stream.set_nodelay(true);
        let handshake = http1::handshake(TokioIo::new(stream)).await;
        let (sender, driver) = handshake.map_err(|error| Error::Connection(error.to_string()))?;
        Ok(Connection { sender, driver: Box::pin(driver) })
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { endpoint, credentials, region, .. } = &*self.inner;
        f.debug_struct("Client")
            .field("endpoint", endpoint)
            .field("credentials", credentials)
            .field("region", region)
            .finish_non_exhaustive()
    }
}

/// Code and message of a refused call, in whichever form its protocol writes them.
fn service_error(answer: &Answer) -> Error {
    let text = String::from_utf8_lossy(&answer.body);
    let (code, message) = if text.trim_start().starts_with('<') {
        (element(&text, "Code").unwrap_or_default(), element(&text, "Message").unwrap_or_default())
    } else {
        let body: Value = serde_json::from_str(&text).unwrap_or_default();
        let field = |names: [&str; 2]| names.iter().find_map(|name| body[name].as_str()).map(str::to_owned);
        let header = answer.headers.get("x-amzn-errortype").and_then(|value| value.to_str().ok()).map(str::to_owned);
        (
            header.or_else(|| field(["__type", "code"])).unwrap_or_default(),
            field(["message", "Message"]).unwrap_or_default(),
        )
    };
    let bare = code.rsplit('#').next().unwrap_or_default().split(':').next().unwrap_or_default();
    let code = if bare.is_empty() { answer.status.to_string() } else { bare.to_owned() };
    Error::Service { status: answer.status, code, message }
}

fn element(xml: &str, name: &str) -> Option<String> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    Some(rest.split_once('<')?.0.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(header: Option<&'static str>, body: &'static str, code: &str, message: &str) {
        let mut headers = HeaderMap::new();
        if let Some(header) = header {
            headers.insert("x-amzn-errortype", HeaderValue::from_static(header));
        }
        headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let answer = Answer { status: StatusCode::BAD_REQUEST, headers, body: Bytes::from_static(body.as_bytes()) };
        assert_eq!(service_error(&answer).to_string(), format!("{code}: {message}"));
    }

    #[test]
    fn errors_of_every_protocol_are_understood() {
        check(None, r#"{"__type":"ResourceInUseException","message":"taken"}"#, "ResourceInUseException", "taken");
        check(None, r#"{"__type":"a.b#Denied","Message":"no"}"#, "Denied", "no");
        check(Some("NotFound:http://x/"), r#"{"Type":"User","Message":"gone"}"#, "NotFound", "gone");
        let xml = "<ErrorResponse><Error><Code>NoSuchEntity</Code><Message>none</Message></Error></ErrorResponse>";
        check(None, xml, "NoSuchEntity", "none");
        check(None, "", "400 Bad Request", "");
    }

    #[test]
    fn only_plain_http_endpoints_are_taken() {
        for endpoint in ["https://localhost", "localhost:4566", "", "http://"] {
            let client = Client::new(endpoint, Credentials::new("a", "b"), "us-east-1", HostClock::real());
            assert!(matches!(client, Err(Error::Endpoint(_))), "{endpoint}");
        }
    }
}
