//! Who calls, and what they may do: identities, policies, the evaluator, STS sessions, credentials, signatures.
//!
//! - [`sigv4`]: finds the caller of a request by its signature.
//! - `keys`: the keys Millstream issues, so that they are never taken for foreign ones.
//! - `policy`: the policy language and the decision, without I/O; `managed`: the policies of AWS that are built in.
//! - `roles` and `operations`: roles in the catalog, and the operations of IAM and STS.
//! - [`Iam`]: the handle every other crate uses.
//!
//! IAM data has no region. The crate knows no HTTP beyond the headers a signature covers.

mod caller;
mod iam;
mod keys;
mod managed;
mod operations;
mod policy;
mod roles;
pub mod sigv4;

pub use caller::*;
pub use iam::{Iam, IssueError, OpenError, SessionCredentials, check_resource_policy, resource_policy_admits_service};
pub use policy::{ConditionContext, Decision, Denial, DenialReason, MalformedPolicy, PolicyKind};
pub use roles::{RoleChange, RoleWatch};
pub use sigv4::{AuthError, AuthErrorKind, AuthMode, Authenticated, Authenticator, ChunkSigner, RequestParts};
