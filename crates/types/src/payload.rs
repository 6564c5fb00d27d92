//! The data of a record as it stands in a request: decoded only once, into its final place.

use std::borrow::Cow;
use std::fmt;

use base64_simd::{Out, STANDARD};

/// The data of a record.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Payload<'a> {
    /// Standard base64 with padding, as it stands between the quotes of a JSON string without escapes.
    Base64(&'a [u8]),
    /// The same with JSON escapes inside (`\/`, `\u002b`), as some clients write it.
    Base64Escaped(&'a [u8]),
    Raw(&'a [u8]),
}

/// The text is not standard base64 with padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the data is not valid base64")]
pub struct NotBase64;

impl<'a> Payload<'a> {
    /// Checks all of it and gives the exact number of decoded bytes.
    pub fn decoded_len(&self) -> Result<usize, NotBase64> {
        match self {
            Self::Raw(bytes) => Ok(bytes.len()),
            Self::Base64(_) | Self::Base64Escaped(_) => {
                let text = self.base64().ok_or(NotBase64)?;
                STANDARD.check(&text).map_err(|_| NotBase64)?;
                STANDARD.decoded_length(&text).map_err(|_| NotBase64)
            }
        }
    }

    /// Decodes into `place`, whose length is [`Payload::decoded_len`] of a payload that passed that check.
    pub fn decode_into(&self, place: &mut [u8]) {
        match self {
            Self::Raw(bytes) => place.copy_from_slice(bytes),
            Self::Base64(_) | Self::Base64Escaped(_) => {
                let text = self.base64().expect("checked by decoded_len");
                let length = place.len();
                let written = STANDARD.decode(&text, Out::from_slice(place)).expect("checked by decoded_len");
                assert_eq!(written.len(), length, "the place has the decoded length");
            }
        }
    }

    fn base64(&self) -> Option<Cow<'a, [u8]>> {
        match *self {
            Self::Base64(text) => Some(Cow::Borrowed(text)),
            Self::Base64Escaped(text) => unescape(text).map(Cow::Owned),
            Self::Raw(_) => None,
        }
    }
}

/// Undoes the JSON escapes that can stand inside base64: any character of its alphabet as `\uXXXX`, and `\/`.
fn unescape(text: &[u8]) -> Option<Vec<u8>> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, tail)) = rest.split_first() {
        rest = match (first, tail) {
            (b'\\', [b'/', tail @ ..]) => {
                plain.push(b'/');
                tail
            }
            (b'\\', [b'u', tail @ ..]) => {
                let (digits, tail) = tail.split_at_checked(4)?;
                let digits = std::str::from_utf8(digits).ok()?;
                plain.push(u8::from_str_radix(digits, 16).ok()?);
                tail
            }
            (b'\\', _) => return None,
            (byte, tail) => {
                plain.push(byte);
                tail
            }
        };
    }
    Some(plain)
}

impl fmt::Debug for Payload<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Records are user data: never in a log line.
        let (form, length) = match self {
            Self::Base64(text) => ("Base64", text.len()),
            Self::Base64Escaped(text) => ("Base64Escaped", text.len()),
            Self::Raw(bytes) => ("Raw", bytes.len()),
        };
        write!(f, "{form}({length} bytes)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(payload: Payload<'_>, expected: Result<&[u8], NotBase64>) {
        let decoded = payload.decoded_len().map(|length| {
            let mut place = vec![0; length];
            payload.decode_into(&mut place);
            place
        });
        assert_eq!(decoded.as_deref().map_err(|e| *e), expected);
    }

    #[test]
    fn payloads_decode_in_all_forms() {
        check(Payload::Base64(b"aGVsbG8="), Ok(b"hello"));
        check(Payload::Base64(b""), Ok(b""));
        check(Payload::Base64Escaped(br"\/\u002b8="), Ok(b"\xff\xef"));
        check(Payload::Raw(b"\x00\xff"), Ok(b"\x00\xff"));
        for text in [&b"aGVsbG8"[..], b"====", b"a", b"aGV\nbG8=", b"-_-_"] {
            check(Payload::Base64(text), Err(NotBase64));
        }
        for text in [&br"\u00"[..], br"\n", br"\", br"\u12345"] {
            check(Payload::Base64Escaped(text), Err(NotBase64));
        }
    }
}
