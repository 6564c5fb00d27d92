//! Event streams (`application/vnd.amazon.eventstream`): an answer in messages, each in a frame of its own.
//!
//! ```text
//!   4 bytes  length of the whole frame              \
//!   4 bytes  length of the headers                   | prelude
//!   4 bytes  CRC-32 of the eight bytes before       /
//!   headers: 1 byte length, name, 1 byte type, value; a text (type 7) is 2 bytes length and the text
//!   payload
//!   4 bytes  CRC-32 of everything before
//! ```
//!
//! Numbers are big-endian, the CRC is that of IEEE 802.3. The first message of every stream is the initial response;
//! events follow; an exception, when there is one, is the last message.

mod decode;
#[cfg(test)]
mod tests;

use crc_fast::{CrcAlgorithm, checksum};

use crate::error::ApiError;
use crate::json;
use crate::operation::Service;
use crate::protocol::{Encoding, describe};

pub use decode::{DecodeError, Message, decode};

/// The content type of the answer.
pub const CONTENT_TYPE: &str = "application/vnd.amazon.eventstream";
/// The content type of the messages in it.
pub const CONTENT_TYPE_JSON: &str = Encoding::Json11.content_type();

/// Bytes before the headers.
const PRELUDE_BYTES: usize = 12;
/// Bytes of each of the two checksums.
const CRC_BYTES: usize = 4;
/// The type of a header whose value is a text.
const TEXT: u8 = 7;

/// The message that opens every stream.
pub fn initial_response() -> Vec<u8> {
    let headers =
        [(":message-type", "event"), (":event-type", "initial-response"), (":content-type", CONTENT_TYPE_JSON)];
    frame(&headers, b"{}")
}

/// The message that ends a stream early: a modelled exception as such, any other error by its code and message.
pub fn exception(service: &Service, error: &ApiError) -> Vec<u8> {
    let described = describe(service, Encoding::Json11, error);
    let message = described.message.as_deref().unwrap_or_default();
    if matches!(error, ApiError::Common(_)) {
        let headers = [(":message-type", "error"), (":error-code", described.code), (":error-message", message)];
        return frame(&headers, b"");
    }
    let headers =
        [(":message-type", "exception"), (":exception-type", described.code), (":content-type", CONTENT_TYPE_JSON)];
    let mut payload = b"{\"message\":".to_vec();
    json::write_string(&mut payload, message);
    payload.push(b'}');
    frame(&headers, &payload)
}

/// One message. Names of headers have up to 255 bytes; a value beyond 65,535 bytes is cut.
pub fn frame(headers: &[(&str, &str)], payload: &[u8]) -> Vec<u8> {
    let mut out = start(headers, payload.len());
    out.extend_from_slice(payload);
    finish(out)
}

/// The beginning of a frame: the payload is to be written behind it, and then [`finish`] makes it whole.
pub(crate) fn start(headers: &[(&str, &str)], payload_capacity: usize) -> Vec<u8> {
    let texts: usize = headers.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
    let mut out = Vec::with_capacity(PRELUDE_BYTES + texts + payload_capacity + CRC_BYTES);
    out.resize(PRELUDE_BYTES, 0);
    for (name, value) in headers {
        write_header(&mut out, name, value);
    }
    let length = u32::try_from(out.len() - PRELUDE_BYTES).expect("headers are short");
    out[4..8].copy_from_slice(&length.to_be_bytes());
    out
}

/// Fills in the lengths and checksums of a frame that [`start`] began.
pub(crate) fn finish(mut out: Vec<u8>) -> Vec<u8> {
    let length = u32::try_from(out.len() + CRC_BYTES).expect("events are bounded far below 4 GiB");
    out[..4].copy_from_slice(&length.to_be_bytes());
    let prelude = crc(&out[..8]);
    out[8..PRELUDE_BYTES].copy_from_slice(&prelude.to_be_bytes());
    let whole = crc(&out);
    out.extend_from_slice(&whole.to_be_bytes());
    out
}

fn write_header(out: &mut Vec<u8>, name: &str, value: &str) {
    out.push(u8::try_from(name.len()).expect("names of headers are our own and short"));
    out.extend_from_slice(name.as_bytes());
    out.push(TEXT);
    let value = &value[..value.floor_char_boundary(usize::from(u16::MAX))];
    let length = u16::try_from(value.len()).expect("cut to what fits");
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(value.as_bytes());
}

fn crc(bytes: &[u8]) -> u32 {
    u32::try_from(checksum(CrcAlgorithm::Crc32IsoHdlc, bytes)).expect("a checksum of 32 bits")
}
