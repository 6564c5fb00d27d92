//! Queues, topics and buckets for failed batches: small built-in SQS, SNS and S3 services, or any external endpoint.
//!
//! - [`contract`]: what event source mappings ask of a destination.
//! - [`sqs`]: the built-in queues.

mod attributes;
pub mod contract;
pub mod sqs;

pub use contract::{Deliver, Delivery, DeliveryError, SharedDeliver};
pub use sqs::Queues;
