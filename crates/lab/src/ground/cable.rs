//! What the switch does to a cable, invisible to the node at its end; and two things about a
//! node's own end that make it a real cable.

use super::address::Cidr;
use crate::Error;
use crate::relay::{Conditions, Relay};
use crate::world::Cable;
use netshoot_host::link;
use netshoot_host::netns::NetNs;
use netshoot_host::nft::Batch;
use netshoot_wire::nft::build::End;
use netshoot_wire::nft::{Chain, CmpOp, Expr, Family, Hook, MetaKey, Rule, Table};
use std::collections::BTreeMap;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

/// ethtool's words (linux/ethtool.h) for sending checksums, sending segments.
const ETHTOOL_STXCSUM: u32 = 0x17;
const ETHTOOL_STSO: u32 = 0x1f;

/// `BR_STATE_FORWARDING` (linux/if_bridge.h).
const FORWARDING: u8 = 3;
/// How long a link may take to run once both ends are up, milliseconds. The kernel sees to links
/// that came up at once, or at most once a second.
const RUNNING_MS: u64 = 3000;

/// Asks whether there is a link.
const ETHTOOL_GLINK: u32 = 0x0a;

/// linux/sockios.h
const SIOCETHTOOL: libc::c_ulong = 0x8946;

#[repr(C)]
struct EthtoolValue {
    cmd: u32,
    data: u32,
}

/// A veth hands over segments of 64 KiB without checksums and calls it a packet. On a cable
/// between machines packets are packets: sizes count, and bits can be wrong.
pub(super) fn no_offload(link: &str) -> Result<(), Error> {
    for cmd in [ETHTOOL_STSO, ETHTOOL_STXCSUM] {
        let mut value = EthtoolValue { cmd, data: 0 };
        let mut request = about(link);
        request.ifr_ifru.ifru_data = (&raw mut value).cast();
        ask("turn off offloading", link, SIOCETHTOOL, &mut request)?;
    }
    Ok(())
}

/// A request about a link (netdevice(7)).
fn about(link: &str) -> libc::ifreq {
    // SAFETY: all-zero is a valid ifreq.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request
        .ifr_name
        .iter_mut()
        .zip(link.bytes().take(libc::IFNAMSIZ - 1))
    {
        *to = from as libc::c_char;
    }
    request
}

fn ask(
    tried: &'static str,
    link: &str,
    what: libc::c_ulong,
    request: &mut libc::ifreq,
) -> Result<(), Error> {
    // SAFETY: no pointers.
    let fd = unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
    if fd < 0 {
        return Err(netshoot_host::Error::last("open socket", link).into());
    }
    // SAFETY: just made, owned by nobody else.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    // SAFETY: the request names a link; what it points to lives until the call is over.
    if unsafe { libc::ioctl(socket.as_raw_fd(), what, std::ptr::from_mut(request)) } != 0 {
        return Err(netshoot_host::Error::last(tried, link).into());
    }
    Ok(())
}

/// Our table in the nodes (cluster traffic that leaves) and in the switch.
const OUTSIDE: &str = "outside";
const CABLES: &str = "cables";

/// Pods keep their address towards `inside` and take the node's beyond it.
pub(super) fn masquerade(pods: &[Cidr], inside: &[Cidr]) -> Result<(), Error> {
    let mut batch = Batch::new();
    for (family, v4) in [(Family::Ip, true), (Family::Ip6, false)] {
        let own: Vec<&Cidr> = pods.iter().filter(|c| c.address.is_ipv4() == v4).collect();
        if own.is_empty() {
            continue;
        }
        let rule = |from: &Cidr| {
            let leaving = Rule::new().oifname(true, "eth0").network(
                End::Source,
                true,
                from.network(),
                from.prefix,
            );
            let beyond = inside.iter().filter(|c| c.address.is_ipv4() == v4);
            beyond
                .fold(leaving, |r, c| {
                    r.network(End::Destination, false, c.network(), c.prefix)
                })
                .counter()
                .masquerade(0)
        };
        let chain = Chain {
            name: "postrouting".into(),
            hook: Some(hook("nat", "postrouting", 100)),
            rules: own.into_iter().map(rule).collect(),
            ..Chain::default()
        };
        let comment = "pods take the node's address outside the cluster";
        batch.replace(&Table {
            family,
            name: OUTSIDE.into(),
            comment: comment.into(),
            chains: vec![chain],
            ..Table::default()
        });
    }
    Ok(batch.apply()?)
}

/// A base chain that lets pass what no rule decides.
pub(crate) fn hook(kind: &str, point: &str, priority: i32) -> Hook {
    Hook {
        kind: kind.into(),
        point: point.into(),
        priority,
        policy_drop: false,
        policy_packets: None,
    }
}

/// The conditions of all cables at once, by the switch's port.
pub(super) fn apply(lan: &NetNs, cables: &BTreeMap<String, Cable>) -> Result<(), Error> {
    let mut rules = Vec::new();
    for (port, cable) in cables {
        // The switch's own end of the cable: the port, or what stands for it behind a relay.
        let [switch_end, _] = relay_links(port);
        let sides = || {
            let both = |end: &str| {
                [
                    Rule::new().iifname(true, end),
                    Rule::new().oifname(true, end),
                ]
            };
            [both(port), both(&switch_end)].into_iter().flatten()
        };
        if cable.mtu > 0 {
            rules.extend(sides().map(|r| longer_than(r, cable.mtu).counter().drop()));
        }
        for blocked in &cable.blocked_udp {
            let udp = |r: Rule| {
                r.protocol(libc::IPPROTO_UDP as u8)
                    .port(End::Destination, *blocked)
                    .counter()
                    .drop()
            };
            rules.extend(sides().map(udp));
        }
        if cable.loss_percent > 0 {
            let percent = cable.loss_percent.min(100);
            rules.extend(sides().map(|r| below(r.random(100), percent).counter().drop()));
        }
    }
    let chain = Chain {
        name: "forward".into(),
        hook: Some(hook("filter", "forward", 0)),
        rules,
        ..Chain::default()
    };
    let table = Table {
        family: Family::Bridge,
        name: CABLES.into(),
        chains: vec![chain],
        ..Table::default()
    };
    Ok(lan.enter(|| Batch::new().replace(&table).apply())??)
}

