//! Roles as they are stored and as they are evaluated.
//!
//! - [`record`]: one role with all its policies is one value of the catalog, so that every change is one compare-and-set.
//! - [`store`]: reads and changes roles.
//! - [`parsed`]: a role's policies made ready for evaluation, kept by revision.
//! - [`watch`]: tells who depends on a role that it changed.

mod parsed;
mod record;
mod store;
mod watch;

pub(crate) use parsed::{ParsedRole, RoleCache};
pub(crate) use record::{RoleRecord, RoleReference, account_prefix, store_key};
pub(crate) use store::RoleError;
pub use watch::{RoleChange, RoleWatch};
