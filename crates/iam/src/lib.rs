//! Who calls, and what they may do: identities, policies, the evaluator, STS sessions, credentials, signatures.
//!
//! - [`sigv4`]: finds the caller of a request by its signature.
//! - `keys`: the keys Millstream issues, so that they are never taken for foreign ones.
//! - [`Iam`]: the handle every other crate uses.
//!
//! IAM data has no region. The crate knows no HTTP beyond the headers a signature covers.

mod caller;
mod iam;
mod keys;
pub mod sigv4;

pub use caller::*;
pub use iam::{Iam, IssueError, OpenError, SessionCredentials};
pub use sigv4::{AuthError, AuthErrorKind, AuthMode, Authenticated, Authenticator, ProtocolFamily, RequestParts};
