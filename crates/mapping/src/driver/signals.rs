//! What wakes a coordinator: flags that are set by others and taken by it, never lost and never queued.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU8, Ordering};

use millstream_types::Scope;
use tokio::sync::Notify;

use crate::record::MappingRecord;
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
    results: Mutex<Results>,
    interests: Mutex<Interests>,
    /// The mapping as the coordinator saw it last, without its result.
    seen: Mutex<Option<MappingRecord>>,
}

/// What happened last, and what is in the way of everything.
#[derive(Debug)]
struct Results {
    last: ProcessingResult,
    suspension: Option<ProcessingResult>,
}

impl Results {
    fn shown(&self) -> ProcessingResult {
        self.suspension.unwrap_or(self.last)
    }
}

impl From<ProcessingResult> for Results {
    fn from(kept: ProcessingResult) -> Self {
        if kept.is_suspension() {
            Self { last: ProcessingResult::NothingYet, suspension: Some(kept) }
        } else {
            Self { last: kept, suspension: None }
        }
    }
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
            results: Mutex::new(Results::from(result)),
            interests: Mutex::new(interests),
            seen: Mutex::new(None),
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
        self.change(|results| results.last = result);
    }

    /// Notes what suspends the mapping as a whole. It is shown until it is over, whatever ends meanwhile.
    pub(super) fn set_suspension(&self, problem: Option<ProcessingResult>) {
        self.change(|results| results.suspension = problem);
    }

    fn change(&self, change: impl FnOnce(&mut Results)) {
        let mut results = self.results.lock().expect("no code panics while holding this lock");
        let before = results.shown();
        change(&mut results);
        if results.shown() != before {
            self.raise(Flags::RESULT);
        }
    }

    pub(super) fn result(&self) -> ProcessingResult {
        self.results.lock().expect("no code panics while holding this lock").shown()
    }

    /// The coordinator looks at the mapping as it is now.
    pub(super) fn set_seen(&self, record: &MappingRecord) {
        *self.seen.lock().expect("no code panics while holding this lock") = Some(without_result(record));
    }

    /// Whether the coordinator has seen the mapping like this. Its result is the coordinator's own: nothing follows from
    /// it.
    pub(super) fn has_seen(&self, record: &MappingRecord) -> bool {
        let seen = self.seen.lock().expect("no code panics while holding this lock");
        seen.as_ref().is_some_and(|seen| *seen == without_result(record))
    }

    pub(super) fn set_interests(&self, interests: Interests) {
        *self.interests.lock().expect("no code panics while holding this lock") = interests;
    }

    pub(super) fn is_interested(&self, check: impl FnOnce(&Interests) -> bool) -> bool {
        check(&self.interests.lock().expect("no code panics while holding this lock"))
    }
}

fn without_result(record: &MappingRecord) -> MappingRecord {
    MappingRecord { last_processing_result: String::new(), ..record.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::context;

    #[test]
    fn a_suspension_is_shown_whatever_ends_meanwhile() {
        let interests = Interests { scope: context().scope, function_name: "f".to_owned() };
        let signals = Signals::new(interests, ProcessingResult::Ok);
        signals.set_suspension(Some(ProcessingResult::NoAccess));
        signals.set_result(ProcessingResult::FunctionFailed);
        assert_eq!(signals.result(), ProcessingResult::NoAccess);
        signals.set_suspension(None);
        assert_eq!(signals.result(), ProcessingResult::FunctionFailed);
    }
}
