//! What queues keep in the catalog: keys and values.
//!
//! | key | value |
//! |---|---|
//! | `queue/<account>/<region>/<name>` | [`QueueRecord`] |
//! | `queue-message/<queue id>/<sequence, 16 hexadecimal digits>` | [`MessageRecord`] |
//!
//! Contents beyond [`INLINE_BYTES_MAX`] are a blob. A message whose queue does not exist, or that was purged, is left over
//! and deleted at the next start; so is a blob that no message refers to.

use std::collections::BTreeMap;

use bytes::Bytes;
use millstream_blobs::Digest;
use millstream_env::Timestamp;
use millstream_types::Scope;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::index::Sequence;
use super::names::QueueKey;
use super::settings::Settings;
use crate::attributes::Attributes;

/// The format of the values in this version.
pub(crate) const FORMAT: u32 = 1;
/// All queues lie under it.
pub(crate) const QUEUES: &str = "queue/";
/// All messages lie under it.
pub(crate) const MESSAGES: &str = "queue-message/";
/// Longest contents kept in the catalog itself.
pub(crate) const INLINE_BYTES_MAX: usize = 4096;

/// A stored value cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the catalog's value of {key} cannot be read: {reason}")]
pub(crate) struct BadRecord {
    pub(crate) key: String,
    pub(crate) reason: String,
}

/// A queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct QueueRecord {
    pub(crate) v: u32,
    /// A UUID: a queue made anew under the same name is another one.
    pub(crate) id: String,
    #[serde(with = "millis")]
    pub(crate) created: Timestamp,
    #[serde(with = "millis")]
    pub(crate) modified: Timestamp,
    pub(crate) settings: Settings,
    #[serde(default)]
    pub(crate) tags: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) purge: Option<Purge>,
}

/// The last `PurgeQueue`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Purge {
    #[serde(with = "millis")]
    pub(crate) at: Timestamp,
    /// The messages up to this sequence are gone.
    pub(crate) last: u64,
}

/// A message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MessageRecord {
    pub(crate) v: u32,
    pub(crate) id: String,
    /// Who sent it, as `SenderId` says.
    pub(crate) sender: String,
    #[serde(with = "millis")]
    pub(crate) sent: Timestamp,
    /// Bytes of body and attributes.
    pub(crate) bytes: u64,
    #[serde(default)]
    pub(crate) receives: u32,
    #[serde(default, with = "optional_millis")]
    pub(crate) first_received: Option<Timestamp>,
    #[serde(with = "millis")]
    pub(crate) visible_at: Timestamp,
    #[serde(default)]
    pub(crate) group: Option<String>,
    /// The system attribute `AWSTraceHeader`.
    #[serde(default)]
    pub(crate) trace_header: Option<String>,
    pub(crate) contents: Place,
}

/// Where the contents of a message are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Place {
    Inline(Contents),
    /// The digest of the JSON form. It holds the message's id, so that equal messages are two blobs.
    Blob(String),
}

/// What a message holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Contents {
    pub(crate) id: String,
    pub(crate) body: String,
    #[serde(default)]
    pub(crate) attributes: Attributes,
}

impl Place {
    pub(crate) fn digest(&self) -> Option<Digest> {
        match self {
            Self::Inline(_) => None,
            Self::Blob(text) => text.parse().ok(),
        }
    }
}

impl QueueKey {
    /// The key in the catalog.
    pub(crate) fn text(&self) -> String {
        format!("{}{}", queues_of(&self.scope), self.name)
    }

    pub(crate) fn parse(key: &str) -> Option<Self> {
        let mut parts = key.strip_prefix(QUEUES)?.splitn(3, '/');
        let (account, region, name) = (parts.next()?, parts.next()?, parts.next()?);
        let scope = Scope { account: account.parse().ok()?, region: region.parse().ok()? };
        Some(Self { scope, name: name.to_owned() })
    }
}

/// The queues of one account in one region lie under it.
pub(crate) fn queues_of(scope: &Scope) -> String {
    format!("{QUEUES}{}/{}/", scope.account, scope.region)
}

pub(crate) fn message_key(queue_id: &str, sequence: Sequence) -> String {
    format!("{MESSAGES}{queue_id}/{:016x}", sequence.0)
}

