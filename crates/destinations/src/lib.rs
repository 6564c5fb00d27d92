//! Queues, topics and buckets for failed batches: small built-in SQS, SNS and S3 services, or any external endpoint.
//!
//! - [`contract`]: what event source mappings ask of a destination.
//! - [`deliver`]: [`Destinations`], which does it: asks whether the execution role may send, and hands over to the place
//!   where the service is. [`built_in`] makes the services here such places.
//! - [`destination`]: which ARNs can be destinations at all.
//! - [`permissions`]: what is asked of identities.
//! - [`sqs`], [`sns`]: the built-in services, which clients use as those of AWS.
//!
//! The services know HTTP no more than the other crates of the engine do.

mod attributes;
mod built_in;
pub mod contract;
mod deliver;
mod destination;
mod permissions;
pub mod sns;
pub mod sqs;

pub use contract::{Deliver, Delivery, DeliveryError, SharedDeliver};
pub use deliver::{Destinations, ObjectWriter, Places, QueueSender, TopicPublisher};
pub use destination::{DestinationKind, NoDestination, destination_kind};
pub use permissions::{Permissions, Unavailable};
pub use sns::Topics;
pub use sqs::Queues;
