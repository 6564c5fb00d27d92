//! The operations, one file each or one per closely related group.

mod account_settings;
mod aliases;
mod code_signing;
mod concurrency;
mod create_function;
mod delete_function;
mod event_invoke_config;
mod get_function;
mod invoke;
mod layer_permissions;
mod layers;
mod list_functions;
mod permissions;
mod resolve;
mod tags;
mod update_function;
mod versions;

pub(crate) use resolve::Resolved;
pub use resolve::{Described, LookupError};

#[cfg(test)]
mod tests;
