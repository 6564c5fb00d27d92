//! Answers before they become HTTP responses, and the headers that all of them carry.

use bytes::Bytes;
use futures_util::Stream;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, CONNECTION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
};
use http::request::Parts;
use http::{Response, StatusCode};
use millstream_env::Random;

use crate::listener::ResponseBody;

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
const S3_REQUEST_ID: HeaderName = HeaderName::from_static("x-amz-request-id");
const ID_2: HeaderName = HeaderName::from_static("x-amz-id-2");
/// What pages may read of an answer (recorded answers of Kinesis).
const EXPOSED: HeaderValue =
    HeaderValue::from_static("x-amzn-RequestId,x-amzn-ErrorType,x-amz-request-id,x-amz-id-2,x-amzn-ErrorMessage,Date");
/// How long a browser may keep the answer to a preflight: two days, as recorded.
const PREFLIGHT_SECONDS: HeaderValue = HeaderValue::from_static("172800");

/// An answer to a request.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: ResponseBody,
}

impl From<Response<Bytes>> for Answer {
    fn from(response: Response<Bytes>) -> Self {
        let (head, body) = response.into_parts();
        Self { status: head.status, headers: head.headers, body: body.into() }
    }
}

impl Answer {
    pub(crate) fn new(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        let body: Bytes = body.into();
        Self { status, headers, body: body.into() }
    }

    /// An answer in pieces that are whole messages.
    pub(crate) fn pieces(content_type: &'static str, pieces: impl Stream<Item = Bytes> + Send + 'static) -> Self {
        Self { body: ResponseBody::pieces(pieces), ..Self::new(StatusCode::OK, content_type, Bytes::new()) }
    }

    pub(crate) fn text(status: StatusCode, text: impl Into<Bytes>) -> Self {
        Self::new(status, "text/plain; charset=utf-8", text)
    }

    /// An answer with a status and nothing else.
    pub(crate) fn empty(status: StatusCode) -> Self {
        Self { status, ..Self::default() }
    }

    /// The connection ends after this answer: the rest of the request was not read.
    pub(crate) fn closing(mut self) -> Self {
        self.headers.insert(CONNECTION, HeaderValue::from_static("close"));
        self
    }

    /// The answer to a preflight of a page that may call this server (recorded answers of Kinesis).
    pub(crate) fn preflight(request: &Parts) -> Self {
        let mut answer = Self::empty(StatusCode::OK);
        for (asked, answered) in [
            (ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_ALLOW_HEADERS),
            (ACCESS_CONTROL_REQUEST_METHOD, ACCESS_CONTROL_ALLOW_METHODS),
        ] {
            if let Some(value) = request.headers.get(asked) {
                answer.headers.insert(answered, value.clone());
            }
        }
        answer.headers.insert(ACCESS_CONTROL_MAX_AGE, PREFLIGHT_SECONDS);
        answer
    }

    /// What a page that may call this server needs to see of the answer.
    pub(crate) fn readable_by_pages(&mut self) {
        self.headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        self.headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    }

    /// S3 has a header of its own for it.
    pub(crate) fn set_request_id(&mut self, request_id: &str, of_s3: bool) {
        let value = HeaderValue::from_str(request_id).expect("request ids are UUIDs of our own");
        self.headers.insert(if of_s3 { S3_REQUEST_ID } else { REQUEST_ID }, value);
    }

    /// The second id of Kinesis and S3: base64 of 72 bytes, as recorded.
    pub(crate) fn set_id_2(&mut self, random: &Random) {
        let text = base64_simd::STANDARD.encode_to_string(random.bytes::<72>());
        self.headers.insert(ID_2, HeaderValue::from_str(&text).expect("base64 is a header value"));
    }

    pub(crate) fn into_response(self) -> Response<ResponseBody> {
        let mut response = Response::new(self.body);
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }
}
