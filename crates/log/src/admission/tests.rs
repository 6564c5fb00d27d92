//! Admission in any order of asking, giving up and giving back. The semaphore is tokio's, which has models of its own:
//! what is asked here is what we make of it.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use proptest::prelude::*;

use crate::contract::ShardKey;

use super::*;

const BYTES_MAX: usize = 1000;

/// Whether its future wants to be polled.
#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

struct Waiting {
    future: Pin<Box<dyn Future<Output = Result<Admitted, AppendError>>>>,
    woken: Arc<Woken>,
    wanted: usize,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Ask { payload_bytes: usize },
    GiveUp { place: usize },
    GiveBack { place: usize },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (0..2 * BYTES_MAX).prop_map(|payload_bytes| Step::Ask { payload_bytes }),
        3 => (0..BYTES_MAX / 4).prop_map(|payload_bytes| Step::Ask { payload_bytes }),
        1 => any::<usize>().prop_map(|place| Step::GiveUp { place }),
        4 => any::<usize>().prop_map(|place| Step::GiveBack { place }),
    ];
    prop::collection::vec(step, 1..80)
}

/// Asks, polls who was woken, and remembers who holds what.
struct World {
    admission: Admission,
    /// In the order of asking.
    waiting: Vec<Waiting>,
    held: Vec<(Admitted, usize)>,
}

impl World {
    fn take(&mut self, step: Step) {
        match step {
            Step::Ask { payload_bytes } => {
                let admission = self.admission.clone();
                let future = async move {
                    let shard = ShardKey { stream: 1, shard: 0 };
                    admission.admit(&[Entry { shard, partition_key: "k", payload_bytes, tag: 0 }]).await
                };
                let woken = Arc::new(Woken(AtomicBool::new(true)));
                let wanted = (payload_bytes + 1 + RECORD_OVERHEAD_BYTES).min(BYTES_MAX);
                self.waiting.push(Waiting { future: Box::pin(future), woken, wanted });
            }
            Step::GiveUp { place } if !self.waiting.is_empty() => {
                drop(self.waiting.remove(place % self.waiting.len()));
            }
            Step::GiveBack { place } if !self.held.is_empty() => drop(self.held.swap_remove(place % self.held.len())),
            Step::GiveUp { .. } | Step::GiveBack { .. } => {}
        }
        self.poll_woken();
    }

    fn poll_woken(&mut self) {
        while let Some(place) = self.waiting.iter().position(|one| one.woken.0.swap(false, Ordering::Relaxed)) {
            let one = &mut self.waiting[place];
            let waker = Waker::from(Arc::clone(&one.woken));
            if let Poll::Ready(result) = one.future.as_mut().poll(&mut Context::from_waker(&waker)) {
                let wanted = self.waiting.remove(place).wanted;
                self.held.push((result.expect("time stands still"), wanted));
            }
        }
    }

    fn held_bytes(&self) -> usize {
        self.held.iter().map(|(_, bytes)| bytes).sum()
    }
}

proptest! {
    #[test]
    fn the_bound_holds_and_nobody_waits_beside_room(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let _inside = runtime.enter();
        let admission = Admission::new(BYTES_MAX, Duration::from_secs(1), HostClock::real());
        let mut world = World { admission, waiting: Vec::new(), held: Vec::new() };
        for step in steps {
            world.take(step);
            prop_assert!(world.held_bytes() <= BYTES_MAX);
            if let Some(first) = world.waiting.first() {
                prop_assert!(first.wanted > BYTES_MAX - world.held_bytes(), "the first waits for nothing");
            }
        }
        while !world.held.is_empty() {
            world.take(Step::GiveBack { place: 0 });
        }
        prop_assert!(world.waiting.is_empty(), "somebody waits for ever");
        prop_assert_eq!(world.admission.in_use(), 0);
    }
}
