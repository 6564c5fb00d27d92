//! The first stage: outlives the function, kills its tree, reports its ending.
#![expect(clippy::disallowed_methods, reason = "a launcher process has no injected environment")]

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions, WaitStatus};

use super::plan::{Ending, Mode, PLAN_BYTES_MAX, Plan};
use super::sys::{self, Fork};
use super::{mounts, sandbox};

/// Rounds of killing what is left of a tree without a PID namespace; each round kills everything found.
const KILL_ROUNDS_MAX: usize = 1000;

/// Runs the supervisor. Never returns.
pub(crate) fn run() -> ! {
    let code = match prepare() {
        Ok((plan, control)) => supervise(&plan, control),
        // Nobody is there to tell: the server sees the socket close.
        Err(_) => 127,
    };
    sys::exit(code)
}

/// Takes the control socket from standard input and reads the plan from it.
fn prepare() -> io::Result<(Plan, File)> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    let control: OwnedFd = rustix::io::fcntl_dupfd_cloexec(io::stdin(), 3)?;
    let mut control = File::from(control);
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    let mut length = [0; 4];
    control.read_exact(&mut length)?;
    let length = u32::from_le_bytes(length);
    if length > PLAN_BYTES_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut text = vec![0; length as usize];
    control.read_exact(&mut text)?;
    let plan: Plan = serde_json::from_slice(&text)?;
    // The server died before the death signal was set: nothing will ever close the socket in time.
    if std::os::unix::process::parent_id() != plan.server_pid {
        return Err(io::ErrorKind::ConnectionAborted.into());
    }
    Ok((plan, control))
}

fn supervise(plan: &Plan, mut control: File) -> i32 {
    let started = match plan.mode {
        Mode::Namespaces => start_namespaced(plan, &control),
        Mode::Landlock | Mode::None => start_plain(plan, &control),
    };
    let child = match started {
        Ok(child) => child,
        Err(error) => {
            report(&mut control, &Ending::Failed(error));
            return 127;
        }
    };
    let ending = wait(child, control.as_fd());
    if plan.mode != Mode::Namespaces {
        kill_descendants();
    }
    if let Some(ending) = ending {
        report(&mut control, &ending);
    }
    0
}

/// Tells the server how the process ended. When it cannot be told, it has gone, and its functions go with it.
pub(crate) fn report(control: &mut File, ending: &Ending) {
    let mut line = serde_json::to_vec(ending).expect("an ending always serialises");
    line.push(b'\n');
    let _ = control.write_all(&line);
}

fn start_namespaced(plan: &Plan, control: &File) -> Result<Pid, String> {
    mounts::enter_namespaces(plan)?;
    // The write end stays open in this process only: its closing tells the child that this process has died.
    let (alive, alive_writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).map_err(|e| e.to_string())?;
    match sys::fork().map_err(|e| format!("fork: {e}"))? {
        Fork::Child => {
            drop(alive_writer);
            sandbox::run_init(plan, control, &alive)
        }
        Fork::Parent(child) => {
            // Kept open until this process ends.
            std::mem::forget(alive_writer);
            Ok(child)
        }
    }
}

fn start_plain(plan: &Plan, control: &File) -> Result<Pid, String> {
    // Orphans of the function become children of this process, so that none escapes.
    let own = rustix::process::getpid();
    rustix::process::set_child_subreaper(Some(own)).map_err(|e| e.to_string())?;
    match sys::fork().map_err(|e| format!("fork: {e}"))? {
        Fork::Child => sandbox::run_function(plan, control),
        Fork::Parent(child) => Ok(child),
    }
}

/// Waits for the child's end, or kills it when the server closes the socket. `None`: the child reports by itself.
fn wait(child: Pid, control: BorrowedFd<'_>) -> Option<Ending> {
    let handle = rustix::process::pidfd_open(child, PidfdFlags::empty()).ok();
    loop {
        let mut events = vec![PollFd::new(&control, PollFlags::IN | PollFlags::RDHUP)];
        events.extend(handle.as_ref().map(|handle| PollFd::new(handle, PollFlags::IN)));
        match poll(&mut events, None) {
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(_) => break,
        }
        // The server sends nothing after the plan: anything here is the end of the connection.
        if !events[0].revents().is_empty() {
            let _ = rustix::process::kill_process(child, Signal::KILL);
            break;
        }
        if events.get(1).is_some_and(|event| !event.revents().is_empty()) {
            break;
        }
    }
    loop {
        match rustix::process::waitpid(Some(child), WaitOptions::empty()) {
            Ok(Some((_, status))) => return Some(ending(status)),
            Ok(None) | Err(Errno::INTR) => {}
            Err(_) => return None,
        }
    }
}

/// The report for a wait status.
pub(crate) fn ending(status: WaitStatus) -> Ending {
    match status.terminating_signal() {
        Some(signal) => Ending::Signal(signal),
        None => Ending::Code(status.exit_status().unwrap_or(0)),
    }
}

/// Kills and reaps whatever the function has left behind.
fn kill_descendants() {
    for _ in 0..KILL_ROUNDS_MAX {
        for child in children() {
            let _ = rustix::process::kill_process(child, Signal::KILL);
        }
        match rustix::process::wait(WaitOptions::empty()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => return,
        }
    }
}

fn children() -> Vec<Pid> {
    let own = rustix::process::getpid();
    let path = format!("/proc/{0}/task/{0}/children", own.as_raw_nonzero());
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.split_ascii_whitespace().filter_map(|word| Pid::from_raw(word.parse().ok()?)).collect()
}
