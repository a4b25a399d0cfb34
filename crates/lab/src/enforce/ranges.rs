//! Addresses as intervals, so that "this block except those" is one set.

use super::number;
use crate::ground::address::Cidr;
use std::net::IpAddr;

/// Addresses of both families, as first and last of intervals (unordered, may overlap).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranges {
    v4: Vec<(u128, u128)>,
    v6: Vec<(u128, u128)>,
}

impl Ranges {
    fn family(&mut self, v6: bool) -> &mut Vec<(u128, u128)> {
        if v6 { &mut self.v6 } else { &mut self.v4 }
    }

    /// These addresses too.
    pub fn add_all(&mut self, addresses: &[IpAddr]) {
        for address in addresses {
            self.family(address.is_ipv6())
                .push((number(*address), number(*address)));
        }
    }

    /// A block too, without the blocks inside it that are excepted.
    pub fn add_block(&mut self, block: Cidr, except: &[Cidr]) {
        let v6 = block.address.is_ipv6();
        let mut left = vec![ends(block)];
        for hole in except.iter().filter(|c| c.address.is_ipv6() == v6) {
            let (from, to) = ends(*hole);
            left = left
                .into_iter()
                .flat_map(|(first, last)| {
                    let before = from.checked_sub(1).map(|end| (first, last.min(end)));
                    let behind = to.checked_add(1).map(|start| (first.max(start), last));
                    [before, behind]
                })
                .flatten()
                .filter(|(first, last)| first <= last)
                .collect();
        }
        self.family(v6).extend(left);
    }

    /// One family as bytes, first and last, for an interval set.
    pub fn bytes(&self, v6: bool) -> Vec<(Vec<u8>, Vec<u8>)> {
        let all = if v6 { &self.v6 } else { &self.v4 };
        let skip = if v6 { 0 } else { 12 };
        let bytes = |n: u128| n.to_be_bytes().into_iter().skip(skip).collect();
        all.iter()
            .map(|(first, last)| (bytes(*first), bytes(*last)))
            .collect()
    }
}

fn ends(block: Cidr) -> (u128, u128) {
    (number(block.network()), number(block.last()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_with_holes() {
        /// Block, holes, what is left.
        type Case = (
            &'static str,
            &'static [&'static str],
            &'static [(&'static str, &'static str)],
        );
        let cases: &[Case] = &[
            ("10.0.0.0/30", &[], &[("10.0.0.0", "10.0.0.3")]),
            (
                "10.0.0.0/24",
                &["10.0.0.0/25"],
                &[("10.0.0.128", "10.0.0.255")],
            ),
            (
                "10.0.0.0/24",
                &["10.0.0.64/26", "10.0.0.128/25"],
                &[("10.0.0.0", "10.0.0.63")],
            ),
            (
                "0.0.0.0/0",
                &["128.0.0.0/1"],
                &[("0.0.0.0", "127.255.255.255")],
            ),
            ("10.0.0.0/24", &["10.0.0.0/24"], &[]),
            (
                "10.0.0.0/24",
                &["192.168.0.0/16", "fd00::/8"],
                &[("10.0.0.0", "10.0.0.255")],
            ),
            (
                "fd00::/8",
                &["fd00::/9"],
                &[("fd80::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")],
            ),
            ("::/0", &["::/0"], &[]),
        ];
        for (block, except, wanted) in cases {
            let cidr = |t: &str| Cidr::parse(t).expect("a block");
            let except: Vec<Cidr> = except.iter().map(|e| cidr(e)).collect();
            let mut ranges = Ranges::default();
            ranges.add_block(cidr(block), &except);
            let number = |t: &str| super::number(t.parse().expect("an address"));
            let wanted: Vec<_> = wanted.iter().map(|(a, b)| (number(a), number(b))).collect();
            assert_eq!([ranges.v4, ranges.v6].concat(), wanted, "{block}");
        }
    }
}
