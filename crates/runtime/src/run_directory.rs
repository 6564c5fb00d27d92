//! The folder outside the data folder in which environments live. All of it is made anew at each start.
//!
//! ```text
//! runtime/                our bootstraps, readable by all
//! root/                   where sandboxes mount their roots, in their own mount namespaces
//! environments/<id>/tmp   /tmp of environments without a root of their own, for their user only
//! ```
#![expect(
    clippy::disallowed_methods,
    reason = "these files need owners and modes for other users, unlike any on `Disk`"
)]

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

const PYTHON: &str = include_str!("bootstraps/bootstrap.py");
const NODE: &str = include_str!("bootstraps/bootstrap.mjs");

#[derive(Clone, Debug)]
pub(crate) struct RunDirectory {
    path: PathBuf,
}

impl RunDirectory {
    /// Makes the folder and what is in it, absolute.
    pub(crate) fn prepare(path: &Path) -> io::Result<Self> {
        // Others may pass through, not look around.
        folder(path, 0o711)?;
        let directory = Self { path: fs::canonicalize(path)? };
        let environments = directory.path.join("environments");
        if environments.exists() {
            fs::remove_dir_all(&environments)?;
        }
        folder(&environments, 0o711)?;
        folder(&directory.root_mount_point(), 0o755)?;
        folder(&directory.runtime(), 0o755)?;
        for (name, text) in [("bootstrap.py", PYTHON), ("bootstrap.mjs", NODE)] {
            let file = directory.runtime().join(name);
            fs::write(&file, text)?;
            fs::set_permissions(&file, fs::Permissions::from_mode(0o644))?;
        }
        Ok(directory)
    }

    pub(crate) fn runtime(&self) -> PathBuf {
        self.path.join("runtime")
    }

    pub(crate) fn root_mount_point(&self) -> PathBuf {
        self.path.join("root")
    }

    /// Makes `/tmp` for an environment in the host's file system.
    pub(crate) fn make_tmp(&self, environment: &str, user: Option<u32>) -> io::Result<PathBuf> {
        let parent = self.environment(environment);
        folder(&parent, 0o711)?;
        let tmp = parent.join("tmp");
        folder(&tmp, 0o700)?;
        if let Some(user) = user {
            std::os::unix::fs::chown(&tmp, Some(user), Some(user))?;
        }
        Ok(tmp)
    }

    pub(crate) fn remove(&self, environment: &str) {
        let path = self.environment(environment);
        match fs::remove_dir_all(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "an environment's folder cannot be removed");
            }
        }
    }

    fn environment(&self, environment: &str) -> PathBuf {
        self.path.join("environments").join(environment)
    }
}

/// Makes a folder with exactly this mode, whatever the process's mask.
fn folder(path: &Path, mode: u32) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(mode).create(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}
