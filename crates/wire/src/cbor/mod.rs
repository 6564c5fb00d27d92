//! CBOR (RFC 8949) as bytes: a scanner over a body and the pieces of writing one. Shapes come in at `protocol::cbor`.

mod scan;
#[cfg(test)]
mod tests;
mod write;

pub(crate) use scan::{Extent, Item, Scanner, is_well_formed};
pub(crate) use write::{
    BREAK, INDEFINITE_LIST, INDEFINITE_MAP, write_boolean, write_bytes, write_display, write_integer, write_real,
    write_seconds, write_text, write_timestamp,
};
