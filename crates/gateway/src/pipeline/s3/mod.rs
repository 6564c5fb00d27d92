//! S3: method, host, path and query name the operation; XML, headers and plain bytes carry the rest.
//!
//! - [`address`], [`operation`]: what a request is about. [`input`], [`output`]: its headers and those of answers.
//! - [`chunked`]: bodies in signed or unsigned chunks. [`xml`]: documents. [`refusal`]: errors.
//! - [`buckets`], [`objects`], [`uploads`]: the operations. [`configuration`]: settings that can only be read.
//!
//! A request goes the usual way: body, caller, operation, permissions, call.

mod address;
mod buckets;
mod chunked;
mod configuration;
mod input;
mod objects;
mod operation;
mod output;
mod refusal;
#[cfg(test)]
mod tests;
mod uploads;
mod xml;

use std::sync::atomic::Ordering;

use bytes::{Bytes, BytesMut};
use http::header::{EXPECT, HOST};
use http::{HeaderMap, Method};
use hyper::body::Body;
use millstream_client::sigv4::CHUNKED_PAYLOADS;
use millstream_destinations::s3::limits::PUT_BYTES_MAX;
use millstream_destinations::s3::{BucketName, Buckets, Error, ObjectKey};
use millstream_iam::{AuthError, Authenticated, ChunkSigner, ConditionContext, RequestContext};

use super::call::Call;
use crate::answer::Answer;
use crate::authenticate::{authenticate, context};
use crate::body::{ReceiveError, Received, receive};
use address::Address;
use input::header;
use operation::{Operation, Query};
use refusal::Refusal;

/// How the body of a request is covered by its signature.
const CONTENT_SHA256: &str = "x-amz-content-sha256";
/// Largest body of XML: ten thousand parts, or a thousand keys of the longest kind.
const XML_BYTES_MAX: usize = 3 * 1024 * 1024;
/// Chunks of a body up to this size are decoded where they stand: about half a millisecond.
const DECODED_AT_ONCE_BYTES_MAX: usize = 128 * 1024;

/// The encoding, for the log.
#[derive(Debug)]
struct RestXml;

pub(super) async fn serve<B>(call: &Call<'_>, body: B) -> Answer
where
    B: Body<Data = Bytes> + Send,
{
    // Without a body nobody says 100. Boto takes the answer then, and trips over the next one on the same connection.
    let is_answered_early = call.head.headers.contains_key(EXPECT) && body.size_hint().exact() == Some(0);
    let query = call.head.uri.query().unwrap_or_default();
    let read = input::with_query(&call.head.headers, query).and_then(|headers| Ok((read(call, &headers)?, headers)));
    let (operation, outcome) = match read {
        Ok((about, headers)) => (about.operation.name(), run(call, &headers, body, about).await),
        Err(refusal) => ("", Err(refusal)),
    };
    let answer = outcome.unwrap_or_else(|refusal| {
        log_refusal(call, operation, &refusal);
        let is_head = call.head.method == Method::HEAD;
        let answer = refusal.into_answer(call.head.uri.path(), &call.request_id, is_head);
        // The body may not have been read.
        if is_head || call.head.method == Method::GET { answer } else { answer.closing() }
    });
    call.log_request("s3", operation, RestXml, &answer);
    if is_answered_early { answer.closing() } else { answer }
}

fn log_refusal(call: &Call<'_>, operation: &str, refusal: &Refusal) {
    match (&refusal.reason, refusal.status) {
        (Some(reason), 500) => {
            tracing::error!(operation, request_id = %call.request_id, %reason, "a call failed inside");
        }
        (Some(reason), _) => {
            tracing::warn!(operation, request_id = %call.request_id, %reason, "a call could not be served now");
        }
        (None, 501) => {
            let (method, target) = (&call.head.method, call.head.uri.path());
            tracing::info!(%method, target, "an operation was called that is not implemented");
        }
        _ => {}
    }
}

/// What a request is about, by its head.
fn read(call: &Call<'_>, headers: &HeaderMap) -> Result<About, Refusal> {
    let head = &call.head;
    let host = header(headers, HOST.as_str()).map(str::to_owned);
    let host = host.or_else(|| head.uri.authority().map(ToString::to_string)).unwrap_or_default();
    let host = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => &host,
    };
    let address = Address::read(host, &call.shared.parts.origin.host_names, head.uri.path())?;
    let query = Query::read(head.uri.query().unwrap_or_default())?;
    let is_copy = headers.contains_key("x-amz-copy-source");
    let operation = Operation::of(&head.method, &address, &query, is_copy)?;
    Ok(About { address, query, operation })
}

/// What a request is about.
struct About {
    address: Address,
    query: Query,
    operation: Operation,
}

/// A request whose caller is known.
struct Request<'a> {
    call: &'a Call<'a>,
    buckets: &'a Buckets,
    context: RequestContext,
    /// Those of its query too.
    headers: &'a HeaderMap,
    address: Address,
    query: &'a Query,
    operation: Operation,
}

