use std::time::Duration;

use millstream_env::Timestamp;
use proptest::prelude::*;

use super::block::{BlockHeader, Kind as BlockKind};
use super::fact::{CheckpointHead, ShardFacts};
use super::index::{self, IndexHead, Page};
use super::record::{Kind, RecordHeader};
use super::segment::{BadHeader, SegmentHeader};
use super::store::{FormatError, StoreFormat};
use super::*;
use crate::contract::{Position, Sealed, ShardConfig, ShardKey};
use crate::disk::class::RetentionClass;
use crate::disk::segment_index::{Run, SegmentIndex};

fn record(key: &[u8], payload: &[u8], number: u64) -> (RecordHeader, Vec<u8>) {
    let length = RecordHeader::BYTES + key.len() + payload.len();
    let mut bytes = vec![0; RecordHeader::BYTES];
    bytes.extend(key);
    bytes.extend(payload);
    let header = RecordHeader {
        length: u32::try_from(length).unwrap(),
        ordinal: 7,
        kind: Kind::Data,
        tag: 0,
        key_bytes: u16::try_from(key.len()).unwrap(),
        position: 99,
        arrival_ms: 1_700_000_000_000,
    };
    header.encode(&mut bytes, number);
    (header, bytes)
}

#[test]
fn a_record_is_laid_out_as_documented() {
    let (_, bytes) = record(b"key", b"data", 5);
    assert_eq!(bytes.len(), 39);
    assert_eq!(bytes[..4], 39_u32.to_le_bytes());
    assert_eq!(bytes[8..12], 7_u32.to_le_bytes());
    assert_eq!(bytes[12..16], [1, 0, 3, 0]);
    assert_eq!(bytes[16..24], 99_u64.to_le_bytes());
    assert_eq!(bytes[24..32], 1_700_000_000_000_u64.to_le_bytes());
    assert_eq!(bytes[32..], *b"keydata");
}

#[test]
fn records_do_not_verify_in_another_block() {
    let (header, bytes) = record(b"key", b"data", 5);
    assert_eq!(RecordHeader::decode(&bytes, 5), Some(header));
    assert!((0..2_000).filter(|number| *number != 5).all(|number| RecordHeader::decode(&bytes, number).is_none()));
    assert!(RecordHeader::decode(&bytes, 5 + (1 << 32)).is_none());
}

#[test]
fn short_or_empty_bytes_are_nothing() {
    for length in 0..70 {
        let zeros = vec![0; length];
        assert!(RecordHeader::decode(&zeros, 0).is_none() && BlockHeader::decode(&zeros).is_none());
        assert_eq!(SegmentHeader::decode(&zeros), Err(BadHeader::Unreadable));
        assert!(ShardFacts::decode(&zeros[..length.min(51)]).is_none());
    }
}

#[test]
fn a_later_segment_format_is_named() {
    let mut page = vec![0; PAGE_BYTES];
    SegmentHeader { store: 1, segment: 2, class: 0, first_block: 3, time_ms: 4 }.encode(&mut page);
    page[8] = 2;
    let crc = crc32c(&page[..60]);
    page[60..64].copy_from_slice(&crc.to_le_bytes());
    assert_eq!(SegmentHeader::decode(&page), Err(BadHeader::Format(2)));
}

#[test]
fn the_format_file_is_readable_text() {
    let text = StoreFormat { store: 0xab, features: 0 }.encode();
    assert!(text.starts_with("millstream-log 1 000000000000000000000000000000ab 0000000000000000 "), "{text}");
    assert_eq!(StoreFormat::decode(&text.as_bytes()[1..]), Err(FormatError::Unreadable));
}

