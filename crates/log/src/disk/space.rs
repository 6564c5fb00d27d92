//! What the logs of all classes take together, for the limit they share.

use std::sync::Mutex;

use super::class::RetentionClass;

#[derive(Clone, Copy, Debug, Default)]
struct Taken {
    bytes: u64,
    /// When the oldest segment that could go was begun.
    oldest_ms: Option<u64>,
}

/// What each class said last.
#[derive(Debug, Default)]
pub(super) struct Space(Mutex<[Taken; RetentionClass::ALL.len()]>);

impl Space {
    /// Notes what a class takes. True when all together take more than `max`, and this class has the oldest segment.
    pub(super) fn is_over(&self, max: u64, class: RetentionClass, bytes: u64, oldest_ms: Option<u64>) -> bool {
        let mut all = self.0.lock().expect("no code panics while holding this lock");
        all[class.index()] = Taken { bytes, oldest_ms };
        let total: u64 = all.iter().map(|taken| taken.bytes).sum();
        let oldest = all.iter().filter_map(|taken| taken.oldest_ms).min();
        total > max && oldest_ms.is_some() && oldest_ms == oldest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_segment_of_all_classes_goes_first() {
        let space = Space::default();
        assert!(!space.is_over(100, RetentionClass::Day, 60, Some(5)), "within the limit");
        assert!(!space.is_over(100, RetentionClass::Week, 60, Some(9)), "the other class has an older one");
        assert!(space.is_over(100, RetentionClass::Day, 60, Some(5)));
        assert!(!space.is_over(100, RetentionClass::Day, 60, None), "nothing that could go");
        assert!(space.is_over(100, RetentionClass::Week, 60, Some(9)));
        assert!(!space.is_over(100, RetentionClass::Week, 30, Some(9)), "enough went");
    }
}
