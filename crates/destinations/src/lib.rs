//! Queues, topics and buckets for failed batches: small built-in SQS, SNS and S3 services, or any external endpoint.
//!
//! - [`contract`]: what event source mappings ask of a destination.
//! - [`deliver`]: [`Destinations`], which does it: asks whether the execution role may send, and hands over to the place
//!   where the service is. [`built_in`] makes the services here such places.
//! - [`destination`]: which ARNs can be destinations at all.
//! - [`places`]: all of them, opened together. [`permissions`]: what is asked of identities, before anything is sent.
//! - [`sqs`], [`sns`], [`s3`]: the built-in services, which clients use as those of AWS.
//! - [`external`]: services outside.
//!
//! The services know HTTP no more than the other crates of the engine do.

mod attributes;
mod built_in;
pub mod contract;
mod deliver;
mod destination;
pub mod external;
mod finish;
mod permissions;
mod places;
pub mod s3;
pub mod sns;
pub mod sqs;
#[cfg(test)]
mod testing;

pub use contract::{Deliver, Delivery, DeliveryError, SharedDeliver};
pub use deliver::Destinations;
pub use destination::{DestinationKind, NoDestination, destination_kind};
pub use places::{OpenError, Parts, Places};
pub use sns::Topics;
pub use sqs::Queues;
