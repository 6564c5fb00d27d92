//! Whose process is at the other end of a loopback connection.
//!
//! The kernel's table of TCP sockets names the user of each. It is read once for each connection, and runtimes keep theirs.

use std::io::{BufRead, BufReader};
use std::net::{IpAddr, SocketAddr};

/// The user id that owns the socket from `peer` to `own`, both on this host. `None` when there is no such socket.
#[expect(clippy::disallowed_methods, reason = "/proc is read in place: it never waits for a disk")]
pub(super) fn owner(peer: SocketAddr, own: SocketAddr) -> Option<u32> {
    let table = std::fs::File::open("/proc/self/net/tcp").ok()?;
    let (from, to) = (kernel_form(peer)?, kernel_form(own)?);
    // The first line is a heading, which matches nothing.
    BufReader::new(table).lines().map_while(Result::ok).find_map(|line| {
        let mut words = line.split_ascii_whitespace().skip(1);
        let matches = words.next() == Some(from.as_str()) && words.next() == Some(to.as_str());
        // After both addresses: state, queues, timer, retransmissions, user.
        if matches { words.nth(4)?.parse().ok() } else { None }
    })
}

/// `0100007F:1F90`: the address as the machine's own number, the port as it is.
fn kernel_form(address: SocketAddr) -> Option<String> {
    let IpAddr::V4(ip) = address.ip() else { return None };
    Some(format!("{:08X}:{:04X}", u32::from_ne_bytes(ip.octets()), address.port()))
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn an_own_connection_is_recognised() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, peer) = listener.accept().unwrap();
        let user = rustix::process::getuid().as_raw();
        assert_eq!(owner(peer, server.local_addr().unwrap()), Some(user));
        drop(client);
        assert_eq!(owner("127.0.0.1:1".parse().unwrap(), server.local_addr().unwrap()), None);
    }
}
