//! SNMP counters of the calling thread's network namespace.

use crate::Error;
use std::collections::BTreeMap;

/// `/proc/net/{snmp,netstat,snmp6}` as `Group.Name`: `Tcp.RetransSegs`, `TcpExt.ListenOverflows`,
/// `Ip6.InReceives`. Values that can be negative (`Tcp.MaxConn`) are left out when they are.
pub fn counters() -> Result<BTreeMap<String, u64>, Error> {
    // /proc/net is the main thread's; this thread may be in another namespace.
    let read = |file: &str| {
        let path = format!("/proc/thread-self/net/{file}");
        std::fs::read_to_string(&path).map_err(|source| Error::System {
            tried: "read counters",
            on: path,
            source,
        })
    };
    let mut all = BTreeMap::new();
    add_pairs(&mut all, &read("snmp")?);
    add_pairs(&mut all, &read("netstat")?);
    match read("snmp6") {
        Ok(text) => add_six(&mut all, &text),
        Err(e) if e.errno() == Some(libc::ENOENT) => {} // no IPv6 in this kernel
        Err(e) => return Err(e),
    }
    Ok(all)
}

/// Lines in pairs: `Tcp: name name`, `Tcp: 1 2`.
fn add_pairs(all: &mut BTreeMap<String, u64>, text: &str) {
    let mut lines = text.lines();
    while let (Some(names), Some(values)) = (lines.next(), lines.next()) {
        let (Some((group, names)), Some((same, values))) =
            (names.split_once(':'), values.split_once(':'))
        else {
            continue;
        };
        if group != same {
            continue;
        }
        for (name, value) in names.split_whitespace().zip(values.split_whitespace()) {
            if let Ok(value) = value.parse() {
                all.insert(format!("{group}.{name}"), value);
            }
        }
    }
}

/// A line each: `Ip6InReceives 7`; the group ends with the first 6.
fn add_six(all: &mut BTreeMap<String, u64>, text: &str) {
    for line in text.lines() {
        let mut words = line.split_whitespace();
        if let (Some(name), Some(Ok(value))) = (words.next(), words.next().map(str::parse))
            && let Some((group, name)) = name.split_once('6')
        {
            all.insert(format!("{group}6.{name}"), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link;
    use crate::testing::in_new_netns;

    #[test]
    fn files_become_group_and_name() {
        let mut all = BTreeMap::new();
        add_pairs(
            &mut all,
            "Tcp: MaxConn RetransSegs\nTcp: -1 7\nTcpExt: ListenDrops\nTcpExt: 3\nodd\n",
        );
        add_six(
            &mut all,
            "Ip6InReceives  \t5\nIcmp6OutType135 2\nUdpLite6InErrors 1\nbroken\n",
        );
        let found: Vec<_> = all.iter().map(|(k, v)| (k.as_str(), *v)).collect();
        assert_eq!(
            found,
            [
                ("Icmp6.OutType135", 2),
                ("Ip6.InReceives", 5),
                ("Tcp.RetransSegs", 7),
                ("TcpExt.ListenDrops", 3),
                ("UdpLite6.InErrors", 1)
            ]
        );
    }

    #[test]
    fn packets_of_this_namespace_are_counted() {
        in_new_netns(|| {
            link::set_up("lo").unwrap();
            for (address, group) in [("127.0.0.1:0", "Udp"), ("[::1]:0", "Udp6")] {
                let socket = std::net::UdpSocket::bind(address).unwrap();
                for _ in 0..3 {
                    socket.send_to(b"x", socket.local_addr().unwrap()).unwrap();
                }
                // This namespace is new: nothing else can have been counted.
                assert_eq!(counters().unwrap()[&format!("{group}.OutDatagrams")], 3);
            }
        });
    }

    #[test]
    fn damaged_files_are_read_as_far_as_they_go() {
        let pairs = "Tcp: RtoMin MaxConn RetransSegs\nTcp: 200 -1 7\nTcpExt: SyncookiesSent ListenOverflows\nTcpExt: 0 18446744073709551615\n";
        let six = "Ip6InReceives                   \t7\nIcmp6InMsgs 1\nUdpLite6OutDatagrams 0\n";
        netshoot_wire::fuzz::texts(&[pairs, six], 20_000, |text| {
            let mut all = BTreeMap::new();
            add_pairs(&mut all, text);
            add_six(&mut all, text);
            for (name, value) in all {
                let (group, _) = name.split_once('.').unwrap();
                assert!(
                    text.contains(group.trim_end_matches('6')),
                    "{name} {text:?}"
                );
                // A sign or zeros in front may stand before it.
                assert!(text.contains(&value.to_string()), "{value} {text:?}");
            }
        });
    }
}
