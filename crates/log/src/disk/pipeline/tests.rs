use proptest::prelude::*;

use super::*;

const SIZES: Sizes = Sizes { block: 64 << 10, segment_min: 128 << 10, segment_max: 512 << 10, in_flight_max: 2 };

/// Takes the machine to its first running segment.
fn running() -> Pipeline {
    let (mut machine, commands) = Pipeline::new(SIZES, 0, 1);
    assert_eq!(commands, [Command::Create { segment: 1, data: 128 << 10 }]);
    assert_eq!(
        machine.step(Event::Created { segment: 1, result: Ok(()) }),
        [Command::Checkpoint { segment: 1, number: 1 }]
    );
    machine.step(Event::CheckpointBuilt { segment: 1, length: 8192 });
    assert_eq!(
        machine.step(Event::Written { segment: 1, number: 1, result: Ok(()) }),
        [Command::Sync { segment: 1, number: 1 }]
    );
    let published = machine.step(Event::Synced { segment: 1, number: 1, result: Ok(()) });
    assert_eq!(published, [Command::Publish { segment: 1, number: 1, offset: 0, length: 8192, checkpoint: true }]);
    machine
}

/// Opens a block, closes it at once and returns what follows.
fn append(machine: &mut Pipeline, length: u64) -> Vec<Command> {
    let (number, capacity) = machine.open_block(length);
    assert!(capacity >= length);
    machine.step(Event::Closed { number, length, settled: true })
}

fn write(number: u64, offset: u64, durable_upto: u64) -> Command {
    Command::Write { segment: 1, number, offset, durable_upto }
}

#[test]
fn blocks_are_published_in_order_though_synced_out_of_order() {
    let mut machine = running();
    assert_eq!(append(&mut machine, 4096), [write(2, 8192, 1)]);
    assert_eq!(append(&mut machine, 4096), [write(3, 12288, 1)]);
    assert_eq!(append(&mut machine, 4096), [], "two are in flight");
    machine.step(Event::Written { segment: 1, number: 3, result: Ok(()) });
    assert_eq!(machine.step(Event::Synced { segment: 1, number: 3, result: Ok(()) }), []);
    machine.step(Event::Written { segment: 1, number: 2, result: Ok(()) });
    let commands = machine.step(Event::Synced { segment: 1, number: 2, result: Ok(()) });
    let publish = |number, offset| Command::Publish { segment: 1, number, offset, length: 4096, checkpoint: false };
    assert_eq!(commands, [publish(2, 8192), publish(3, 12288), write(4, 16384, 3)]);
}

#[test]
fn nothing_is_in_flight_beside_a_block_that_is_kept_alone() {
    let mut machine = running();
    assert_eq!(append(&mut machine, 4096), [write(2, 8192, 1)]);
    machine.keep_alone(2);
    assert_eq!(append(&mut machine, 4096), [], "a place would be free");
    let commands = machine.step(Event::Synced { segment: 1, number: 2, result: Ok(()) });
    let publish = Command::Publish { segment: 1, number: 2, offset: 8192, length: 4096, checkpoint: false };
    assert_eq!(commands, [publish, write(3, 12288, 2)]);
    assert_eq!(append(&mut machine, 4096), [write(4, 16384, 2)], "again two");
    // Also when it fails.
    let mut machine = running();
    append(&mut machine, 4096);
    machine.keep_alone(2);
    machine.step(Event::Synced { segment: 1, number: 2, result: Err(Failure::Broken) });
    machine.step(Event::Created { segment: 2, result: Ok(()) });
    machine.step(Event::CheckpointBuilt { segment: 2, length: 8192 });
    machine.step(Event::Synced { segment: 2, number: 2, result: Ok(()) });
    let launched: Vec<_> = (0..2).map(|_| append(&mut machine, 4096).len()).collect();
    assert_eq!(launched, [1, 1]);
}

