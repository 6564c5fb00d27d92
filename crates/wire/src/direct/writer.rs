//! Writes a body member by member, in JSON or CBOR.

use std::fmt::Display;
use std::io::Write as _;

use millstream_env::Timestamp;

use super::Format;
use crate::{cbor, json};

#[derive(Debug)]
pub(super) struct Writer {
    out: Vec<u8>,
    format: Format,
    /// JSON: the next key or item needs a comma before it.
    comma: bool,
}

impl Writer {
    pub(super) fn new(format: Format, capacity: usize) -> Self {
        Self::after(Vec::with_capacity(capacity), format)
    }

    /// Writes behind what is there.
    pub(super) fn after(out: Vec<u8>, format: Format) -> Self {
        Self { out, format, comma: false }
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.out
    }

    pub(super) fn start_structure(&mut self) {
        self.open(b'{', cbor::INDEFINITE_MAP);
    }

    pub(super) fn end_structure(&mut self) {
        self.close(b'}');
    }

    pub(super) fn start_list(&mut self, key: &str) {
        self.key(key);
        self.open(b'[', cbor::INDEFINITE_LIST);
    }

    pub(super) fn end_list(&mut self) {
        self.close(b']');
    }

    /// Comes before each item of a list.
    pub(super) fn item(&mut self) {
        if self.format == Format::Json && std::mem::replace(&mut self.comma, true) {
            self.out.push(b',');
        }
    }

    /// Comes before each value of a structure. Keys are member names and need no escapes.
    pub(super) fn key(&mut self, key: &str) {
        match self.format {
            Format::Json => {
                self.item();
                self.out.push(b'"');
                self.out.extend_from_slice(key.as_bytes());
                self.out.extend_from_slice(b"\":");
            }
            Format::Cbor => cbor::write_text(&mut self.out, key),
        }
    }

    pub(super) fn text(&mut self, key: &str, text: &str) {
        self.key(key);
        self.text_value(text);
    }

    pub(super) fn text_value(&mut self, text: &str) {
        match self.format {
            Format::Json => json::write_string(&mut self.out, text),
            Format::Cbor => cbor::write_text(&mut self.out, text),
        }
    }

    /// A text that needs no escapes: digits, identifiers.
    pub(super) fn display(&mut self, key: &str, text: &impl Display) {
        self.key(key);
        match self.format {
            Format::Json => write!(self.out, "\"{text}\"").expect("writing to memory succeeds"),
            Format::Cbor => cbor::write_display(&mut self.out, text),
        }
    }

    pub(super) fn integer(&mut self, key: &str, number: i64) {
        self.key(key);
        match self.format {
            Format::Json => write!(self.out, "{number}").expect("writing to memory succeeds"),
            Format::Cbor => cbor::write_integer(&mut self.out, number),
        }
    }

    pub(super) fn timestamp(&mut self, key: &str, timestamp: Timestamp) {
        self.key(key);
        match self.format {
            Format::Json => json::write_timestamp(&mut self.out, timestamp),
            Format::Cbor => cbor::write_timestamp(&mut self.out, timestamp),
        }
    }

    pub(super) fn blob(&mut self, key: &str, data: &[u8]) {
        self.key(key);
        match self.format {
            Format::Json => json::write_blob(&mut self.out, data),
            Format::Cbor => cbor::write_bytes(&mut self.out, data),
        }
    }

    fn open(&mut self, json: u8, cbor: u8) {
        self.comma = false;
        self.out.push(if self.format == Format::Json { json } else { cbor });
    }

    fn close(&mut self, json: u8) {
        self.comma = true;
        self.out.push(if self.format == Format::Json { json } else { cbor::BREAK });
    }
}
