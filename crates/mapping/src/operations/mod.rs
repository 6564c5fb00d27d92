//! The operations of the control plane, one file each.
//!
//! An operation checks, writes the mapping's record and answers; the driver sees the record in the catalog's watch and
//! carries the transition out. The order of checks is the recorded one (event source mapping reference, section 2).

mod checks;
mod create;
mod delete;
mod document;
mod failure;
mod get;
mod list;
mod settings;
mod tags;
#[cfg(test)]
mod tests;
mod update;
