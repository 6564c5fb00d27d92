//! The limit on open files: raised for the server, whose sockets and segments are many, and given back to its children.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The process's limit on open files before and after [`OpenFiles::raise`]. `None` means unlimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenFiles {
    /// What the process was started with: children get this back, since some programs walk through all descriptors.
    pub soft_at_start: Option<u64>,
    pub hard: Option<u64>,
    pub soft: Option<u64>,
}

impl OpenFiles {
    /// Raises the soft limit to the hard one. Where the system refuses that, the limit stays as it is.
    pub fn raise() -> io::Result<Self> {
        let before = getrlimit(Resource::Nofile);
        setrlimit(Resource::Nofile, Rlimit { current: before.maximum, maximum: before.maximum })?;
        let after = getrlimit(Resource::Nofile);
        Ok(Self { soft_at_start: before.current, hard: after.maximum, soft: after.current })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_reaches_the_hard_one() {
        let raised = OpenFiles::raise().unwrap();
        assert_eq!(raised.soft, raised.hard);
    }
}
