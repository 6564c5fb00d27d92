//! What can go wrong with a call.

use http::StatusCode;
use serde_json::Value;

use super::Answer;
use crate::sigv4::SignError;

/// A call did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0} is not an endpoint such as http://HOST:PORT")]
    Endpoint(String),
    #[error(transparent)]
    Sign(#[from] SignError),
    #[error("the request cannot be sent: {0}")]
    Request(#[from] http::Error),
    #[error("cannot connect to {endpoint}: {source}; is the server running?")]
    Connect { endpoint: String, source: std::io::Error },
    #[error("the connection failed: {0}")]
    Connection(String),
    #[error("no answer within {seconds} s")]
    Timeout { seconds: u64 },
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

/// Code and message of a refused call, in whichever form its protocol writes them.
pub(super) fn service_error(answer: &Answer) -> Error {
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
    let text = rest.split_once('<')?.0;
    // The ampersand comes last: it may be the start of what was escaped twice.
    let escapes = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&#39;", "'"), ("&amp;", "&")];
    Some(escapes.iter().fold(text.to_owned(), |text, (escape, character)| text.replace(escape, character)))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderMap, HeaderValue};

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
        let xml =
            "<ErrorResponse><Error><Code>Denied</Code><Message>&lt;&amp;quot;&gt;</Message></Error></ErrorResponse>";
        check(None, xml, "Denied", "<&quot;>");
        check(None, "", "400 Bad Request", "");
        check(None, "<not <xml", "400 Bad Request", "");
    }
}
