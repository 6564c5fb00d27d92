//! What this host offers to keep functions apart, and the plans that use it.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use millstream_env::HostClock;

use crate::launcher::plan::{Bind, Mode, Plan};
use crate::machine::ExitCause;
use crate::options::Isolation;
use crate::process::Spawner;

/// AWS's limit of open files per environment.
const DESCRIPTORS_MAX: u64 = 1024;

/// AWS's limit of processes and threads per environment.
const PROCESSES_MAX: u64 = 1024;

/// `/tmp` of a probe.
const PROBE_TMP_BYTES: u64 = 1024 * 1024;

/// How long a probe may take.
const PROBE_MAX: Duration = Duration::from_secs(10);

/// Where a function finds its things.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) task: String,
    pub(crate) runtime: String,
    pub(crate) opt: String,
    pub(crate) tmp: String,
}

impl Layout {
    /// In a root of its own: AWS's places.
    pub(crate) fn namespaced() -> Self {
        Self {
            task: "/var/task".to_owned(),
            runtime: "/var/runtime".to_owned(),
            opt: "/opt".to_owned(),
            tmp: "/tmp".to_owned(),
        }
    }
}

/// What a process needs of its sandbox.
#[derive(Clone, Debug)]
pub(crate) struct Needs {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<String>,
    pub(crate) variables: Vec<(String, String)>,
    pub(crate) working_directory: PathBuf,
    pub(crate) read_only: Vec<Bind>,
    pub(crate) tmp: PathBuf,
    pub(crate) tmp_bytes: u64,
}

/// The isolation in use.
#[derive(Debug)]
pub(crate) struct Sandbox {
    /// Or why functions are refused.
    mode: Result<Mode, String>,
    /// Why a better one is not used.
    remark: Option<String>,
    users: Option<Users>,
    root_mount_point: PathBuf,
}

impl Sandbox {
    /// Tries what this host offers.
    pub(crate) async fn detect(
        isolation: Isolation,
        uids: RangeInclusive<u32>,
        root_mount_point: PathBuf,
        spawner: &Spawner,
        clock: &HostClock,
    ) -> Self {
        let users = rustix::process::geteuid().is_root().then(|| Users::new(uids));
        let mut sandbox = Self { mode: Ok(Mode::None), remark: None, users, root_mount_point };
        if isolation == Isolation::None {
            sandbox.remark = Some("asked for".to_owned());
            return sandbox;
        }
        let mut reasons = Vec::new();
        let modes: &[Mode] = match isolation {
            Isolation::Landlock => &[Mode::Landlock],
            Isolation::Auto | Isolation::None => &[Mode::Namespaces, Mode::Landlock],
        };
        for mode in modes.iter().copied() {
            sandbox.mode = Ok(mode);
            match sandbox.probe(spawner, clock).await {
                Ok(()) => {
                    sandbox.remark = (!reasons.is_empty()).then(|| reasons.join("; "));
                    return sandbox;
                }
                Err(reason) => reasons.push(reason),
            }
        }
        sandbox.mode = Err(format!(
            "this host offers neither namespaces nor Landlock to isolate functions ({}); --isolation none runs them without",
            reasons.join("; ")
        ));
        sandbox
    }

    pub(crate) fn mode(&self) -> Result<Mode, &str> {
        self.mode.as_ref().copied().map_err(String::as_str)
    }

    pub(crate) fn remark(&self) -> Option<&str> {
        self.remark.as_deref()
    }

    /// A user id for one environment, when the server is root.
    pub(crate) fn take_user(&self) -> Result<Option<u32>, String> {
        self.users.as_ref().map(|users| users.take().ok_or("all function user ids are in use".to_owned())).transpose()
    }

    pub(crate) fn give_back_user(&self, user: Option<u32>) {
        if let (Some(users), Some(user)) = (&self.users, user) {
            users.give_back(user);
        }
    }

    pub(crate) fn plan(&self, needs: Needs, user: Option<u32>) -> Result<Plan, String> {
        Ok(Plan {
            mode: self.mode.clone()?,
            server_pid: std::process::id(),
            program: needs.program,
            arguments: needs.arguments,
            variables: needs.variables,
            working_directory: needs.working_directory,
            user,
            read_only: needs.read_only,
            tmp: needs.tmp,
            tmp_bytes: needs.tmp_bytes,
            root_mount_point: self.root_mount_point.clone(),
            descriptors_max: DESCRIPTORS_MAX,
            processes_max: PROCESSES_MAX,
        })
    }

    /// Runs a program with nothing but a minimal environment and returns what it prints.
    pub(crate) async fn run(
        &self,
        spawner: &Spawner,
        clock: &HostClock,
        program: &Path,
        arguments: &[&str],
        read_only: Vec<Bind>,
    ) -> Result<String, String> {
        let needs = Needs {
            program: program.to_owned(),
            arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
            variables: vec![("PATH".to_owned(), "/usr/local/bin:/usr/bin:/bin".to_owned())],
            working_directory: PathBuf::from("/"),
            read_only,
            // Nothing is written by a probe; without a root of its own this folder is not even looked at.
            tmp: PathBuf::from("/nonexistent"),
            tmp_bytes: PROBE_TMP_BYTES,
        };
        let user = self.take_user()?;
        let result = self.run_planned(spawner, clock, needs, user).await;
        self.give_back_user(user);
        result
    }

    async fn run_planned(
        &self,
        spawner: &Spawner,
        clock: &HostClock,
        needs: Needs,
        user: Option<u32>,
    ) -> Result<String, String> {
        let plan = self.plan(needs, user)?;
        let mut process = spawner.spawn(&plan).await.map_err(|error| error.to_string())?;
        let output = process.take_output();
        match clock.timeout(PROBE_MAX, process.wait()).await {
            Some(ExitCause::Code(0)) => Ok(first_output(&output)),
            Some(cause) => Err(format!("{cause} {}", first_output(&output)).trim().to_owned()),
            None => {
                process.kill(clock).await;
                Err(format!("no answer within {} seconds", PROBE_MAX.as_secs()))
            }
        }
    }

    async fn probe(&self, spawner: &Spawner, clock: &HostClock) -> Result<(), String> {
        self.run(spawner, clock, Path::new("/bin/true"), &[], Vec::new()).await.map(|_| ())
    }
}

/// What is in the pipe of a process that has ended: at most what a pipe holds.
fn first_output(pipe: &std::os::fd::OwnedFd) -> String {
    let mut bytes = [0; 4096];
    let flags = rustix::fs::fcntl_setfl(pipe, rustix::fs::OFlags::NONBLOCK);
    let count = flags.and_then(|()| rustix::io::read(pipe, &mut bytes)).unwrap_or(0);
    String::from_utf8_lossy(&bytes[..count]).trim().to_owned()
}

/// User ids that no other environment has.
#[derive(Debug)]
struct Users {
    range: RangeInclusive<u32>,
    taken: Mutex<BTreeSet<u32>>,
}

impl Users {
    fn new(range: RangeInclusive<u32>) -> Self {
        Self { range, taken: Mutex::default() }
    }

    fn take(&self) -> Option<u32> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let free = self.range.clone().find(|id| !taken.contains(id))?;
        taken.insert(free);
        Some(free)
    }

    fn give_back(&self, user: u32) {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).remove(&user);
    }
}
