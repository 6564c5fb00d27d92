//! Fixtures shared by the tests of several crates.
//!
//! - [`sim_disk`]: a disk in memory that loses, tears and refuses, reproducibly from a seed.

pub mod sim_disk;

pub use sim_disk::SimDisk;
