//! Conversion between [`Value`] and the generated types.
//!
//! A value that was decoded with a shape and passed the constraints of that shape converts without failing; anything
//! else is a bug here, so the conversions panic rather than carry an error that nobody could act on.

use std::collections::BTreeMap;

use bytes::Bytes;
use millstream_env::Timestamp;

use crate::value::{SHAPE_HOLDS, Value};

/// A Rust type for a shape.
pub trait Typed: Sized {
    fn from_value(value: Value) -> Self;

    fn into_value(self) -> Value;

    /// From a member's place; absent is only possible for an optional member.
    fn from_member(member: Option<Value>) -> Self {
        Self::from_value(member.expect(SHAPE_HOLDS))
    }

    fn into_member(self) -> Option<Value> {
        Some(self.into_value())
    }
}

macro_rules! scalar {
    ($type:ty, $variant:ident) => {
        impl Typed for $type {
            fn from_value(value: Value) -> Self {
                match value {
                    Value::$variant(value) => value,
                    other => panic!("{SHAPE_HOLDS}, but it is {other:?}"),
                }
            }

            fn into_value(self) -> Value {
                Value::$variant(self)
            }
        }
    };
}

scalar!(bool, Boolean);
scalar!(i64, Integer);
scalar!(f64, Double);
scalar!(String, String);
scalar!(Bytes, Blob);
scalar!(Timestamp, Timestamp);

impl Typed for i32 {
    fn from_value(value: Value) -> Self {
        Self::try_from(i64::from_value(value)).expect(SHAPE_HOLDS)
    }

    fn into_value(self) -> Value {
        Value::Integer(self.into())
    }
}

impl Typed for () {
    fn from_value(_: Value) -> Self {}

    fn into_value(self) -> Value {
        Value::Structure(Vec::new())
    }
}

impl<T: Typed> Typed for Option<T> {
    fn from_value(value: Value) -> Self {
        Some(T::from_value(value))
    }

    fn into_value(self) -> Value {
        self.map_or(Value::Null, T::into_value)
    }

    fn from_member(member: Option<Value>) -> Self {
        member.map(T::from_value)
    }

    fn into_member(self) -> Option<Value> {
        self.map(T::into_value)
    }
}

impl<T: Typed> Typed for Vec<T> {
    fn from_value(value: Value) -> Self {
        match value {
            Value::List(items) => items.into_iter().map(T::from_value).collect(),
            other => panic!("{SHAPE_HOLDS}, but it is {other:?}"),
        }
    }

    fn into_value(self) -> Value {
        Value::List(self.into_iter().map(T::into_value).collect())
    }
}

impl<T: Typed> Typed for BTreeMap<String, T> {
    fn from_value(value: Value) -> Self {
        match value {
            Value::Map(entries) => entries.into_iter().map(|(key, value)| (key, T::from_value(value))).collect(),
            other => panic!("{SHAPE_HOLDS}, but it is {other:?}"),
        }
    }

    fn into_value(self) -> Value {
        Value::Map(self.into_iter().map(|(key, value)| (key, value.into_value())).collect())
    }
}

impl Value {
    /// The places of a structure's members.
    pub(crate) fn into_members(self) -> std::vec::IntoIter<Option<Self>> {
        match self {
            Self::Structure(members) => members.into_iter(),
            other => panic!("{SHAPE_HOLDS}, but it is {other:?}"),
        }
    }
}

/// Text that is none of an enumeration's values.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{value:?} is not a value of {enumeration}")]
pub struct UnknownValue {
    pub enumeration: &'static str,
    pub value: String,
}

/// A structure with one field per member, in the order of its shape. `@secret` fields do not show in debug output.
macro_rules! structure {
    ($(#[$meta:meta])* pub struct $name:ident { $($(@$secret:ident)? $field:ident: $type:ty,)* }) => {
        $(#[$meta])*
        #[derive(Clone, PartialEq)]
        pub struct $name {
            $(pub $field: $type,)*
        }

        impl crate::typed::Typed for $name {
            #[allow(unused_mut, unused_variables, reason = "a structure can be empty")]
            fn from_value(value: crate::Value) -> Self {
                let mut members = value.into_members();
                Self { $($field: crate::typed::Typed::from_member(members.next().flatten()),)* }
            }

            fn into_value(self) -> crate::Value {
                crate::Value::Structure(vec![$(crate::typed::Typed::into_member(self.$field),)*])
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($name))
                    $(.field(stringify!($field), crate::typed::shown!($(@$secret)? self.$field)))*
                    .finish()
            }
        }
    };
}
pub(crate) use structure;

/// What debug output shows of a field.
macro_rules! shown {
    (@secret $value:expr) => {
        &format_args!("<secret>")
    };
    ($value:expr) => {
        &$value
    };
}
pub(crate) use shown;

/// An enumeration of texts.
macro_rules! enumeration {
    (pub enum $name:ident { $($variant:ident = $text:literal,)* }) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($variant,)*
        }

        impl $name {
            /// Every value, in the model's order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The text on the wire.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }
        }

        impl std::str::FromStr for $name {
            type Err = crate::typed::UnknownValue;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($text => Ok(Self::$variant),)*
                    _ => Err(crate::typed::UnknownValue { enumeration: stringify!($name), value: text.to_owned() }),
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl crate::typed::Typed for $name {
            fn from_value(value: crate::Value) -> Self {
                String::from_value(value).parse().expect(crate::value::SHAPE_HOLDS)
            }

            fn into_value(self) -> crate::Value {
                crate::Value::String(self.as_str().to_owned())
            }
        }
    };
}
pub(crate) use enumeration;

#[cfg(test)]
mod tests {
    use std::str::FromStr as _;

    use bytes::Bytes;

    use crate::kinesis::{PutRecordInput, StreamStatus};
    use crate::lambda::Environment;

    #[test]
    fn debug_output_shows_no_secrets() {
        let variables = [("TOKEN".to_owned(), "hunter2".to_owned())].into();
        let environment = Environment { variables: Some(variables) };
        assert_eq!(format!("{environment:?}"), "Environment { variables: <secret> }");
        let record = PutRecordInput { data: Bytes::from_static(b"hunter2"), ..Default::default() };
        assert!(format!("{record:?}").contains("data: <secret>"));
    }

    #[test]
    fn enumerations_are_their_texts() {
        for status in StreamStatus::ALL {
            assert_eq!(StreamStatus::from_str(status.as_str()), Ok(*status));
        }
        let error = StreamStatus::from_str("active").unwrap_err();
        assert_eq!(error.to_string(), "\"active\" is not a value of StreamStatus");
    }
}
