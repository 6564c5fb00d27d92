//! A signer and a small HTTP client.
