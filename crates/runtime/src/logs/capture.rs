//! The output of one environment: read as fast as it comes, handed to the sink, its end kept for the caller.
//!
//! Nobody waits for the sink: what it does not take is counted and reported by one line as soon as it takes lines again.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use millstream_env::HostClock;
use tokio::net::unix::pipe::Receiver;

use super::splitter::Splitter;
use crate::contract::{LogSink, LogTarget};

/// What `LogType=Tail` returns at most (Invoke's model).
const TAIL_BYTES_MAX: usize = 4096;

/// Most bytes read in one go: bounds the time for which a chattering function can hold up its own answer.
const DRAIN_BYTES_MAX: usize = 1024 * 1024;

const READ_BYTES: usize = 8 * 1024;

/// The log of one environment.
#[derive(Debug)]
pub(crate) struct Capture {
    target: Arc<LogTarget>,
    sink: Arc<dyn LogSink>,
    clock: HostClock,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    pipe: Option<Arc<Receiver>>,
    splitter: Splitter,
    tail: Tail,
    dropped: u64,
}

/// Why reading stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Drained {
    /// Nothing more for now.
    Empty,
    /// The bound was met; there may be more.
    Full,
    End,
}

impl Capture {
    pub(crate) fn new(target: Arc<LogTarget>, sink: Arc<dyn LogSink>, clock: HostClock) -> Self {
        Self { target, sink, clock, state: Mutex::default() }
    }

    pub(crate) fn target(&self) -> &LogTarget {
        &self.target
    }

    /// Reads `pipe` until its last writer is gone.
    pub(crate) async fn pump(&self, pipe: OwnedFd) -> io::Result<()> {
        let pipe = Arc::new(Receiver::from_owned_fd(pipe)?);
        self.lock().pipe = Some(Arc::clone(&pipe));
        loop {
            pipe.readable().await?;
            if self.drain(&pipe) == Drained::End {
                break;
            }
            // A function that never stops printing must not keep this thread from others.
            tokio::task::yield_now().await;
        }
        self.lock().pipe = None;
        Ok(())
    }

    /// Writes one of Lambda's own lines.
    pub(crate) fn line(&self, line: String) {
        self.lock().write(self, line.into());
    }

    /// Begins an invocation: its tail starts with this line.
    pub(crate) fn begin(&self, line: String) {
        let mut state = self.lock();
        state.read_all(self);
        state.tail = Tail::default();
        state.write(self, line.into());
    }

    /// Ends an invocation: takes in what it has printed so far, writes these lines and returns the tail.
    pub(crate) fn end(&self, lines: impl IntoIterator<Item = String>) -> Bytes {
        let mut state = self.lock();
        state.read_all(self);
        state.flush(self);
        for line in lines {
            state.write(self, line.into());
        }
        std::mem::take(&mut state.tail).0.into()
    }

    /// Gives out the last line, should it lack its end. For the process's end.
    pub(crate) fn flush(&self) {
        self.lock().flush(self);
    }

