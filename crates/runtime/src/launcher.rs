//! Starts a function's process inside its sandbox: this very program, executed again under another name.
//!
//! ```text
//! server (one thread that never ends) -> supervisor -> init of the namespaces -> function
//!                                            \____ (without namespaces) ______/
//! ```
//!
//! - The **supervisor** outlives the function. It holds the control socket: the plan comes in by it, the ending goes out
//!   by it, and when the server closes it (or dies) the supervisor kills the whole tree.
//! - The **init** is process 1 of its own PID namespace: it builds the function's file system, starts the function and
//!   reaps orphans. Its death is the death of everything inside.
//! - The **function** takes off all rights, then executes its program.
//!
//! - `plan`: what the server tells the supervisor.
//! - `supervisor`, `sandbox`, `mounts`, `confine`: the stages.
//! - `sys`: the few calls for which there is no safe wrapper.

pub(crate) mod confine;
pub(crate) mod mounts;
pub(crate) mod plan;
pub(crate) mod sandbox;
pub(crate) mod supervisor;
mod sys;

/// The name under which the supervisor is executed.
pub(crate) const LAUNCHER_NAME: &str = "millstream-launcher";

/// To be called first thing in `main`, before any thread exists. Returns only in processes that are no launcher.
pub fn maybe_run() {
    if std::env::args_os().next().is_some_and(|name| name == LAUNCHER_NAME) {
        supervisor::run();
    }
}
