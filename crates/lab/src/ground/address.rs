//! Addresses and prefixes of a world.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An address with a prefix length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    /// The address as written.
    pub address: IpAddr,
    /// Prefix length.
    pub prefix: u8,
}

fn number(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(a) => u32::from(a).into(),
        IpAddr::V6(a) => a.into(),
    }
}

fn address(number: u128, like: IpAddr) -> IpAddr {
    match like {
        IpAddr::V4(_) => Ipv4Addr::from(number as u32).into(),
        IpAddr::V6(_) => Ipv6Addr::from(number).into(),
    }
}

/// 32 or 128.
pub fn bits(ip: IpAddr) -> u8 {
    if ip.is_ipv4() { 32 } else { 128 }
}

impl Cidr {
    /// `10.244.1.0/24`
    pub fn parse(text: &str) -> Option<Cidr> {
        let (address, prefix) = text.split_once('/')?;
        let address: IpAddr = address.parse().ok()?;
        let prefix = prefix.parse().ok().filter(|p| *p <= bits(address))?;
        Some(Cidr { address, prefix })
    }

    fn host_bits(&self) -> u32 {
        u32::from(bits(self.address) - self.prefix)
    }

    /// The network's own address.
    pub fn network(&self) -> IpAddr {
        let low = self.host_bits();
        let kept = number(self.address)
            .checked_shr(low)
            .and_then(|n| n.checked_shl(low))
            .unwrap_or(0);
        address(kept, self.address)
    }

    /// The last address of the network.
    pub fn last(&self) -> IpAddr {
        let hosts = u128::MAX.checked_shr(128 - self.host_bits()).unwrap_or(0);
        address(number(self.network()) | hosts, self.address)
    }

    /// The `n`th address of the network.
    pub fn nth(&self, n: u128) -> IpAddr {
        address(number(self.network()).saturating_add(n), self.address)
    }

    /// Whether it holds this address.
    pub fn holds(&self, ip: IpAddr) -> bool {
        ip.is_ipv4() == self.address.is_ipv4()
            && Cidr {
                address: ip,
                prefix: self.prefix,
            }
            .network()
                == self.network()
    }

    /// The longest prefix, at most `longest`, that holds all of these.
    pub fn around(all: &[IpAddr], longest: u8) -> Option<Cidr> {
        let first = *all.first()?;
        let candidates = (0..=longest.min(bits(first))).rev().map(|prefix| Cidr {
            address: first,
            prefix,
        });
        candidates
            .into_iter()
            .find(|c| all.iter().all(|ip| c.holds(*ip)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_inside_a_prefix() {
        let cases = [
            (
                "10.244.1.7/24",
                "10.244.1.0",
                "10.244.1.1",
                "10.244.1.255",
                "10.244.2.0",
            ),
            (
                "fd44:0:0:1::9/64",
                "fd44:0:0:1::",
                "fd44:0:0:1::1",
                "fd44::1:ffff:0:0:1",
                "fd44:0:0:2::1",
            ),
            ("0.0.0.0/0", "0.0.0.0", "0.0.0.1", "255.255.255.255", "::"),
            ("::/0", "::", "::1", "ff::", "1.2.3.4"),
            (
                "10.0.0.1/32",
                "10.0.0.1",
                "10.0.0.2",
                "10.0.0.1",
                "10.0.0.2",
            ),
        ];
        let ip = |t: &str| t.parse::<IpAddr>().unwrap();
        for (text, network, first, inside, beyond) in cases {
            let c = Cidr::parse(text).unwrap();
            assert_eq!((c.network(), c.nth(1)), (ip(network), ip(first)), "{text}");
            assert_eq!(
                (c.holds(ip(inside)), c.holds(ip(beyond))),
                (true, false),
                "{text}"
            );
        }
        for bad in [
            "",
            "10.0.0.1",
            "10.0.0.1/33",
            "x/8",
            "10.0.0.1/-1",
            "fd00::/129",
        ] {
            assert_eq!(Cidr::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn finds_the_network_around_nodes() {
        let cases: [(&[&str], &str); 3] = [
            (&["10.90.0.11", "10.90.0.12"], "10.90.0.11/24"),
            (&["10.90.0.11", "10.90.1.12"], "10.90.0.11/23"),
            (&["10.90.0.11"], "10.90.0.11/24"),
        ];
        for (all, expected) in cases {
            let all: Vec<IpAddr> = all.iter().map(|t| t.parse().unwrap()).collect();
            assert_eq!(Cidr::around(&all, 24), Cidr::parse(expected));
        }
        assert_eq!(Cidr::around(&[], 24), None);
    }

    #[test]
    fn a_damaged_prefix_is_none_or_has_a_first_and_a_last_address() {
        netshoot_wire::fuzz::texts(
            &["10.244.1.0/24", "fd44:0:0:1::/64", "0.0.0.0/0"],
            20_000,
            |text| {
                let Some(cidr) = Cidr::parse(text) else {
                    return;
                };
                assert!(cidr.network() <= cidr.last(), "{text:?}");
                assert_eq!(
                    Cidr::parse(&format!("{}/{}", cidr.address, cidr.prefix)),
                    Some(cidr)
                );
            },
        );
    }
}
