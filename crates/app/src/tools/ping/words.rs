//! What ping says: addresses, complaints of ICMP, times, figures.

use super::plan::Plan;
use netshoot_host::message::Complaint;
use netshoot_host::names;
use std::net::SocketAddr;

/// An address, with its name where it has one and names are wanted.
pub fn host(plan: &Plan, address: SocketAddr) -> String {
    let figures = names::figures(address);
    let name = (!plan.numeric).then(|| names::name_of(address)).flatten();
    match name {
        Some(name) => format!("{name} ({figures})"),
        None => figures,
    }
}

/// A complaint in the original's words.
pub fn complaint(v6: bool, said: &Complaint) -> String {
    let (kind, code, info) = (said.kind, said.code, said.info);
    if v6 {
        return complaint6(kind, code, info);
    }
    let text = match (kind, code) {
        (3, 0) => "Destination Net Unreachable",
        (3, 1) => "Destination Host Unreachable",
        (3, 2) => "Destination Protocol Unreachable",
        (3, 3) => "Destination Port Unreachable",
        (3, 4) => return format!("Frag needed and DF set (mtu = {info})"),
        (3, 5) => "Source Route Failed",
        (3, 6) => "Destination Net Unknown",
        (3, 7) => "Destination Host Unknown",
        (3, 8) => "Source Host Isolated",
        (3, 9) => "Destination Net Prohibited",
        (3, 10) => "Destination Host Prohibited",
        (3, 11) => "Destination Net Unreachable for Type of Service",
        (3, 12) => "Destination Host Unreachable for Type of Service",
        (3, 13) => "Packet filtered",
        (3, 14) => "Precedence Violation",
        (3, 15) => "Precedence Cutoff",
        (3, code) => return format!("Dest Unreachable, Bad Code: {code}"),
        (4, _) => "Source Quench",
        (11, 0) => "Time to live exceeded",
        (11, 1) => "Frag reassembly time exceeded",
        (11, code) => return format!("Time exceeded, Bad Code: {code}"),
        (12, _) => return format!("Parameter problem: pointer = {info}"),
        (kind, _) => return format!("Bad ICMP type: {kind}"),
    };
    text.into()
}

fn complaint6(kind: u8, code: u8, info: u32) -> String {
    match (kind, code) {
        (1, 0) => "Destination unreachable: No route".into(),
        (1, 1) => "Destination unreachable: Administratively prohibited".into(),
        (1, 2) => "Destination unreachable: Beyond scope of source address".into(),
        (1, 3) => "Destination unreachable: Address unreachable".into(),
        (1, 4) => "Destination unreachable: Port unreachable".into(),
        (1, code) => format!("Destination unreachable: Unknown code {code}"),
        (2, _) => format!("Packet too big: mtu={info}"),
        (3, 0) => "Time exceeded: Hop limit".into(),
        (3, 1) => "Time exceeded: Defragmentation failure".into(),
        (3, code) => format!("Time exceeded: code {code}"),
        (4, 0) => format!("Parameter problem: Wrong header field at {info}"),
        (4, 1) => format!("Parameter problem: Unknown header at {info}"),
        (4, 2) => format!("Parameter problem: Unknown option at {info}"),
        (4, code) => format!("Parameter problem: code {code} at {info}"),
        (kind, _) => format!("unknown icmp type: {kind}"),
    }
}

/// A round trip in milliseconds, with three figures or more.
pub fn trip(us: u64) -> String {
    if us >= 100_000 - 50 {
        format!("{} ms", (us + 500) / 1000)
    } else if us >= 10_000 - 5 {
        let us = us + 50;
        format!("{}.{} ms", us / 1000, us % 1000 / 100)
    } else if us >= 1000 {
        let us = us + 5;
        format!("{}.{:02} ms", us / 1000, us % 1000 / 10)
    } else {
        format!("{}.{:03} ms", us / 1000, us % 1000)
    }
}

/// Milliseconds with three places.
pub fn ms(us: u64) -> String {
    format!("{}.{:03}", us / 1000, us % 1000)
}

/// A number as `%g` of printf(3) writes those between 0.0001 and 1000000.
pub fn general(x: f64) -> String {
    if x == 0.0 {
        return "0".into();
    }
    let before = x.abs().log10().floor() as i32;
    let places = usize::try_from(5 - before).unwrap_or(0);
    let text = format!("{x:.places$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').into(),
        false => text,
    }
}

/// The addresses of a recorded route (RFC 791), as the option holds them.
pub fn route(options: &[u8]) -> Option<Vec<std::net::Ipv4Addr>> {
    let mut rest = options;
    loop {
        match rest {
            [0, ..] | [] => return None,
            [1, behind @ ..] => rest = behind,
            [7, length, free, behind @ ..] => {
                let used = usize::from(*free)
                    .min(usize::from(*length) + 1)
                    .checked_sub(4)?;
                let addresses = behind.get(..used)?.chunks_exact(4);
                let read = |a: &[u8]| <[u8; 4]>::try_from(a).ok().map(std::net::Ipv4Addr::from);
                return Some(addresses.filter_map(read).collect());
            }
            [_, length, ..] => rest = rest.get(usize::from(*length).max(2)..)?,
            [_] => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_the_original_writes_them() {
        for (us, wanted) in [
            (41, "0.041 ms"),
            (1234, "1.23 ms"),
            (12_345, "12.3 ms"),
            (99_949, "99.9 ms"),
            (99_951, "100 ms"),
            (1_234_567, "1235 ms"),
        ] {
            assert_eq!(trip(us), wanted, "{us}");
        }
        for (x, wanted) in [
            (0.0, "0"),
            (100.0, "100"),
            (33.0 + 1.0 / 3.0, "33.3333"),
            (66.0 + 2.0 / 3.0, "66.6667"),
            (0.05, "0.05"),
        ] {
            assert_eq!(general(x), wanted);
        }
    }

    #[test]
    fn a_recorded_route_is_read_and_damage_is_no_route() {
        let sound = [1, 7, 39, 12, 10, 0, 0, 1, 10, 0, 0, 2, 0, 0, 0, 0];
        let all = route(&sound).unwrap();
        assert_eq!(
            all,
            [
                "10.0.0.1".parse::<std::net::Ipv4Addr>().unwrap(),
                "10.0.0.2".parse().unwrap()
            ]
        );
        for damaged in [&[7][..], &[7, 39, 200, 1], &[9, 0, 9, 0], &[7, 0, 0]] {
            assert!(route(damaged).is_none(), "{damaged:?}");
        }
    }
}
