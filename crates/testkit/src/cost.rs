//! What a piece of work costs: CPU time and allocations. Neither depends on how busy the machine is as wall time does.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ops::{Add, Sub};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// User and system time of all threads of this process.
pub fn cpu_of_process() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let part = |number: i64| u64::try_from(number).expect("CPU time is not negative");
    Duration::from_secs(part(time.tv_sec)) + Duration::from_nanos(part(time.tv_nsec))
}

/// Calls of the allocator, growing included, and the bytes they asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allocations {
    pub count: u64,
    pub bytes: u64,
}

static PROCESS_COUNT: AtomicU64 = AtomicU64::new(0);
static PROCESS_BYTES: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static OF_THREAD: Cell<Allocations> = const { Cell::new(Allocations { count: 0, bytes: 0 }) };
}

impl Allocations {
    /// So far, by this thread; nothing unless [`CountingAllocator`] is the program's allocator.
    pub fn of_thread() -> Self {
        OF_THREAD.get()
    }

    /// So far, by all threads; nothing unless [`CountingAllocator`] is the program's allocator.
    pub fn of_process() -> Self {
        Self { count: PROCESS_COUNT.load(Ordering::Relaxed), bytes: PROCESS_BYTES.load(Ordering::Relaxed) }
    }

    fn note(bytes: usize) {
        let one = Self { count: 1, bytes: bytes as u64 };
        PROCESS_COUNT.fetch_add(one.count, Ordering::Relaxed);
        PROCESS_BYTES.fetch_add(one.bytes, Ordering::Relaxed);
        // A thread that ends allocates when its own cell is gone already: nobody asks for that any more.
        let _gone = OF_THREAD.try_with(|cell| cell.set(cell.get() + one));
    }
}

impl Add for Allocations {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { count: self.count + other.count, bytes: self.bytes + other.bytes }
    }
}

impl Sub for Allocations {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self { count: self.count - other.count, bytes: self.bytes - other.bytes }
    }
}

/// The system's allocator, counted: `#[global_allocator] static ALLOCATOR: CountingAllocator = CountingAllocator;`
#[derive(Debug)]
pub struct CountingAllocator;

#[expect(unsafe_code, reason = "the trait is unsafe; what is done here is counting alone")]
// SAFETY: every call is handed to the system's allocator as it came.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Allocations::note(layout.size());
        // SAFETY: the caller keeps the contract of this very method.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        Allocations::note(layout.size());
        // SAFETY: the caller keeps the contract of this very method.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        Allocations::note(size);
        // SAFETY: the caller keeps the contract of this very method.
        unsafe { System.realloc(place, layout, size) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of this very method.
        unsafe { System.dealloc(place, layout) }
    }
}
