//! What the catalog keeps of an accepted event.

use millstream_blobs::Digest;
use millstream_env::Timestamp;
use millstream_types::Scope;
use serde::{Deserialize, Serialize};

use super::retry::Attempts;
use crate::record::digest_text;

/// The layout of [`QueuedEvent`]. Persisted: a new layout gets a new number, and the old ones stay readable.
pub(super) const FORMAT: u8 = 1;
pub(super) const EVENTS: &str = "async-event/";

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct QueuedEvent {
    pub(super) v: u8,
    pub(super) function_name: String,
    pub(super) qualifier: Option<String>,
    /// The same for all attempts.
    pub(super) request_id: String,
    pub(super) client_context: Option<String>,
    pub(super) body: Body,
    pub(super) attempts: Attempts,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Body {
    Inline(String),
    /// Under this digest, followed by the request id.
    Blob(#[serde(with = "digest_text")] Digest),
}

/// Events sort by their arrival.
pub(super) fn key_of(scope: &Scope, accepted: Timestamp, request_id: &str) -> String {
    format!("{EVENTS}{}/{}/{:020}-{request_id}", scope.account, scope.region, accepted.millis())
}

/// Where the event's function is.
pub(super) fn scope_of(key: &str) -> Option<Scope> {
    let mut parts = key.strip_prefix(EVENTS)?.split('/');
    Some(Scope { account: parts.next()?.parse().ok()?, region: parts.next()?.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values written by the first layout must stay readable for ever.
    #[test]
    fn the_committed_samples_load_and_are_written_the_same() {
        for sample in [
            include_str!("../../samples/async-event-inline-v1.json"),
            include_str!("../../samples/async-event-blob-v1.json"),
        ] {
            let event: QueuedEvent = serde_json::from_str(sample).unwrap();
            assert_eq!(event.v, FORMAT);
            let again = serde_json::to_value(&event).unwrap();
            assert_eq!(again, serde_json::from_str::<serde_json::Value>(sample).unwrap());
        }
    }

    #[test]
    fn keys_hold_their_scope_and_sort_by_time() {
        let scope = crate::testing::context().scope;
        let key = |seconds| key_of(&scope, Timestamp::from_seconds(seconds), "id");
        assert_eq!(scope_of(&key(1)), Some(scope.clone()));
        assert!(key(9) < key(10));
    }
}
