//! The stored form of streams: one header and pages of shards, as versioned JSON.
//!
//! ```text
//! stream/<account>/<region>/<name>                        -> Header, consumers included
//! stream-page/<account>/<region>/<name>/<id>/<page>       -> Page, 256 shards by index
//! stream-account/<account>/<region>                       -> Account, its settings
//! stream-secret                                           -> Secret, signs iterators and page tokens
//! ```
//!
//! What stands in a header's [`Intent`] has been promised and may be half done: `lifecycle` finishes it. While a stream
//! is being created or deleted its pages may be incomplete and nobody reads them. While it is resharded its pages may be
//! half changed: the [`Round`] in the header says which shards to show as they were.

mod account;
mod consumers;
mod encryption;
mod hash_key;
mod header;
mod keys;
mod page;
mod secret;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub(crate) use account::{Account, Commitment};
pub(crate) use consumers::{ConsumerState, Consumers, StoredConsumer};
pub(crate) use encryption::{Encryption, On, StoredKey};
pub(crate) use header::{Header, Intent, Mode, Round, Status, Step};
pub(crate) use keys::{
    account_key, header_key, header_prefix, headers_prefix, name_of_header_key, page_key, page_of_key, pages_prefix,
};
pub(crate) use page::{Page, SHARDS_PER_PAGE, StoredShard};
pub(crate) use secret::{SECRET_KEY, Secret};

/// A stored value cannot be read: it is damaged, or a newer version of the program wrote it.
#[derive(Debug, thiserror::Error)]
#[error("the value under {key} cannot be read: {reason}")]
pub(crate) struct Unreadable {
    pub(crate) key: String,
    pub(crate) reason: String,
}

/// The format written today. Older ones must stay readable; what they add is optional in the structs.
pub(crate) const FORMAT: u32 = 1;

#[derive(serde::Deserialize)]
struct Format {
    v: u32,
}

pub(crate) fn encode<T: Serialize>(value: &T) -> Bytes {
    serde_json::to_vec(value).expect("stored structs have text keys and finite numbers").into()
}

pub(crate) fn decode<T: DeserializeOwned>(key: &str, bytes: &[u8]) -> Result<T, Unreadable> {
    let unreadable = |reason: String| Unreadable { key: key.to_owned(), reason };
    let format: Format = serde_json::from_slice(bytes).map_err(|e| unreadable(e.to_string()))?;
    if format.v != FORMAT {
        return Err(unreadable(format!("format {} is not known to this version", format.v)));
    }
    serde_json::from_slice(bytes).map_err(|e| unreadable(e.to_string()))
}

#[cfg(test)]
mod tests;
