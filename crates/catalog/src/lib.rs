//! The catalog: streams, functions, roles, mappings and checkpoints as small values under keys.
//!
//! [`MetaStore`] offers single-key compare-and-set and nothing more, so that any engine can give it. One aggregate is one
//! key; what spans keys is an intent in one of them plus idempotent steps.

mod contract;

pub use contract::*;
