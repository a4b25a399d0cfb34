//! Ground for the tests of probes: a network namespace of their own.

use crate::netns::NetNs;
use crate::{icmp, link, sockets};
use netshoot_model::probe::Outcome;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Runs `work` in a new namespace with `lo` up.
pub fn alone<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    let ns = NetNs::new().expect("a namespace of the test's own");
    ns.enter(|| {
        lo_up();
        work()
    })
    .expect("the thread inside the namespace")
}

/// Sets `lo` up in the namespace of the calling thread (netdevice(7)).
pub fn lo_up() {
    let socket = sockets::open(libc::AF_INET, libc::SOCK_DGRAM, 0, "the test").expect("a socket");
    // SAFETY: all zeroes is a valid ifreq; both requests read or write only the ifreq.
    unsafe {
        let mut request: libc::ifreq = std::mem::zeroed();
        request.ifr_name[0] = b'l' as libc::c_char;
        request.ifr_name[1] = b'o' as libc::c_char;
        let fd = std::os::fd::AsRawFd::as_raw_fd(&socket);
        assert_eq!(libc::ioctl(fd, libc::SIOCGIFFLAGS, &mut request), 0);
        request.ifr_ifru.ifru_flags |= libc::IFF_UP as libc::c_short;
        assert_eq!(libc::ioctl(fd, libc::SIOCSIFFLAGS, &request), 0);
    }
}

/// Gives up every capability of the calling thread, for good (capabilities(7)).
pub fn drop_capabilities() {
    // struct __user_cap_header_struct and two of __user_cap_data_struct (linux/capability.h).
    let header = [0x2008_0522u32, 0];
    let none = [0u32; 6];
    // SAFETY: both arrays have the layout that version 3 of the call reads, and it writes neither.
    let rc = unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), none.as_ptr()) };
    assert_eq!(rc, 0, "{}", std::io::Error::last_os_error());
}

/// What can be asked from the near end of [`routed`]; IPv4 first.
pub struct Far {
    /// Behind the router.
    pub reachable: [IpAddr; 2],
    /// Addresses to which the router has no route.
    pub unroutable: [IpAddr; 2],
    /// Addresses on the near link whose hardware address nobody has.
    pub dead: [IpAddr; 2],
    /// The namespace behind the router.
    pub ns: NetNs,
}

/// Where the path behind the router becomes narrow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Narrow {
    /// The router's own link: it says so.
    Announced(u32),
    /// The far end only: what is more than four bytes larger is lost without a word.
    Silent(u32),
    /// The near link: this machine says so.
    Here(u32),
}

/// Runs `work` at the near end of two links with a router between, all MTUs 1500.
pub fn routed<T: Send>(work: impl FnOnce(Far) -> T + Send) -> T {
    narrowed(Narrow::Here(1500), work)
}

/// [`routed`] with a narrow place.
pub fn narrowed<T: Send>(narrow: Narrow, work: impl FnOnce(Far) -> T + Send) -> T {
    let [near, router, far] =
        std::array::from_fn(|_| NetNs::new().expect("a namespace of the test's own"));
    let ip = |text: &str| -> IpAddr { text.parse().expect("an address") };
    let pair = |v4: &str, v6: &str| [ip(v4), ip(v6)];
    let up = |name: &str, addresses: [IpAddr; 2]| {
        link::set_up(name).expect("link up");
        link::add_address(name, addresses[0], 24).expect("IPv4 address");
        link::add_address(name, addresses[1], 64).expect("IPv6 address");
    };
    let default_via = |gateways: [IpAddr; 2]| {
        link::add_route(ip("0.0.0.0"), 0, Some(gateways[0]), None).expect("IPv4 default route");
        link::add_route(ip("::"), 0, Some(gateways[1]), None).expect("IPv6 default route");
    };
    let at_router = || {
        lo_up();
        link::create_veth("near", "e0", Some(&near)).expect("veth");
        link::create_veth("far", "e0", Some(&far)).expect("veth");
        up("near", pair("10.1.0.1", "fd01::1"));
        up("far", pair("10.2.0.1", "fd02::1"));
        if let Narrow::Announced(mtu) = narrow {
            link::set_mtu("far", mtu).expect("MTU");
        }
        std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").expect("forwarding");
        std::fs::write("/proc/sys/net/ipv6/conf/all/forwarding", "1").expect("forwarding");
    };
    router.enter(at_router).expect("router");
    let at_far = || {
        lo_up();
        up("e0", pair("10.2.0.2", "fd02::2"));
        default_via(pair("10.2.0.1", "fd02::1"));
        if let Narrow::Silent(mtu) = narrow {
            link::set_mtu("e0", mtu).expect("MTU");
        }
    };
    far.enter(at_far).expect("far end");
    let dead = pair("10.1.0.99", "fd01::99");
    near.enter(|| {
        lo_up();
        up("e0", pair("10.1.0.2", "fd01::2"));
        default_via(pair("10.1.0.1", "fd01::1"));
        if let Narrow::Here(mtu) = narrow {
            link::set_mtu("e0", mtu).expect("MTU");
        }
        for address in dead {
            link::add_neighbour("e0", address, "02:00:00:00:00:99").expect("neighbour");
        }
        let reachable = pair("10.2.0.2", "fd02::2");
        reachable.iter().for_each(|to| wait_for_echo(*to));
        work(Far {
            reachable,
            unroutable: pair("10.3.0.1", "fd03::1"),
            dead,
            ns: far,
        })
    })
    .expect("near end")
}

/// New links carry nothing until the kernel has seen their carrier, up to a second later.
fn wait_for_echo(to: IpAddr) {
    let limit = Instant::now() + Duration::from_secs(5);
    while !icmp::series(to, 1, 100)
        .is_ok_and(|all| all.iter().all(|a| a.outcome == Outcome::Answered))
    {
        assert!(
            Instant::now() < limit,
            "{to} answers no echo 5 s after the links are up"
        );
    }
}
