//! One machine, event by event, with its commands as short text.

use std::collections::VecDeque;

use super::*;

/// One machine, event by event.
pub(super) struct Bench {
    pub(super) machine: ShardMachine,
    /// What is to be durable at once is so at once.
    pub(super) keeps_at_once: bool,
    pub(super) failed: Vec<Arc<FailedBatch>>,
    pub(super) sent: Vec<Arc<Batch>>,
    pub(super) history: Vec<BatchEntry>,
    pub(super) progress: Option<Progress>,
}

impl Bench {
    /// At the beginning of the shard, and started.
    pub(super) fn new(settings: Settings) -> Self {
        Self::started(settings, Start::Kept(Progress::at(Position(0))))
    }

    pub(super) fn started(settings: Settings, start: Start) -> Self {
        let mut bench = Self::unstarted(settings, start);
        bench.go(0, Event::Start);
        bench
    }

    pub(super) fn unstarted(settings: Settings, start: Start) -> Self {
        Self {
            machine: ShardMachine::new(settings, format(), start, at(0)),
            keeps_at_once: true,
            failed: Vec::new(),
            sent: Vec::new(),
            history: Vec::new(),
            progress: None,
        }
    }

    /// One step, as short text: what tests compare.
    pub(super) fn go(&mut self, millis: u64, event: Event) -> String {
        let mut texts = Vec::new();
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            for command in self.machine.step(at(millis), event) {
                texts.extend(text(&command));
                match command {
                    Command::Keep { progress, ticket } => {
                        events.extend(ticket.filter(|_| self.keeps_at_once).map(Event::Kept));
                        self.progress = Some(progress);
                    }
                    Command::Discard { failed, .. } => self.failed.push(failed),
                    Command::Invoke { batch, .. } => self.sent.push(batch),
                    Command::History(entry) => self.history.push(entry),
                    _ => {}
                }
            }
        }
        texts.join(" ")
    }

    /// Milliseconds from the beginning.
    pub(super) fn deadline(&self) -> Option<u64> {
        self.machine.deadline().map(|moment| moment.millis() - START)
    }

    /// The last event that was sent.
    pub(super) fn event(&self) -> serde_json::Value {
        serde_json::from_slice(self.sent.last().expect("something was sent").event()).unwrap()
    }

    pub(super) fn decisions(&self) -> Vec<Decision> {
        self.history.iter().map(|entry| entry.decision).collect()
    }
}
