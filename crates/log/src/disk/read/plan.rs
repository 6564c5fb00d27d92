//! How the runs of a cold read are fetched: pure sums, no I/O.

use super::super::format::PAGE_BYTES;
use super::source::Located;

/// Foreign bytes between two of our runs that are read along rather than skipped. About what the measured disk reads in
/// the time that another request costs it (113,000 requests of 4 KiB or 1.4 to 2 GB in a second).
const GAP_BYTES_MAX: u32 = 16 * 1024;
/// What a request costs beside its bytes, in bytes, for the same reason.
const REQUEST_COST_BYTES: u64 = 16 * 1024;

/// A stretch of a segment that is read in one go. Begins and ends on a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// Index of the segment among those of the read.
    pub(super) segment: usize,
    pub(super) start: u32,
    pub(super) length: u32,
}

/// Where a run is found: in a piece, by its index, or in a block that is in memory as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Piece(usize),
    Block(usize),
}

/// What is fetched for the first runs of a read.
#[derive(Debug)]
pub(super) struct Plan<B> {
    /// One for each of those runs.
    pub(super) places: Vec<Place>,
    pub(super) pieces: Vec<Piece>,
    pub(super) blocks: Vec<B>,
}

impl<B> Plan<B> {
    pub(super) fn piece_bytes(&self) -> usize {
        self.pieces.iter().map(|piece| piece.length as usize).sum()
    }
}

/// Plans for as many of `runs` as fit into `bytes_max` of pieces, at least for one. `whole` is asked for each block, with
/// what its pieces would cost, and gives the block when it is or shall be in memory.
pub(super) fn plan<B, E>(
    runs: &[Located],
    bytes_max: usize,
    mut whole: impl FnMut(&Located, u64) -> Result<Option<B>, E>,
) -> Result<Plan<B>, E> {
    let mut plan = Plan { places: Vec::new(), pieces: Vec::new(), blocks: Vec::new() };
    let mut planned = 0;
    for group in runs.chunk_by(|one, next| (one.segment, one.block) == (next.segment, next.block)) {
        let (pieces, indexes) = merge(group);
        let bytes: usize = pieces.iter().map(|piece| piece.length as usize).sum();
        let cost = bytes as u64 + pieces.len() as u64 * REQUEST_COST_BYTES;
        if let Some(block) = whole(&group[0], cost)? {
            plan.places.extend(group.iter().map(|_| Place::Block(plan.blocks.len())));
            plan.blocks.push(block);
            continue;
        }
        if planned > 0 && planned + bytes > bytes_max {
            break;
        }
        planned += bytes;
        let before = plan.pieces.len();
        plan.pieces.extend(pieces);
        plan.places.extend(indexes.into_iter().map(|index| Place::Piece(before + index)));
    }
    Ok(plan)
}

/// The pieces for runs of one block, and which of them holds each run.
fn merge(runs: &[Located]) -> (Vec<Piece>, Vec<usize>) {
    let mut pieces: Vec<Piece> = Vec::new();
    let mut indexes = Vec::with_capacity(runs.len());
    for located in runs {
        let page = u32::try_from(PAGE_BYTES).expect("a page is small");
        let start = located.run.offset / page * page;
        let end = (located.run.offset + located.run.length).next_multiple_of(page);
        match pieces.last_mut() {
            Some(last) if start <= last.start + last.length + GAP_BYTES_MAX && start >= last.start => {
                last.length = last.length.max(end - last.start);
            }
            _ => pieces.push(Piece { segment: located.segment, start, length: end - start }),
        }
        indexes.push(pieces.len() - 1);
    }
    (pieces, indexes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::super::segment_index::Run;
    use super::*;

    fn located(segment: usize, block: u64, offset: u32, length: u32) -> Located {
        let run = Run { first: 0, arrival_ms: 0, offset, length };
        Located { segment, run, end: 1, block, block_start: 0, block_end: u32::MAX }
    }

    fn pieces_only(runs: &[Located], bytes_max: usize) -> Plan<()> {
        plan(runs, bytes_max, |_, _| Ok::<_, ()>(None)).unwrap()
    }

    #[test]
    fn near_runs_share_a_piece_and_far_ones_do_not() {
        let runs = [located(0, 1, 5_000, 100), located(0, 1, 9_000, 100), located(0, 1, 90_000, 100)];
        let plan = pieces_only(&runs, 1 << 20);
        let expected = [(4096, 8192), (86_016, 4096)].map(|(start, length)| Piece { segment: 0, start, length });
        assert_eq!(plan.pieces, expected);
        assert_eq!(plan.places, [Place::Piece(0), Place::Piece(0), Place::Piece(1)]);
        assert_eq!(plan.piece_bytes(), 12_288);
    }

    #[test]
    fn a_block_in_memory_takes_no_pieces() {
        let runs = [located(0, 1, 5_000, 100), located(0, 2, 50_000, 100), located(1, 3, 100, 100)];
        let plan = plan(&runs, 1 << 20, |first, _| Ok::<_, ()>((first.block == 2).then_some(()))).unwrap();
        assert_eq!(plan.places, [Place::Piece(0), Place::Block(0), Place::Piece(1)]);
    }

    proptest! {
        #[test]
        fn every_planned_run_lies_in_its_piece(
            steps in prop::collection::vec((0_u64..3, 0_u32..60_000, 1_u32..9_000), 1..60),
            bytes_max in 1_usize..200_000,
        ) {
            let (mut at, mut block) = (0, 0);
            let runs: Vec<_> = steps
                .iter()
                .map(|(blocks, gap, length)| {
                    block += blocks;
                    let offset = at + gap;
                    at = offset + length;
                    located(usize::from(block > 20), block, offset, *length)
                })
                .collect();
            let plan = pieces_only(&runs, bytes_max);
            prop_assert!(!plan.places.is_empty());
            for (place, run) in plan.places.iter().zip(&runs) {
                let Place::Piece(index) = place else { panic!("no block was offered") };
                let piece = plan.pieces[*index];
                prop_assert_eq!(piece.segment, run.segment);
                prop_assert!(piece.start <= run.run.offset);
                prop_assert!(piece.start + piece.length >= run.run.offset + run.run.length);
                prop_assert_eq!(piece.start % 4096 + piece.length % 4096, 0);
            }
            let one_block = plan.places.len() == runs.partition_point(|run| run.block <= runs[0].block);
            prop_assert!(plan.piece_bytes() <= bytes_max || one_block);
        }
    }
}
