//! How much memory a function's processes use, from `/proc`.

/// Processes looked at in one tree; a larger one is cut, which only makes the sum too small.
const PROCESSES_MAX: usize = 1024;

/// Memory of the processes below `supervisor` that is not shared with files, in bytes.
pub(crate) fn used_bytes(supervisor: u32) -> u64 {
    let mut found = children(supervisor);
    let mut next = 0;
    while next < found.len() && found.len() < PROCESSES_MAX {
        let more = children(found[next]);
        found.extend(more);
        next += 1;
    }
    found.into_iter().map(private_bytes).sum()
}

fn children(pid: u32) -> Vec<u32> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_ascii_whitespace().filter_map(|word| word.parse().ok()).collect()
}

fn private_bytes(pid: u32) -> u64 {
    // A process that has just ended uses nothing.
    let text = std::fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
    let mut pages = text.split(' ').map(|word| word.parse().unwrap_or(0_u64)).skip(1);
    let (resident, shared) = (pages.next().unwrap_or(0), pages.next().unwrap_or(0));
    resident.saturating_sub(shared) * rustix::param::page_size() as u64
}
