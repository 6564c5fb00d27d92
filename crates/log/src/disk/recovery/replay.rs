//! What the records of the scanned segments add up to.

use std::collections::BTreeMap;

use millstream_env::Timestamp;

use super::super::format::fact::{CheckpointDamage, CheckpointHead, ShardFacts};
use super::super::format::record::{Kind, RecordHeader};
use super::super::segment_index::{Run, SegmentIndex};
use super::super::shard::{DamagedRange, Shard, without};
use super::scan::{Damage, ScannedBlock, ScannedRecord, SegmentScan};
use super::{DamagedRecords, Recovered};
use crate::contract::{Position, Sealed};

struct ReplayedShard {
    facts: ShardFacts,
    next: u64,
    damaged: Vec<DamagedRange>,
    accepted: Vec<DamagedRange>,
    /// What damage had been met when this shard was last heard of.
    heard: Met,
}

/// Damage met so far.
#[derive(Clone, Copy, Default)]
struct Met {
    stretches: u64,
    /// Records that were lost and are not known by shard and position, at most.
    lost: u64,
}

/// Replays segments in order.
pub(super) struct Replay {
    shards: BTreeMap<u32, ReplayedShard>,
    next_ordinal: u32,
    index: SegmentIndex,
    met: Met,
    expected_block: Option<u64>,
    damaged_blocks: Vec<(u64, u64)>,
    orphaned: u64,
}

impl Replay {
    pub(super) fn new() -> Self {
        Self {
            shards: BTreeMap::new(),
            next_ordinal: 0,
            index: SegmentIndex::default(),
            met: Met::default(),
            expected_block: None,
            damaged_blocks: Vec::new(),
            orphaned: 0,
        }
    }

    /// Takes a segment in. True when nothing happened in it after its checkpoint.
    pub(super) fn segment(&mut self, first_block: u64, scan: &SegmentScan) -> bool {
        if let Some(expected) = self.expected_block
            && first_block > expected
        {
            // Whole segments are gone; the checkpoint that follows tells what they held.
            self.damaged_blocks.push((expected, first_block - 1));
            self.met.stretches += 1;
            self.met.lost += 1;
        }
        self.index = SegmentIndex::new(first_block);
        for (ordinal, shard) in &self.shards {
            self.index.note_shard(*ordinal, shard.next, arrival(&shard.facts));
        }
        let mut empty = true;
        for block in &scan.blocks {
            for _ in block.number..=block.last_number {
                self.index.blocks.push(block.offset);
            }
            empty &= block.damage.is_none() && block.records.iter().all(|record| is_checkpoint(record.header.kind));
            match &block.damage {
                None => block.records.iter().for_each(|record| self.record(record)),
                Some(damage) => self.damaged_block(block, damage),
            }
        }
        self.index.end = scan.length;
        self.expected_block = Some(scan.last_block + 1);
        empty
    }

    /// The index of the segment taken in last.
    pub(super) fn take_index(&mut self) -> SegmentIndex {
        for (ordinal, shard) in &self.shards {
            self.index.note_shard(*ordinal, shard.next, arrival(&shard.facts));
        }
        std::mem::take(&mut self.index)
    }

    fn record(&mut self, record: &ScannedRecord) {
        let header = &record.header;
        match header.kind {
            Kind::Data | Kind::Void => self.place(header, record.offset),
            Kind::CheckpointHead => {
                if let Some(head) = CheckpointHead::decode(&record.body) {
                    self.next_ordinal = self.next_ordinal.max(head.next_ordinal);
                }
            }
            Kind::Created | Kind::CheckpointShard => {
                if let Some(facts) = ShardFacts::decode(&record.body) {
                    self.known(header, facts);
                }
            }
            Kind::CheckpointDamage => self.known_damage(header, &record.body),
            Kind::Configured | Kind::Sealed | Kind::Left => self.changed(header, &record.body),
            Kind::Entered => self.entered(header, &record.body),
            Kind::Deleted => {
                self.shards.remove(&header.ordinal);
            }
        }
    }

    /// A shard as a checkpoint or its creation tells it.
    fn known(&mut self, header: &RecordHeader, facts: ShardFacts) {
        self.next_ordinal = self.next_ordinal.max(header.ordinal + 1);
        let met = self.met;
        self.index.note_shard(header.ordinal, header.position, arrival(&facts));
        match self.shards.get_mut(&header.ordinal) {
            None => {
                let shard = ReplayedShard {
                    facts,
                    next: header.position,
                    damaged: Vec::new(),
                    accepted: Vec::new(),
                    heard: met,
                };
                self.shards.insert(header.ordinal, shard);
            }
            Some(shard) => {
                shard.reach(header.position, met);
                shard.facts = facts;
            }
        }
    }

    fn known_damage(&mut self, header: &RecordHeader, body: &[u8]) {
        let (Some(shard), Some(damage)) = (self.shards.get_mut(&header.ordinal), CheckpointDamage::decode(body)) else {
            return;
        };
        let range = (header.position, damage.last);
        let ranges = if damage.accepted { &mut shard.accepted } else { &mut shard.damaged };
        if !ranges.contains(&range) {
            ranges.push(range);
            ranges.sort_unstable();
        }
    }

