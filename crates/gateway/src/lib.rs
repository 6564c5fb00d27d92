//! Listeners, service routing, signature verification, decode, authorise, call, encode.
