//! A machine that runs by itself.

use std::collections::VecDeque;

use super::*;

/// What happened while a machine ran by itself.
pub(super) struct Played {
    /// `<milliseconds>: <records>` for each invocation.
    pub(super) deliveries: Vec<String>,
    pub(super) failed: Vec<Arc<FailedBatch>>,
    pub(super) history: Vec<BatchEntry>,
    pub(super) progress: Progress,
}

impl Played {
    /// Records of each invocation.
    pub(super) fn batches(&self) -> Vec<&str> {
        self.deliveries.iter().map(|delivery| delivery.split_once(": ").unwrap().1).collect()
    }

    /// Records, condition and count of each batch that was given up.
    pub(super) fn failures(&self) -> Vec<String> {
        let text = |f: &Arc<FailedBatch>| format!("{} {} {}", span(&f.records), f.reason.condition(), f.invoke_count);
        self.failed.iter().map(text).collect()
    }

    /// How many invocations had the record at `position`.
    pub(super) fn deliveries_of(&self, position: u64) -> usize {
        self.history
            .iter()
            .filter(|entry| entry.request_id.is_some() && (entry.first.0..=entry.last.0).contains(&position))
            .count()
    }
}

/// Steps after which a machine that still has something to do is taken for one without end.
const STEPS_MAX: usize = 10_000;

/// Lets a machine with `settings` run over `stream`, from `from_millis` on, until nothing is left to do. `function` is
/// told the time and the records, and answers at once; destinations take everything.
pub(super) fn play(
    settings: Settings,
    stream: &[Record],
    from_millis: u64,
    function: impl FnMut(u64, &[Record]) -> Outcome,
) -> Played {
    play_from(settings, Progress::at(Position(0)), stream, from_millis, function)
}

pub(super) fn play_from(
    settings: Settings,
    progress: Progress,
    stream: &[Record],
    from_millis: u64,
    mut function: impl FnMut(u64, &[Record]) -> Outcome,
) -> Played {
    let mut now = from_millis;
    let mut machine = ShardMachine::new(settings, format(), Start::Kept(progress.clone()), at(now));
    let mut played = Played { deliveries: Vec::new(), failed: Vec::new(), history: Vec::new(), progress };
    let mut events = VecDeque::from([Event::Start]);
    for _ in 0..STEPS_MAX {
        let Some(event) = events.pop_front() else {
            let Some(deadline) = machine.deadline() else { return played };
            now = now.max(deadline.millis() - START);
            events.push_back(time());
            continue;
        };
        for command in machine.step(at(now), event) {
            match command {
                Command::Read { from: ReadFrom::Position(from), limit } => events.push_back(serve(stream, from, limit)),
                Command::Read { from, .. } => panic!("a machine with a position reads from {from:?}"),
                Command::Invoke { lane, batch } => {
                    played.deliveries.push(format!("{now}: {}", span(batch.records())));
                    events.push_back(ended(lane, function(now, batch.records())));
                }
                Command::Discard { lane, failed } => {
                    played.failed.push(failed);
                    events.push_back(Event::Discarded { lane, delivered: Ok(()) });
                }
                Command::Keep { progress, ticket } => {
                    played.progress = progress;
                    events.extend(ticket.map(Event::Kept));
                }
                Command::History(entry) => played.history.push(entry),
                Command::Discarded { .. } | Command::Polled { .. } | Command::Result(_) => {}
                Command::Drained | Command::Stopped => panic!("nobody asked for an end"),
            }
        }
    }
    panic!("no end after {STEPS_MAX} steps: {:?}", played.deliveries);
}

fn serve(stream: &[Record], from: Position, limit: millstream_log::ReadLimit) -> Event {
    let records: Vec<Record> = stream.iter().filter(|r| r.position >= from).take(limit.records).cloned().collect();
    let next = records.last().map_or(from, |last| Position(last.position.0 + 1));
    let behind = stream.last().filter(|last| last.position >= next).map(|last| last.arrival);
    Event::Read(ReadBatch { records, next, behind, ended: false })
}
