//! What the server tells the supervisor, and what it hears back.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Longest plan: environment variables are at most 4 KiB by AWS's limit, so this is ample.
pub(crate) const PLAN_BYTES_MAX: u32 = 1024 * 1024;

/// How a function is kept apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Mode {
    /// Own mount, PID, IPC and UTS namespaces, a minimal root; Landlock and seccomp besides.
    Namespaces,
    /// Landlock and seccomp in the host's file system.
    Landlock,
    /// A plain process.
    None,
}

/// A folder or file that the function may read and execute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Bind {
    pub(crate) source: PathBuf,
    /// Where it appears in a root of its own. Without one it stays where it is.
    pub(crate) target: PathBuf,
}

/// Everything about one process to start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Plan {
    pub(crate) mode: Mode,
    /// The process that must be the supervisor's parent.
    pub(crate) server_pid: u32,
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<String>,
    pub(crate) variables: Vec<(String, String)>,
    pub(crate) working_directory: PathBuf,
    /// User and group id to become; `None` keeps the server's, which is not root then.
    pub(crate) user: Option<u32>,
    pub(crate) read_only: Vec<Bind>,
    /// `/tmp` for a process in the host's file system.
    pub(crate) tmp: PathBuf,
    /// Size of the `/tmp` of a root of its own.
    pub(crate) tmp_bytes: u64,
    /// An empty folder on which the new root is built, inside the function's mount namespace only.
    pub(crate) root_mount_point: PathBuf,
    /// Open files (AWS: 1024).
    pub(crate) descriptors_max: u64,
    /// Processes and threads (AWS: 1024). Only for a user of its own: the kernel counts by user.
    pub(crate) processes_max: u64,
}

/// What the supervisor reports, one JSON text per line. The first one counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Ending {
    Code(i32),
    Signal(i32),
    /// The program could not be executed.
    NotExecutable(String),
    /// The sandbox could not be built.
    Failed(String),
}
