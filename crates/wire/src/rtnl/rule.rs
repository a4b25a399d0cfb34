//! Rules of policy routing (linux/fib_rules.h).

use super::{address, header};
use crate::Malformed;
use crate::netlink::Attrs;
use std::net::IpAddr;

/// Attributes (`FRA_*`).
mod fra {
    pub const DST: u16 = 1;
    pub const SRC: u16 = 2;
    pub const IIFNAME: u16 = 3;
    pub const GOTO: u16 = 4;
    pub const PRIORITY: u16 = 6;
    pub const FWMARK: u16 = 10;
    pub const SUPPRESS_PREFIXLEN: u16 = 14;
    pub const TABLE: u16 = 15;
    pub const FWMASK: u16 = 16;
    pub const OIFNAME: u16 = 17;
    pub const UID_RANGE: u16 = 20;
    pub const PROTOCOL: u16 = 21;
    pub const IP_PROTO: u16 = 22;
    pub const SPORT_RANGE: u16 = 23;
    pub const DPORT_RANGE: u16 = 24;
}

/// `FIB_RULE_INVERT`
const INVERT: u32 = 2;

/// One rule (`RTM_NEWRULE`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// `AF_INET` or `AF_INET6`.
    pub family: u8,
    /// Its place, lowest first.
    pub priority: u32,
    /// It takes what does not match.
    pub inverted: bool,
    /// Source prefix.
    pub from: Option<(IpAddr, u8)>,
    /// Destination prefix.
    pub to: Option<(IpAddr, u8)>,
    /// Type of service.
    pub tos: u8,
    /// Mark and mask.
    pub mark: Option<(u32, u32)>,
    /// Name of the incoming link.
    pub incoming: String,
    /// Name of the outgoing link.
    pub outgoing: String,
    /// Users, first and last.
    pub users: Option<(u32, u32)>,
    /// Who made it (`RTPROT_*`).
    pub made_by: Option<u8>,
    /// IP protocol.
    pub protocol: Option<u8>,
    /// Source ports, first and last.
    pub source_ports: Option<(u16, u16)>,
    /// Destination ports, first and last.
    pub destination_ports: Option<(u16, u16)>,
    /// `FR_ACT_*`: 1 a table, 2 goto, 6 blackhole, 7 unreachable, 8 prohibit.
    pub action: u8,
    /// Table to look into.
    pub table: u32,
    /// Rule to go to.
    pub goto: u32,
    /// Routes with a prefix as short as that do not count.
    pub suppress_prefix: Option<u32>,
}

impl Rule {
    /// Reads the payload of an `RTM_NEWRULE`.
    pub fn read(payload: &[u8]) -> Result<Rule, Malformed> {
        let [
            family,
            to_bits,
            from_bits,
            tos,
            table,
            _,
            _,
            action,
            f0,
            f1,
            f2,
            f3,
        ] = header::<12>(payload, "rule message")?;
        let mut rule = Rule {
            family,
            tos,
            action,
            table: u32::from(table),
            inverted: u32::from_ne_bytes([f0, f1, f2, f3]) & INVERT != 0,
            ..Rule::default()
        };
        let (mut mark, mut mask) = (None, None);
        for attr in Attrs::after(payload, 12)? {
            let attr = attr?;
            match attr.kind {
                fra::DST => rule.to = Some((address(attr.payload)?, to_bits)),
                fra::SRC => rule.from = Some((address(attr.payload)?, from_bits)),
                fra::IIFNAME => rule.incoming = attr.str(),
                fra::OIFNAME => rule.outgoing = attr.str(),
                fra::GOTO => rule.goto = attr.u32()?,
                fra::PRIORITY => rule.priority = attr.u32()?,
                fra::FWMARK => mark = Some(attr.u32()?),
                fra::FWMASK => mask = Some(attr.u32()?),
                fra::TABLE => rule.table = attr.u32()?,
                // -1 stands for none.
                fra::SUPPRESS_PREFIXLEN => {
                    rule.suppress_prefix = Some(attr.u32()?).filter(|n| *n != u32::MAX)
                }
                fra::UID_RANGE => rule.users = Some(pair(attr.payload)?),
                fra::PROTOCOL => rule.made_by = Some(attr.u8()?),
                fra::IP_PROTO => rule.protocol = Some(attr.u8()?),
                fra::SPORT_RANGE => rule.source_ports = Some(ports(attr.payload)?),
                fra::DPORT_RANGE => rule.destination_ports = Some(ports(attr.payload)?),
                _ => {}
            }
        }
        // A mask comes with every rule, zero where no mark is looked at.
        if mark.is_some() || mask.is_some_and(|m| m != 0) {
            rule.mark = Some((mark.unwrap_or(0), mask.unwrap_or(u32::MAX)));
        }
        Ok(rule)
    }
}

fn pair(bytes: &[u8]) -> Result<(u32, u32), Malformed> {
    let [a, b, c, d, e, f, g, h] = header::<8>(bytes, "range of users")?;
    Ok((
        u32::from_ne_bytes([a, b, c, d]),
        u32::from_ne_bytes([e, f, g, h]),
    ))
}

fn ports(bytes: &[u8]) -> Result<(u16, u16), Malformed> {
    let [a, b, c, d] = header::<4>(bytes, "range of ports")?;
    Ok((u16::from_ne_bytes([a, b]), u16::from_ne_bytes([c, d])))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz;
    use crate::netlink::Builder;

    fn bytes() -> Vec<u8> {
        let head = [2, 16, 24, 0, 100, 0, 0, 1, 0, 0, 0, 0];
        Builder::after(&head)
            .put(fra::SRC, &[10, 1, 0, 0])
            .put(fra::DST, &[10, 2, 0, 0])
            .u32(fra::PRIORITY, 300)
            .u32(fra::FWMARK, 16)
            .u32(fra::FWMASK, 255)
            .str(fra::IIFNAME, "eth0")
            .u32(fra::SUPPRESS_PREFIXLEN, u32::MAX)
            .put(
                fra::DPORT_RANGE,
                &[80u16.to_ne_bytes(), 90u16.to_ne_bytes()].concat(),
            )
            .finish()
    }

    #[test]
    fn a_rule_is_read() {
        let rule = Rule::read(&bytes()).unwrap();
        let prefix = |text: &str, bits| Some((text.parse().unwrap(), bits));
        assert_eq!(
            (rule.from, rule.to),
            (prefix("10.1.0.0", 24), prefix("10.2.0.0", 16))
        );
        assert_eq!(
            (rule.priority, rule.table, rule.mark),
            (300, 100, Some((16, 255)))
        );
        assert_eq!(
            (rule.incoming.as_str(), rule.suppress_prefix),
            ("eth0", None)
        );
        assert_eq!(rule.destination_ports, Some((80, 90)));
    }

    #[test]
    fn damage_is_refused_or_read() {
        fuzz::mutations(&bytes(), 4000, |b| {
            let _ = Rule::read(b);
        });
    }
}
