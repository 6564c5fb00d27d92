//! Which shards to split and merge, as a function of what is there and what is wanted.

use std::collections::HashSet;

use millstream_types::{HashKey, HashKeyRange};

use crate::model::{Round, Step};

/// Ranges that differ by less than one part in this power of two count as equal.
const ROUNDING_BITS: u32 = 20;

/// An open shard: its index and its range.
pub(crate) type Open = (u32, HashKeyRange);

/// The next round on the way to `target` open shards of about equal range; empty when there is nothing left to do.
///
/// `open` partitions the hash key space and is in order of it. Every border that the uniform partition wants and that is
/// not there is made by a split, every other border is removed by a merge. Each shard takes part in one step at most, so
/// that a round can be done at once; a shard with several wanted borders inside is halved by the middle one first. How
/// AWS gets there is not known: it promises the result only.
pub(crate) fn next_round(open: &[Open], target: u32) -> Vec<Step> {
    let borders = wanted_borders(open, target);
    let wanted: HashSet<u128> = borders.iter().copied().collect();
    let mut steps = Vec::new();
    // The shard before, when it may still be merged.
    let mut free: Option<u32> = None;
    for (shard, range) in open {
        if steps.len() == Round::STEPS_MAX {
            break;
        }
        let inside = &borders[borders.partition_point(|border| *border <= range.start.0)..];
        let inside = &inside[..inside.partition_point(|border| *border <= range.end.0)];
        if !inside.is_empty() {
            steps.push(Step::Split { shard: *shard, at: inside[inside.len() / 2] });
            free = None;
            continue;
        }
        match free.take() {
            Some(before) if !wanted.contains(&range.start.0) => {
                steps.push(Step::Merge { shard: before, adjacent: *shard });
            }
            _ => free = Some(*shard),
        }
    }
    steps
}

/// Where shards are to begin. A border that is there already and is out of place by a rounding error stays: 1000 shards
/// of equal range become 2000 by halving each.
fn wanted_borders(open: &[Open], target: u32) -> Vec<u128> {
    let present: Vec<u128> = open.iter().map(|(_, range)| range.start.0).collect();
    let tolerance = (u128::MAX / u128::from(target)) >> ROUNDING_BITS;
    let nearest = |border: u128| {
        let after = present.partition_point(|start| *start < border);
        let around = present[after.saturating_sub(1)..].iter().take(2);
        around.copied().min_by_key(|start| start.abs_diff(border)).filter(|start| start.abs_diff(border) <= tolerance)
    };
    HashKeyRange::uniform(target).map(|range| nearest(range.start.0).unwrap_or(range.start.0)).collect()
}

/// The ranges of a step's children, in order.
pub(crate) fn children(step: Step, range_of: impl Fn(u32) -> Option<HashKeyRange>) -> Option<Vec<HashKeyRange>> {
    match step {
        Step::Split { shard, at } => {
            let HashKeyRange { start, end } = range_of(shard)?;
            let lower = HashKeyRange { start, end: HashKey(at.checked_sub(1)?) };
            Some(vec![lower, HashKeyRange { start: HashKey(at), end }])
        }
        Step::Merge { shard, adjacent } => {
            Some(vec![HashKeyRange { start: range_of(shard)?.start, end: range_of(adjacent)?.end }])
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn uniform(count: u32) -> Vec<Open> {
        (0..).zip(HashKeyRange::uniform(count)).collect()
    }

    /// Does a round; what is open afterwards, in order.
    fn apply(open: &[Open], steps: &[Step], next_index: &mut u32) -> Vec<Open> {
        let range_of = |index| open.iter().find(|(shard, _)| *shard == index).map(|(_, range)| *range);
        let closed: Vec<u32> = steps.iter().flat_map(|step| step.parents()).flatten().collect();
        let distinct: HashSet<u32> = closed.iter().copied().collect();
        assert_eq!(distinct.len(), closed.len(), "a shard takes part in one step only");
        let mut after: Vec<Open> = open.iter().filter(|(shard, _)| !distinct.contains(shard)).copied().collect();
        for step in steps {
            for range in children(*step, range_of).unwrap() {
                after.push((*next_index, range));
                *next_index += 1;
            }
        }
        after.sort_by_key(|(_, range)| range.start);
        after
    }

    fn check_partition(open: &[Open]) {
        assert_eq!((open[0].1.start.0, open.last().unwrap().1.end.0), (0, u128::MAX));
        assert!(open.windows(2).all(|pair| pair[0].1.end.0 + 1 == pair[1].1.start.0));
    }

    /// Rounds until nothing is left to do.
    fn reach(mut open: Vec<Open>, target: u32) -> usize {
        let mut next_index = 1_000_000;
        for rounds in 0..64 {
            let steps = next_round(&open, target);
            assert!(steps.len() <= Round::STEPS_MAX);
            if steps.is_empty() {
                assert_eq!(open.len(), target as usize);
                let tolerance = (u128::MAX / u128::from(target)) >> ROUNDING_BITS;
                for ((_, range), wanted) in open.iter().zip(HashKeyRange::uniform(target)) {
                    assert!(range.start.0.abs_diff(wanted.start.0) <= tolerance);
                }
                return rounds;
            }
            open = apply(&open, &steps, &mut next_index);
            check_partition(&open);
        }
        panic!("no end")
    }

    #[test]
    fn doubling_and_halving_take_one_round() {
        assert_eq!(reach(uniform(4), 8), 1);
        assert_eq!(reach(uniform(8), 4), 1);
        assert_eq!(reach(uniform(4), 4), 0);
        assert_eq!(reach(uniform(1), 2), 1);
        assert_eq!(reach(uniform(4), 5), 2);
    }

    #[test]
    fn a_round_is_bounded() {
        assert_eq!(next_round(&uniform(5000), 10_000).len(), Round::STEPS_MAX);
        assert_eq!(reach(uniform(1000), 2000), 4);
    }

    proptest! {
        #[test]
        fn every_target_is_reached_from_every_partition(
            mut borders in proptest::collection::btree_set(1_u128.., 0..40),
            target in 1_u32..90,
        ) {
            borders.insert(0);
            let starts: Vec<u128> = borders.into_iter().collect();
            let ends = starts[1..].iter().map(|start| start - 1).chain([u128::MAX]);
            let ranges = starts.iter().zip(ends).map(|(start, end)| HashKeyRange { start: HashKey(*start), end: HashKey(end) });
            reach((0..).zip(ranges).collect(), target);
        }
    }
}
