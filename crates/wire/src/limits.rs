//! What bounds every decoder, and how a body fails that is not of its format.

/// How deep lists and structures may lie in each other.
pub const DEPTH_MAX: usize = 64;

/// How many values a body may hold outside the direct codecs: far above any valid request, low enough that the tree of
/// a body of empty structures stays small.
pub const VALUES_MAX: usize = 200_000;

/// The body is not of its format, or nested too deeply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// Why a body did not decode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DecodeError {
    Malformed,
    /// A value of the wrong type, in the service's words.
    Type(String),
}

impl From<Malformed> for DecodeError {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}
