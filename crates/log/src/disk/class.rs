//! Retention classes: records that are kept about equally long share segments, so that a segment goes as a whole when its
//! time has come and no long-lived stream keeps the space of short-lived ones.

use std::time::Duration;

/// A series of segments with a folder of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RetentionClass {
    /// Up to 24 hours, the default of a stream.
    Day,
    /// Up to 7 days, what AWS calls extended retention.
    Week,
    /// Longer: up to 365 days, AWS's long-term retention.
    Year,
}

impl RetentionClass {
    pub(super) const ALL: [Self; 3] = [Self::Day, Self::Week, Self::Year];

    /// The class that new records of a shard with this retention go to.
    pub(super) fn of(retention: Duration) -> Self {
        const DAY: Duration = Duration::from_hours(24);
        const WEEK: Duration = Duration::from_hours(7 * 24);
        match retention {
            retention if retention <= DAY => Self::Day,
            retention if retention <= WEEK => Self::Week,
            _ => Self::Year,
        }
    }

    /// The name of its folder, also in metrics. Persisted. The first is older than the others.
    pub fn name(self) -> &'static str {
        match self {
            Self::Day => "default",
            Self::Week => "week",
            Self::Year => "year",
        }
    }

    /// Persisted in segment headers and facts.
    pub(super) fn number(self) -> u8 {
        match self {
            Self::Day => 0,
            Self::Week => 1,
            Self::Year => 2,
        }
    }

    pub(super) fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.number() == number)
    }

    pub(super) fn index(self) -> usize {
        usize::from(self.number())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_retention_has_its_class() {
        let of = |hours| RetentionClass::of(Duration::from_hours(hours));
        assert_eq!(
            [of(24), of(25), of(168), of(169), of(8760)].map(RetentionClass::name),
            ["default", "week", "week", "year", "year"]
        );
        for class in RetentionClass::ALL {
            assert_eq!(RetentionClass::from_number(class.number()), Some(class));
        }
        assert_eq!(RetentionClass::from_number(3), None);
    }
}
