//! Who calls, and what they may do: identities, policies, the evaluator, STS sessions, credentials, signatures.

mod caller;

pub use caller::*;
