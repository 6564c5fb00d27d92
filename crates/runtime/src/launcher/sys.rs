//! The few system calls for which there is no safe wrapper.
#![expect(unsafe_code, reason = "fork, execve, unshare, mount_setattr and _exit have no safe wrapper")]

use std::ffi::{CStr, CString};
use std::io;

use rustix::process::Pid;
use rustix::thread::UnshareFlags;

/// Which side of a fork this is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fork {
    Child,
    Parent(Pid),
}

/// Forks this process, which must have a single thread.
pub(crate) fn fork() -> io::Result<Fork> {
    // SAFETY: launcher processes never start a thread (`maybe_run` is called before any exists), so the child finds every
    // lock free and may go on with ordinary code.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Fork::Child),
        pid => Ok(Fork::Parent(Pid::from_raw(pid).expect("a forked child has a positive id"))),
    }
}

/// Becomes `program`; returns only when that fails. Unlike the standard library's way, a file that is no program is an
/// error and not a shell script.
pub(crate) fn execute(program: &CStr, arguments: &[CString], variables: &[CString]) -> io::Error {
    let pointers = |texts: &[CString]| -> Vec<*const libc::c_char> {
        texts.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect()
    };
    let (arguments, variables) = (pointers(arguments), pointers(variables));
    // SAFETY: resetting a signal to its default action installs no handler. Rust ignores this one, programs expect it.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    // SAFETY: both arrays end with a null pointer, and what they point to is borrowed through the call.
    unsafe { libc::execve(program.as_ptr(), arguments.as_ptr(), variables.as_ptr()) };
    io::Error::last_os_error()
}

/// Ends this process at once, running nothing of its parent's exit handlers.
pub(crate) fn exit(code: i32) -> ! {
    // SAFETY: `_exit` takes any number and does not return.
    unsafe { libc::_exit(code) }
}

/// Moves this process (its children, for PIDs) into new namespaces.
pub(crate) fn unshare(flags: UnshareFlags) -> io::Result<()> {
    // SAFETY: the flags passed here never include FILES, and a single-threaded process shares its descriptor table with
    // nobody anyway.
    Ok(unsafe { rustix::thread::unshare_unsafe(flags) }?)
}

/// Makes a mount and all below it read-only, without set-user-id programs and device files.
pub(crate) fn make_read_only(path: &CStr) -> io::Result<()> {
    let attributes = libc::mount_attr {
        attr_set: libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV,
        attr_clr: 0,
        propagation: 0,
        userns_fd: 0,
    };
    // SAFETY: `path` is a valid C string and `attributes` lives through the call, with its exact size given.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            path.as_ptr(),
            libc::AT_RECURSIVE,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
