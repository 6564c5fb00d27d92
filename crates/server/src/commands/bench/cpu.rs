//! CPU time of a process, as Linux accounts it.

use std::time::Duration;

use anyhow::Context as _;

/// What the server and this process, the load generator, have used since a moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Meter {
    server: u32,
    before: (Duration, Duration),
}

impl Meter {
    /// Begins to count; `server` is a process id.
    pub(crate) fn start(server: u32) -> anyhow::Result<Self> {
        Ok(Self { server, before: (of_process(server)?, of_process(std::process::id())?) })
    }

    /// Of the server and of the load generator.
    pub(crate) fn spent(&self) -> anyhow::Result<(Duration, Duration)> {
        let now = (of_process(self.server)?, of_process(std::process::id())?);
        Ok((now.0.saturating_sub(self.before.0), now.1.saturating_sub(self.before.1)))
    }
}

/// User and system time of a running process, without its children.
pub(crate) fn of_process(id: u32) -> anyhow::Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).context("CPU time is read from /proc")?;
    parse(&stat).context("/proc/<id>/stat has a form that is not known")
}

fn parse(stat: &str) -> Option<Duration> {
    // The second field is the program's name in parentheses and may hold anything; count from its end.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let ticks: u64 = fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?;
    // USER_HZ is 100 on every architecture that Millstream runs on.
    Some(Duration::from_millis(ticks * 10))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_system_ticks_are_added() {
        let stat = "42 (a ) name) S 1 42 42 0 -1 4194560 100 0 0 0 150 50 7 8 20 0 5 0 1000";
        assert_eq!(parse(stat), Some(Duration::from_secs(2)));
        assert_eq!(parse("nonsense"), None);
    }
}