/// The content of a request, decoded, and what came behind it.
struct Payload {
    content: Bytes,
    trailers: Vec<(String, String)>,
    /// Keeps its share of the budget until the content is stored.
    _received: Received,
}

async fn run<B>(call: &Call<'_>, headers: &HeaderMap, body: B, about: About) -> Result<Answer, Refusal>
where
    B: Body<Data = Bytes> + Send,
{
    let About { address, query, operation } = about;
    if call.head.uri.query().is_some_and(is_old_signature)
        || header(headers, "authorization").is_some_and(|value| value.starts_with("AWS "))
    {
        return Err(Refusal::invalid_request(
            "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.",
        ));
    }
    let is_signed_by_header = headers.contains_key("authorization");
    if is_signed_by_header && !headers.contains_key(CONTENT_SHA256) {
        return Err(Refusal::invalid_request(format!("Missing required header for this request: {CONTENT_SHA256}")));
    }
    let received = receive_body(call, headers, body, operation).await?;
    let authenticated = identify_caller(call, headers, &received).await?;
    let chunks = authenticated.chunks.clone();
    let context = context(authenticated, &call.head, &call.request_id);
    input::refuse_headers(headers, context.caller.account.as_str())?;
    query.refuse_selectors()?;
    let payload = decode(call, headers, received, chunks).await?;
    let buckets = &call.shared.parts.services.buckets;
    let request = Request { call, buckets, context, headers, address, query: &query, operation };
    request.serve(payload).await
}

/// Query parameters of Signature Version 2.
pub(crate) fn is_old_signature(query: &str) -> bool {
    let has =
        |name: &str| query.split('&').any(|pair| pair.strip_prefix(name).is_some_and(|rest| rest.starts_with('=')));
    has("AWSAccessKeyId") && has("Signature")
}

async fn receive_body<B>(
    call: &Call<'_>,
    headers: &HeaderMap,
    body: B,
    operation: Operation,
) -> Result<Received, Refusal>
where
    B: Body<Data = Bytes> + Send,
{
    let (parts, is_content) = (&call.shared.parts, matches!(operation, Operation::PutObject | Operation::UploadPart));
    let bytes_max = if is_content {
        let announced = match chunked_form(headers) {
            Some(_) => header(headers, "x-amz-decoded-content-length").and_then(|text| text.parse().ok()),
            None => body.size_hint().exact(),
        };
        if let Some(announced) = announced
            && announced > PUT_BYTES_MAX
        {
            return Err(chunked::too_large(announced, PUT_BYTES_MAX));
        }
        usize::try_from(PUT_BYTES_MAX + chunked::framing_bytes_max(PUT_BYTES_MAX)).expect("64 MiB and a little")
    } else {
        XML_BYTES_MAX
    };
    receive(body, bytes_max, &parts.budget, &parts.clock).await.map_err(|error| match error {
        ReceiveError::TooLarge { bytes_max } => {
            chunked::too_large(bytes_max as u64 + 1, PUT_BYTES_MAX.min(bytes_max as u64))
        }
        ReceiveError::Overloaded => {
            parts.metrics.refused_overload.fetch_add(1, Ordering::Relaxed);
            Error::SlowDown.into()
        }
        ReceiveError::TimedOut => Refusal::new(
            400,
            "RequestTimeout",
            "Your socket connection to the server was not read from or written to within the timeout period.",
        ),
        ReceiveError::Incomplete => Refusal::new(
            400,
            "IncompleteBody",
            "You did not provide the number of bytes specified by the Content-Length HTTP header",
        ),
    })
}

/// The form of chunks that the body has, if it has one.
fn chunked_form(headers: &HeaderMap) -> Option<&'static str> {
    let named = header(headers, CONTENT_SHA256)?;
    CHUNKED_PAYLOADS.into_iter().find(|form| *form == named)
}

async fn identify_caller(call: &Call<'_>, headers: &HeaderMap, received: &Received) -> Result<Authenticated, Refusal> {
    let parts = &call.shared.parts;
    let named = header(headers, CONTENT_SHA256);
    let real = millstream_client::sigv4::hex(&received.sha256);
    if let Some(named) = named
        && named != millstream_client::sigv4::UNSIGNED_PAYLOAD
        && chunked_form(headers).is_none()
        && named != real
    {
        return Err(wrong_digest(named, &real));
    }
    let authenticator = parts.services.iam.authenticator();
    let authenticated =
        authenticate(authenticator, &call.admission, &parts.clock, &call.head, &received.sha256, &["s3"]).await;
    authenticated.map_err(|error: AuthError| Refusal::from(error))
}

