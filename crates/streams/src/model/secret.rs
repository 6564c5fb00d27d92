//! The secret that signs iterators and page tokens: made once, so that they survive a restart.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::FORMAT;

pub(crate) const SECRET_KEY: &str = "stream-secret";

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Secret {
    v: u32,
    pub(crate) key: [u8; 32],
}

impl Secret {
    pub(crate) fn new(key: [u8; 32]) -> Self {
        Self { v: FORMAT, key }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}
