//! The keys Millstream issues.
//!
//! - [`ring`]: the server secret and what is derived from it: the check inside a key id, the secret of a session key, the
//!   seal of a session token. It also knows which execution environments live.
//! - [`session`]: temporary keys. Nothing is stored for them: the token itself says, sealed, whose it is and when it ends.
//! - [`access_key`]: long-term keys, stored in the catalog.
//!
//! No secret is ever shown by `Debug` or logged.

pub(crate) mod access_key;
mod ring;
mod session;

pub(crate) use access_key::AccessKey;
pub(crate) use ring::{BASE32, KeyKind, KeyRing, secret_text};
pub(crate) use session::SessionClaims;
