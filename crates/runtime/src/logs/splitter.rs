//! Bytes from a pipe into log events: one for each line, or one for each frame of our bootstraps.
//!
//! A bootstrap keeps an event of several lines whole by a header line before it: byte 0x1e, `millstream `, the event's
//! length in decimal. It travels in the same pipe as everything else, so that the order stays.

use bytes::{Bytes, BytesMut};

/// Longest event; longer lines are cut (CloudWatch Logs quota: 256 KiB per event, less 26 bytes of its own).
pub(crate) const EVENT_BYTES_MAX: usize = 256 * 1024 - 26;

const FRAME_MARK: &[u8] = b"\x1emillstream ";

/// Longest header: the mark and the digits of any length worth reading.
const HEADER_BYTES_MAX: usize = FRAME_MARK.len() + 8;

/// Cuts a byte stream into events.
#[derive(Debug, Default)]
pub(crate) struct Splitter {
    /// The event that is not complete yet, at most [`EVENT_BYTES_MAX`].
    partial: BytesMut,
    /// Bytes of the current frame still to come.
    frame_left: usize,
}

impl Splitter {
    /// Takes bytes and gives out the events that are complete with them.
    pub(crate) fn feed(&mut self, mut bytes: &[u8], emit: &mut impl FnMut(Bytes)) {
        while !bytes.is_empty() {
            let taken = if self.frame_left > 0 { self.frame_part(bytes, emit) } else { self.line_part(bytes, emit) };
            bytes = &bytes[taken..];
        }
    }

    /// Gives out what is left of a line without an end.
    pub(crate) fn flush(&mut self, emit: &mut impl FnMut(Bytes)) {
        self.frame_left = 0;
        if !self.partial.is_empty() {
            emit(utf8(self.partial.split().freeze()));
        }
    }

    fn frame_part(&mut self, bytes: &[u8], emit: &mut impl FnMut(Bytes)) -> usize {
        let room = EVENT_BYTES_MAX - self.partial.len();
        let taken = bytes.len().min(self.frame_left).min(room);
        self.partial.extend_from_slice(&bytes[..taken]);
        self.frame_left -= taken;
        if self.frame_left == 0 || self.partial.len() == EVENT_BYTES_MAX {
            emit(utf8(self.partial.split().freeze()));
        }
        taken
    }

    fn line_part(&mut self, bytes: &[u8], emit: &mut impl FnMut(Bytes)) -> usize {
        let room = EVENT_BYTES_MAX - self.partial.len();
        let line_end = bytes.iter().take(room).position(|byte| *byte == b'\n');
        let taken = line_end.map_or_else(|| bytes.len().min(room), |end| end + 1);
        self.partial.extend_from_slice(&bytes[..taken]);
        if line_end.is_some() || self.partial.len() == EVENT_BYTES_MAX {
            let event = self.partial.split().freeze();
            match frame_length(&event) {
                Some(length) => self.frame_left = length,
                None => emit(utf8(event)),
            }
        }
        taken
    }
}

fn frame_length(line: &[u8]) -> Option<usize> {
    if line.len() > HEADER_BYTES_MAX {
        return None;
    }
    let digits = line.strip_prefix(FRAME_MARK)?.strip_suffix(b"\n")?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Events are UTF-8; what is not is replaced, as CloudWatch Logs does.
fn utf8(bytes: Bytes) -> Bytes {
    match String::from_utf8_lossy(&bytes) {
        std::borrow::Cow::Borrowed(_) => bytes,
        std::borrow::Cow::Owned(text) => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split(parts: &[&[u8]]) -> Vec<String> {
        let (mut splitter, mut events) = (Splitter::default(), Vec::new());
        let mut emit = |event: Bytes| events.push(String::from_utf8(event.to_vec()).unwrap());
        for part in parts {
            splitter.feed(part, &mut emit);
        }
        splitter.flush(&mut emit);
        events
    }

    #[test]
    fn lines_and_frames_become_events() {
        assert_eq!(split(&[b"a\nb", b"c\r\n\nlast"]), ["a\n", "bc\r\n", "\n", "last"]);
        assert_eq!(split(&[b"x\n\x1emillstream 4\na\nb\nc\n"]), ["x\n", "a\nb\n", "c\n"]);
        assert_eq!(split(&[b"\x1emillstream x\nc\n"]), ["\u{1e}millstream x\n", "c\n"]);
        assert_eq!(split(&[b"\xff\n"]), ["\u{fffd}\n"]);
    }

    #[test]
    fn a_line_without_end_is_cut() {
        let long = vec![b'x'; EVENT_BYTES_MAX + 3];
        let lengths: Vec<_> = split(&[&long, b"\n"]).iter().map(String::len).collect();
        assert_eq!(lengths, [EVENT_BYTES_MAX, 4]);
    }

    proptest! {
        #[test]
        fn the_cuts_of_the_pipe_do_not_matter(text in "[a-c\n\u{1e}]{0,40}", cut in 0..40_usize) {
            let bytes = text.as_bytes();
            let (head, tail) = bytes.split_at(cut.min(bytes.len()));
            prop_assert_eq!(split(&[head, tail]), split(&[bytes]));
            prop_assert_eq!(split(&[bytes]).concat(), text);
        }
    }
}