    fn drain(&self, pipe: &Receiver) -> Drained {
        let mut state = self.lock();
        let drained = state.read_all(self);
        if drained == Drained::Empty {
            // This read finds nothing either, and so tells the receiver to wait again.
            let mut bytes = [0; READ_BYTES];
            match pipe.try_read(&mut bytes) {
                Ok(0) => return Drained::End,
                Ok(count) => state.take(self, &bytes[..count]),
                Err(_) => {}
            }
        }
        drained
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        // The state is consistent between any two of its statements.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn read_all(&mut self, capture: &Capture) -> Drained {
        let Some(pipe) = self.pipe.clone() else { return Drained::Empty };
        let mut bytes = [0; READ_BYTES];
        let mut total = 0;
        while total < DRAIN_BYTES_MAX {
            match rustix::io::read(&*pipe, &mut bytes) {
                Ok(0) => return Drained::End,
                Ok(count) => {
                    total += count;
                    self.take(capture, &bytes[..count]);
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => return Drained::Empty,
                Err(error) => {
                    tracing::warn!(stream = %capture.target.stream, %error, "a function's output cannot be read");
                    return Drained::End;
                }
            }
        }
        Drained::Full
    }

    fn take(&mut self, capture: &Capture, bytes: &[u8]) {
        let mut splitter = std::mem::take(&mut self.splitter);
        splitter.feed(bytes, &mut |event| self.write(capture, event));
        self.splitter = splitter;
    }

    fn flush(&mut self, capture: &Capture) {
        let mut splitter = std::mem::take(&mut self.splitter);
        splitter.flush(&mut |event| self.write(capture, event));
        self.splitter = splitter;
    }

    fn write(&mut self, capture: &Capture, event: Bytes) {
        self.tail.push(&event);
        let now = capture.clock.now();
        if self.dropped > 0 {
            let text = format!(
                "[millstream] {} log lines dropped: they came faster than they could be stored\n",
                self.dropped
            );
            if capture.sink.write(&capture.target, now, text.into()) {
                self.dropped = 0;
            }
        }
        if !capture.sink.write(&capture.target, now, event) {
            self.dropped += 1;
        }
    }
}

/// The last bytes of an invocation's log.
#[derive(Debug, Default)]
struct Tail(Vec<u8>);

impl Tail {
    fn push(&mut self, event: &[u8]) {
        let event = &event[event.len().saturating_sub(TAIL_BYTES_MAX)..];
        let surplus = (self.0.len() + event.len()).saturating_sub(TAIL_BYTES_MAX);
        self.0.drain(..surplus.min(self.0.len()));
        self.0.extend_from_slice(event);
    }
}

#[cfg(test)]
mod tests {
    use millstream_env::Timestamp;
    use millstream_types::{AccountId, Scope};

    use super::*;

    /// Takes events while it has room.
    #[derive(Debug)]
    struct Narrow {
        room: Mutex<usize>,
        taken: Mutex<Vec<Bytes>>,
    }

    impl LogSink for Narrow {
        fn write(&self, _: &Arc<LogTarget>, _: Timestamp, message: Bytes) -> bool {
            let mut room = self.room.lock().unwrap();
            let taken = *room > 0;
            if taken {
                *room -= 1;
                self.taken.lock().unwrap().push(message);
            }
            taken
        }
    }

    #[test]
    fn lines_that_the_sink_does_not_take_are_counted() {
        let sink = Arc::new(Narrow { room: Mutex::new(1), taken: Mutex::default() });
        let target = LogTarget {
            scope: Scope { account: AccountId::default_account(), region: "us-east-1".parse().unwrap() },
            group: "g".to_owned(),
            stream: "s".to_owned(),
            role_arn: "r".to_owned(),
        };
        let capture = Capture::new(Arc::new(target), Arc::clone(&sink) as Arc<dyn LogSink>, HostClock::real());
        for line in ["1\n", "2\n", "3\n"] {
            capture.line(line.to_owned());
        }
        *sink.room.lock().unwrap() = 2;
        // The caller's tail has everything all the same.
        assert_eq!(capture.end(["4\n".to_owned()]), "1\n2\n3\n4\n");
        let dropped = "[millstream] 2 log lines dropped: they came faster than they could be stored\n";
        assert_eq!(*sink.taken.lock().unwrap(), ["1\n", dropped, "4\n"]);
    }

    #[test]
    fn the_tail_keeps_the_last_bytes() {
        let mut tail = Tail::default();
        tail.push(&[b'a'; TAIL_BYTES_MAX]);
        tail.push(b"bc");
        assert_eq!(tail.0.len(), TAIL_BYTES_MAX);
        assert!(tail.0.ends_with(b"abc"));
        tail.push(&[b'x'; TAIL_BYTES_MAX + 1]);
        assert_eq!(tail.0, [b'x'; TAIL_BYTES_MAX]);
    }
}
