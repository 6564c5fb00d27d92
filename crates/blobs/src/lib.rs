//! Content-addressed storage: bytes under the SHA-256 of themselves. Function code, layers, objects, long event bodies.
//!
//! - [`BlobStore`] is the contract; [`MemoryBlobs`] and [`DiskBlobs`] are its forms; `conformance` (feature of the same
//!   name) is what both must do.
//!
//! A store does not know who refers to its blobs: each owner has a store (a folder) of its own, and deletes what it no
//! longer refers to.

mod contract;
mod digest;
mod disk;
mod memory;

#[cfg(any(test, feature = "conformance"))]
pub mod conformance;

pub use contract::{BLOB_BYTES_MAX, BlobError, BlobStore, SharedBlobs};
pub use digest::Digest;
pub use disk::DiskBlobs;
pub use memory::MemoryBlobs;
