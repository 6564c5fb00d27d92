//! What the Lambda operations do, without HTTP.

mod invoke;

pub use invoke::*;
