//! Parts of answers that several operations share.

use bytes::Bytes;
use futures_util::stream;
use http::header::{ACCEPT_RANGES, CONTENT_LENGTH, ETAG, HeaderMap, HeaderName, HeaderValue, LAST_MODIFIED};
use millstream_client::sigv4::{date, encoding, hex, sha256};
use millstream_destinations::s3::checksum::{Algorithm, Checksum};
use millstream_destinations::s3::{Content, Metadata, ObjectRecord};
use millstream_types::{AccountId, Timestamp};

use super::xml::Document;
use crate::listener::ResponseBody;

/// The canonical id of an account's owner: 64 hexadecimal digits that say nothing.
pub(super) fn owner_id(account: &AccountId) -> String {
    hex(&sha256(format!("canonical user of account {account}").as_bytes()))
}

/// `2020-01-17T23:19:12.000Z`
pub(super) fn iso(millis: u64) -> String {
    let seconds = date::format_iso(Timestamp::from_millis(millis));
    format!("{}.000Z", seconds.trim_end_matches('Z'))
}

/// `"tag"`
pub(super) fn quoted(etag: &str) -> String {
    format!("\"{etag}\"")
}

/// A key or prefix as the client wants it in XML.
pub(super) fn shown(text: &str, url_encoded: bool) -> String {
    if !url_encoded {
        return text.to_owned();
    }
    let mut encoded = String::with_capacity(text.len());
    encoding::encode_into(&mut encoded, text.as_bytes(), true);
    encoded
}

pub(super) fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    match HeaderValue::from_bytes(value.as_bytes()) {
        Ok(value) => drop(headers.insert(name, value)),
        // Everything that is kept came in a header.
        Err(error) => tracing::error!(%name, %error, "a kept value cannot be sent"),
    }
}

/// The headers of an answer about an object whose content, or the wanted part of it, has that many bytes.
pub(super) fn object_headers(headers: &mut HeaderMap, object: &ObjectRecord, bytes: u64, with_checksum: bool) {
    metadata_headers(headers, &object.metadata);
    set(headers, ETAG, &quoted(&object.etag));
    set(headers, LAST_MODIFIED, &date::format_http(Timestamp::from_millis(object.modified_ms)));
    set(headers, ACCEPT_RANGES, "bytes");
    set(headers, CONTENT_LENGTH, &bytes.to_string());
    if with_checksum && let Some(checksum) = &object.checksum {
        checksum_headers(headers, checksum);
    }
}

fn metadata_headers(headers: &mut HeaderMap, metadata: &Metadata) {
    let user = metadata.user.iter().map(|(name, value)| (format!("x-amz-meta-{name}"), value));
    let system = metadata.system.iter().map(|(name, value)| (name.clone(), value));
    for (name, value) in system.chain(user) {
        if let Ok(name) = HeaderName::from_bytes(name.as_bytes()) {
            set(headers, name, value);
        }
    }
}

pub(super) fn checksum_headers(headers: &mut HeaderMap, checksum: &Checksum) {
    set(headers, HeaderName::from_static(checksum.algorithm.header()), &checksum.value);
    set(headers, HeaderName::from_static("x-amz-checksum-type"), checksum.kind.name());
}

/// `ChecksumCRC32` and `ChecksumType`.
pub(super) fn checksum_elements(document: &mut Document, checksum: Option<&Checksum>) {
    if let Some(Checksum { algorithm, value, kind }) = checksum {
        document.text(checksum_element(*algorithm), value).text("ChecksumType", kind.name());
    }
}

/// The element that holds a checksum.
pub(super) fn checksum_element(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::Crc32 => "ChecksumCRC32",
        Algorithm::Crc32C => "ChecksumCRC32C",
        Algorithm::Crc64Nvme => "ChecksumCRC64NVME",
        Algorithm::Sha1 => "ChecksumSHA1",
        Algorithm::Sha256 => "ChecksumSHA256",
    }
}

/// A body that is read as it is sent.
pub(super) fn body(content: Content, key: String) -> ResponseBody {
    ResponseBody::pieces(stream::unfold((content, key), |(mut content, key)| async move {
        match content.next().await {
            Ok(Some(bytes)) => Some((bytes, (content, key))),
            Ok(None) => None::<(Bytes, _)>,
            Err(error) => {
                // The connection ends before the length that was announced.
                tracing::warn!(key, ?error, "an object could not be sent to its end");
                None
            }
        }
    }))
}
