//! The host's interpreters: which exist, which run as a function, which one serves a runtime.
//!
//! Candidates are listed by looking into folders; one counts only after it has run inside the sandbox, as the function's
//! user. That takes tens of milliseconds, so it happens when a runtime is first needed, once per file.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use millstream_env::HostClock;

use crate::launcher::plan::Bind;
use crate::process::Spawner;
use crate::sandbox::Sandbox;

mod search;

/// What kind of program an interpreter is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    Python,
    Node,
}

/// The part of a version that a runtime identifier names: 3 and 13 of `python3.13`, 22 and 0 of `nodejs22.x`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Version {
    pub major: u32,
    pub minor: u32,
}

/// An interpreter that runs in the sandbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interpreter {
    pub family: Family,
    pub version: Version,
    /// The real file, no link and no version manager's script.
    pub path: PathBuf,
}

/// What a runtime identifier asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// `provided.*`: the function brings its program.
    Bootstrap,
    Interpreter(Family, Version),
}

/// What serves a runtime.
#[derive(Clone, Debug)]
pub(crate) struct Choice {
    pub(crate) interpreter: Arc<Interpreter>,
    /// For logs, when the version is not the one asked for.
    pub(crate) warning: Option<String>,
}

/// The interpreters of this host.
#[derive(Debug)]
pub(crate) struct Interpreters {
    folders: Vec<PathBuf>,
    strict: bool,
    /// By file: how it went when it was tried.
    tried: Mutex<HashMap<PathBuf, Result<Arc<Interpreter>, String>>>,
}

impl Family {
    pub fn name(self) -> &'static str {
        match self {
            Self::Python => "Python",
            Self::Node => "Node.js",
        }
    }

    /// The oldest version that our bootstrap supports.
    fn oldest(self) -> Version {
        match self {
            Self::Python => Version { major: 3, minor: 7 },
            Self::Node => Version { major: 16, minor: 0 },
        }
    }

    fn print_version(self) -> &'static [&'static str] {
        match self {
            Self::Python => &["-c", "import sys, socket, json; print('%d.%d' % sys.version_info[:2])"],
            Self::Node => &["-p", "process.versions.node"],
        }
    }
}

impl Version {
    /// The leading `major.minor` of a text; for Node.js only the major number counts.
    fn parse(family: Family, text: &str) -> Option<Self> {
        let mut parts = text.trim().trim_start_matches('v').split('.');
        let major = parts.next()?.parse().ok()?;
        let minor = match family {
            Family::Python => parts.next()?.parse().ok()?,
            Family::Node => 0,
        };
        Some(Self { major, minor })
    }

    /// Smaller is nearer; of two equally near, the newer one.
    fn distance(self, wanted: Self) -> (u32, bool) {
        let number = |version: Self| version.major * 1000 + version.minor;
        (number(self).abs_diff(number(wanted)), self < wanted)
    }
}

impl fmt::Display for Interpreter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Version { major, minor } = self.version;
        match self.family {
            Family::Python => write!(f, "Python {major}.{minor} ({})", self.path.display()),
            Family::Node => write!(f, "Node.js {major} ({})", self.path.display()),
        }
    }
}

/// `None` for identifiers that this runtime does not know (Java, Ruby, .NET, …).
pub(crate) fn wanted(runtime: &str) -> Option<Wanted> {
    if runtime == "provided" || runtime.starts_with("provided.") {
        return Some(Wanted::Bootstrap);
    }
    let (family, version) = match (runtime.strip_prefix("python"), runtime.strip_prefix("nodejs")) {
        (Some(version), _) => (Family::Python, version),
        (_, Some(version)) => (Family::Node, version),
        _ => return None,
    };
    Version::parse(family, version).map(|version| Wanted::Interpreter(family, version))
}

impl Interpreters {
    /// `folders` are searched first.
    pub(crate) fn new(folders: Vec<PathBuf>, strict: bool) -> Self {
        Self { folders, strict, tried: Mutex::default() }
    }

    /// The interpreter for a runtime: the exact version, or the nearest one unless that is forbidden.
    pub(crate) async fn choose(
        &self,
        family: Family,
        version: Version,
        sandbox: &Sandbox,
        spawner: &Spawner,
        clock: &HostClock,
    ) -> Result<Choice, String> {
        let mut candidates = search::candidates(family, &self.folders);
        // Files whose names say nothing come between the exact ones and the others: they may be either.
        candidates.sort_by_key(|candidate| candidate.version.map_or((1, false), |found| found.distance(version)));
        let mut best: Option<Arc<Interpreter>> = None;
        for candidate in candidates {
            let hopeless = match (&best, candidate.version) {
                (Some(best), Some(guess)) => best.version.distance(version) <= guess.distance(version),
                _ => false,
            };
            if hopeless {
                break;
            }
            let Ok(found) = self.try_out(family, &candidate.path, sandbox, spawner, clock).await else { continue };
            if best.as_ref().is_none_or(|best| found.version.distance(version) < best.version.distance(version)) {
                best = Some(found);
            }
        }
        self.judge(best, family, version)
    }

