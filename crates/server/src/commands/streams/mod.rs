//! `millstream put` and `millstream tail`: records in and out of a stream, from the command line.

pub(crate) mod connection;
pub(crate) mod put;
pub(crate) mod tail;
