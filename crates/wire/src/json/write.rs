//! Pieces of a JSON text.

use std::io::Write as _;

use millstream_env::Timestamp;

/// Writes a string with its quotes.
pub(crate) fn write_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20)) {
        out.extend_from_slice(&rest[..at]);
        match rest[at] {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            control => write!(out, "\\u{control:04x}").expect("writing to memory succeeds"),
        }
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

/// Writes bytes as base64 with its quotes.
pub(crate) fn write_blob(out: &mut Vec<u8>, data: &[u8]) {
    out.push(b'"');
    base64_simd::STANDARD.encode_append(data, out);
    out.push(b'"');
}

/// Writes epoch seconds with up to three decimals, never in scientific notation; whole seconds are an integer.
pub(crate) fn write_timestamp(out: &mut Vec<u8>, timestamp: Timestamp) {
    write!(out, "{}", timestamp.seconds()).expect("writing to memory succeeds");
    let millis = timestamp.millis() % 1000;
    if millis > 0 {
        write!(out, ".{millis:03}").expect("writing to memory succeeds");
        while out.last() == Some(&b'0') {
            out.pop();
        }
    }
}
