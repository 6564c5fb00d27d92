//! What the operations of SQS do. Permissions are checked before.

mod batch;
mod handle;
mod manage;
mod purge;
mod receive;
mod release;
mod send;

pub(crate) use send::NewMessage;
