//! Reads frames, for clients and tests.

use super::{CRC_BYTES, PRELUDE_BYTES, TEXT, crc};

/// Largest frame that is waited for: a peer that announces more is not one of ours.
const FRAME_BYTES_MAX: usize = 32 * 1024 * 1024;

/// One message of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// The headers whose values are texts, in order. AWS gives the special ones (`:event-type`) no other type.
    pub headers: Vec<(&'a str, &'a str)>,
    pub payload: &'a [u8],
}

impl<'a> Message<'a> {
    /// The value of a header, if there is one.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        self.headers.iter().find(|(found, _)| *found == name).map(|(_, value)| *value)
    }
}

/// The bytes are no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("a checksum of the frame is wrong")]
    Checksum,
    #[error("the lengths in the frame contradict each other")]
    Length,
    #[error("a header of the frame cannot be read")]
    Header,
}

/// The first message of `bytes` and how many bytes it takes; `None` while it is not whole.
pub fn decode(bytes: &[u8]) -> Result<Option<(Message<'_>, usize)>, DecodeError> {
    let Some((prelude, _)) = bytes.split_at_checked(PRELUDE_BYTES) else { return Ok(None) };
    if number(&prelude[8..]) != crc(&prelude[..8]) as usize {
        return Err(DecodeError::Checksum);
    }
    let (length, headers_length) = (number(&prelude[..4]), number(&prelude[4..8]));
    let overhead = PRELUDE_BYTES + CRC_BYTES;
    let payload_length = length.checked_sub(overhead).and_then(|rest| rest.checked_sub(headers_length));
    if payload_length.is_none() || length > FRAME_BYTES_MAX {
        return Err(DecodeError::Length);
    }
    let Some((frame, _)) = bytes.split_at_checked(length) else { return Ok(None) };
    let (covered, checksum) = frame.split_at(length - CRC_BYTES);
    if number(checksum) != crc(covered) as usize {
        return Err(DecodeError::Checksum);
    }
    let (headers, payload) = covered[PRELUDE_BYTES..].split_at(headers_length);
    let headers = read_headers(headers).ok_or(DecodeError::Header)?;
    Ok(Some((Message { headers, payload }, length)))
}

fn number(bytes: &[u8]) -> usize {
    bytes.iter().take(4).fold(0, |number, byte| number << 8 | usize::from(*byte))
}

fn read_headers(mut rest: &[u8]) -> Option<Vec<(&str, &str)>> {
    let mut headers = Vec::new();
    while !rest.is_empty() {
        let length = usize::from(take(&mut rest, 1)?[0]);
        let name = str::from_utf8(take(&mut rest, length)?).ok()?;
        let kind = take(&mut rest, 1)?[0];
        let length = match kind {
            // True, false; a number of 1, 2, 4 or 8 bytes; bytes or a text with their length; a time; a UUID.
            0 | 1 => 0,
            2 => 1,
            3 => 2,
            4 => 4,
            5 | 8 => 8,
            6 | TEXT => number(take(&mut rest, 2)?),
            9 => 16,
            _ => return None,
        };
        let value = take(&mut rest, length)?;
        if kind == TEXT {
            headers.push((name, str::from_utf8(value).ok()?));
        }
    }
    Some(headers)
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, after) = rest.split_at_checked(count)?;
    *rest = after;
    Some(taken)
}
