//! Tracked connections over ctnetlink: read, forget, and make (for worlds). All of it needs
//! CAP_NET_ADMIN; without it the kernel says so, never an empty table.

use super::sysctl;
use crate::Error;
use crate::netlink::Socket;
use netshoot_model::probe::{Conntrack, ConntrackEntry};
use netshoot_wire::conntrack::{self, Entry, Tuple};
use netshoot_wire::netlink::{CREATE, DUMP, EXCLUSIVE};
use netshoot_wire::rtnl::AF_UNSPEC;
use std::io;
use std::net::{IpAddr, SocketAddr};

/// Messages in one send: well below the smallest send buffer.
const AT_ONCE: usize = 500;

/// The table's counters and at most `most` entries, those with `to` as original destination if
/// one is given.
pub fn conntrack(to: Option<IpAddr>, most: usize) -> Result<Conntrack, Error> {
    let socket = Socket::open(libc::NETLINK_NETFILTER)?;
    let mut table = Conntrack::default();
    read_stats(&socket, &mut table)?;
    let take = |kind: u16, payload: &[u8]| {
        if kind == conntrack::NEW && table.entries.len() < most {
            let entry = Entry::read(payload)?;
            if to.is_none_or(|to| entry.original.destination.ip() == to) {
                table.entries.push(model_entry(&entry));
            }
        }
        Ok(())
    };
    // Entries come and go all the time; an interrupted dump is as good as this table gets.
    socket.each(
        "read tracked connections",
        "conntrack",
        conntrack::GET,
        DUMP,
        &conntrack::header(AF_UNSPEC),
        take,
    )?;
    Ok(table)
}

fn read_stats(socket: &Socket, table: &mut Conntrack) -> Result<(), Error> {
    let tried = "read conntrack counters";
    let header = conntrack::header(AF_UNSPEC);
    for (_, payload) in socket.ask(tried, "conntrack", conntrack::GET_STATS_CPU, DUMP, &header)? {
        for (name, count) in conntrack::read_cpu_stats(&payload)? {
            let sum = table.stats.entry(name.into()).or_default();
            *sum = sum.saturating_add(count);
        }
    }
    let (mut count, mut max) = (None, None);
    for (_, payload) in socket.ask(tried, "conntrack", conntrack::GET_STATS, 0, &header)? {
        (count, max) = conntrack::read_table_size(&payload)?;
    }
    table.count = size_of_table(count, "nf_conntrack_count")?;
    table.max = size_of_table(max, "nf_conntrack_max")?;
    Ok(())
}

/// What the kernel told over netlink, else what `/proc` says.
fn size_of_table(told: Option<u64>, file: &str) -> Result<u64, Error> {
    if let Some(told) = told {
        return Ok(told);
    }
    let name = format!("net.netfilter.{file}");
    sysctl::sysctl(&name)?
        .and_then(|text| text.parse().ok())
        .ok_or(Error::Absent { what: name })
}

fn model_entry(entry: &Entry) -> ConntrackEntry {
    ConntrackEntry {
        protocol: entry.protocol_word(),
        state: entry.state_word().into(),
        source: entry.original.source,
        destination: entry.original.destination,
        reply_source: entry.reply.source,
        reply_destination: entry.reply.destination,
        unreplied: entry.unreplied(),
    }
}

fn wire_entry(entry: &ConntrackEntry, timeout: u32) -> Result<Entry, Error> {
    let unfit = |what: &str| Error::System {
        tried: "make conntrack entry",
        on: format!(
            "{what} of {} {} to {}",
            entry.protocol, entry.source, entry.destination
        ),
        source: io::Error::from_raw_os_error(libc::EINVAL),
    };
    let protocol = match entry.protocol.as_str() {
        "tcp" => 6,
        "udp" => 17,
        _ => return Err(unfit("protocol (only tcp and udp have ports)")),
    };
    let tcp_state = match entry.state.as_str() {
        "" if protocol == 6 => return Err(unfit("the missing state")),
        "" => None,
        word => Some(Entry::state_number(word).ok_or_else(|| unfit("state"))?),
    };
    let tuple = |source: SocketAddr, destination: SocketAddr| Tuple {
        protocol,
        source,
        destination,
    };
    Ok(Entry {
        original: tuple(entry.source, entry.destination),
        reply: tuple(entry.reply_source, entry.reply_destination),
        status: Entry::made_status(entry.unreplied),
        tcp_state,
        timeout,
    })
}

