//! Queues, topics and buckets for failed batches: small built-in SQS, SNS and S3 services, or any external endpoint.
//!
//! - [`contract`]: what event source mappings ask of a destination.

pub mod contract;
pub mod external;
mod permissions;
pub mod s3;
#[cfg(test)]
mod testing;

pub use contract::{Deliver, Delivery, DeliveryError, Nowhere, SharedDeliver};
