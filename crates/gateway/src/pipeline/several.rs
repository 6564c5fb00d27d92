//! CloudWatch: awsJson 1.0 by a target header, Smithy RPC v2 by a path, or a form; bodies may be compressed.
//!
//! boto3 and the AWS CLI speak awsJson, the AWS SDK for JavaScript CBOR, older ones forms. Clients compress
//! `PutMetricData` above 10 KiB (the model's `requestcompression`); the signature is over the compressed bytes.

use std::io::Read as _;

use bytes::Bytes;
use flate2::bufread::GzDecoder;
use http::header::CONTENT_ENCODING;
use hyper::body::Body;
use millstream_wire::protocol::{Encoding, decode_value, encode_value};
use millstream_wire::{ApiError, CommonError, Protocol};

use super::call::{Call, OTHER_BYTES_MAX};
use super::json::before_caller;
use super::query;
use crate::answer::Answer;
use crate::body::Received;
use crate::identify::TARGET_HEADER;
use crate::operation::Table;

/// Largest body after decompression: AWS takes 1 MB of metrics, and this much is unpacked without making others wait.
const PLAIN_BYTES_MAX: usize = 1024 * 1024;

pub(super) async fn serve<B>(call: &Call<'_>, table: &Table, body: B) -> Answer
where
    B: Body<Data = Bytes> + Send,
{
    let Some((encoding, name)) = named(call, table) else { return query::serve(call, Some(table), body).await };
    let received = match call.receive(body, OTHER_BYTES_MAX).await {
        Ok(received) => received,
        Err(error) => return call.refusal(table, encoding, &error.into()).closing(),
    };
    let answer = run(call, table, encoding, name, &received).await.unwrap_or_else(|error| {
        call.log_failure(name, &error);
        call.refusal(table, encoding, &error)
    });
    call.log_request(table.service.name, name, encoding, &answer);
    answer
}

/// The protocol and the operation, by the head alone; none for a form.
fn named<'a>(call: &'a Call<'_>, table: &Table) -> Option<(Encoding, &'a str)> {
    let Protocol::Several { target_prefix, .. } = table.service.protocol else { return None };
    if let Some(target) = call.head.headers.get(TARGET_HEADER) {
        let target = target.to_str().unwrap_or_default();
        let name = target.strip_prefix(target_prefix).and_then(|rest| rest.strip_prefix('.'));
        return Some((Encoding::Json10, name.unwrap_or_default()));
    }
    let path = call.head.uri.path().strip_prefix("/service/")?.strip_prefix(target_prefix)?;
    Some((Encoding::RpcCbor, path.strip_prefix("/operation/")?))
}

async fn run(
    call: &Call<'_>,
    table: &Table,
    encoding: Encoding,
    name: &str,
    received: &Received,
) -> Result<Answer, ApiError> {
    let Some(entry) = table.get(name) else {
        tracing::info!(service = table.service.name, name, "an operation was called that is not implemented");
        return Err(CommonError::UnknownOperation.into());
    };
    let plain = plain(call, &received.bytes)?;
    let decoded = before_caller(decode_value(table.service, entry.shape, encoding, &call.request(&plain)))?;
    let context = call.authenticate(table.service.name, &received.sha256).await?;
    let output = call.run(entry, &context, decoded?).await?;
    Ok(encode_value(table.service, entry.shape, encoding, &call.request_id, &output).into())
}

/// The body without its compression.
pub(super) fn plain(call: &Call<'_>, body: &Bytes) -> Result<Bytes, CommonError> {
    match call.head.headers.get(CONTENT_ENCODING).map(http::HeaderValue::as_bytes) {
        None | Some(b"" | b"identity") => Ok(body.clone()),
        Some(b"gzip") => unpacked(body),
        Some(_) => Err(CommonError::Malformed),
    }
}

fn unpacked(body: &[u8]) -> Result<Bytes, CommonError> {
    let mut plain = Vec::new();
    let limit = PLAIN_BYTES_MAX as u64 + 1;
    GzDecoder::new(body).take(limit).read_to_end(&mut plain).map_err(|_| CommonError::Malformed)?;
    if plain.len() > PLAIN_BYTES_MAX {
        return Err(CommonError::RequestTooLarge(format!("Request must be smaller than {PLAIN_BYTES_MAX} bytes")));
    }
    Ok(plain.into())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn packed(bytes: usize) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&vec![b' '; bytes]).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn what_unpacks_to_too_much_is_refused() {
        assert_eq!(unpacked(&packed(PLAIN_BYTES_MAX)).map(|plain| plain.len()), Ok(PLAIN_BYTES_MAX));
        let bomb = packed(100 * PLAIN_BYTES_MAX);
        assert!(bomb.len() < PLAIN_BYTES_MAX);
        assert!(matches!(unpacked(&bomb), Err(CommonError::RequestTooLarge(_))));
    }

    #[test]
    fn what_is_not_gzip_is_malformed() {
        assert_eq!(unpacked(b"{}"), Err(CommonError::Malformed));
        let cut = packed(100);
        assert_eq!(unpacked(&cut[..cut.len() - 1]), Err(CommonError::Malformed));
    }
}