fn wrong_digest(named: &str, real: &str) -> Refusal {
    let is_digest = named.len() == 64 && named.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_digest {
        let text = "The provided 'x-amz-content-sha256' header does not match what was computed.";
        return Refusal::new(400, "XAmzContentSHA256Mismatch", text)
            .with("ClientComputedContentSHA256", named)
            .with("S3ComputedContentSHA256", real);
    }
    if named.starts_with("STREAMING-") {
        return Refusal::not_implemented();
    }
    Refusal::invalid_argument(
        CONTENT_SHA256,
        named,
        "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, \
         STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER or a valid sha256 value.",
    )
}

/// The content of a body, taken out of its chunks if it came in chunks.
async fn decode(
    call: &Call<'_>,
    headers: &HeaderMap,
    mut received: Received,
    signer: Option<ChunkSigner>,
) -> Result<Payload, Refusal> {
    let body = std::mem::take(&mut received.bytes);
    let Some(form) = chunked_form(headers) else {
        input::require_trailers(headers, &[])?;
        return Ok(Payload { content: body, trailers: Vec::new(), _received: received });
    };
    let length = header(headers, "x-amz-decoded-content-length").and_then(|text| text.parse().ok());
    let length: u64 = length
        .ok_or_else(|| Refusal::new(411, "MissingContentLength", "You must provide the Content-Length HTTP header."))?;
    let form = chunked::Form { signed: form.contains("HMAC"), trailers: form.ends_with("TRAILER"), signer };
    let is_short = body.len() <= DECODED_AT_ONCE_BYTES_MAX;
    let decode = move || {
        let mut body = body.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]));
        let decoded = chunked::decode(&mut body, length, form)?;
        body.truncate(decoded.bytes);
        Ok::<_, Refusal>((body.freeze(), decoded.trailers))
    };
    let buckets = &call.shared.parts.services.buckets;
    let (content, trailers) = if is_short { decode()? } else { buckets.blocking(decode).await?? };
    input::require_trailers(headers, &trailers)?;
    Ok(Payload { content, trailers, _received: received })
}

impl Request<'_> {
    async fn serve(&self, payload: Payload) -> Result<Answer, Refusal> {
        match self.operation {
            Operation::ListBuckets => self.list_buckets().await,
            Operation::CreateBucket => self.create_bucket(&payload.content).await,
            Operation::DeleteBucket => self.delete_bucket().await,
            Operation::HeadBucket => self.head_bucket().await,
            Operation::GetBucketLocation => self.get_bucket_location().await,
            Operation::ListObjects => self.list_objects().await,
            Operation::ListObjectsV2 => self.list_objects_v2().await,
            Operation::ListMultipartUploads => self.list_uploads().await,
            Operation::DeleteObjects => self.delete_objects(payload).await,
            Operation::Configuration(configuration) => self.read_configuration(configuration).await,
            Operation::GetObject => self.get_object().await,
            Operation::HeadObject => self.head_object().await,
            Operation::PutObject => self.put_object(payload).await,
            Operation::CopyObject => self.copy_object().await,
            Operation::DeleteObject => self.delete_object().await,
            Operation::GetObjectTagging => self.get_object_tagging().await,
            Operation::CreateMultipartUpload => self.create_upload().await,
            Operation::UploadPart => self.upload_part(payload).await,
            Operation::CompleteMultipartUpload => self.complete_upload(&payload.content).await,
            Operation::AbortMultipartUpload => self.abort_upload().await,
            Operation::ListParts => self.list_parts().await,
        }
    }

    fn headers(&self) -> &HeaderMap {
        self.headers
    }

    fn account(&self) -> &millstream_types::AccountId {
        &self.context.caller.account
    }

    fn bucket(&self) -> Result<BucketName, Refusal> {
        // A name that no bucket can have has no bucket; only making one says what is wrong with it.
        self.address.bucket.parse().map_err(|_| Error::NoSuchBucket(self.address.bucket.clone()).into())
    }

    fn key(&self) -> Result<ObjectKey, Refusal> {
        Ok(self.address.key.parse::<ObjectKey>()?)
    }

    /// Refuses a caller who may not do `s3:action` on the resource.
    async fn require(&self, action: &str, resource: &str) -> Result<(), Refusal> {
        self.require_with(action, resource, &[]).await
    }

    /// The same, where conditions of policies can ask for more than the usual facts.
    async fn require_with(&self, action: &str, resource: &str, facts: &[(&str, &str)]) -> Result<(), Refusal> {
        let mut conditions = ConditionContext::new().with("aws:RequestedRegion", self.context.scope.region.as_str());
        for (name, value) in facts {
            conditions.set(name, *value);
        }
        let iam = &self.call.shared.parts.services.iam;
        let action = format!("s3:{action}");
        let decision = iam.authorize(&self.context.caller, &action, resource, &conditions, None).await;
        let decision = decision.map_err(|error| Refusal::from(Error::Unavailable(error.to_string())))?;
        decision.into_result().map_err(|denial| Refusal::access_denied(denial.to_string()))
    }
}