/// The queue's id and the place in it.
pub(crate) fn parse_message_key(key: &str) -> Option<(&str, Sequence)> {
    let (queue_id, sequence) = key.strip_prefix(MESSAGES)?.split_once('/')?;
    Some((queue_id, Sequence(u64::from_str_radix(sequence, 16).ok()?)))
}

pub(crate) fn encode(record: &impl Serialize) -> Bytes {
    serde_json::to_vec(record).expect("records have text keys and nothing that JSON lacks").into()
}

/// Kept forms with a version.
pub(crate) trait Record: DeserializeOwned {
    fn version(&self) -> u32;
}

impl Record for QueueRecord {
    fn version(&self) -> u32 {
        self.v
    }
}

impl Record for MessageRecord {
    fn version(&self) -> u32 {
        self.v
    }
}

pub(crate) fn decode<T: Record>(key: &str, value: &[u8]) -> Result<T, BadRecord> {
    let bad = |reason| BadRecord { key: key.to_owned(), reason };
    let record: T = serde_json::from_slice(value).map_err(|error| bad(error.to_string()))?;
    match record.version() {
        FORMAT => Ok(record),
        other => Err(bad(format!("its format is {other}, and this version knows {FORMAT}"))),
    }
}

/// Moments as milliseconds.
mod millis {
    use super::{Deserialize, Deserializer, Serializer, Timestamp};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for this form")]
    pub(super) fn serialize<S: Serializer>(moment: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(moment.millis())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        u64::deserialize(deserializer).map(Timestamp::from_millis)
    }
}

mod optional_millis {
    use super::{Deserialize, Deserializer, Serialize, Serializer, Timestamp};

    #[expect(clippy::ref_option, reason = "serde asks for this form")]
    pub(super) fn serialize<S: Serializer>(moment: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
        moment.map(Timestamp::millis).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
        Ok(Option::<u64>::deserialize(deserializer)?.map(Timestamp::from_millis))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As version 1 writes them: these must load for ever.
    const QUEUE: &str = r#"{"v":1,"id":"4e2a","created":1000,"modified":2000,"settings":{"delay_seconds":1,"message_bytes_max":1024,"retention_seconds":60,"receive_wait_seconds":2,"visibility_timeout_seconds":3,"policy":null},"tags":{"a":"b"},"purge":{"at":1500,"last":7}}"#;
    const MESSAGE: &str = r#"{"v":1,"id":"m","sender":"123456789012","sent":1000,"bytes":5,"receives":2,"first_received":1100,"visible_at":1200,"group":"g","trace_header":null,"contents":{"inline":{"id":"m","body":"hello","attributes":{"b":{"type":"Binary","value":{"binary":"AAE="}},"s":{"type":"String","value":{"text":"x"}}}}}}"#;

    #[test]
    fn the_first_format_loads() {
        let queue: QueueRecord = decode("q", QUEUE.as_bytes()).unwrap();
        assert_eq!(queue.settings.visibility_timeout_seconds, 3);
        assert_eq!(encode(&queue), QUEUE);
        let message: MessageRecord = decode("m", MESSAGE.as_bytes()).unwrap();
        assert_eq!(message.first_received, Some(Timestamp::from_millis(1100)));
        assert_eq!(encode(&message), MESSAGE);
        assert_eq!(decode::<QueueRecord>("q", b"{}").unwrap_err().key, "q");
        decode::<QueueRecord>("q", QUEUE.replace("\"v\":1", "\"v\":2").as_bytes()).unwrap_err();
        decode::<MessageRecord>("m", MESSAGE.replace("\"v\":1", "\"v\":2").as_bytes()).unwrap_err();
    }

    #[test]
    fn keys_come_back() {
        let scope = Scope { account: "123456789012".parse().unwrap(), region: "us-west-2".parse().unwrap() };
        let key = QueueKey { scope, name: "failed".to_owned() };
        assert_eq!(key.text(), "queue/123456789012/us-west-2/failed");
        assert_eq!(QueueKey::parse(&key.text()), Some(key));
        let text = message_key("4e2a", Sequence(255));
        assert_eq!(text, "queue-message/4e2a/00000000000000ff");
        assert_eq!(parse_message_key(&text), Some(("4e2a", Sequence(255))));
        assert_eq!(parse_message_key("queue-message/4e2a/x"), None);
    }
}
