//! Fixtures shared by the tests of several crates.
//!
//! - [`sim_disk`]: a disk in memory that loses, tears and refuses, reproducibly from a seed.
//! - [`cost`]: CPU time and allocations of a piece of work.

pub mod cost;
pub mod sim_disk;

pub use sim_disk::SimDisk;
