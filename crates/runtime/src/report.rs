//! What this host offers to functions, for the start-up log and `doctor`.

use std::path::PathBuf;

use crate::host::Host;
use crate::interpreters::{Family, Interpreter};
use crate::launcher::plan::Mode;
use crate::sandbox::Sandbox;

/// How functions are kept apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IsolationReport {
    /// One line for a person: `namespaces, Landlock and seccomp`; or why functions are refused.
    pub summary: String,
    /// Functions run.
    pub usable: bool,
    /// Why it is not the best one, in the kernel's words.
    pub remark: Option<String>,
    /// Each environment has a user id of its own.
    pub own_users: bool,
    /// Functions can reach listeners on the host's loopback: the main endpoint, other environments' Runtime APIs.
    pub shares_network: bool,
}

/// What this host offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostReport {
    pub isolation: IsolationReport,
    /// Usable ones, newest first.
    pub interpreters: Vec<Interpreter>,
    /// Files that look like interpreters and do not run as a function, each with the reason.
    pub unusable: Vec<(PathBuf, String)>,
}

pub(crate) fn isolation(sandbox: &Sandbox) -> IsolationReport {
    let mode = sandbox.mode();
    let summary = match mode {
        Ok(Mode::Namespaces) => "namespaces, Landlock and seccomp".to_owned(),
        Ok(Mode::Landlock) => "Landlock and seccomp, without namespaces".to_owned(),
        Ok(Mode::None) => "none".to_owned(),
        Err(reason) => reason.to_owned(),
    };
    IsolationReport {
        summary,
        usable: mode.is_ok(),
        remark: sandbox.remark().map(str::to_owned),
        own_users: rustix::process::geteuid().is_root(),
        shares_network: true,
    }
}

pub(crate) async fn host(host: &Host) -> HostReport {
    let (mut interpreters, mut unusable) = (Vec::new(), Vec::new());
    for family in [Family::Python, Family::Node] {
        host.interpreters.try_all(family, &host.sandbox, &host.spawner, &host.options.host_clock).await;
        let (good, bad) = host.interpreters.tried(family);
        interpreters.extend(good);
        unusable.extend(bad);
    }
    HostReport { isolation: isolation(&host.sandbox), interpreters, unusable }
}
