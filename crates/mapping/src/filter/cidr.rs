//! Blocks of IP addresses.

use std::net::IpAddr;

/// The addresses of a CIDR block, first and last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cidr {
    first: IpAddr,
    last: IpAddr,
}

impl Cidr {
    /// `address/bits`. As in EventBridge's rule engine a block has at least two addresses, and begins at the address
    /// that is written, even if that is not the lowest with these bits.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (address, bits) = text.split_once('/')?;
        let (first, bits): (IpAddr, u32) = (address.parse().ok()?, bits.parse().ok()?);
        let last = match first {
            IpAddr::V4(v4) => IpAddr::V4((v4.to_bits() | u32::MAX.checked_shr(bits).filter(|_| bits < 32)?).into()),
            IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() | u128::MAX.checked_shr(bits).filter(|_| bits < 128)?).into()),
        };
        Some(Self { first, last })
    }

    pub(super) fn contains(&self, text: &str) -> bool {
        text.parse::<IpAddr>().is_ok_and(|address| {
            address.is_ipv4() == self.first.is_ipv4() && self.first <= address && address <= self.last
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_holds_its_addresses_only() {
        let block = Cidr::parse("10.0.0.0/24").unwrap();
        assert!(block.contains("10.0.0.0") && block.contains("10.0.0.255"));
        for outside in ["10.0.1.0", "9.255.255.255", "::a00:1", "10.0.0", "host", ""] {
            assert!(!block.contains(outside), "{outside}");
        }
        let all = Cidr::parse("0.0.0.0/0").unwrap();
        assert!(all.contains("255.255.255.255") && !all.contains("::1"));
        let six = Cidr::parse("2001:db8::/33").unwrap();
        assert!(six.contains("2001:db8::1") && !six.contains("2001:db8:8000::1"));
    }

    #[test]
    fn what_is_no_block_is_refused() {
        for text in ["10.0.0.0", "10.0.0.0/32", "::/128", "10.0.0.0/-1", "10.0.0.0/x", "/8", "10.0.0/8", "a/8/9"] {
            assert_eq!(Cidr::parse(text), None, "{text}");
        }
    }
}
