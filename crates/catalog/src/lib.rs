//! The catalog: streams, functions, roles, mappings and checkpoints as small values under keys.
//!
//! [`MetaStore`] offers single-key compare-and-set and nothing more, so that any engine can give it. One aggregate is one
//! key; what spans keys is an intent in one of them plus idempotent steps.
//!
//! - [`MemoryStore`] keeps everything in memory: `--ephemeral` and tests.
//! - [`RedbStore`] keeps everything in one file, through [`millstream_env::Disk`].
//! - `conformance` (feature of the same name) is what every form must pass.
//!
//! The catalog knows nothing of what it stores: the crates above own their keys, formats and versions.

mod contract;
mod memory;
mod redb_store;
mod watch;

#[cfg(any(test, feature = "conformance"))]
pub mod conformance;

pub use contract::*;
pub use memory::MemoryStore;
pub use redb_store::{OpenError, RedbOptions, RedbStore};
pub use watch::Watch;
