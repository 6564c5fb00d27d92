//! Shape tables: what the models say about names, places and constraints, as static data.

use regex::Regex;

/// A type of the model.
#[derive(Debug)]
pub struct Shape {
    pub name: &'static str,
    pub kind: Kind,
    /// Values are left out of error texts and debug output.
    pub sensitive: bool,
}

#[derive(Debug)]
pub enum Kind {
    Boolean,
    Integer(Bounds),
    Long(Bounds),
    Double(Bounds),
    Timestamp,
    Blob(Bounds),
    String(Text),
    List {
        member: &'static Shape,
        length: Bounds,
    },
    Map {
        key: &'static Shape,
        value: &'static Shape,
        length: Bounds,
        /// What the query protocol calls the two parts of an entry.
        parts: (&'static str, &'static str),
    },
    Structure(&'static [Member]),
}

/// Constraints of a string.
#[derive(Debug)]
pub struct Text {
    /// Counted in UTF-16 code units, as the service does.
    pub length: Bounds,
    pub pattern: Option<Pattern>,
    /// The enum values in the order in which the service prints them; empty when any value is allowed.
    pub values: &'static [&'static str],
}

/// Inclusive limits of a length or a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    pub min: Option<i64>,
    pub max: Option<i64>,
}

/// A pattern that the whole string must match.
#[derive(Clone, Copy, Debug)]
pub struct Pattern {
    /// As the service prints it: Java's syntax.
    pub text: &'static str,
    /// The same, compiled at first use.
    pub regex: fn() -> &'static Regex,
}

/// A member of a structure.
#[derive(Debug)]
pub struct Member {
    pub name: &'static str,
    /// The name in the message where the model gives another one (header names, URI labels).
    pub wire_name: &'static str,
    pub shape: &'static Shape,
    pub required: bool,
    pub location: Location,
}

/// Where a member travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Location {
    Body,
    Uri,
    Query,
    Header,
    StatusCode,
    /// The member is the whole body.
    Payload,
}

impl Bounds {
    pub const NONE: Self = Self { min: None, max: None };

    pub const fn new(min: Option<i64>, max: Option<i64>) -> Self {
        Self { min, max }
    }

    pub fn contain(&self, value: i64) -> bool {
        self.min.is_none_or(|min| min <= value) && self.max.is_none_or(|max| value <= max)
    }
}

impl Member {
    pub(crate) const fn new(name: &'static str, shape: &'static Shape) -> Self {
        Self { name, wire_name: name, shape, required: false, location: Location::Body }
    }

    pub(crate) const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    pub(crate) const fn at(mut self, location: Location) -> Self {
        self.location = location;
        self
    }

    pub(crate) const fn named(mut self, wire_name: &'static str) -> Self {
        self.wire_name = wire_name;
        self
    }
}

impl Shape {
    /// The members; empty for all but structures.
    pub fn members(&self) -> &'static [Member] {
        match self.kind {
            Kind::Structure(members) => members,
            _ => &[],
        }
    }

    const fn new(name: &'static str, kind: Kind) -> Self {
        Self { name, kind, sensitive: false }
    }

    pub(crate) const fn boolean(name: &'static str) -> Self {
        Self::new(name, Kind::Boolean)
    }

    pub(crate) const fn integer(name: &'static str, range: Bounds) -> Self {
        Self::new(name, Kind::Integer(range))
    }

    pub(crate) const fn long(name: &'static str, range: Bounds) -> Self {
        Self::new(name, Kind::Long(range))
    }

    pub(crate) const fn double(name: &'static str, range: Bounds) -> Self {
        Self::new(name, Kind::Double(range))
    }

    pub(crate) const fn timestamp(name: &'static str) -> Self {
        Self::new(name, Kind::Timestamp)
    }

    pub(crate) const fn blob(name: &'static str, length: Bounds) -> Self {
        Self::new(name, Kind::Blob(length))
    }

    pub(crate) const fn string(name: &'static str, length: Bounds) -> Self {
        Self::new(name, Kind::String(Text { length, pattern: None, values: &[] }))
    }

    pub(crate) const fn list(name: &'static str, member: &'static Self, length: Bounds) -> Self {
        Self::new(name, Kind::List { member, length })
    }

    pub(crate) const fn map(name: &'static str, key: &'static Self, value: &'static Self, length: Bounds) -> Self {
        Self::new(name, Kind::Map { key, value, length, parts: ("key", "value") })
    }

    pub(crate) const fn entries_named(mut self, key: &'static str, value: &'static str) -> Self {
        if let Kind::Map { parts, .. } = &mut self.kind {
            *parts = (key, value);
        }
        self
    }

    pub(crate) const fn structure(name: &'static str, members: &'static [Member]) -> Self {
        Self::new(name, Kind::Structure(members))
    }

    pub(crate) const fn matching(mut self, pattern: Pattern) -> Self {
        if let Kind::String(text) = &mut self.kind {
            text.pattern = Some(pattern);
        }
        self
    }

    pub(crate) const fn one_of(mut self, values: &'static [&'static str]) -> Self {
        if let Kind::String(text) = &mut self.kind {
            text.values = values;
        }
        self
    }

    pub(crate) const fn sensitive(mut self) -> Self {
        self.sensitive = true;
        self
    }
}

/// A [`Pattern`] from the text that the service prints and its form for `regex`.
macro_rules! pattern {
    ($text:expr, $regex:expr) => {{
        fn regex() -> &'static regex::Regex {
            static REGEX: std::sync::LazyLock<regex::Regex> =
                std::sync::LazyLock::new(|| crate::shape::anchored($regex));
            &REGEX
        }
        crate::shape::Pattern { text: $text, regex }
    }};
}
pub(crate) use pattern;

/// Compiles a pattern so that it has to match the whole text.
pub(crate) fn anchored(pattern: &str) -> Regex {
    Regex::new(&format!("^(?:{pattern})$")).expect("a test compiles every pattern of the tables")
}
