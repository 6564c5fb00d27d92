//! What wakes a coordinator: flags that are set by others and taken by it, never lost and never queued.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU8, Ordering};

use millstream_types::Scope;
use tokio::sync::Notify;

use crate::result::ProcessingResult;

/// Things that may have changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flags(u8);

impl Flags {
    /// The mapping itself, or something that it depends on: look at everything again.
    pub(super) const EVERYTHING: Self = Self(1);
    /// The last processing result.
    pub(super) const RESULT: Self = Self(2);
    /// Another process has taken over a shard.
    pub(super) const FENCED: Self = Self(4);

    pub(super) const fn contains(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// The wake-ups of one coordinator.
#[derive(Debug)]
pub(super) struct Signals {
    flags: AtomicU8,
    notify: Notify,
    result: Mutex<ProcessingResult>,
    interests: Mutex<Interests>,
}

/// What a mapping depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Interests {
    pub(super) scope: Scope,
    pub(super) function_name: String,
}

impl Signals {
    pub(super) fn new(interests: Interests, result: ProcessingResult) -> Self {
        Self {
            flags: AtomicU8::new(Flags::EVERYTHING.0),
            notify: Notify::new(),
            result: Mutex::new(result),
            interests: Mutex::new(interests),
        }
    }

    pub(super) fn raise(&self, flags: Flags) {
        self.flags.fetch_or(flags.0, Ordering::AcqRel);
        self.notify.notify_one();
    }

    /// Whether a flag is raised that nobody has taken.
    pub(super) fn is_raised(&self) -> bool {
        self.flags.load(Ordering::Acquire) != 0
    }

    /// Waits until a flag is raised and takes all of them.
    pub(super) async fn raised(&self) -> Flags {
        loop {
            let flags = Flags(self.flags.swap(0, Ordering::AcqRel));
            if flags.0 != 0 {
                return flags;
            }
            self.notify.notified().await;
        }
    }

    /// Notes what happened last; wakes the coordinator only when that is news.
    pub(super) fn set_result(&self, result: ProcessingResult) {
        let mut last = self.result.lock().expect("no code panics while holding this lock");
        if *last != result {
            *last = result;
            self.raise(Flags::RESULT);
        }
    }

    pub(super) fn result(&self) -> ProcessingResult {
        *self.result.lock().expect("no code panics while holding this lock")
    }

    pub(super) fn set_interests(&self, interests: Interests) {
        *self.interests.lock().expect("no code panics while holding this lock") = interests;
    }

    pub(super) fn is_interested(&self, check: impl FnOnce(&Interests) -> bool) -> bool {
        check(&self.interests.lock().expect("no code panics while holding this lock"))
    }
}
