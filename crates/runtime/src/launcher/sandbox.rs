//! The inner stages: the init of the namespaces, and the function before it becomes its program.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Gid, Uid};
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, Signal, WaitOptions};

use super::plan::{Ending, Mode, Plan};
use super::supervisor::{ending, report};
use super::sys::{self, Fork};
use super::{confine, mounts};

/// Process 1 of the function's namespaces. `alive` is closed when the supervisor has died.
pub(crate) fn run_init(plan: &Plan, control: &File, alive: &OwnedFd) -> ! {
    let mut control = control.try_clone().unwrap_or_else(|_| sys::exit(127));
    match init(plan, &control, alive) {
        Ok(result) => {
            report(&mut control, &result);
            sys::exit(0)
        }
        Err(error) => {
            report(&mut control, &Ending::Failed(error));
            sys::exit(127)
        }
    }
}

fn init(plan: &Plan, control: &File, alive: &OwnedFd) -> Result<Ending, String> {
    die_with_parent(Some(alive))?;
    mounts::build_root(plan)?;
    let function = match sys::fork().map_err(|e| format!("fork: {e}"))? {
        Fork::Child => run_function(plan, control),
        Fork::Parent(child) => child,
    };
    // Nothing privileged is left to do: this process is no target for the function it guards.
    drop_user(plan)?;
    die_with_parent(Some(alive))?;
    loop {
        match rustix::process::wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid == function => return Ok(ending(status)),
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(format!("wait: {error}")),
        }
    }
}

/// The function's process until it executes its program.
pub(crate) fn run_function(plan: &Plan, control: &File) -> ! {
    let mut control = control.try_clone().unwrap_or_else(|_| sys::exit(127));
    if let Err(error) = confine_self(plan) {
        report(&mut control, &Ending::Failed(error));
        sys::exit(127)
    }
    let error = execute(plan);
    report(&mut control, &not_executable(plan, &error));
    sys::exit(127)
}

/// Becomes the plan's program; returns only when that fails.
fn execute(plan: &Plan) -> io::Error {
    let text = |text: &[u8]| CString::new(text).map_err(io::Error::from);
    let prepare = || -> io::Result<_> {
        rustix::process::chdir(&plan.working_directory)?;
        let program = text(plan.program.as_os_str().as_bytes())?;
        let arguments = plan.arguments.iter().map(|argument| text(argument.as_bytes()));
        let arguments: Vec<_> = std::iter::once(Ok(program.clone())).chain(arguments).collect::<io::Result<_>>()?;
        let variables = plan.variables.iter().map(|(name, value)| text(format!("{name}={value}").as_bytes()));
        Ok((program, arguments, variables.collect::<io::Result<Vec<_>>>()?))
    };
    match prepare() {
        Ok((program, arguments, variables)) => sys::execute(&program, &arguments, &variables),
        Err(error) => error,
    }
}

fn not_executable(plan: &Plan, error: &io::Error) -> Ending {
    // In the words of AWS's launcher, which is written in Go: `fork/exec /var/task/bootstrap: exec format error`.
    let text = error.to_string().to_lowercase();
    let reason = text.split(" (os error").next().unwrap_or_default();
    Ending::NotExecutable(format!("fork/exec {}: {reason}", plan.program.display()))
}

fn confine_self(plan: &Plan) -> Result<(), String> {
    let failed = |what: &str, error: &dyn std::fmt::Display| format!("{what}: {error}");
    // A session of its own: signals for groups and terminals stay inside.
    rustix::process::setsid().map_err(|e| failed("setsid", &e))?;
    let limit = |value| Rlimit { current: Some(value), maximum: Some(value) };
    rustix::process::setrlimit(Resource::Core, limit(0)).map_err(|e| failed("core limit", &e))?;
    // The server has raised its own limit; functions get AWS's.
    rustix::process::setrlimit(Resource::Nofile, limit(plan.descriptors_max))
        .map_err(|e| failed("descriptor limit", &e))?;
    if plan.user.is_some() {
        rustix::process::setrlimit(Resource::Nproc, limit(plan.processes_max))
            .map_err(|e| failed("process limit", &e))?;
    }
    drop_user(plan)?;
    die_with_parent(None)?;
    rustix::thread::set_no_new_privs(true).map_err(|e| failed("no_new_privs", &e))?;
    if plan.mode == Mode::None {
        return Ok(());
    }
    confine::restrict_files(plan)?;
    confine::restrict_system_calls()
}

/// Becomes the function's user for good. Does nothing when the server is not root.
fn drop_user(plan: &Plan) -> Result<(), String> {
    let Some(id) = plan.user else { return Ok(()) };
    let (user, group) = (Uid::from_raw(id), Gid::from_raw(id));
    rustix::thread::set_thread_groups(&[]).map_err(|e| format!("setgroups: {e}"))?;
    rustix::thread::set_thread_res_gid(group, group, group).map_err(|e| format!("setresgid: {e}"))?;
    rustix::thread::set_thread_res_uid(user, user, user).map_err(|e| format!("setresuid: {e}"))
}

/// To be repeated after every change of user, which clears the setting.
fn die_with_parent(alive: Option<&OwnedFd>) -> Result<(), String> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).map_err(|e| format!("death signal: {e}"))?;
    let Some(alive) = alive else { return Ok(()) };
    let mut events = [PollFd::new(alive, PollFlags::IN)];
    let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
    match poll(&mut events, Some(&now)) {
        Ok(0) | Err(Errno::INTR) => Ok(()),
        _ => Err("the supervisor has died".to_owned()),
    }
}