proptest! {
    #[test]
    fn block_headers_round_trip(
        kind in prop_oneof![Just(BlockKind::Data), Just(BlockKind::Checkpoint), Just(BlockKind::Closing)],
        pages in 1_u32..10_000, records: u32, segment: u64, number in 1_u64.., before in 1_u64.., time_ms: u64,
    ) {
        let length = pages * 4096;
        let durable_upto = number.saturating_sub(before);
        let used = length - 5;
        let more_numbers = records / 2;
        let header = BlockHeader { kind, length, used, records, more_numbers, segment, number, durable_upto, time_ms };
        let mut bytes = [0xff; BlockHeader::BYTES];
        header.encode(&mut bytes);
        prop_assert_eq!(BlockHeader::decode(&bytes), Some(header));
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(BlockHeader::decode(&bytes), None);
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }

    #[test]
    fn records_round_trip_and_notice_every_flipped_bit(
        key in proptest::collection::vec(any::<u8>(), 0..40), payload in proptest::collection::vec(any::<u8>(), 0..80),
        number: u64,
    ) {
        let (header, mut bytes) = record(&key, &payload, number);
        prop_assert_eq!(RecordHeader::decode(&bytes, number), Some(header));
        prop_assert_eq!(&bytes[header.payload_at()..], &payload[..]);
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(RecordHeader::decode(&bytes, number), None);
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }

    #[test]
    fn decoders_take_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = (RecordHeader::decode(&bytes, 1), RecordHeader::plausible(&bytes), BlockHeader::decode(&bytes));
        let _ = (ShardFacts::decode(&bytes), CheckpointHead::decode(&bytes), StoreFormat::decode(&bytes));
        let _ = SegmentHeader::decode(&bytes);
    }

    #[test]
    fn segment_headers_and_formats_round_trip(
        store: u128, segment: u64, class: u8, first_block: u64, time_ms: u64,
    ) {
        let header = SegmentHeader { store, segment, class, first_block, time_ms };
        let mut page = vec![1; PAGE_BYTES];
        header.encode(&mut page);
        prop_assert_eq!(SegmentHeader::decode(&page), Ok(header));
        let format = StoreFormat { store, features: 0 };
        prop_assert_eq!(StoreFormat::decode(format.encode().as_bytes()), Ok(format));
    }

    #[test]
    fn facts_round_trip(
        stream: u64, shard: u32, retention in 0..u64::MAX / 2, hidden in 0..u64::MAX / 2,
        last in proptest::option::of(0..u64::MAX / 2), sealed in proptest::option::of((0..u64::MAX / 2, proptest::option::of(0_u64..1 << 62))),
        next_ordinal: u32, shards: u32, away in 0_u8..4, begins: u64,
    ) {
        let facts = ShardFacts {
            key: ShardKey { stream, shard },
            config: ShardConfig { retention: Duration::from_millis(retention) },
            hidden_before: Timestamp::from_millis(hidden),
            last_arrival: last.map(Timestamp::from_millis),
            sealed: sealed.map(|(closed, last)| Sealed {
                closed_at: Timestamp::from_millis(closed),
                last: last.map(Position),
            }),
            away: RetentionClass::from_number(away),
            begins,
        };
        let mut bytes = facts.encode();
        let first_form = ShardFacts { away: None, begins: 0, ..facts };
        prop_assert_eq!(ShardFacts::decode(&bytes[..52]), Some(first_form), "what was written before still loads");
        bytes.extend([1, 2, 3]);
        prop_assert_eq!(ShardFacts::decode(&bytes), Some(facts), "a body may grow at its end");
        let head = CheckpointHead { next_ordinal, shards };
        prop_assert_eq!(CheckpointHead::decode(&head.encode()), Some(head));
    }

    #[test]
    fn indexes_round_trip(
        sizes in proptest::collection::vec(0_usize..400, 0..200), blocks in 0_u32..3_000, segment: u64, first_block: u64,
    ) {
        let mut made = SegmentIndex::new(first_block);
        made.blocks = (0..blocks).map(|block| 4096 + block * 4096).collect();
        made.end = u64::from(4096 + blocks * 4096);
        for (ordinal, runs) in (0_u32..).zip(&sizes) {
            made.note_shard(ordinal * 3, 10, 5);
            for at in 0..u64::try_from(*runs).unwrap() {
                let run = Run { first: 10 + 2 * at, arrival_ms: at, offset: u32::try_from(at * 100).unwrap(), length: 50 };
                made.add(ordinal * 3, run, 11 + 2 * at, at, (10, 5));
            }
        }
        let file = index::encode(&made, 77, segment);
        prop_assert_eq!(file.len() % PAGE_BYTES, 0);
        let pages: Vec<&Page> = file.chunks_exact(PAGE_BYTES).map(|page| page.try_into().unwrap()).collect();
        let head = IndexHead::decode(pages[0], segment).unwrap();
        prop_assert_eq!((head.first_block, head.end, head.store), (first_block, made.end, 77));
        prop_assert!((0..).zip(&pages).all(|(number, page)| index::verify(page, segment, number)));
        let runs_page = usize::try_from(head.runs_page()).unwrap();
        let blocks_page = usize::try_from(head.blocks_page()).unwrap();
        for (at, (ordinal, shard)) in made.shards.iter().enumerate() {
            let entry = index::entry_of(pages[1 + at / index::ENTRIES_PER_PAGE], at % index::ENTRIES_PER_PAGE);
            prop_assert_eq!((entry.ordinal, entry.extent), (*ordinal, shard.extent));
            let runs = (0..entry.run_count as usize).map(|run| {
                let at = usize::try_from(entry.runs_at).unwrap() + run;
                index::run_of(pages[runs_page + at / index::RUNS_PER_PAGE], at % index::RUNS_PER_PAGE)
            });
            prop_assert_eq!(runs.collect::<Vec<_>>(), shard.runs.clone());
        }
        for (at, start) in made.blocks.iter().enumerate() {
            let page = pages[blocks_page + at / index::BLOCKS_PER_PAGE];
            prop_assert_eq!(index::block_start_of(page, at % index::BLOCKS_PER_PAGE), *start);
        }
    }
}
