//! Networks.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use crate::code::Code;
use crate::kind::Syntax;
use crate::value::ParseValueError;

/// A network: an address and how many of its leading bits count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cidr {
    network: IpAddr,
    prefix: u8,
}

// === impl Cidr ===

impl Cidr {
    /// The network's first address.
    #[must_use]
    pub fn network(self) -> IpAddr {
        self.network
    }

    /// How many leading bits count: up to 32, or 128 for IPv6.
    #[must_use]
    pub fn prefix(self) -> u8 {
        self.prefix
    }

    /// Whether the address is in the network. An IPv4 address mapped into IPv6 counts as the IPv4 address.
    #[must_use]
    pub fn contains(self, address: IpAddr) -> bool {
        match (self.network, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => mask_v4(address, self.prefix) == network,
            (IpAddr::V6(network), IpAddr::V6(address)) => mask_v6(address, self.prefix) == network,
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

impl FromStr for Cidr {
    type Err = ParseValueError;

    fn from_str(text: &str) -> Result<Self, ParseValueError> {
        let bad = |label: &str| {
            ParseValueError::new(
                Code::BadCidr,
                format!("`{}` is not an address or network", text.escape_debug()),
                label,
            )
        };
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let Ok(address) = address.parse::<IpAddr>() else {
            return Err(bad("not an IP address")
                .help("write `\"10.0.0.0/8\"`, `\"2001:db8::/32\"` or a single address"));
        };
        let widest = if address.is_ipv4() { 32 } else { 128 };
        let mut prefix = match prefix {
            None => widest,
            Some(digits) => match super::address::parse_port(digits)
                .and_then(|bits| u8::try_from(bits).ok())
            {
                Some(bits) if bits <= widest => bits,
                _ => return Err(bad(&format!("the prefix is not a number from 0 to {widest}"))),
            },
        };
        // A dual-stack peer is seen as an IPv4 one, so its network is too.
        let canonical = address.to_canonical();
        if canonical.is_ipv4() && address.is_ipv6() {
            prefix = prefix
                .checked_sub(96)
                .ok_or_else(|| bad("a mapped network has a prefix of 96 at least"))?;
        }
        let network = match canonical {
            IpAddr::V4(address) => IpAddr::V4(mask_v4(address, prefix)),
            IpAddr::V6(address) => IpAddr::V6(mask_v6(address, prefix)),
        };
        let cidr = Self { network, prefix };
        if network != canonical {
            return Err(bad("the address has bits outside the prefix").help(format!(
                "for the whole network write `\"{cidr}\"`, for this address alone `\"{canonical}\"`"
            )));
        }
        Ok(cidr)
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.network, self.prefix) {
            (IpAddr::V4(address), 32) => address.fmt(f),
            (IpAddr::V6(address), 128) => address.fmt(f),
            (network, prefix) => write!(f, "{network}/{prefix}"),
        }
    }
}

impl Syntax for Cidr {
    fn accepts() -> String {
        "an address or a network such as `\"10.0.0.0/8\"`".to_owned()
    }
}

fn mask_v4(address: Ipv4Addr, prefix: u8) -> Ipv4Addr {
    let outside = 32u32.saturating_sub(u32::from(prefix));
    Ipv4Addr::from_bits(address.to_bits() & u32::MAX.checked_shl(outside).unwrap_or(0))
}

fn mask_v6(address: Ipv6Addr, prefix: u8) -> Ipv6Addr {
    let outside = 128u32.saturating_sub(u32::from(prefix));
    Ipv6Addr::from_bits(address.to_bits() & u128::MAX.checked_shl(outside).unwrap_or(0))
}
