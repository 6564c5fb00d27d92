//! Queues, topics and buckets for failed batches: small built-in SQS, SNS and S3 services, or any external endpoint.
//!
//! - [`contract`]: what event source mappings ask of a destination.

pub mod contract;
pub mod s3;

pub use contract::{Deliver, Delivery, DeliveryError, SharedDeliver};
