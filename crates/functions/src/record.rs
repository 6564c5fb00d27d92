//! What the catalog keeps of a function.
//!
//! One key holds the function with its `$LATEST` version; every published version has a key of its own, because it never
//! changes again and there may be thousands.

use std::collections::{BTreeMap, HashSet};

use millstream_blobs::Digest;
use millstream_env::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::code::merged;
use crate::layers::LayerUse;

/// The layout of the values below. Persisted: a new layout gets a new number, and the old ones stay readable.
pub(crate) const FORMAT: u8 = 1;

/// A function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FunctionRecord {
    pub(crate) v: u8,
    pub(crate) latest: VersionRecord,
    /// The highest number ever given to a version; numbers are not used twice.
    pub(crate) last_version: u64,
    /// What was published last, so that publishing it again gives the same version.
    pub(crate) published: Option<Published>,
    pub(crate) tags: BTreeMap<String, String>,
    /// Deleted for its users; its versions are being removed.
    pub(crate) deleting: bool,
    /// Most invocations of all its versions at once, which no other function can take; 0 switches it off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reserved_concurrency: Option<u32>,
}

/// The last published version and what it was made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Published {
    pub(crate) number: u64,
    pub(crate) fingerprint: String,
}

/// One version: `$LATEST` or published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct VersionRecord {
    pub(crate) v: u8,
    pub(crate) configuration: Configuration,
    pub(crate) code: Code,
    pub(crate) lifecycle: Lifecycle,
    pub(crate) revision_id: String,
    /// Counts the changes of code and configuration, which may come faster than the clock ticks.
    pub(crate) edition: u64,
    /// Milliseconds since the epoch.
    pub(crate) last_modified_ms: u64,
}

/// A name for a version, which can be moved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct AliasRecord {
    pub(crate) v: u8,
    /// `None` is `$LATEST`.
    pub(crate) version: Option<u64>,
    pub(crate) share: Option<Share>,
    pub(crate) description: String,
    pub(crate) revision_id: String,
}

/// A second version that gets a part of an alias' invocations.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Share {
    pub(crate) version: u64,
    /// 0 to 1.
    pub(crate) weight: f64,
}

impl AliasRecord {
    /// Which version an invocation gets: `chance` is from 0 (inclusive) to 1, and only asked where there are two.
    pub(crate) fn choose(&self, chance: impl FnOnce() -> f64) -> Option<u64> {
        match self.share {
            Some(share) if chance() < share.weight => Some(share.version),
            _ => self.version,
        }
    }
}

/// Where a version stands between a change and its completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Lifecycle {
    /// `State` is `Pending`.
    Creating,
    /// `State` is `Active`, `LastUpdateStatus` is `InProgress`.
    Updating,
    /// `State` is `Active`, `LastUpdateStatus` is `Successful`.
    Ready,
}

/// What a user sets, with AWS's defaults filled in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Configuration {
    pub(crate) role: String,
    pub(crate) runtime: String,
    pub(crate) handler: String,
    pub(crate) description: String,
    pub(crate) timeout_seconds: u32,
    pub(crate) memory_mb: u32,
    pub(crate) ephemeral_storage_mb: u32,
    pub(crate) architecture: String,
    /// `None` when never given: the answer then has no `Environment`.
    pub(crate) environment: Option<BTreeMap<String, String>>,
    /// `None` for `/aws/lambda/<name>`.
    pub(crate) log_group: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) layers: Vec<LayerUse>,
}

impl Configuration {
    /// The archives of the layers, in their order.
    pub(crate) fn layer_digests(&self) -> Vec<Digest> {
        self.layers.iter().map(|layer| layer.code.digest).collect()
    }
}

/// The uploaded archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Code {
    /// Lower-case hexadecimal SHA-256 of the archive.
    #[serde(with = "digest_text")]
    pub(crate) digest: Digest,
    pub(crate) bytes: u64,
}

impl Code {
    /// `CodeSha256` as AWS writes it.
    pub(crate) fn sha256_base64(&self) -> String {
        base64_simd::STANDARD.encode_to_string(self.digest.as_bytes())
    }
}

impl VersionRecord {
    /// Notes a change of code or configuration: a new revision, modified now.
    pub(crate) fn touch(&mut self, revision_id: String, now: Timestamp) {
        self.revision_id = revision_id;
        self.edition += 1;
        self.last_modified_ms = now.millis();
    }

    /// Adds everything in the code store that it needs.
    pub(crate) fn refer(&self, digests: &mut HashSet<Digest>) {
        let layers = self.configuration.layer_digests();
        digests.extend([self.code.digest, merged(&layers)]);
        digests.extend(layers);
    }

    /// What a published version would be made of.
    pub(crate) fn fingerprint(&self) -> String {
        let parts = serde_json::to_vec(&(&self.configuration, &self.code)).expect("plain data becomes JSON");
        base64_simd::STANDARD.encode_to_string(Sha256::digest(parts))
    }
}

pub(crate) mod digest_text {
    use millstream_blobs::Digest;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(digest: &Digest, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(digest)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Digest, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values written by the first layout must stay readable for ever.
    #[test]
    fn the_committed_samples_load_and_are_written_the_same() {
        let function = include_str!("../samples/function-v1.json");
        let record: FunctionRecord = serde_json::from_str(function).unwrap();
        assert_eq!(record.v, FORMAT);
        assert_eq!(record.latest.lifecycle, Lifecycle::Ready);
        let again: serde_json::Value = serde_json::to_value(&record).unwrap();
        assert_eq!(again, serde_json::from_str::<serde_json::Value>(function).unwrap());

        let version = include_str!("../samples/function-version-v1.json");
        let record: VersionRecord = serde_json::from_str(version).unwrap();
        let again: serde_json::Value = serde_json::to_value(&record).unwrap();
        assert_eq!(again, serde_json::from_str::<serde_json::Value>(version).unwrap());
    }

    #[test]
    fn a_fingerprint_covers_code_and_configuration() {
        let record: VersionRecord = serde_json::from_str(include_str!("../samples/function-version-v1.json")).unwrap();
        let mut other = record.clone();
        other.touch("r2".to_owned(), Timestamp::from_seconds(1));
        other.lifecycle = Lifecycle::Updating;
        assert_eq!(record.fingerprint(), other.fingerprint());
        other.configuration.memory_mb += 1;
        assert_ne!(record.fingerprint(), other.fingerprint());
    }
}