#[test]
fn an_open_block_is_closed_when_a_place_is_free() {
    let mut machine = running();
    let (number, _) = machine.open_block(100);
    assert_eq!(machine.step(Event::Appended), [Command::Close { number }]);
    assert_eq!(machine.step(Event::Closed { number, length: 4096, settled: false }), []);
    assert_eq!(machine.step(Event::Settled { number }), [write(number, 8192, 1)]);
}

#[test]
fn a_full_segment_is_followed_only_when_all_of_it_is_published() {
    let mut machine = running();
    append(&mut machine, 64 << 10);
    append(&mut machine, 60 << 10);
    assert_eq!(append(&mut machine, 64 << 10), [], "it belongs to the next segment");
    for number in [2, 3] {
        machine.step(Event::Written { segment: 1, number, result: Ok(()) });
    }
    machine.step(Event::Synced { segment: 1, number: 2, result: Ok(()) });
    let commands = machine.step(Event::Synced { segment: 1, number: 3, result: Ok(()) });
    let end = 8192 + (124 << 10);
    assert_eq!(
        commands[1..],
        [Command::Seal { segment: 1, end, last: 3 }, Command::Create { segment: 2, data: 256 << 10 }]
    );
}

#[test]
fn a_failed_sync_fails_everything_behind_it_and_tries_one_new_segment() {
    let mut machine = running();
    append(&mut machine, 4096);
    append(&mut machine, 4096);
    machine.step(Event::Written { segment: 1, number: 2, result: Ok(()) });
    let commands = machine.step(Event::Synced { segment: 1, number: 2, result: Err(Failure::Broken) });
    assert_eq!(
        commands,
        [
            Command::Fail { submitted: 3, error: AppendError::Unavailable },
            Command::Seal { segment: 1, end: 8192, last: 1 },
            Command::Create { segment: 2, data: 128 << 10 },
        ]
    );
    assert_eq!(machine.refusal(), Some(AppendError::Unavailable));
    assert_eq!(machine.step(Event::Synced { segment: 1, number: 3, result: Ok(()) }), [], "too late");
    // The new segment begins with the number after the last published block.
    let created = machine.step(Event::Created { segment: 2, result: Ok(()) });
    assert_eq!(created, [Command::Checkpoint { segment: 2, number: 2 }]);
    machine.step(Event::CheckpointBuilt { segment: 2, length: 8192 });
    let again = machine.step(Event::Written { segment: 2, number: 2, result: Err(Failure::Broken) });
    assert_eq!(again, [Command::Fail { submitted: 2, error: AppendError::Unavailable }]);
    assert!(machine.is_dead() && machine.step(Event::Retry).is_empty());
}

#[test]
fn a_full_disk_refuses_until_a_segment_can_be_made() {
    let (mut machine, _) = Pipeline::new(SIZES, 41, 7);
    let commands = machine.step(Event::Created { segment: 7, result: Err(Failure::NoSpace) });
    assert_eq!(commands, [Command::Fail { submitted: 41, error: AppendError::Full }]);
    assert_eq!(machine.refusal(), Some(AppendError::Full));
    assert_eq!(machine.step(Event::Retry), [Command::Create { segment: 8, data: 128 << 10 }]);
    assert_eq!(machine.step(Event::Created { segment: 8, result: Ok(()) }).len(), 1);
    assert_eq!(machine.refusal(), None);
}

#[test]
fn an_idle_log_vouches_for_its_last_block_once() {
    let mut machine = running();
    assert_eq!(machine.step(Event::Idle), [], "a checkpoint holds nothing to vouch for");
    append(&mut machine, 4096);
    machine.step(Event::Written { segment: 1, number: 2, result: Ok(()) });
    machine.step(Event::Synced { segment: 1, number: 2, result: Ok(()) });
    assert!(machine.needs_closing());
    let closing = Command::WriteClosing { segment: 1, number: 3, offset: 12288, durable_upto: 2 };
    assert_eq!(machine.step(Event::Idle), [closing]);
    assert_eq!(machine.step(Event::Idle), []);
    machine.step(Event::Written { segment: 1, number: 3, result: Ok(()) });
    machine.step(Event::Synced { segment: 1, number: 3, result: Ok(()) });
    assert!(!machine.needs_closing());
}

