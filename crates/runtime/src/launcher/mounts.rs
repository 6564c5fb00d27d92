//! The function's own namespaces and the minimal file system in them.
#![expect(clippy::disallowed_methods, reason = "a launcher process has no injected environment")]

use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};
use rustix::thread::UnshareFlags;

use super::plan::Plan;
use super::sys;

/// The user that functions are inside a user namespace: AWS's `sbx_user1051`.
const INNER_USER: u32 = 993;

/// Folders of the host that every program needs. Symbolic links among them are made anew.
const SYSTEM_FOLDERS: [&str; 7] = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"];

/// What programs need of `/etc`: name resolution, certificates, the dynamic linker, time zone, MIME types.
const ETC: [&str; 22] = [
    "alternatives",
    "ca-certificates",
    "ca-certificates.conf",
    "crypto-policies",
    "gai.conf",
    "host.conf",
    "hosts",
    "java-11-openjdk",
    "java-17-openjdk",
    "java-21-openjdk",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "localtime",
    "mime.types",
    "nsswitch.conf",
    "os-release",
    "pki",
    "protocols",
    "resolv.conf",
    "services",
    "ssl",
];

const DEVICES: [&str; 5] = ["null", "zero", "full", "random", "urandom"];

/// Largest size of everything in the new root that is not mounted into it: a few small files.
const ROOT_OPTIONS: &str = "size=1m,mode=755";

/// Leaves the host's namespaces. New processes of this one are in the new PID namespace.
pub(crate) fn enter_namespaces(plan: &Plan) -> Result<(), String> {
    let namespaces = UnshareFlags::NEWNS | UnshareFlags::NEWPID | UnshareFlags::NEWIPC | UnshareFlags::NEWUTS;
    let (user, group) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    if plan.user.is_some() {
        sys::unshare(namespaces).map_err(|e| format!("unshare: {e}"))?;
    } else {
        sys::unshare(namespaces | UnshareFlags::NEWUSER).map_err(|e| format!("unshare with a user namespace: {e}"))?;
        let write = |path: &str, text: String| fs::write(path, text).map_err(|e| format!("{path}: {e}"));
        write("/proc/self/setgroups", "deny".to_owned())?;
        write("/proc/self/uid_map", format!("{INNER_USER} {user} 1"))?;
        write("/proc/self/gid_map", format!("{INNER_USER} {group} 1"))?;
    }
    // Before any other mount: nothing of what follows may reach the host.
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", private).map_err(|e| format!("private mounts: {e}"))
}

/// Builds the new root and moves into it. To be called by the first process of the PID namespace.
pub(crate) fn build_root(plan: &Plan) -> Result<(), String> {
    let root = &plan.root_mount_point;
    mount_new("tmpfs", root, MountFlags::NOSUID | MountFlags::NODEV, ROOT_OPTIONS)?;
    let builder = Builder { root };
    for folder in SYSTEM_FOLDERS {
        builder.system_folder(Path::new(folder))?;
    }
    for name in ETC {
        builder.etc(name)?;
    }
    builder.accounts(plan.user.unwrap_or(INNER_USER))?;
    for bind in &plan.read_only {
        builder.read_only(&bind.source, &bind.target)?;
    }
    builder.devices()?;
    let proc = builder.folder(Path::new("/proc"))?;
    mount_new("proc", &proc, MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC, "")?;
    let tmp = builder.folder(Path::new("/tmp"))?;
    let options = format!("size={},mode=1777", plan.tmp_bytes);
    mount_new("tmpfs", &tmp, MountFlags::NOSUID | MountFlags::NODEV, &options)?;
    builder.folder(Path::new("/opt"))?;
    enter(root)
}

