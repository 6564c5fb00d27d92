//! What an account has set for itself in one region.

use std::time::Duration;

use millstream_env::Timestamp;
use serde::{Deserialize, Serialize};

use super::FORMAT;

/// How long a billing commitment lasts at least (Kinesis model).
const COMMITMENT_MIN: Duration = Duration::from_hours(24);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Account {
    v: u32,
    /// When the commitment to a minimum throughput began last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    started_ms: Option<u64>,
    /// When it ended or is to end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    end_ms: Option<u64>,
}

/// A commitment at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Commitment {
    Disabled {
        started_and_ended: Option<(Timestamp, Timestamp)>,
    },
    Enabled {
        started: Timestamp,
    },
    /// To be ended as soon as it may be.
    Ending {
        started: Timestamp,
        at: Timestamp,
    },
}

impl Default for Account {
    fn default() -> Self {
        Self { v: FORMAT, started_ms: None, end_ms: None }
    }
}

impl Account {
    pub(crate) fn commitment(&self, now: Timestamp) -> Commitment {
        let started = self.started_ms.map(Timestamp::from_millis);
        match (started, self.end_ms.map(Timestamp::from_millis)) {
            (None, _) => Commitment::Disabled { started_and_ended: None },
            (Some(started), None) => Commitment::Enabled { started },
            (Some(started), Some(at)) if at > now => Commitment::Ending { started, at },
            (Some(started), Some(at)) => Commitment::Disabled { started_and_ended: Some((started, at)) },
        }
    }

    /// Begins a commitment, or takes back that it is to end.
    pub(crate) fn commit(&mut self, now: Timestamp) {
        if matches!(self.commitment(now), Commitment::Disabled { .. }) {
            self.started_ms = Some(now.millis());
        }
        self.end_ms = None;
    }

    /// Ends a commitment, at the earliest moment that is allowed.
    pub(crate) fn end(&mut self, now: Timestamp) {
        if let Commitment::Enabled { started } = self.commitment(now) {
            self.end_ms = Some(Self::earliest_end(started).max(now).millis());
        }
    }

    pub(crate) fn earliest_end(started: Timestamp) -> Timestamp {
        started.plus(COMMITMENT_MIN)
    }
}

impl Commitment {
    pub(crate) fn is_on(self) -> bool {
        !matches!(self, Self::Disabled { .. })
    }
}