/// Waits until the kernel has these links running. That comes some milliseconds after both ends of
/// a cable are up; what is sent before is lost, and a lost ARP request costs a whole second.
pub(super) fn wait_running(links: &[&str]) -> Result<(), Error> {
    let end = Instant::now() + Duration::from_millis(RUNNING_MS);
    for name in links {
        while !is_running(name)? {
            if Instant::now() > end {
                return Err(Error::Waited {
                    for_what: format!("link {name} to run"),
                    ms: RUNNING_MS,
                });
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    Ok(())
}

/// Whether it has its carrier and the bridge that it is a port of forwards. Asking for the link
/// makes the kernel see to what it has put off (since 6.8; older ones are waited for).
fn is_running(name: &str) -> Result<bool, Error> {
    let mut value = EthtoolValue {
        cmd: ETHTOOL_GLINK,
        data: 0,
    };
    let mut request = about(name);
    request.ifr_ifru.ifru_data = (&raw mut value).cast();
    ask("ask for the link", name, SIOCETHTOOL, &mut request)?;
    let links = link::links()?;
    let forwards = links
        .iter()
        .any(|l| l.name == name && l.port_state.is_none_or(|s| s == FORWARDING));
    Ok(value.data != 0 && forwards && !has_tentative(name))
}

/// Whether an IPv6 address of the link is not answered for yet (`IFA_F_TENTATIVE` in
/// `/proc/net/if_inet6`: address, index, prefix, scope, flags, name).
fn has_tentative(name: &str) -> bool {
    let text = std::fs::read_to_string("/proc/thread-self/net/if_inet6").unwrap_or_default();
    text.lines().any(|line| {
        let mut words = line.split_ascii_whitespace().skip(4);
        let flags = words.next().and_then(|w| u32::from_str_radix(w, 16).ok());
        words.next() == Some(name) && flags.is_some_and(|f| f & libc::IFA_F_TENTATIVE != 0)
    })
}

/// The two links by which a relay is put between a port and the switch.
fn relay_links(port: &str) -> [String; 2] {
    ["s", "r"].map(|end| format!("{port}{end}"))
}

/// Puts a relay into a cable that needs one, gives it its conditions, takes it away from one that
/// needs it no more.
pub(super) fn relay(
    lan: &NetNs,
    port: &str,
    cable: &Cable,
    relays: &mut BTreeMap<String, Relay>,
) -> Result<(), Error> {
    let wanted = Conditions {
        delay_ms: cable.delay_ms,
        jitter_ms: cable.jitter_ms,
        corrupt_percent: cable.corrupt_percent,
        duplicate_percent: cable.duplicate_percent,
    };
    let [switch_end, relay_end] = relay_links(port);
    match relays.get(port) {
        None if wanted == Conditions::default() => Ok(()),
        Some(_) if wanted == Conditions::default() => {
            relays.remove(port);
            lan.enter(|| {
                link::delete(&relay_end)?;
                link::set_master(port, super::nodes::BRIDGE)?;
                wait_running(&[port])
            })?
        }
        Some(running) => {
            running.set(wanted);
            Ok(())
        }
        None => {
            lan.enter(|| splice(port, &switch_end, &relay_end))??;
            let started = Relay::start(lan, port, &relay_end, wanted)?;
            relays.insert(port.to_string(), started);
            Ok(())
        }
    }
}

fn splice(port: &str, switch_end: &str, relay_end: &str) -> Result<(), Error> {
    link::create_veth(switch_end, relay_end, None)?;
    let links = link::links()?;
    let mtu = links.iter().find(|l| l.name == port).map(|l| l.mtu);
    for end in [switch_end, relay_end] {
        if let Some(mtu) = mtu {
            link::set_mtu(end, mtu)?;
        }
        no_offload(end)?;
    }
    // Links without an address of their own: nothing of ours may travel on the cable.
    for end in [port, relay_end] {
        super::sysctl::write_if_there(&format!("net.ipv6.conf.{end}.disable_ipv6"), "1")?;
    }
    link::clear_master(port)?;
    link::set_master(switch_end, super::nodes::BRIDGE)?;
    link::set_up(switch_end)?;
    link::set_up(relay_end)?;
    wait_running(&[switch_end, relay_end])
}

/// Register 1 as the kernel compares numbers: bytes in network order.
fn in_network_order(rule: Rule) -> Rule {
    rule.expr(Expr::Byteorder {
        sreg: 1,
        dreg: 1,
        to_network: true,
        len: 4,
        size: 4,
    })
}

/// `meta length > BYTES`: in a bridge the IP packet, without its Ethernet header.
fn longer_than(rule: Rule, bytes: u32) -> Rule {
    in_network_order(rule.meta(MetaKey::Len)).expr(Expr::Cmp {
        sreg: 1,
        op: CmpOp::Gt,
        data: bytes.to_be_bytes().to_vec(),
    })
}

fn below(rule: Rule, number: u32) -> Rule {
    in_network_order(rule).expr(Expr::Cmp {
        sreg: 1,
        op: CmpOp::Lt,
        data: number.to_be_bytes().to_vec(),
    })
}