/// Makes `root` the root and forgets the old one.
fn enter(root: &Path) -> Result<(), String> {
    rustix::process::chdir(root).map_err(|e| format!("chdir: {e}"))?;
    // Both names are the same folder: the old root ends up on top of the new one and is taken off it.
    rustix::process::pivot_root(".", ".").map_err(|e| format!("pivot_root: {e}"))?;
    rustix::mount::unmount(".", UnmountFlags::DETACH).map_err(|e| format!("umount: {e}"))?;
    rustix::process::chdir("/").map_err(|e| format!("chdir: {e}"))?;
    let flags = MountFlags::BIND | MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV;
    rustix::mount::mount_remount("/", flags, "").map_err(|e| format!("read-only root: {e}"))?;
    // Only a name; a host that forbids it takes nothing away.
    let _ = rustix::system::sethostname(b"millstream");
    Ok(())
}

struct Builder<'a> {
    root: &'a Path,
}

impl Builder<'_> {
    /// A path of the new root, as this process sees it before it moves in.
    fn place(&self, path: &Path) -> PathBuf {
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// Makes a folder and those above it, open to all: so an interpreter in somebody's home can be reached here.
    fn folder(&self, path: &Path) -> Result<PathBuf, String> {
        let place = self.place(path);
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(&place)
            .map_err(|e| format!("folder {}: {e}", path.display()))?;
        Ok(place)
    }

    fn file(&self, path: &Path, text: &str) -> Result<PathBuf, String> {
        if let Some(parent) = path.parent() {
            self.folder(parent)?;
        }
        let place = self.place(path);
        let failed = |e| format!("file {}: {e}", path.display());
        fs::write(&place, text).map_err(failed)?;
        fs::set_permissions(&place, fs::Permissions::from_mode(0o644)).map_err(failed)?;
        Ok(place)
    }

    fn system_folder(&self, path: &Path) -> Result<(), String> {
        let Ok(metadata) = fs::symlink_metadata(path) else { return Ok(()) };
        if metadata.is_symlink() {
            let target = fs::read_link(path).map_err(|e| format!("{}: {e}", path.display()))?;
            return symlink(target, self.place(path)).map_err(|e| format!("link {}: {e}", path.display()));
        }
        self.read_only(path, path)
    }

    /// A part of `/etc`, when the host has it. Links are followed: what they point to is not visible inside.
    fn etc(&self, name: &str) -> Result<(), String> {
        let path = Path::new("/etc").join(name);
        match fs::canonicalize(&path) {
            Ok(source) => self.read_only(&source, &path),
            Err(_) => Ok(()),
        }
    }

    fn accounts(&self, user: u32) -> Result<(), String> {
        let users = format!("root:x:0:0:root:/:/sbin/nologin\nsbx_user1051:x:{user}:{user}::/tmp:/sbin/nologin\n");
        self.file(Path::new("/etc/passwd"), &users)?;
        self.file(Path::new("/etc/group"), &format!("root:x:0:\nsbx_user1051:x:{user}:\n"))?;
        Ok(())
    }

    fn read_only(&self, source: &Path, target: &Path) -> Result<(), String> {
        let is_folder = fs::metadata(source).map_err(|e| format!("{}: {e}", source.display()))?.is_dir();
        let place = if is_folder { self.folder(target)? } else { self.file(target, "")? };
        rustix::mount::mount_bind_recursive(source, &place).map_err(|e| format!("bind {}: {e}", source.display()))?;
        sys::make_read_only(&c_path(&place)?).map_err(|e| format!("read-only {}: {e}", source.display()))
    }

    fn devices(&self) -> Result<(), String> {
        for name in DEVICES {
            let device = Path::new("/dev").join(name);
            let place = self.file(&device, "")?;
            rustix::mount::mount_bind(&device, &place).map_err(|e| format!("bind {}: {e}", device.display()))?;
        }
        let links = [("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")];
        for (name, target) in links {
            let place = self.place(&Path::new("/dev").join(name));
            symlink(target, place).map_err(|e| format!("link /dev/{name}: {e}"))?;
        }
        Ok(())
    }
}

fn mount_new(kind: &str, place: &Path, flags: MountFlags, options: &str) -> Result<(), String> {
    let options = CString::new(options).expect("options have no zero byte");
    rustix::mount::mount(kind, place, kind, flags, &*options)
        .map_err(|e| format!("mount {kind} on {}: {e}", place.display()))
}

fn c_path(path: &Path) -> Result<CString, String> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| format!("{} has a zero byte", path.display()))
}
