//! The life of one environment as a pure machine: what the Runtime API answers, and how each invocation ends.
//!
//! ```text
//! Starting -> Init -> Ready <-> Invoking
//!     |        |        |          |
//!     +--------+--------+----------+----> Stopping
//! ```
//!
//! An invocation that was delivered ends exactly once: answered by the runtime, timed out, or cut off by the process's
//! end. The driver carries events in and commands out; it reads no state but what is offered here.

use std::sync::Arc;

use bytes::Bytes;

/// Where an environment is in its life.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Phase {
    /// The process is being made.
    Starting,
    /// The process runs and has not asked for an event yet.
    Init,
    /// Parked in `next`.
    Ready,
    /// Has an event. `answered`: its result is in, but the runtime has not come back for the next one.
    Invoking { request_id: Arc<str>, answered: Option<Answered> },
    /// Ends; nothing is delivered any more.
    Stopping,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answered {
    Response,
    Error,
}

/// What happens to an environment.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    Spawned,
    /// `GET next`.
    Next,
    /// The pool hands over an invocation. Only for an environment that offered itself.
    Deliver {
        request_id: Arc<str>,
    },
    /// `POST response`, its body read to the end or given up.
    Response {
        request_id: String,
        body: Posted,
    },
    /// `POST error`.
    Error {
        request_id: String,
        report: ErrorReport,
    },
    /// `POST init/error`.
    InitError {
        report: ErrorReport,
    },
    /// The function's time is over.
    Deadline {
        request_id: Arc<str>,
    },
    /// The init phase's time is over.
    InitDeadline,
    Exited(ExitCause),
    /// Memory limit, shutdown, age, a newer revision: the process is to end.
    Stop,
}

/// A posted response body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Posted {
    Whole(Bytes),
    TooLarge,
    /// The connection broke in the middle.
    Truncated,
    /// A streaming response whose trailers carry an error.
    StreamError(ErrorReport),
}

/// An error as a runtime posts it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ErrorReport {
    /// From the header or the document; `Runtime.Unknown` without either.
    pub error_type: String,
    /// The document, unchanged.
    pub body: Bytes,
}

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ExitCause {
    Code(i32),
    Signal(i32),
    /// It never ran: no `bootstrap`, a wrong architecture.
    InvalidEntrypoint(String),
    /// It never ran: the host cannot run it.
    Sandbox(String),
    /// It never ran: its role cannot be assumed.
    NotPermitted(String),
}

/// How an invocation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Response(Bytes),
    HandlerError(ErrorReport),
    ResponseTooLarge,
    ResponseTruncated,
    TimedOut,
    Exited(ExitCause),
    InitError(ErrorReport),
    InitTimedOut,
    /// The environment was told to stop.
    Stopped,
}

/// What the driver has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Hold the caller of `next` and tell the pool that this environment is free.
    Offer,
    /// Hand this invocation's result to its caller.
    Finish { request_id: Arc<str>, ending: Ending },
    /// The environment failed before its first event.
    InitFailed(Ending),
    /// Kill the process tree.
    Kill,
}

/// What the Runtime API answers to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Not a call of the Runtime API.
    None,
    /// `next` waits for a delivery.
    Park,
    Accepted,
    /// 400 `InvalidRequestID`.
    InvalidRequestId,
    /// 403 `InvalidStateTransition`.
    InvalidTransition {
        from: &'static str,
        to: &'static str,
    },
    /// 413.
    TooLarge,
    /// 400 `TruncatedHTTPRequest`.
    Truncated,
}

/// The machine.
#[derive(Debug)]
pub(crate) struct Machine {
    phase: Phase,
}

impl Machine {
    pub(crate) fn new() -> Self {
        Self { phase: Phase::Starting }
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.phase == Phase::Ready
    }

    #[cfg(test)]
    fn is_stopping(&self) -> bool {
        self.phase == Phase::Stopping
    }

    /// Whether the first event has not been asked for yet.
    pub(crate) fn is_initialising(&self) -> bool {
        matches!(self.phase, Phase::Starting | Phase::Init)
    }

