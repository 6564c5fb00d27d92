//! Bodies in chunks, `Content-Encoding: aws-chunked` (S3 API reference, "Signature calculations for the Authorization header:
//! transferring payload in multiple chunks" and "… including trailing headers"):
//!
//! ```text
//! chunk   = size in hex [ ";chunk-signature=" signature ] CRLF data CRLF
//! body    = *chunk last-chunk *( name ":" value CRLF ) [ "x-amz-trailer-signature:" signature CRLF ] CRLF
//! ```
//!
//! The last chunk has the size 0, and a line end behind its data only when there are no trailers. Decoded in place: the
//! data is moved to the front of what was received.

use millstream_destinations::s3::Error;
use millstream_iam::ChunkSigner;

use super::refusal::Refusal;

/// Longest line of a chunk's head or of a trailer.
const LINE_BYTES_MAX: usize = 4096;
/// Most trailers; one is usual.
const TRAILERS_MAX: usize = 16;
const TRAILER_SIGNATURE: &str = "x-amz-trailer-signature";

/// A decoded body: the first so many bytes, and what came behind them, by lower-case name.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Decoded {
    pub(super) bytes: usize,
    pub(super) trailers: Vec<(String, String)>,
}

/// How the chunks of a body are signed.
#[derive(Debug)]
pub(super) struct Form {
    /// Each chunk has a signature, and the trailers too if there are any.
    pub(super) signed: bool,
    pub(super) trailers: bool,
    /// Checks the signatures; without it they are only read.
    pub(super) signer: Option<ChunkSigner>,
}

/// Decodes `body`, whose data has `bytes_expected` bytes. Hashes all of it when it is signed.
pub(super) fn decode(body: &mut [u8], bytes_expected: u64, mut form: Form) -> Result<Decoded, Refusal> {
    let (mut read, mut written) = (0, 0);
    loop {
        let (line, next) = line(body, read)?;
        let head = std::str::from_utf8(&body[line]).map_err(|_| malformed())?;
        let (size, signature) = head_of_chunk(head, form.signed)?;
        let signature = signature.map(str::to_owned);
        let end = next.checked_add(size).filter(|end| *end <= body.len()).ok_or_else(incomplete)?;
        if let (Some(signer), Some(signature)) = (&mut form.signer, &signature)
            && !signer.accepts_chunk(&body[next..end], signature)
        {
            return Err(mismatch());
        }
        if size == 0 {
            read = next;
            break;
        }
        body.copy_within(next..end, written);
        written += size;
        read = match body.get(end..end + 2) {
            Some(b"\r\n") => end + 2,
            Some(_) => return Err(malformed()),
            None => return Err(incomplete()),
        };
    }
    let trailers = trailers(body, read, &mut form)?;
    if written as u64 != bytes_expected {
        return Err(incomplete());
    }
    Ok(Decoded { bytes: written, trailers })
}

/// Size and signature of a chunk.
fn head_of_chunk(head: &str, signed: bool) -> Result<(usize, Option<&str>), Refusal> {
    let (size, extension) = head.split_once(';').unwrap_or((head, ""));
    let plain = !size.is_empty() && size.len() <= 16 && size.bytes().all(|byte| byte.is_ascii_hexdigit());
    let size = plain.then(|| usize::from_str_radix(size, 16).ok()).flatten().ok_or_else(malformed)?;
    let signature = extension.strip_prefix("chunk-signature=");
    if signed && signature.is_none() { Err(malformed()) } else { Ok((size, signature.filter(|_| signed))) }
}

/// What follows the last chunk.
fn trailers(body: &[u8], mut read: usize, form: &mut Form) -> Result<Vec<(String, String)>, Refusal> {
    let mut trailers = Vec::new();
    let (mut lines, mut signature) = (Vec::new(), None);
    while read < body.len() {
        let (line, next) = line(body, read)?;
        read = next;
        if line.is_empty() {
            break;
        }
        let text = std::str::from_utf8(&body[line]).map_err(|_| malformed())?;
        let (name, value) = text.split_once(':').ok_or_else(malformed)?;
        let (name, value) = (name.trim().to_ascii_lowercase(), value.trim());
        if name == TRAILER_SIGNATURE {
            signature = Some(value.to_owned());
            continue;
        }
        if trailers.len() == TRAILERS_MAX || !form.trailers {
            return Err(malformed());
        }
        lines.extend_from_slice(format!("{name}:{value}\n").as_bytes());
        trailers.push((name, value.to_owned()));
    }
    if read < body.len() {
        return Err(malformed());
    }
    if form.signed
        && form.trailers
        && let Some(signer) = &mut form.signer
    {
        let signature = signature.ok_or_else(mismatch)?;
        if !signer.accepts_trailers(&lines, &signature) {
            return Err(mismatch());
        }
    }
    Ok(trailers)
}

/// The line at `from`, and where the next one begins. Some clients end the lines of trailers without a carriage return.
fn line(body: &[u8], from: usize) -> Result<(std::ops::Range<usize>, usize), Refusal> {
    let rest = &body[from..];
    let length = rest.iter().take(LINE_BYTES_MAX).position(|byte| *byte == b'\n');
    let length = length.ok_or_else(|| if rest.len() < LINE_BYTES_MAX { incomplete() } else { malformed() })?;
    let end = if rest[..length].ends_with(b"\r") { length - 1 } else { length };
    Ok((from..from + end, from + length + 1))
}

