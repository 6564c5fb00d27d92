//! Reads JSON text (RFC 8259) from front to back without building anything: strings are borrowed unless they hold
//! escapes, numbers keep their text, and whole values can be skipped. Nothing here recurses.

use std::borrow::Cow;

/// Deepest nesting of arrays and objects that is taken for JSON: the default of the JSON parser AWS's rule engine uses.
pub const DATA_DEPTH_MAX: usize = 1000;

/// The text is not JSON, or nested too deeply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotJson;

/// A value that is neither array nor object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Scalar<'a> {
    Null,
    Bool(bool),
    /// As it is written.
    Number(&'a str),
    String(Cow<'a, str>),
}

/// A string as it is written, without its quotes.
#[derive(Clone, Copy, Debug)]
pub(super) struct RawString<'a> {
    text: &'a str,
    escaped: bool,
}

impl<'a> RawString<'a> {
    /// The characters. Half of a surrogate pair becomes U+FFFD.
    pub(super) fn decode(self) -> Cow<'a, str> {
        if self.escaped { Cow::Owned(unescape(self.text)) } else { Cow::Borrowed(self.text) }
    }
}

#[derive(Debug)]
pub(super) struct Scanner<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0, depth: 0 }
    }

    /// The next byte that is not white space, without taking it.
    pub(super) fn peek(&mut self) -> Result<u8, NotJson> {
        self.skip_whitespace();
        self.byte().ok_or(NotJson)
    }

    /// Demands that nothing but white space is left.
    pub(super) fn end(&mut self) -> Result<(), NotJson> {
        self.skip_whitespace();
        if self.at == self.text.len() { Ok(()) } else { Err(NotJson) }
    }

    /// Goes into the array or object that begins here; false when it is empty, and then left again.
    pub(super) fn enter(&mut self, open: u8) -> Result<bool, NotJson> {
        self.expect(open)?;
        if self.depth == DATA_DEPTH_MAX {
            return Err(NotJson);
        }
        if self.peek()? == closing(open) {
            self.at += 1;
            return Ok(false);
        }
        self.depth += 1;
        Ok(true)
    }

    /// After a member or element: true when another one follows, false when the array or object has ended.
    pub(super) fn more(&mut self, open: u8) -> Result<bool, NotJson> {
        let byte = self.peek()?;
        self.at += 1;
        if byte == b',' {
            Ok(true)
        } else if byte == closing(open) {
            self.depth -= 1;
            Ok(false)
        } else {
            Err(NotJson)
        }
    }

    /// A member's name and the colon after it.
    pub(super) fn key(&mut self) -> Result<RawString<'a>, NotJson> {
        let key = self.string()?;
        self.expect(b':')?;
        Ok(key)
    }

    pub(super) fn scalar(&mut self) -> Result<Scalar<'a>, NotJson> {
        match self.peek()? {
            b'"' => Ok(Scalar::String(self.string()?.decode())),
            b'n' => self.literal("null").map(|()| Scalar::Null),
            b't' => self.literal("true").map(|()| Scalar::Bool(true)),
            b'f' => self.literal("false").map(|()| Scalar::Bool(false)),
            _ => self.number().map(Scalar::Number),
        }
    }

    /// Passes over one value, whatever it is.
    pub(super) fn skip_value(&mut self) -> Result<(), NotJson> {
        // One bit for each level that is entered here: whether it is an object.
        let mut objects = [0_u64; DATA_DEPTH_MAX.div_ceil(64)];
        let outside = self.depth;
        loop {
            let entered = match self.peek()? {
                open @ (b'{' | b'[') => {
                    let level = self.depth;
                    let entered = self.enter(open)?;
                    if entered {
                        let (word, bit) = (level / 64, 1 << (level % 64));
                        objects[word] = if open == b'{' { objects[word] | bit } else { objects[word] & !bit };
                    }
                    entered
                }
                b'"' => self.string().map(|_| false)?,
                _ => self.scalar().map(|_| false)?,
            };
            let is_object = |depth: usize| objects[(depth - 1) / 64] & (1 << ((depth - 1) % 64)) != 0;
            if !entered {
                while self.depth > outside {
                    let open = if is_object(self.depth) { b'{' } else { b'[' };
                    if self.more(open)? {
                        break;
                    }
                }
                if self.depth == outside {
                    return Ok(());
                }
            }
            if is_object(self.depth) {
                self.key()?;
            }
        }
    }

    fn string(&mut self) -> Result<RawString<'a>, NotJson> {
        self.expect(b'"')?;
        let start = self.at;
        let mut escaped = false;
        loop {
            let rest = &self.text.as_bytes()[self.at..];
            let special = |byte: &u8| *byte == b'"' || *byte == b'\\' || *byte < 0x20;
            self.at += rest.iter().position(special).ok_or(NotJson)?;
            match self.text.as_bytes()[self.at] {
                b'"' => break,
                b'\\' => self.escape()?,
                _ => return Err(NotJson),
            }
            escaped = true;
        }
        let text = &self.text[start..self.at];
        self.at += 1;
        Ok(RawString { text, escaped })
    }

    fn escape(&mut self) -> Result<(), NotJson> {
        let bytes = self.text.as_bytes();
        self.at += match bytes.get(self.at + 1).ok_or(NotJson)? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => 2,
            b'u' => {
                let digits = bytes.get(self.at + 2..self.at + 6).ok_or(NotJson)?;
                if !digits.iter().all(u8::is_ascii_hexdigit) {
                    return Err(NotJson);
                }
                6
            }
            _ => return Err(NotJson),
        };
        Ok(())
    }

    fn number(&mut self) -> Result<&'a str, NotJson> {
        let start = self.at;
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            let _ = self.take(b'+') || self.take(b'-');
            self.digits()?;
        }
        Ok(&self.text[start..self.at])
    }

    fn digits(&mut self) -> Result<(), NotJson> {
        let digits = self.text.as_bytes()[self.at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += digits;
        if digits == 0 { Err(NotJson) } else { Ok(()) }
    }

    fn literal(&mut self, literal: &str) -> Result<(), NotJson> {
        if !self.text.as_bytes()[self.at..].starts_with(literal.as_bytes()) {
            return Err(NotJson);
        }
        self.at += literal.len();
        Ok(())
    }

    fn expect(&mut self, byte: u8) -> Result<(), NotJson> {
        self.skip_whitespace();
        if self.take(byte) { Ok(()) } else { Err(NotJson) }
    }

    fn take(&mut self, byte: u8) -> bool {
        let there = self.byte() == Some(byte);
        self.at += usize::from(there);
        there
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_whitespace(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.byte() {
            self.at += 1;
        }
    }
}

fn closing(open: u8) -> u8 {
    if open == b'{' { b'}' } else { b']' }
}

/// `text` is known to hold complete escapes only.
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let (character, bytes) = escaped_character(&rest[at..]);
        out.push(character);
        rest = &rest[at + bytes..];
    }
    out.push_str(rest);
    out
}

/// The character of the escape that `text` begins with, and how many bytes it takes.
fn escaped_character(text: &str) -> (char, usize) {
    let simple = match text.as_bytes()[1] {
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return unicode_escape(text),
        other => char::from(other),
    };
    (simple, 2)
}

fn unicode_escape(text: &str) -> (char, usize) {
    let unit = |text: &str| u32::from_str_radix(text.get(2..6)?, 16).ok();
    let first = unit(text).expect("the escape was read as complete");
    if let Some(character) = char::from_u32(first) {
        return (character, 6);
    }
    let second = text.get(6..).filter(|next| next.starts_with("\\u")).and_then(unit);
    match second {
        Some(low @ 0xDC00..=0xDFFF) if first < 0xDC00 => {
            let point = 0x10000 + ((first - 0xD800) << 10) + (low - 0xDC00);
            (char::from_u32(point).expect("a surrogate pair is a character"), 12)
        }
        _ => (char::REPLACEMENT_CHARACTER, 6),
    }
}
