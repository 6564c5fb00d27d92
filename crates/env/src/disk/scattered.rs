//! Many direct reads at once on one thread, by the kernel's asynchronous I/O (`io_submit`).
//!
//! A read of a few kilobytes costs a thread two context switches; a thousand of them handed over together cost a few.
//! Unlike its successor this interface is not blocked in common containers. A context belongs to a thread: making and
//! ending one is slow.
#![expect(unsafe_code, reason = "the kernel's asynchronous I/O has no safe interface")]

use std::cell::OnceCell;
use std::io;
use std::os::fd::AsRawFd;

use super::ReadPart;

/// Reads handed over and not yet finished, of one thread.
const IN_FLIGHT_MAX: usize = 128;
const OPCODE_PREAD: u16 = 0;

/// `struct iocb` of the kernel, little endian.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
struct Request {
    data: u64,
    key: u32,
    rw_flags: u32,
    opcode: u16,
    priority: i16,
    file: u32,
    buffer: u64,
    bytes: u64,
    offset: i64,
    reserved: u64,
    flags: u32,
    event_file: u32,
}

/// `struct io_event` of the kernel.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
struct Finished {
    data: u64,
    request: u64,
    result: i64,
    result_more: i64,
}

/// An I/O context of the kernel.
struct Context(libc::c_ulong);

impl Context {
    fn new() -> io::Result<Self> {
        let mut id: libc::c_ulong = 0;
        let events = libc::c_long::try_from(IN_FLIGHT_MAX).expect("a small number");
        // SAFETY: the kernel writes one number to `id`.
        check(unsafe { libc::syscall(libc::SYS_io_setup, events, &raw mut id) })?;
        Ok(Self(id))
    }

    /// Hands requests over; returns how many the kernel took.
    ///
    /// # Safety
    /// The buffers that the requests name must be valid for writes, and used by nobody else, until each request taken
    /// was returned by [`Context::wait`].
    unsafe fn submit(&self, requests: &mut [Request]) -> io::Result<usize> {
        let mut pointers: Vec<*mut Request> = requests.iter_mut().map(std::ptr::from_mut).collect();
        let count = libc::c_long::try_from(pointers.len()).expect("few requests");
        // SAFETY: the array holds `count` pointers to requests, which the kernel copies; the rest is the caller's duty.
        let taken = check(unsafe { libc::syscall(libc::SYS_io_submit, self.0, count, pointers.as_mut_ptr()) })?;
        Ok(usize::try_from(taken).expect("a count"))
    }

    /// Waits until at least `least` requests are finished.
    fn wait(&self, least: usize, finished: &mut [Finished]) -> usize {
        let least = libc::c_long::try_from(least).expect("few events");
        let count = libc::c_long::try_from(finished.len()).expect("few events");
        let none = std::ptr::null_mut::<libc::timespec>();
        loop {
            // SAFETY: the kernel writes at most `count` events into the array.
            let got = check(unsafe {
                libc::syscall(libc::SYS_io_getevents, self.0, least, count, finished.as_mut_ptr(), none)
            });
            match got {
                Ok(count) => return usize::try_from(count).expect("a count"),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // The kernel would write into memory that is long another's.
                Err(_) => std::process::abort(),
            }
        }
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: made by `io_setup`, ended once.
        let _ = unsafe { libc::syscall(libc::SYS_io_destroy, self.0) };
    }
}

fn check(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

thread_local! {
    /// `None` where the kernel has no such thing to give.
    static CONTEXT: OnceCell<Option<Context>> = const { OnceCell::new() };
}

/// Reads all parts, of files that were opened for direct access. `None`: not possible here, nothing was done. The first
/// error is returned when all parts are finished; a part that met the end of the file is short.
pub(super) fn read(parts: &mut [ReadPart<'_>]) -> Option<io::Result<()>> {
    let direct = parts.iter().all(|part| part.file.descriptor().is_some_and(|(_, direct)| direct));
    if !direct {
        return None;
    }
    CONTEXT.with(|context| context.get_or_init(|| Context::new().ok()).as_ref().map(|context| run(context, parts)))
}

fn run(context: &Context, parts: &mut [ReadPart<'_>]) -> io::Result<()> {
    let mut finished = [Finished::default(); IN_FLIGHT_MAX];
    let (mut next, mut in_flight) = (0, 0);
    let mut failed = None;
    while in_flight > 0 || (next < parts.len() && failed.is_none()) {
        let room = if failed.is_none() { IN_FLIGHT_MAX - in_flight } else { 0 };
        let end = parts.len().min(next + room);
        if next < end {
            let mut requests: Vec<Request> = (next..).zip(&mut parts[next..end]).map(|(i, p)| request(i, p)).collect();
            // SAFETY: the parts are borrowed until this function returns, and it returns only when nothing is in flight.
            match unsafe { context.submit(&mut requests) } {
                Ok(taken) => {
                    next += taken;
                    in_flight += taken;
                }
                // What is under way must end first.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && in_flight > 0 => {}
                Err(error) => failed = Some(error),
            }
        }
        if in_flight == 0 {
            continue;
        }
        // Half of them, so that the disk stays busy and this thread is not woken for each.
        let more = next < parts.len() && failed.is_none();
        let got = context.wait(if more { in_flight.div_ceil(2) } else { in_flight }, &mut finished);
        in_flight -= got;
        for event in &finished[..got] {
            let part = &mut parts[usize::try_from(event.data).expect("an index of a part")];
            if let Ok(bytes) = usize::try_from(event.result) {
                part.got = bytes;
            } else {
                let code = i32::try_from(-event.result).unwrap_or(libc::EIO);
                failed.get_or_insert_with(|| io::Error::from_raw_os_error(code));
            }
        }
    }
    failed.map_or(Ok(()), Err)
}

fn request(index: usize, part: &mut ReadPart<'_>) -> Request {
    let (file, _) = part.file.descriptor().expect("looked at before");
    let file = u32::try_from(file.as_raw_fd()).expect("descriptors of open files are not negative");
    Request {
        data: index as u64,
        opcode: OPCODE_PREAD,
        file,
        buffer: part.bytes.as_mut_ptr().addr() as u64,
        bytes: part.bytes.len() as u64,
        offset: i64::try_from(part.offset).expect("files are shorter"),
        ..Request::default()
    }
}
