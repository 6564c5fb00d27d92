//! Pieces of a CBOR body. Containers are written with indefinite length, as the service does.

use std::fmt::Display;
use std::io::Write as _;

use millstream_env::Timestamp;

pub(crate) const INDEFINITE_LIST: u8 = 0x9f;
pub(crate) const INDEFINITE_MAP: u8 = 0xbf;
pub(crate) const BREAK: u8 = 0xff;

pub(crate) fn write_boolean(out: &mut Vec<u8>, value: bool) {
    out.push(if value { 0xf5 } else { 0xf4 });
}

pub(crate) fn write_integer(out: &mut Vec<u8>, number: i64) {
    match u64::try_from(number) {
        Ok(number) => head(out, 0, number),
        Err(_) => head(out, 1, number.unsigned_abs() - 1),
    }
}

pub(crate) fn write_real(out: &mut Vec<u8>, number: f64) {
    out.push(0xfb);
    out.extend_from_slice(&number.to_be_bytes());
}

pub(crate) fn write_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    head(out, 2, length(bytes));
    out.extend_from_slice(bytes);
}

pub(crate) fn write_text(out: &mut Vec<u8>, text: &str) {
    head(out, 3, length(text.as_bytes()));
    out.extend_from_slice(text.as_bytes());
}

/// Writes what is displayed, without a string in between: the head needs the length, so it is written last and moved
/// to the front.
pub(crate) fn write_display(out: &mut Vec<u8>, text: &impl Display) {
    let start = out.len();
    write!(out, "{text}").expect("writing to memory succeeds");
    let text_length = out.len() - start;
    let argument = length(&out[start..]);
    head(out, 3, argument);
    out[start..].rotate_left(text_length);
}

/// Tag 1 and integer milliseconds, always eight bytes wide. RFC 8949 means seconds by this tag; the service does not,
/// and the Java SDK reads a long.
pub(crate) fn write_timestamp(out: &mut Vec<u8>, timestamp: Timestamp) {
    out.extend_from_slice(&[0xc1, 0x1b]);
    out.extend_from_slice(&timestamp.millis().to_be_bytes());
}

/// Tag 1 and seconds as a double: Smithy RPC v2.
pub(crate) fn write_seconds(out: &mut Vec<u8>, timestamp: Timestamp) {
    out.push(0xc1);
    #[expect(clippy::cast_precision_loss, reason = "a double holds the milliseconds of 285,000 years")]
    write_real(out, timestamp.millis() as f64 / 1000.0);
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).expect("lengths in memory fit in 64 bits")
}

fn head(out: &mut Vec<u8>, major: u8, argument: u64) {
    let major = major << 5;
    let bytes = argument.to_be_bytes();
    match argument {
        0..24 => out.push(major | bytes[7]),
        24..0x100 => out.extend_from_slice(&[major | 0x18, bytes[7]]),
        0x100..0x1_0000 => out.extend_from_slice(&[major | 0x19, bytes[6], bytes[7]]),
        0x1_0000..0x1_0000_0000 => {
            out.push(major | 0x1a);
            out.extend_from_slice(&bytes[4..]);
        }
        _ => {
            out.push(major | 0x1b);
            out.extend_from_slice(&bytes);
        }
    }
}
