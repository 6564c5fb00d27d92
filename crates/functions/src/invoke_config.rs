//! What becomes of asynchronous invocations: how often and how long they are tried, and where results go.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::record::FORMAT;

/// Retries after a function error, and how long an event may be in the queue, unless configured (AWS's defaults).
const RETRIES: u32 = 2;
const AGE_SECONDS: u32 = 21_600;

/// What the catalog keeps of the configuration of a function's `$LATEST`, of a version or of an alias.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct InvokeConfigRecord {
    pub(crate) v: u8,
    /// Milliseconds since the epoch.
    pub(crate) modified_ms: u64,
    /// 0 to 2.
    pub(crate) retries: Option<u32>,
    /// 60 to 21600.
    pub(crate) age_seconds: Option<u32>,
    /// ARNs.
    pub(crate) on_success: Option<String>,
    pub(crate) on_failure: Option<String>,
}

impl Default for InvokeConfigRecord {
    fn default() -> Self {
        Self { v: FORMAT, modified_ms: 0, retries: None, age_seconds: None, on_success: None, on_failure: None }
    }
}

impl InvokeConfigRecord {
    pub(crate) fn bounds(&self) -> Bounds {
        Bounds {
            retries: self.retries.unwrap_or(RETRIES),
            age: Duration::from_secs(self.age_seconds.unwrap_or(AGE_SECONDS).into()),
        }
    }
}

/// How long an event is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// After a function error.
    pub(crate) retries: u32,
    pub(crate) age: Duration,
}