/// Makes entries, tcp or udp, that are forgotten after `timeout` seconds. Stops at the first that
/// the kernel refuses: `EEXIST` is there already, `ENOMEM` means that the table is full.
pub fn insert(
    entries: impl IntoIterator<Item = ConntrackEntry>,
    timeout: u32,
) -> Result<(), Error> {
    let socket = Socket::open(libc::NETLINK_NETFILTER)?;
    let mut messages = Vec::with_capacity(AT_ONCE);
    for entry in entries {
        let payload = wire_entry(&entry, timeout)?.write();
        messages.push((conntrack::NEW, CREATE | EXCLUSIVE, payload));
        if messages.len() == AT_ONCE {
            socket.batch(&messages)?;
            messages.clear();
        }
    }
    Ok(socket.batch(&messages)?)
}

/// Forgets one entry, found by its original direction; `ENOENT` when it is not there.
pub fn delete(entry: &ConntrackEntry) -> Result<(), Error> {
    // The state is not part of the name; any will do.
    let named = ConntrackEntry {
        state: if entry.protocol == "tcp" {
            "ESTABLISHED".into()
        } else {
            String::new()
        },
        ..entry.clone()
    };
    let on = format!(
        "{} {} to {}",
        entry.protocol, entry.source, entry.destination
    );
    let payload = wire_entry(&named, 0)?.name();
    Socket::open(libc::NETLINK_NETFILTER)?
        .ask(
            "forget tracked connection",
            &on,
            conntrack::DELETE,
            0,
            &payload,
        )
        .map(drop)
}