fn malformed() -> Refusal {
    Refusal::invalid_request("The chunks of the body are not as aws-chunked has them")
}

fn incomplete() -> Refusal {
    Refusal::new(
        400,
        "IncompleteBody",
        "You did not provide the number of bytes specified by the Content-Length HTTP header",
    )
}

fn mismatch() -> Refusal {
    Refusal::new(
        403,
        "SignatureDoesNotMatch",
        "The request signature we calculated does not match the signature you provided. Check your key and signing method.",
    )
}

/// Most bytes that chunks add to `bytes` of data when they have at least AWS's smallest size (8 KiB) or there are few.
pub(super) fn framing_bytes_max(bytes: u64) -> u64 {
    const FRAME_BYTES: u64 = 128;
    bytes / 8192 * FRAME_BYTES + 64 * 1024
}

/// A refusal of a content that is too large, before it is read.
pub(super) fn too_large(bytes: u64, bytes_max: u64) -> Refusal {
    Error::EntityTooLarge { bytes, bytes_max }.into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn form(signed: bool, trailers: bool) -> Form {
        Form { signed, trailers, signer: None }
    }

    type Trailers = Vec<(String, String)>;

    fn decoded(body: &str, bytes: u64, form: Form) -> Result<(String, Trailers), &'static str> {
        let mut body = body.as_bytes().to_vec();
        let decoded = decode(&mut body, bytes, form).map_err(|refusal| refusal.code)?;
        body.truncate(decoded.bytes);
        Ok((String::from_utf8(body).unwrap(), decoded.trailers))
    }

    #[test]
    fn bodies_of_real_clients_are_decoded() {
        let body = "6\r\nhello \r\n5\r\nworld\r\n0\r\nx-amz-checksum-crc32:DUoRhQ==\r\n\r\n";
        let trailers = vec![("x-amz-checksum-crc32".to_owned(), "DUoRhQ==".to_owned())];
        assert_eq!(decoded(body, 11, form(false, true)), Ok(("hello world".to_owned(), trailers.clone())));
        let unix = body.replace("==\r\n", "==\n");
        assert_eq!(decoded(&unix, 11, form(false, true)), Ok(("hello world".to_owned(), trailers)));
        let signed = "B;chunk-signature=aa\r\nhello world\r\n0;chunk-signature=bb\r\n\r\n";
        assert_eq!(decoded(signed, 11, form(true, false)), Ok(("hello world".to_owned(), vec![])));
        assert_eq!(decoded("0\r\n\r\n", 0, form(false, true)), Ok((String::new(), vec![])));
        assert_eq!(decoded("0\r\n", 0, form(false, true)), Ok((String::new(), vec![])));
    }

    #[test]
    fn other_bodies_are_refused() {
        for (body, code) in [
            ("", "IncompleteBody"),
            ("5\r\nhel", "IncompleteBody"),
            ("5\r\nhello", "IncompleteBody"),
            ("5\r\nhello\r\n", "IncompleteBody"),
            ("4\r\nhell\r\n0\r\n\r\n", "IncompleteBody"),
            ("5\r\nhelloxx0\r\n\r\n", "InvalidRequest"),
            ("x\r\nhello\r\n0\r\n\r\n", "InvalidRequest"),
            ("-5\r\nhello\r\n0\r\n\r\n", "InvalidRequest"),
            ("ffffffffffffffff\r\nhello\r\n0\r\n\r\n", "IncompleteBody"),
            ("5\r\nhello\r\n0\r\nnonsense\r\n\r\n", "InvalidRequest"),
            ("5\r\nhello\r\n0\r\n\r\nmore", "InvalidRequest"),
        ] {
            assert_eq!(decoded(body, 5, form(false, true)), Err(code), "{body:?}");
        }
        assert_eq!(decoded("5\r\nhello\r\n0\r\n\r\n", 5, form(true, false)), Err("InvalidRequest"));
        assert_eq!(decoded("5\r\nhello\r\n0\r\na:b\r\n\r\n", 5, form(false, false)), Err("InvalidRequest"));
    }

    proptest! {
        #[test]
        fn any_cut_into_chunks_decodes_to_the_data(chunks: Vec<Vec<u8>>, value in "[a-z]{0,5}") {
            let mut body = Vec::new();
            for chunk in chunks.iter().filter(|chunk| !chunk.is_empty()) {
                body.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                body.extend_from_slice(chunk);
                body.extend_from_slice(b"\r\n");
            }
            body.extend_from_slice(format!("0\r\nn:{value}\r\n\r\n").as_bytes());
            let data = chunks.concat();
            let decoded = decode(&mut body, data.len() as u64, form(false, true)).unwrap();
            prop_assert_eq!(&body[..decoded.bytes], &data[..]);
            prop_assert_eq!(decoded.trailers, vec![("n".to_owned(), value)]);
        }

        #[test]
        fn nothing_sent_makes_the_decoder_panic(mut body: Vec<u8>, text in "[0-9a-f\r\n:;]{0,60}", expected in 0_u64..40) {
            for signed in [false, true] {
                let _any = decode(&mut body, expected, form(signed, true));
                let _any = decode(&mut text.clone().into_bytes(), expected, form(signed, true));
            }
        }
    }
}
