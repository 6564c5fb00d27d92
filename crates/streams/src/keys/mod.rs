//! The keys of encrypted streams: an envelope.
//!
//! ```text
//!   KeyId, as a caller names it -> master key: a file in the data folder, made on demand (there is no KMS here)
//!   data key of a stream        -> in its header, encrypted with a master key; encrypts its records
//! ```
//!
//! - [`KeyId`]: what names a master key, in all the forms that AWS knows.
//! - [`MasterKeys`]: the files, or memory.
//! - [`KeyRing`]: the data keys of all streams, decrypted; the log asks it for them.

mod key_id;
mod master;
mod ring;
mod wrapped;

pub(crate) use key_id::{KeyId, MasterId};
pub(crate) use master::MakeError;
pub use master::MasterKeys;
pub(crate) use ring::KeyRing;
pub(crate) use wrapped::{Owner, WrappedKey};