/// Forgets every entry of this namespace.
pub fn flush() -> Result<(), Error> {
    Socket::open(libc::NETLINK_NETFILTER)?
        .ask(
            "forget tracked connections",
            "all",
            conntrack::DELETE,
            0,
            &conntrack::header(AF_UNSPEC),
        )
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{in_new_netns, oracle_text};

    fn entry(protocol: &str, state: &str, ends: [&str; 4]) -> ConntrackEntry {
        let [source, destination, reply_source, reply_destination] =
            ends.map(|end| end.parse().unwrap());
        ConntrackEntry {
            protocol: protocol.into(),
            state: state.into(),
            source,
            destination,
            reply_source,
            reply_destination,
            unreplied: false,
        }
    }

    fn three() -> Vec<ConntrackEntry> {
        let mut stale = entry(
            "udp",
            "",
            [
                "10.1.0.1:999",
                "10.96.0.10:53",
                "10.244.0.3:53",
                "10.1.0.1:999",
            ],
        );
        stale.unreplied = true;
        vec![
            entry(
                "tcp",
                "ESTABLISHED",
                [
                    "10.1.0.1:4000",
                    "10.96.0.1:443",
                    "10.244.0.5:6443",
                    "10.1.0.1:4000",
                ],
            ),
            entry(
                "tcp",
                "SYN_SENT",
                [
                    "[fd00::1]:4000",
                    "[fd00:96::1]:443",
                    "[fd00:244::5]:6443",
                    "[fd00::1]:4000",
                ],
            ),
            stale,
        ]
    }

    #[test]
    fn entries_are_made_read_and_forgotten() {
        in_new_netns(|| {
            insert(three(), 300).unwrap();
            let table = conntrack(None, 1000).unwrap();
            assert_eq!(table.count, 3);
            assert!(table.max > 0);
            assert!(table.stats.contains_key("drop"), "{:?}", table.stats);
            for wanted in three() {
                assert!(
                    table.entries.contains(&wanted),
                    "{wanted:?} in {:?}",
                    table.entries
                );
            }
            let dns = conntrack("10.96.0.10".parse().ok(), 1000).unwrap();
            assert_eq!(dns.entries, three()[2..]);
            assert_eq!(conntrack(None, 2).unwrap().entries.len(), 2);
            let again = insert(three(), 300).unwrap_err();
            assert_eq!(again.errno(), Some(libc::EEXIST));
            delete(&three()[2]).unwrap();
            assert_eq!(delete(&three()[2]).unwrap_err().errno(), Some(libc::ENOENT));
            assert_eq!(conntrack(None, 10).unwrap().entries.len(), 2);
            flush().unwrap();
            assert_eq!(conntrack(None, 10).unwrap().entries, []);
        });
    }

    #[test]
    fn what_cannot_be_made_is_refused() {
        in_new_netns(|| {
            let icmp = entry(
                "icmp",
                "",
                ["10.1.0.1:0", "10.1.0.2:0", "10.1.0.2:0", "10.1.0.1:0"],
            );
            assert!(
                insert([icmp], 30)
                    .unwrap_err()
                    .to_string()
                    .contains("only tcp and udp")
            );
            let odd = entry(
                "tcp",
                "SLEEPING",
                ["10.1.0.1:1", "10.1.0.2:1", "10.1.0.2:1", "10.1.0.1:1"],
            );
            assert!(insert([odd], 30).is_err());
        });
    }

    #[test]
    fn thousands_go_in_at_once() {
        in_new_netns(|| {
            let many = (0..3000u16).map(|i| ConntrackEntry {
                source: SocketAddr::new(IpAddr::from([10, 2, (i >> 8) as u8, i as u8]), 1),
                reply_destination: SocketAddr::new(
                    IpAddr::from([10, 2, (i >> 8) as u8, i as u8]),
                    1,
                ),
                ..three().remove(0)
            });
            insert(many, 600).unwrap();
            assert_eq!(conntrack(None, 10).unwrap().count, 3000);
            flush().unwrap();
        });
    }

    #[test]
    fn entries_are_what_conntrack_says() {
        in_new_netns(|| {
            insert(three(), 300).unwrap();
            let ours = conntrack(None, 1000).unwrap();
            for (family, six) in [("ipv4", false), ("ipv6", true)] {
                let Some(theirs) = oracle_text("conntrack", &["-L", "-f", family]) else {
                    return;
                };
                let lines: Vec<&str> = theirs.lines().collect();
                let ours: Vec<_> = ours
                    .entries
                    .iter()
                    .filter(|e| e.source.is_ipv6() == six)
                    .collect();
                assert_eq!(lines.len(), ours.len());
                for e in ours {
                    let ends = format!(
                        "src={} dst={} sport={} dport={}",
                        e.source.ip(),
                        e.destination.ip(),
                        e.source.port(),
                        e.destination.port()
                    );
                    let back = format!(
                        "src={} dst={} sport={} dport={}",
                        e.reply_source.ip(),
                        e.reply_destination.ip(),
                        e.reply_source.port(),
                        e.reply_destination.port()
                    );
                    let line = lines
                        .iter()
                        .find(|l| l.contains(&ends))
                        .unwrap_or_else(|| panic!("{ends} in {theirs}"));
                    assert!(
                        line.starts_with(&e.protocol)
                            && line.contains(&e.state)
                            && line.contains(&back),
                        "{line}"
                    );
                    assert_eq!(line.contains("[UNREPLIED]"), e.unreplied, "{line}");
                }
            }
            let Some(stats) = oracle_text("conntrack", &["-S"]) else {
                return;
            };
            for (name, _) in stats.split_whitespace().filter_map(|w| w.split_once('=')) {
                assert!(
                    name == "cpu" || ours.stats.contains_key(name),
                    "{name} in {:?}",
                    ours.stats
                );
            }
        });
    }
}
