//! Receipt handles: opaque to clients, base64 of `<queue id>:<sequence>:<receive>`.

use super::super::failure::Failure;
use super::super::index::{Claim, Sequence};

pub(super) fn write(queue_id: &str, claim: Claim) -> String {
    base64_simd::STANDARD.encode_to_string(format!("{queue_id}:{:x}:{:x}", claim.sequence.0, claim.receive))
}

/// The receive behind a handle of that queue.
pub(super) fn read(queue_id: &str, handle: &str) -> Result<Claim, Failure> {
    parse(queue_id, handle).ok_or_else(|| {
        Failure::ReceiptHandleIsInvalid(format!("The input receipt handle \"{handle}\" is not a valid receipt handle."))
    })
}

fn parse(queue_id: &str, handle: &str) -> Option<Claim> {
    let text = String::from_utf8(base64_simd::STANDARD.decode_to_vec(handle).ok()?).ok()?;
    let (sequence, receive) = text.strip_prefix(queue_id)?.strip_prefix(':')?.split_once(':')?;
    Some(Claim {
        sequence: Sequence(u64::from_str_radix(sequence, 16).ok()?),
        receive: u32::from_str_radix(receive, 16).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handles_come_back() {
        let claim = Claim { sequence: Sequence(1 << 60), receive: 3 };
        let handle = write("4e2a", claim);
        assert_eq!(read("4e2a", &handle), Ok(claim));
        for (queue, handle) in [("4e2b", handle.as_str()), ("4e2a", "garbage"), ("4e2a", ""), ("4e2a", "ä")] {
            assert!(matches!(read(queue, handle), Err(Failure::ReceiptHandleIsInvalid(_))), "{handle}");
        }
    }
}
