//! Ground for the tests of probes: a network namespace of their own.

use crate::netns::NetNs;
use crate::sockets;

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
