//! The small tree that every protocol decodes to and encodes from, guided by a shape.

use bytes::Bytes;
use millstream_env::Timestamp;

/// A value of some shape. Absent members and null are the same: no value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Only as an item of a list or a map, where it has a place that counts.
    Null,
    Boolean(bool),
    /// Integer and long shapes; an integer is within 32 bits.
    Integer(i64),
    Double(f64),
    Timestamp(Timestamp),
    String(String),
    Blob(Bytes),
    List(Vec<Value>),
    /// In the order of the message, each key once.
    Map(Vec<(String, Value)>),
    /// One place per member of the shape, in its order.
    Structure(Vec<Option<Value>>),
}

/// The text of a conversion from a value that its shape rules out.
pub(crate) const SHAPE_HOLDS: &str = "the value was decoded by the same shape, and its constraints were checked";