    pub(crate) fn step(&mut self, event: Event) -> (Answer, Vec<Command>) {
        match event {
            Event::Spawned => {
                if self.phase == Phase::Starting {
                    self.phase = Phase::Init;
                }
                (Answer::None, Vec::new())
            }
            Event::Next => self.next(),
            Event::Deliver { request_id } => {
                assert!(self.is_ready(), "an invocation is delivered only to an environment that offered itself");
                self.phase = Phase::Invoking { request_id, answered: None };
                (Answer::None, Vec::new())
            }
            Event::Response { request_id, body } => self.answer(&request_id, Answered::Response, |_| match body {
                Posted::Whole(bytes) => (Answer::Accepted, Ending::Response(bytes)),
                Posted::TooLarge => (Answer::TooLarge, Ending::ResponseTooLarge),
                Posted::Truncated => (Answer::Truncated, Ending::ResponseTruncated),
                Posted::StreamError(report) => (Answer::Accepted, Ending::HandlerError(report)),
            }),
            Event::Error { request_id, report } => {
                self.answer(&request_id, Answered::Error, |_| (Answer::Accepted, Ending::HandlerError(report)))
            }
            Event::InitError { report } => self.init_error(report),
            Event::Deadline { request_id } => self.deadline(&request_id),
            Event::InitDeadline => {
                if self.is_initialising() {
                    return (Answer::None, self.end(&Ending::InitTimedOut, true));
                }
                (Answer::None, Vec::new())
            }
            Event::Exited(cause) => (Answer::None, self.end(&Ending::Exited(cause), false)),
            Event::Stop => (Answer::None, self.end(&Ending::Stopped, true)),
        }
    }

    fn next(&mut self) -> (Answer, Vec<Command>) {
        match &self.phase {
            Phase::Starting | Phase::Init | Phase::Invoking { answered: Some(_), .. } => {
                self.phase = Phase::Ready;
                (Answer::Park, vec![Command::Offer])
            }
            // A client that lost its connection asks again: the newer call takes the place of the older.
            Phase::Ready => (Answer::Park, Vec::new()),
            Phase::Invoking { answered: None, .. } | Phase::Stopping => (self.refuse("Ready"), Vec::new()),
        }
    }

    fn answer(
        &mut self,
        id: &str,
        kind: Answered,
        end: impl FnOnce(&str) -> (Answer, Ending),
    ) -> (Answer, Vec<Command>) {
        match &mut self.phase {
            Phase::Invoking { request_id, answered } if **request_id == *id && answered.is_none() => {
                *answered = Some(kind);
                let request_id = Arc::clone(request_id);
                let (answer, ending) = end(id);
                (answer, vec![Command::Finish { request_id, ending }])
            }
            Phase::Starting | Phase::Init => {
                let to = match kind {
                    Answered::Response => "InvocationResponse",
                    Answered::Error => "InvocationErrorResponse",
                };
                (self.refuse(to), Vec::new())
            }
            // Unknown, answered before, or too late.
            _ => (Answer::InvalidRequestId, Vec::new()),
        }
    }

    fn init_error(&mut self, report: ErrorReport) -> (Answer, Vec<Command>) {
        if self.is_initialising() {
            // The runtime exits by itself now; it is killed all the same, so that no failed environment lingers.
            return (Answer::Accepted, self.end(&Ending::InitError(report), true));
        }
        (self.refuse("InitError"), Vec::new())
    }

    fn deadline(&mut self, id: &Arc<str>) -> (Answer, Vec<Command>) {
        match &self.phase {
            // Also when answered: a runtime that does not come back for its next event in time is of no use.
            Phase::Invoking { request_id, .. } if request_id == id => (Answer::None, self.end(&Ending::TimedOut, true)),
            _ => (Answer::None, Vec::new()),
        }
    }

    /// Goes to `Stopping`, once. Whoever waits for a result gets `ending`.
    fn end(&mut self, ending: &Ending, kill: bool) -> Vec<Command> {
        let mut commands = Vec::new();
        match std::mem::replace(&mut self.phase, Phase::Stopping) {
            Phase::Stopping => return commands,
            Phase::Starting | Phase::Init => commands.push(Command::InitFailed(ending.clone())),
            Phase::Invoking { request_id, answered: None } => {
                commands.push(Command::Finish { request_id, ending: ending.clone() });
            }
            Phase::Ready | Phase::Invoking { .. } => {}
        }
        if kill {
            commands.push(Command::Kill);
        }
        commands
    }

    /// The refusal that AWS's own server gives, with its names of the states (runtime interface emulator).
    fn refuse(&self, to: &'static str) -> Answer {
        let from = match &self.phase {
            Phase::Starting | Phase::Init => "Started",
            Phase::Ready => "Ready",
            Phase::Invoking { answered: None, .. } => "Running",
            Phase::Invoking { answered: Some(Answered::Response), .. } => "ResponseSent",
            Phase::Invoking { answered: Some(Answered::Error), .. } => "InvocationErrorResponse",
            Phase::Stopping => "Exited",
        };
        Answer::InvalidTransition { from, to }
    }
}

#[cfg(test)]
mod tests;