    fn changed(&mut self, header: &RecordHeader, body: &[u8]) {
        let (Some(shard), Some(facts)) = (self.shards.get_mut(&header.ordinal), ShardFacts::decode(body)) else {
            return;
        };
        if header.kind == Kind::Left {
            shard.facts.away = facts.away;
            let met = self.met;
            shard.reach(header.position, met);
        } else if header.kind == Kind::Sealed {
            shard.facts.sealed = facts.sealed;
            // Nothing is given out behind the seal: what it names as last is there, or lost.
            let last = facts.sealed.and_then(|sealed: Sealed| sealed.last);
            let met = self.met;
            shard.reach(last.map_or(0, |last| last.0 + 1), met);
        } else {
            shard.facts.config = facts.config;
            shard.facts.hidden_before = shard.facts.hidden_before.max(facts.hidden_before);
        }
    }

    /// The places between were given out in another class.
    fn entered(&mut self, header: &RecordHeader, body: &[u8]) {
        let (Some(shard), Some(facts)) = (self.shards.get_mut(&header.ordinal), ShardFacts::decode(body)) else {
            return;
        };
        if shard.facts.away.is_none() {
            // That it left was lost.
            let met = self.met;
            shard.reach(header.position, met);
        }
        shard.facts = facts;
        shard.next = shard.next.max(header.position);
        shard.heard = self.met;
    }

    fn place(&mut self, header: &RecordHeader, offset: u32) {
        let met = self.met;
        let Some(shard) = self.shards.get_mut(&header.ordinal) else {
            // Its shard was deleted later, or the record of its creation is lost.
            self.orphaned += 1;
            return;
        };
        let before = (shard.next, arrival(&shard.facts));
        shard.reach(header.position, met);
        shard.next = header.position + 1;
        shard.facts.last_arrival = Some(Timestamp::from_millis(header.arrival_ms));
        let run = Run { first: header.position, arrival_ms: header.arrival_ms, offset, length: header.length };
        self.index.add(header.ordinal, run, shard.next, header.arrival_ms, before);
    }

    /// What was saved of a damaged stretch, and what is known to be lost, in the order of their places.
    fn damaged_block(&mut self, block: &ScannedBlock, damage: &Damage) {
        let before = self.met;
        self.damaged_blocks.push((block.number, block.last_number));
        self.met.stretches += 1;
        let mut unknown = damage.lost_max;
        let mut suspects = damage.suspects.iter().peekable();
        for record in &block.records {
            while let Some((_, suspect)) = suspects.next_if(|(offset, _)| *offset < record.offset) {
                unknown = unknown.saturating_sub(u64::from(self.suspect(suspect)));
            }
            self.record(record);
        }
        for (_, suspect) in suspects {
            unknown = unknown.saturating_sub(u64::from(self.suspect(suspect)));
        }
        self.met.lost += unknown;
        if unknown > 0 {
            // The stretch may have held more of the shards that were heard of in it.
            for shard in self.shards.values_mut().filter(|shard| shard.heard.stretches == self.met.stretches) {
                shard.heard = before;
            }
        }
    }

    /// A record that does not verify: lost for certain when it is the next one of its shard. True when it is.
    fn suspect(&mut self, suspect: &RecordHeader) -> bool {
        let Some(shard) = self.shards.get_mut(&suspect.ordinal) else { return false };
        let known = suspect.kind.has_position() && suspect.position == shard.next;
        if known {
            shard.damaged.push((shard.next, shard.next));
            shard.next += 1;
            shard.heard = self.met;
        }
        known
    }

    pub(super) fn finish(self, recovered: &mut Recovered) {
        recovered.next_ordinal = self.next_ordinal;
        recovered.report.damaged_blocks = self.damaged_blocks;
        recovered.report.orphaned_records = self.orphaned;
        for (ordinal, mut shard) in self.shards {
            let lost = self.met.lost - shard.heard.lost;
            if lost > 0 && shard.facts.away.is_none() {
                // It may have had records in what was lost, and nothing later says how many.
                shard.damaged.push((shard.next, shard.next + lost - 1));
                shard.next += lost;
            }
            shard.damaged = without(&shard.damaged, &shard.accepted);
            recovered.report.damaged.extend(shard.damaged.iter().map(|(first, last)| DamagedRecords {
                shard: shard.facts.key,
                first: Position(*first),
                last: Position(*last),
            }));
            let mut found = Shard::recovered(shard.facts, shard.next, shard.damaged);
            found.created = true;
            found.doubt = if shard.facts.away.is_some() { lost } else { 0 };
            found.accepted = shard.accepted;
            recovered.shards.insert(ordinal, found);
        }
    }
}

impl ReplayedShard {
    /// The shard goes on at `position`: what is missing before it is lost if anything was, and void otherwise.
    fn reach(&mut self, position: u64, met: Met) {
        if position > self.next && met.stretches > self.heard.stretches {
            self.damaged.push((self.next, position - 1));
        }
        self.next = self.next.max(position);
        self.heard = met;
    }
}

fn is_checkpoint(kind: Kind) -> bool {
    matches!(kind, Kind::CheckpointHead | Kind::CheckpointShard | Kind::CheckpointDamage)
}

fn arrival(facts: &ShardFacts) -> u64 {
    facts.last_arrival.map_or(0, Timestamp::millis)
}
