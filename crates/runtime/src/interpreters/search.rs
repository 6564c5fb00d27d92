//! Where interpreters may be: the search path, the system's folders, the folders of version managers.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{Family, Version};

/// Newest minor version of Python 3 looked for by name.
const PYTHON_MINOR_MAX: u32 = 30;

/// Version managers' folders below the home folder: the part before and the part after each version's own.
const MANAGERS: [(&str, &str); 10] = [
    (".pyenv/versions", "bin"),
    (".local/share/uv/python", "bin"),
    (".asdf/installs/python", "bin"),
    (".local/share/mise/installs/python", "bin"),
    (".nvm/versions/node", "bin"),
    (".local/share/fnm/node-versions", "installation/bin"),
    (".volta/tools/image/node", "bin"),
    (".asdf/installs/nodejs", "bin"),
    (".local/share/mise/installs/node", "bin"),
    (".nodenv/versions", "bin"),
];

/// Always searched, last.
const SYSTEM: [&str; 3] = ["/usr/local/bin", "/usr/bin", "/run/current-system/sw/bin"];

/// A file that may be an interpreter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    /// With all links resolved.
    pub(super) path: PathBuf,
    /// What its name, or its folder's, says.
    pub(super) version: Option<Version>,
}

/// All candidates of a family, each file once, in the order of the folders.
pub(super) fn candidates(family: Family, first: &[PathBuf]) -> Vec<Candidate> {
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for folder in folders(first) {
        for name in names(family) {
            let Ok(path) = folder.join(name).canonicalize() else { continue };
            // A version manager's script would need its manager inside the sandbox; the real files are listed too.
            let shim = path.parent().is_some_and(|folder| folder.ends_with("shims"));
            if path.is_file() && !shim && could_be(family, &path) && seen.insert(path.clone()) {
                let version = version_in_name(family, &path);
                found.push(Candidate { path, version });
            }
        }
    }
    found
}

/// Whether a resolved file's name is one of the family's: `python3` may lead to anything.
pub(super) fn could_be(family: Family, path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    match family {
        Family::Python => name.starts_with("python3"),
        Family::Node => name.starts_with("node"),
    }
}

fn names(family: Family) -> Vec<String> {
    match family {
        Family::Python => {
            let minor = family.oldest().minor..=PYTHON_MINOR_MAX;
            minor.map(|minor| format!("python3.{minor}")).chain(["python3".to_owned()]).collect()
        }
        Family::Node => vec!["node".to_owned(), "nodejs".to_owned()],
    }
}

fn folders(first: &[PathBuf]) -> Vec<PathBuf> {
    let search_path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders = first.to_vec();
    folders.extend(std::env::split_paths(&search_path));
    if let Some(home) = std::env::home_dir() {
        for (base, rest) in MANAGERS {
            folders.extend(below(&home.join(base), rest));
        }
    }
    folders.extend(SYSTEM.map(PathBuf::from));
    // A manager outside the home folder shows itself by its scripts in the search path.
    let managers = folders.iter().filter(|folder| folder.ends_with("shims")).filter_map(|folder| folder.parent());
    let versions: Vec<_> = managers.flat_map(|manager| below(&manager.join("versions"), "bin")).collect();
    folders.extend(versions);
    folders
}

/// `rest` in every folder of `base`.
fn below(base: &Path, rest: &str) -> Vec<PathBuf> {
    let Ok(entries) = base.read_dir() else { return Vec::new() };
    let mut folders: Vec<_> = entries.flatten().map(|entry| entry.path().join(rest)).collect();
    folders.sort();
    folders
}

fn version_in_name(family: Family, path: &Path) -> Option<Version> {
    let name = path.file_name()?.to_str()?;
    match family {
        Family::Python => Version::parse(family, name.strip_prefix("python")?),
        // `…/v22.1.0/bin/node`.
        Family::Node => {
            let folders = path.ancestors().skip(2).take(2);
            folders.filter_map(|folder| folder.file_name()?.to_str()).find_map(|name| {
                let looks_like_version = name.trim_start_matches('v').contains('.');
                if looks_like_version { Version::parse(family, name) } else { None }
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(family: Family, path: &str, expected: Option<(u32, u32)>) {
        let found = version_in_name(family, Path::new(path)).map(|version| (version.major, version.minor));
        assert_eq!(found, expected, "{path}");
    }

    #[test]
    fn names_tell_versions() {
        check(Family::Python, "/usr/bin/python3.11", Some((3, 11)));
        check(Family::Python, "/usr/bin/python3", None);
        check(Family::Node, "/home/u/.nvm/versions/node/v22.1.0/bin/node", Some((22, 0)));
        check(Family::Node, "/home/u/.local/share/fnm/node-versions/v20.1.0/installation/bin/node", Some((20, 0)));
        check(Family::Node, "/usr/bin/node", None);
    }

    #[test]
    fn folders_given_first_are_searched_first() {
        let folder = tempfile::tempdir().unwrap();
        let bin = folder.path().canonicalize().unwrap().join("3.12.0/bin");
        std::fs::create_dir_all(&bin).unwrap();
        std::fs::copy("/bin/true", bin.join("python3.12")).unwrap();
        let found = candidates(Family::Python, std::slice::from_ref(&bin));
        let expected = Candidate { path: bin.join("python3.12"), version: Some(Version { major: 3, minor: 12 }) };
        assert_eq!(found.first(), Some(&expected));
    }
}
