//! Events as bytes: frames one behind the other.
//!
//! ```text
//! length u32 | crc-32c u32 | timestamp u64 | ingestion u64 | number u64 | stream u64 | message
//! ```
//!
//! All numbers are little-endian. `length` counts what follows the checksum; the checksum covers the same bytes. This
//! layout is on disk: it never changes, a new one gets a new file ending.

use crc_fast::{CrcAlgorithm, checksum};

use super::event::EventKey;

const PREFIX_BYTES: usize = 8;
const HEAD_BYTES: usize = 32;
/// Bytes of a frame beside its message.
pub(crate) const FRAME_BYTES: usize = PREFIX_BYTES + HEAD_BYTES;

/// One event within a segment's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    pub(crate) key: EventKey,
    pub(crate) stream: u64,
    /// UTF-8, checked when the frame was read.
    pub(crate) message: &'a str,
}

pub(crate) fn write(bytes: &mut Vec<u8>, frame: &Frame<'_>) {
    let length = u32::try_from(HEAD_BYTES + frame.message.len()).expect("messages have at most a few MiB");
    let start = bytes.len();
    bytes.extend(length.to_le_bytes());
    bytes.extend([0; 4]);
    for number in [frame.key.timestamp, frame.key.ingestion, frame.key.number, frame.stream] {
        bytes.extend(number.to_le_bytes());
    }
    bytes.extend(frame.message.as_bytes());
    let crc = crc(&bytes[start + PREFIX_BYTES..]);
    bytes[start + 4..start + PREFIX_BYTES].copy_from_slice(&crc.to_le_bytes());
}

/// The frames of a segment up to the first that is not whole, and how many bytes they take.
pub(crate) fn read_all<'a>(bytes: &'a [u8], mut each: impl FnMut(Frame<'a>)) -> usize {
    let mut offset = 0;
    while let Some((frame, length)) = read_one(&bytes[offset..]) {
        each(frame);
        offset += length;
    }
    offset
}

fn read_one(bytes: &[u8]) -> Option<(Frame<'_>, usize)> {
    let length = u32::from_le_bytes(bytes.get(..4)?.try_into().ok()?) as usize;
    let expected = u32::from_le_bytes(bytes.get(4..PREFIX_BYTES)?.try_into().ok()?);
    let body = bytes.get(PREFIX_BYTES..PREFIX_BYTES.checked_add(length)?)?;
    if length < HEAD_BYTES || crc(body) != expected {
        return None;
    }
    let number = |i: usize| u64::from_le_bytes(body[i * 8..][..8].try_into().expect("eight bytes"));
    let key = EventKey { timestamp: number(0), ingestion: number(1), number: number(2) };
    let message = std::str::from_utf8(&body[HEAD_BYTES..]).ok()?;
    Some((Frame { key, stream: number(3), message }, PREFIX_BYTES + length))
}

fn crc(bytes: &[u8]) -> u32 {
    u32::try_from(checksum(CrcAlgorithm::Crc32Iscsi, bytes)).expect("CRC-32 has 32 bits")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Written by the first version; it must stay readable.
    const SAMPLE: &[u8] = include_bytes!("samples/segment-1.log");

    fn sample_frames() -> [Frame<'static>; 2] {
        let key = |number| EventKey { timestamp: 1_700_000_000_000, ingestion: 1_700_000_000_001, number };
        [
            Frame { key: key(1), stream: 0x0123_4567_89ab_cdef, message: "START RequestId: 1\n" },
            Frame { key: key(2), stream: 7, message: "grüße" },
        ]
    }

    #[test]
    fn the_sample_loads_and_is_what_is_written_today() {
        let mut frames = Vec::new();
        assert_eq!(read_all(SAMPLE, |frame| frames.push(frame)), SAMPLE.len());
        assert_eq!(frames, sample_frames());
        let mut bytes = Vec::new();
        for frame in &sample_frames() {
            write(&mut bytes, frame);
        }
        assert_eq!(bytes, SAMPLE);
    }

    proptest! {
        #[test]
        fn a_torn_segment_gives_its_whole_frames(messages: Vec<String>, cut: prop::sample::Index) {
            let mut bytes = Vec::new();
            let mut ends = vec![0];
            for message in &messages {
                write(&mut bytes, &Frame { key: EventKey::default(), stream: 1, message });
                ends.push(bytes.len());
            }
            let cut = cut.index(bytes.len() + 1);
            let mut read = Vec::new();
            let end = read_all(&bytes[..cut], |frame| read.push(frame.message.to_owned()));
            let whole = ends.iter().filter(|end| **end <= cut).count() - 1;
            prop_assert_eq!(&read[..], &messages[..whole]);
            prop_assert_eq!(end, ends[whole]);
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
            let end = read_all(&bytes, |_| ());
            prop_assert!(end <= bytes.len());
        }
    }
}
