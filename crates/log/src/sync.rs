//! The primitives of those parts that threads share without the engine's lock. In the models (`disk::models`) they are
//! loom's, which tries every interleaving and every value that a weakly ordered load may see.

#[cfg(all(test, feature = "loom"))]
pub(crate) use loom::sync::{Arc, Condvar, Mutex, MutexGuard, atomic};
#[cfg(not(all(test, feature = "loom")))]
pub(crate) use std::sync::{Arc, Condvar, Mutex, MutexGuard, atomic};