proptest! {
    /// Whatever the order of completions and failures: publication is in order and without holes, blocks never overlap
    /// in their segment, no more than two are in flight, and a Sync follows only a successful Write.
    #[test]
    fn any_order_of_completions_keeps_the_promises(choices in proptest::collection::vec((0_u8..12, any::<u8>()), 1..400)) {
        let (mut machine, commands) = Pipeline::new(SIZES, 0, 1);
        let mut world = World::default();
        world.take(&mut machine, commands);
        for (choice, detail) in choices {
            world.choose(&mut machine, choice, detail);
        }
    }
}

/// Carries commands out, and checks them.
#[derive(Default)]
struct World {
    work: Vec<Command>,
    published: u64,
    /// End of what was launched in each segment.
    ends: std::collections::BTreeMap<u64, u64>,
}

impl World {
    fn choose(&mut self, machine: &mut Pipeline, choice: u8, detail: u8) {
        match choice {
            0..=4 if machine.refusal().is_none() && !machine.is_dead() => {
                let (number, capacity) = machine.open_block(1 + u64::from(detail) * 300);
                let length = (1 + u64::from(detail) * 300).next_multiple_of(4096);
                assert!(length <= capacity);
                let commands = machine.step(Event::Closed { number, length, settled: true });
                self.take(machine, commands);
            }
            5 => {
                let commands = machine.step(Event::Idle);
                self.take(machine, commands);
            }
            6 => {
                let commands = machine.step(Event::Retry);
                self.take(machine, commands);
            }
            _ if !self.work.is_empty() => {
                let result = match detail % 40 {
                    0 => Err(Failure::Broken),
                    1 => Err(Failure::NoSpace),
                    _ => Ok(()),
                };
                let work = self.work.swap_remove(detail as usize % self.work.len());
                let event = match work {
                    Command::Create { segment, .. } => Event::Created { segment, result },
                    Command::Sync { segment, number } => Event::Synced { segment, number, result },
                    Command::Checkpoint { segment, number }
                    | Command::Write { segment, number, .. }
                    | Command::WriteClosing { segment, number, .. } => Event::Written { segment, number, result },
                    other => unreachable!("{other:?} is no work"),
                };
                let commands = machine.step(event);
                self.take(machine, commands);
            }
            _ => {}
        }
    }

    fn take(&mut self, machine: &mut Pipeline, commands: Vec<Command>) {
        for command in commands {
            match command {
                Command::Close { .. } => unreachable!("blocks are closed as they are opened here"),
                Command::Checkpoint { segment, .. } => {
                    self.ends.insert(segment, 8192);
                    machine.step(Event::CheckpointBuilt { segment, length: 8192 });
                    self.work.push(command);
                }
                Command::Write { segment, offset, durable_upto, .. }
                | Command::WriteClosing { segment, offset, durable_upto, .. } => {
                    assert_eq!(durable_upto, self.published);
                    assert!(offset >= self.ends[&segment], "blocks overlap");
                    self.ends.insert(segment, offset + 1);
                    self.work.push(command);
                }
                Command::Create { .. } | Command::Sync { .. } => self.work.push(command),
                Command::Publish { number, .. } => {
                    assert_eq!(number, self.published + 1, "publication has no holes");
                    self.published = number;
                }
                Command::Seal { last, .. } => assert_eq!(last, self.published),
                Command::Fail { submitted, .. } => assert!(submitted >= self.published),
            }
        }
        assert!(machine.flights.len() <= SIZES.in_flight_max);
    }
}
