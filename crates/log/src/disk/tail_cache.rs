//! The newest published blocks, for readers at the tip.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::buffer::{Frozen, Pool};

#[derive(Debug)]
pub(super) struct TailCache {
    bytes_max: usize,
    bytes: usize,
    /// By block number: what is published is dense and in order.
    blocks: BTreeMap<u64, Frozen>,
}

impl TailCache {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, bytes: 0, blocks: BTreeMap::new() }
    }

    pub(super) fn put(&mut self, pool: &Arc<Pool>, number: u64, block: Frozen) {
        // A small block must not keep a whole buffer busy.
        let small = block.as_ref().len() <= block.capacity() / 4;
        let block = if small { pool.copy(block.as_ref()) } else { block };
        self.bytes += block.capacity();
        self.blocks.insert(number, block);
        while self.bytes > self.bytes_max {
            let Some((_, oldest)) = self.blocks.pop_first() else { break };
            self.bytes -= oldest.capacity();
        }
    }

    pub(super) fn get(&self, number: u64) -> Option<&Frozen> {
        self.blocks.get(&number)
    }
}
