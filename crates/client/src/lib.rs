//! A signer and a small HTTP client, for everything of Millstream that calls an AWS API: `demo`, `put`, `bench`, tests and
//! external destinations.
//!
//! - [`sigv4`]: AWS Signature Version 4, without I/O. The server's verifier uses the same canonical form.
//! - [`http_client`]: a client that signs what it sends and keeps its connections.
//! - [`tls`]: whom it trusts when the endpoint is `https://`.
//! - [`calls`]: sends one document to a queue, a topic or a bucket.
//! - [`Credentials`]: an access key, never shown by `Debug`.
//!
//! Beside those three calls the crate knows no operation: bodies go in and come out as bytes. It speaks HTTP/1.1.

pub mod calls;
mod credentials;
pub mod http_client;
pub mod sigv4;
pub mod tls;

pub use credentials::Credentials;
pub use http_client::{Answer, Client, Error};
pub use tls::{Trust, TrustError};
