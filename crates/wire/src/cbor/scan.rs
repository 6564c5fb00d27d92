//! A pull scanner. Lists and maps may be definite or indefinite; tags are passed over.
//!
//! Text in chunks is put together; bytes in chunks are refused, because records borrow theirs from the body (no client
//! is known to send them).

use std::borrow::Cow;

use crate::limits::{DEPTH_MAX, Malformed};

/// How many pairs or items a container has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    Left(u64),
    UntilBreak,
}

/// One data item, or the start of one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Item<'a> {
    Null,
    Boolean(bool),
    /// Clamped to 64 bits.
    Integer(i64),
    Real(f64),
    Bytes(&'a [u8]),
    Text(Cow<'a, str>),
    /// The caller is inside now and asks [`Scanner::more`] before each item.
    List(Extent),
    /// The same, before each pair.
    Map(Extent),
}

#[derive(Debug)]
pub(crate) struct Scanner<'a> {
    input: &'a [u8],
    position: usize,
    depth: usize,
}

/// Whether the bytes are one data item with nothing after it.
pub(crate) fn is_well_formed(input: &[u8]) -> bool {
    let mut scanner = Scanner::new(input);
    scanner.skip().and_then(|()| scanner.end()).is_ok()
}

const BREAK: u8 = 0xff;

impl<'a> Scanner<'a> {
    pub(crate) fn new(input: &'a [u8]) -> Self {
        Self { input, position: 0, depth: 0 }
    }

    /// Takes the next item; of a list or map only its start.
    pub(crate) fn next(&mut self) -> Result<Item<'a>, Malformed> {
        loop {
            let (major, info) = self.head()?;
            return Ok(match major {
                0 => Item::Integer(i64::try_from(self.argument(info)?).unwrap_or(i64::MAX)),
                1 => Item::Integer(i64::try_from(self.argument(info)?).map_or(i64::MIN, |n| -1 - n)),
                2 => Item::Bytes(self.definite(info)?),
                3 => Item::Text(self.text(info)?),
                4 => Item::List(self.enter(info)?),
                5 => Item::Map(self.enter(info)?),
                6 => {
                    self.argument(info)?;
                    continue;
                }
                _ => self.simple(info)?,
            });
        }
    }

    /// Whether the container that was entered has another item or pair; leaves it when not.
    pub(crate) fn more(&mut self, extent: &mut Extent) -> Result<bool, Malformed> {
        let more = match extent {
            Extent::Left(0) => false,
            Extent::Left(left) => {
                *left -= 1;
                true
            }
            Extent::UntilBreak => {
                let byte = *self.input.get(self.position).ok_or(Malformed)?;
                self.position += usize::from(byte == BREAK);
                byte != BREAK
            }
        };
        self.depth -= usize::from(!more);
        Ok(more)
    }

    /// The key of the next pair, which must be text.
    pub(crate) fn key(&mut self) -> Result<Cow<'a, str>, Malformed> {
        match self.next()? {
            Item::Text(key) => Ok(key),
            _ => Err(Malformed),
        }
    }

    /// Passes over one data item.
    pub(crate) fn skip(&mut self) -> Result<(), Malformed> {
        let item = self.next()?;
        self.skip_rest(&item)
    }

    /// Passes over what is left of an item that was taken.
    pub(crate) fn skip_rest(&mut self, item: &Item<'_>) -> Result<(), Malformed> {
        match *item {
            Item::List(mut extent) => {
                while self.more(&mut extent)? {
                    self.skip()?;
                }
            }
            Item::Map(mut extent) => {
                while self.more(&mut extent)? {
                    self.key()?;
                    self.skip()?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    pub(crate) fn end(&self) -> Result<(), Malformed> {
        if self.position == self.input.len() { Ok(()) } else { Err(Malformed) }
    }

    fn head(&mut self) -> Result<(u8, u8), Malformed> {
        let byte = *self.input.get(self.position).ok_or(Malformed)?;
        self.position += 1;
        Ok((byte >> 5, byte & 31))
    }

    fn argument(&mut self, info: u8) -> Result<u64, Malformed> {
        let width = match info {
            0..24 => return Ok(info.into()),
            24..28 => 1 << (info - 24),
            _ => return Err(Malformed),
        };
        Ok(self.take(width)?.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let rest = &self.input[self.position..];
        let taken = rest.get(..count).ok_or(Malformed)?;
        self.position += count;
        Ok(taken)
    }

    fn definite(&mut self, info: u8) -> Result<&'a [u8], Malformed> {
        let length = usize::try_from(self.argument(info)?).map_err(|_| Malformed)?;
        self.take(length)
    }

    fn text(&mut self, info: u8) -> Result<Cow<'a, str>, Malformed> {
        let plain = |bytes| str::from_utf8(bytes).map_err(|_| Malformed);
        if info != 31 {
            return plain(self.definite(info)?).map(Cow::Borrowed);
        }
        let mut whole = String::new();
        loop {
            match self.head()? {
                (3, info) => whole.push_str(plain(self.definite(info)?)?),
                (7, 31) => return Ok(Cow::Owned(whole)),
                _ => return Err(Malformed),
            }
        }
    }

    fn enter(&mut self, info: u8) -> Result<Extent, Malformed> {
        let extent = if info == 31 { Extent::UntilBreak } else { Extent::Left(self.argument(info)?) };
        self.depth += 1;
        if self.depth > DEPTH_MAX { Err(Malformed) } else { Ok(extent) }
    }

    fn simple(&mut self, info: u8) -> Result<Item<'a>, Malformed> {
        Ok(match info {
            20 => Item::Boolean(false),
            21 => Item::Boolean(true),
            22 | 23 => Item::Null,
            25 => Item::Real(half(self.bytes()?)),
            26 => Item::Real(f32::from_be_bytes(self.bytes()?).into()),
            27 => Item::Real(f64::from_be_bytes(self.bytes()?)),
            _ => return Err(Malformed),
        })
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        self.take(N)?.try_into().map_err(|_| Malformed)
    }
}

/// A 16-bit float (RFC 8949, appendix D).
fn half(bytes: [u8; 2]) -> f64 {
    let bits = u16::from_be_bytes(bytes);
    let exponent = i32::from(bits >> 10 & 31);
    let fraction = f64::from(bits & 1023);
    let size = match exponent {
        0 => fraction * 2_f64.powi(-24),
        31 if fraction > 0.0 => f64::NAN,
        31 => f64::INFINITY,
        _ => (fraction + 1024.0) * 2_f64.powi(exponent - 25),
    };
    if bits & 0x8000 == 0 { size } else { -size }
}