    fn judge(&self, best: Option<Arc<Interpreter>>, family: Family, version: Version) -> Result<Choice, String> {
        let name = family.name();
        let asked = match family {
            Family::Python => format!("{name} {}.{}", version.major, version.minor),
            Family::Node => format!("{name} {}", version.major),
        };
        match best {
            Some(interpreter) if interpreter.version == version => Ok(Choice { interpreter, warning: None }),
            Some(interpreter) if !self.strict => {
                let warning = format!("this host has no {asked} that functions can run; {interpreter} serves instead");
                Ok(Choice { interpreter, warning: Some(warning) })
            }
            _ => {
                let (usable, unusable) = self.tried(family);
                let mut text = format!("this host has no {asked} that functions can run");
                if !usable.is_empty() {
                    let list: Vec<_> = usable.iter().map(ToString::to_string).collect();
                    text = format!("{text}; found: {}", list.join(", "));
                }
                for (path, reason) in unusable {
                    text = format!("{text}; {} is not usable: {reason}", path.display());
                }
                Err(text)
            }
        }
    }

    /// Tries every candidate of a family; for reports.
    pub(crate) async fn try_all(&self, family: Family, sandbox: &Sandbox, spawner: &Spawner, clock: &HostClock) {
        for candidate in search::candidates(family, &self.folders) {
            // Both results are remembered.
            let _ = self.try_out(family, &candidate.path, sandbox, spawner, clock).await;
        }
    }

    /// What was found out so far: usable interpreters, newest first, and files that are not.
    pub(crate) fn tried(&self, family: Family) -> (Vec<Interpreter>, Vec<(PathBuf, String)>) {
        let tried = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut usable, mut unusable) = (Vec::new(), Vec::new());
        for (path, result) in tried.iter() {
            match result {
                Ok(interpreter) if interpreter.family == family => usable.push((**interpreter).clone()),
                Err(reason) if search::could_be(family, path) => unusable.push((path.clone(), reason.clone())),
                _ => {}
            }
        }
        usable.sort_by(|a, b| (b.version, &a.path).cmp(&(a.version, &b.path)));
        unusable.sort();
        (usable, unusable)
    }

    async fn try_out(
        &self,
        family: Family,
        path: &Path,
        sandbox: &Sandbox,
        spawner: &Spawner,
        clock: &HostClock,
    ) -> Result<Arc<Interpreter>, String> {
        if let Some(known) = self.tried.lock().unwrap_or_else(PoisonError::into_inner).get(path) {
            return known.clone();
        }
        let printed = sandbox.run(spawner, clock, path, family.print_version(), binds(path)).await;
        let result = printed.and_then(|text| {
            let version = Version::parse(family, &text).ok_or_else(|| format!("it printed {text:?}"))?;
            if version < family.oldest() {
                return Err("its version is too old".to_owned());
            }
            Ok(Arc::new(Interpreter { family, version, path: path.to_owned() }))
        });
        self.tried.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned(), result.clone());
        result
    }
}

/// What an interpreter needs to be seen of its installation. Nothing for one below `/usr`, which all functions see.
pub(crate) fn binds(path: &Path) -> Vec<Bind> {
    let system = ["/usr", "/bin", "/sbin", "/lib", "/lib64"];
    if system.iter().any(|folder| path.starts_with(folder)) {
        return Vec::new();
    }
    // Package managers whose programs refer to each other by absolute paths.
    for store in ["/nix/store", "/home/linuxbrew/.linuxbrew"] {
        if path.starts_with(store) {
            return vec![Bind { source: store.into(), target: store.into() }];
        }
    }
    // Not the whole prefix: it may be somebody's home.
    let Some(prefix) = path.parent().and_then(Path::parent) else { return Vec::new() };
    let folders = ["bin", "lib", "lib64"].map(|name| prefix.join(name));
    let present = folders.into_iter().filter(|folder| folder.is_dir());
    present.map(|folder| Bind { source: folder.clone(), target: folder }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interpreter(minor: u32) -> Arc<Interpreter> {
        let path = format!("/usr/bin/python3.{minor}").into();
        Arc::new(Interpreter { family: Family::Python, version: Version { major: 3, minor }, path })
    }

    #[test]
    fn runtimes_name_what_they_want() {
        let python = Wanted::Interpreter(Family::Python, Version { major: 3, minor: 13 });
        assert_eq!(wanted("python3.13"), Some(python));
        let node = Wanted::Interpreter(Family::Node, Version { major: 22, minor: 0 });
        assert_eq!(wanted("nodejs22.x"), Some(node));
        assert_eq!(wanted("nodejs8.10"), Some(Wanted::Interpreter(Family::Node, Version { major: 8, minor: 0 })));
        assert_eq!(wanted("provided.al2"), Some(Wanted::Bootstrap));
        assert_eq!(wanted("java21"), None);
        assert_eq!(wanted("python"), None);
    }

    #[test]
    fn the_nearest_version_is_taken_with_a_warning_or_refused() {
        let wanted = Version { major: 3, minor: 12 };
        let lenient = Interpreters::new(Vec::new(), false);
        let exact = lenient.judge(Some(interpreter(12)), Family::Python, wanted).unwrap();
        assert_eq!(exact.warning, None);
        let near = lenient.judge(Some(interpreter(11)), Family::Python, wanted).unwrap();
        assert!(near.warning.unwrap().contains("no Python 3.12"));
        let strict = Interpreters::new(Vec::new(), true);
        assert!(strict.judge(Some(interpreter(11)), Family::Python, wanted).is_err());
        let version = |minor| Version { major: 3, minor };
        assert!(version(13).distance(wanted) < version(11).distance(wanted));
        assert!(version(11).distance(wanted) < version(14).distance(wanted));
    }
}
