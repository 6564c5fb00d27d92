//! Content-addressed storage by SHA-256.
