//! What threads do to each other outside the engine's lock, in every order: models for loom.
//!
//! `cargo test -p millstream-log --features loom --lib models`. Cells of loom stand for what the threads write: an
//! access that is not ordered after another's write fails the model, and so does a thread that waits for ever.

#![expect(clippy::arc_with_non_send_sync, reason = "loom's threads take turns, and its cells watch over them")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use loom::cell::Cell;
use loom::future::block_on;
use loom::sync::Mutex;
use loom::thread;
use millstream_env::Timestamp;

use crate::contract::{ShardConfig, ShardKey, Tail};

use super::buffer::{Arena, Pool, Region};
use super::format::PAGE_BYTES;
use super::readers::Readers;
use super::shard::Shard;
use super::unsettled::Unsettled;

/// Bytes of a region.
const REGION: usize = 8;
const SLOTS: usize = 2;

/// Tries every order that there is.
fn explore(model: impl Fn() + Send + Sync + 'static) {
    let orders = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&orders);
    loom::model(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        model();
    });
    let orders = orders.load(Ordering::Relaxed);
    assert!(orders > 1, "threads that do not meet show nothing");
}

/// What the engine keeps of a block behind its lock, as far as it matters here.
struct Block {
    unsettled: Unsettled,
    arena: Mutex<Option<Arena>>,
    /// For each slot.
    done: Vec<Cell<bool>>,
    told: AtomicUsize,
}

impl Block {
    fn fill(&self, number: usize, mut region: Region) {
        region.bytes_mut().fill(1);
        drop(region);
        // What happens before settling, also behind the region's end, is visible to the one who is told.
        self.done[number].set(true);
        self.settle();
    }

    fn settle(&self) {
        if self.unsettled.settle_one() {
            self.told.fetch_add(1, Ordering::Relaxed);
            let arena = self.arena.lock().unwrap().take().expect("told once");
            let frozen = arena.freeze().expect("all slots are settled");
            assert!(frozen.as_ref()[..SLOTS * REGION].iter().all(|byte| *byte == 1));
            assert!(self.done.iter().all(Cell::get));
        }
    }
}

fn cells(count: usize) -> Vec<Cell<bool>> {
    (0..count).map(|_| Cell::new(false)).collect()
}

#[test]
fn one_thread_is_told_that_all_slots_are_settled_and_sees_what_all_have_written() {
    explore(|| {
        let mut arena = Pool::new(1, 0).arena(1);
        let block = Block {
            unsettled: Unsettled::of_open_block(),
            done: cells(SLOTS),
            told: AtomicUsize::new(0),
            arena: Mutex::new(None),
        };
        let regions: Vec<_> = (0..SLOTS).map(|_| arena.carve(REGION).unwrap()).collect();
        *block.arena.lock().unwrap() = Some(arena);
        let block = Arc::new(block);
        let mut threads = Vec::new();
        for (number, region) in regions.into_iter().enumerate() {
            // The later ones are added while the first may be settled already.
            block.unsettled.add_one();
            let block = Arc::clone(&block);
            threads.push(thread::spawn(move || block.fill(number, region)));
        }
        block.settle();
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(block.told.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn freezing_alone_sees_what_regions_have_written() {
    explore(|| {
        let mut arena = Pool::new(1, 0).arena(1);
        let written = Arc::new(cells(2));
        let threads: Vec<_> = (0..2)
            .map(|number| {
                let mut region = arena.carve(REGION).unwrap();
                let written = Arc::clone(&written);
                thread::spawn(move || {
                    region.bytes_mut().fill(1);
                    written[number].set(true);
                })
            })
            .collect();
        if let Ok(frozen) = arena.freeze() {
            assert!(frozen.as_ref()[..2 * REGION].iter().all(|byte| *byte == 1));
            assert!(written.iter().all(Cell::get));
        }
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

#[test]
fn memory_is_used_again_only_when_its_last_reader_is_done() {
    explore(|| {
        let pool = Pool::new(PAGE_BYTES, 1);
        let mut arena = pool.arena(1);
        drop(arena.carve(REGION));
        let frozen = arena.freeze().unwrap();
        let read = Arc::new(Cell::new(false));
        let reader = {
            let (frozen, read) = (frozen.clone(), Arc::clone(&read));
            thread::spawn(move || {
                assert!(!read.get());
                assert_eq!(frozen.as_ref()[0], 0);
            })
        };
        let place = frozen.as_ref().as_ptr();
        drop(frozen);
        let mut arena = pool.arena(1);
        let mut region = arena.carve(REGION).unwrap();
        if std::ptr::eq(region.bytes_mut().as_ptr(), place) {
            read.set(true);
        }
        reader.join().unwrap();
    });
}

/// A shard behind the engine's lock.
type Locked = Arc<Mutex<Shard>>;

fn publish(shard: &Locked, next: u64) {
    let mut shard = shard.lock().unwrap();
    shard.published(next, Timestamp::EPOCH);
    shard.wake();
}

#[test]
fn a_reader_that_subscribes_reads_and_waits_misses_nothing() {
    explore(|| {
        let config = ShardConfig { retention: std::time::Duration::from_hours(1) };
        let shard: Locked = Arc::new(Mutex::new(Shard::new(ShardKey { stream: 1, shard: 0 }, config)));
        let writer = {
            let shard = Arc::clone(&shard);
            thread::spawn(move || (1..=2).for_each(|next| publish(&shard, next)))
        };
        let mut tail = Tail(shard.lock().unwrap().subscribe());
        while shard.lock().unwrap().next < 2 {
            // For ever when a wake-up is lost; loom calls that a deadlock.
            block_on(tail.changed());
        }
        writer.join().unwrap();
    });
}

#[test]
fn a_batch_is_finished_with_a_helper_that_comes_and_goes() {
    explore(|| {
        let readers = Readers::default();
        // One thread is allowed, and this is it.
        let helper = readers.with_thread(thread::spawn);
        let doubled = readers.each(vec![1, 2], |number: u32| number * 2);
        assert_eq!(doubled, [2, 4]);
        readers.stop();
        helper.join().unwrap();
    });
}
