//! A pull scanner: the caller looks at the kind of the next value and takes it, skips it or steps into it.
//!
//! Strict RFC 8259, no copy unless a string holds escapes, nesting bounded by [`DEPTH_MAX`].

use std::borrow::Cow;

use memchr::{memchr, memchr2};

use crate::limits::{DEPTH_MAX, Malformed};

/// What the next value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Null,
    Boolean,
    Number,
    String,
    List,
    Structure,
}

#[derive(Clone, Debug)]
pub(crate) struct Scanner<'a> {
    input: &'a [u8],
    position: usize,
    depth: usize,
}

/// Whether the text is one JSON value with nothing after it.
pub(crate) fn is_well_formed(input: &[u8]) -> bool {
    let mut scanner = Scanner::new(input);
    scanner.skip().and_then(|()| scanner.end()).is_ok()
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(input: &'a [u8]) -> Self {
        Self { input, position: 0, depth: 0 }
    }

    /// The kind of the next value, which stays in place.
    pub(crate) fn kind(&mut self) -> Result<Kind, Malformed> {
        self.skip_space();
        match self.input.get(self.position) {
            Some(b'n') => Ok(Kind::Null),
            Some(b't' | b'f') => Ok(Kind::Boolean),
            Some(b'-' | b'0'..=b'9') => Ok(Kind::Number),
            Some(b'"') => Ok(Kind::String),
            Some(b'[') => Ok(Kind::List),
            Some(b'{') => Ok(Kind::Structure),
            _ => Err(Malformed),
        }
    }

    /// Steps into the list or structure that [`Scanner::kind`] announced.
    pub(crate) fn enter(&mut self) -> Result<(), Malformed> {
        self.position += 1;
        self.depth += 1;
        if self.depth > DEPTH_MAX { Err(Malformed) } else { Ok(()) }
    }

    /// Inside a list: whether another item follows; leaves the list when none does. `first` is true before the first.
    pub(crate) fn next_item(&mut self, first: &mut bool) -> Result<bool, Malformed> {
        self.separator(first, b']')
    }

    /// Inside a structure: the next key, or `None` at its end, which is left.
    pub(crate) fn next_key(&mut self, first: &mut bool) -> Result<Option<Cow<'a, str>>, Malformed> {
        if !self.separator(first, b'}')? {
            return Ok(None);
        }
        self.skip_space();
        let key = self.string()?;
        self.skip_space();
        self.expect(b':')?;
        Ok(Some(key))
    }

    pub(crate) fn null(&mut self) -> Result<(), Malformed> {
        self.literal(b"null")
    }

    pub(crate) fn boolean(&mut self) -> Result<bool, Malformed> {
        if self.input[self.position] == b't' {
            self.literal(b"true").map(|()| true)
        } else {
            self.literal(b"false").map(|()| false)
        }
    }

    /// The text of a number.
    pub(crate) fn number(&mut self) -> Result<&'a str, Malformed> {
        let start = self.position;
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
        str::from_utf8(&self.input[start..self.position]).map_err(|_| Malformed)
    }

    pub(crate) fn string(&mut self) -> Result<Cow<'a, str>, Malformed> {
        let (raw, escaped) = self.raw_string()?;
        let text = str::from_utf8(raw).map_err(|_| Malformed)?;
        if escaped { unescape(text).map(Cow::Owned) } else { Ok(Cow::Borrowed(text)) }
    }

    /// What stands between the quotes, and whether it holds escapes. Not checked for UTF-8, nor are the escapes.
    pub(crate) fn raw_string(&mut self) -> Result<(&'a [u8], bool), Malformed> {
        self.expect(b'"')?;
        let start = self.position;
        let mut escaped = false;
        loop {
            let rest = &self.input[self.position..];
            let offset = memchr2(b'"', b'\\', rest).ok_or(Malformed)?;
            self.position += offset;
            if self.input[self.position] == b'"' {
                break;
            }
            escaped = true;
            self.position += 2;
            if self.position > self.input.len() {
                return Err(Malformed);
            }
        }
        let raw = &self.input[start..self.position];
        self.position += 1;
        if raw.iter().any(|byte| *byte < 0x20) { Err(Malformed) } else { Ok((raw, escaped)) }
    }

    /// What stands before the next quote, for text that is then checked to hold neither escapes nor control characters
    /// (base64). When that check fails, give the text back with [`Scanner::rewind`] and take it with the others.
    pub(crate) fn until_quote(&mut self) -> Result<&'a [u8], Malformed> {
        self.expect(b'"')?;
        let rest = &self.input[self.position..];
        let raw = &rest[..memchr(b'"', rest).ok_or(Malformed)?];
        self.position += raw.len() + 1;
        Ok(raw)
    }

    /// Goes back before a string that [`Scanner::until_quote`] gave.
    pub(crate) fn rewind(&mut self, raw: &[u8]) {
        self.position -= raw.len() + 2;
    }

    /// Passes over one value of any kind.
    pub(crate) fn skip(&mut self) -> Result<(), Malformed> {
        match self.kind()? {
            Kind::Null => self.null(),
            Kind::Boolean => self.boolean().map(drop),
            Kind::Number => self.number().map(drop),
            Kind::String => self.string().map(drop),
            Kind::List => {
                self.enter()?;
                let mut first = true;
                while self.next_item(&mut first)? {
                    self.skip()?;
                }
                Ok(())
            }
            Kind::Structure => {
                self.enter()?;
                let mut first = true;
                while self.next_key(&mut first)?.is_some() {
                    self.skip()?;
                }
                Ok(())
            }
        }
    }

    /// Demands that only white space is left.
    pub(crate) fn end(&mut self) -> Result<(), Malformed> {
        self.skip_space();
        if self.position == self.input.len() { Ok(()) } else { Err(Malformed) }
    }

    fn separator(&mut self, first: &mut bool, close: u8) -> Result<bool, Malformed> {
        self.skip_space();
        if self.take(close) {
            // A comma before the closing bracket is refused by the caller's next look at a value or key.
            self.depth -= 1;
            return Ok(false);
        }
        if !std::mem::take(first) {
            self.expect(b',')?;
            self.skip_space();
            if self.input.get(self.position) == Some(&close) {
                return Err(Malformed);
            }
        }
        Ok(true)
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.input.get(self.position) {
            self.position += 1;
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.input.get(self.position) == Some(&byte);
        self.position += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8) -> Result<(), Malformed> {
        if self.take(byte) { Ok(()) } else { Err(Malformed) }
    }

    fn literal(&mut self, word: &[u8]) -> Result<(), Malformed> {
        if !self.input[self.position..].starts_with(word) {
            return Err(Malformed);
        }
        self.position += word.len();
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Malformed> {
        let start = self.position;
        while self.input.get(self.position).is_some_and(u8::is_ascii_digit) {
            self.position += 1;
        }
        if self.position > start { Ok(()) } else { Err(Malformed) }
    }
}

fn unescape(text: &str) -> Result<String, Malformed> {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = memchr(b'\\', rest.as_bytes()) {
        plain.push_str(&rest[..at]);
        let escape = rest.as_bytes().get(at + 1).ok_or(Malformed)?;
        rest = rest.get(at + 2..).ok_or(Malformed)?;
        plain.push(match escape {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => unicode_escape(&mut rest)?,
            _ => return Err(Malformed),
        });
    }
    plain.push_str(rest);
    Ok(plain)
}

/// The character of one `\uXXXX`, or of two that form a surrogate pair, whose `\u` has been taken.
fn unicode_escape(rest: &mut &str) -> Result<char, Malformed> {
    let first = four_digits(rest)?;
    if !(0xD800..0xDC00).contains(&first) {
        return char::from_u32(first).ok_or(Malformed);
    }
    *rest = rest.strip_prefix("\\u").ok_or(Malformed)?;
    let second = four_digits(rest)?;
    if !(0xDC00..0xE000).contains(&second) {
        return Err(Malformed);
    }
    char::from_u32(0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00)).ok_or(Malformed)
}

fn four_digits(rest: &mut &str) -> Result<u32, Malformed> {
    let digits = rest.get(..4).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit())).ok_or(Malformed)?;
    *rest = &rest[4..];
    u32::from_str_radix(digits, 16).map_err(|_| Malformed)
}
