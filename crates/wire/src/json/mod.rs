//! JSON as text: a scanner over a body and the pieces of writing one. Shapes come in at `protocol::json`.

mod number;
mod scan;
#[cfg(test)]
mod tests;
mod write;

pub(crate) use number::{integer, millis, real};
pub(crate) use scan::{Kind, Scanner, is_well_formed};
pub(crate) use write::{write_blob, write_string, write_timestamp};
