//! recvmsg(2): a datagram with what the kernel says beside it, and the error queue of a socket.

use crate::sockets;
use netshoot_wire::inet::Labels;
use std::io;
use std::mem::size_of;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;
use std::time::Duration;

/// `SO_EE_RFC4884_FLAG_INVALID`.
const EXTENSION_INVALID: u8 = 1;
/// A packet with an extension behind it is filled up to this (RFC 4884).
const LEAST_BEFORE: usize = 128;

/// A datagram, or an entry of the error queue with the packet that it is about.
#[derive(Clone, Debug, Default)]
pub struct Message<'b> {
    /// What was received; from the error queue: what was sent.
    pub bytes: &'b [u8],
    /// Who sent it; from the error queue: where it was sent to.
    pub from: Option<SocketAddr>,
    /// Time to live or hop limit it came with (`IP_RECVTTL`).
    pub ttl: Option<u8>,
    /// When it came, since 1970 (`SO_TIMESTAMP`).
    pub at: Option<Duration>,
    /// Options of its IPv4 header (`IP_RETOPTS`, turned round by the kernel).
    pub options: Vec<u8>,
    /// What is wrong (`IP_RECVERR`).
    pub complaint: Option<Complaint>,
}

/// An extended error of ip(7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// The kernel's number for it.
    pub errno: i32,
    /// Said by this machine's own stack, not by ICMP.
    pub local: bool,
    /// ICMP type.
    pub kind: u8,
    /// ICMP code.
    pub code: u8,
    /// The MTU, with `EMSGSIZE`.
    pub info: u32,
    /// Who complains.
    pub from: Option<SocketAddr>,
    /// The labels of MPLS that the packet had where it ended, where `IP_RECVERR_RFC4884` was asked for.
    pub labels: Labels,
    /// Where in the bytes the router's extension begins (RFC 4884); 0: it says nothing of one.
    extension: usize,
}

/// The next datagram or, with `MSG_ERRQUEUE` among `flags`, the next complaint.
pub fn receive<'b>(fd: &impl AsRawFd, flags: i32, buffer: &'b mut [u8]) -> io::Result<Message<'b>> {
    let mut control = [0u64; 128];
    // SAFETY: all zeroes is a valid sockaddr_storage.
    let mut name: libc::sockaddr_storage = unsafe { std::mem::zeroed() };
    let mut piece = libc::iovec {
        iov_base: buffer.as_mut_ptr().cast(),
        iov_len: buffer.len(),
    };
    // SAFETY: all zeroes is a valid msghdr; the pointers put in lead to places that live through
    // the call, with their own lengths.
    let (n, head) = unsafe {
        let mut head: libc::msghdr = std::mem::zeroed();
        head.msg_name = std::ptr::from_mut(&mut name).cast();
        head.msg_namelen = size_of::<libc::sockaddr_storage>() as u32;
        head.msg_iov = &mut piece;
        head.msg_iovlen = 1;
        head.msg_control = control.as_mut_ptr().cast();
        head.msg_controllen = size_of::<[u64; 128]>();
        (libc::recvmsg(fd.as_raw_fd(), &mut head, flags), head)
    };
    let n = usize::try_from(n).map_err(|_| io::Error::last_os_error())?;
    let mut message = Message {
        from: sockets::from_storage(&name),
        ..Message::default()
    };
    // SAFETY: the kernel filled the control messages of this header; the macros stay inside
    // msg_controllen, and data is read only as far as the message's own length goes.
    unsafe {
        let mut at = libc::CMSG_FIRSTHDR(&head);
        while let Some(one) = at.as_ref() {
            let length = one.cmsg_len.saturating_sub(libc::CMSG_LEN(0) as usize);
            let data = std::slice::from_raw_parts(libc::CMSG_DATA(at), length);
            note(&mut message, one.cmsg_level, one.cmsg_type, data);
            at = libc::CMSG_NXTHDR(&head, at);
        }
    }
    message.bytes = buffer.get(..n).unwrap_or_default();
    if let Some(complaint) = message.complaint.as_mut().filter(|c| c.extension > 0) {
        let extension = message.bytes.get(complaint.extension..);
        let labels = extension.and_then(|e| Labels::decode(e, true));
        complaint.labels = labels.unwrap_or_default();
    }
    Ok(message)
}

fn note(message: &mut Message<'_>, level: i32, kind: i32, data: &[u8]) {
    match (level, kind) {
        (libc::IPPROTO_IP, libc::IP_TTL) | (libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT) => {
            let number = data.get(..4).and_then(|d| <[u8; 4]>::try_from(d).ok());
            message.ttl = number.and_then(|n| u8::try_from(i32::from_ne_bytes(n)).ok());
        }
        (libc::IPPROTO_IP, libc::IP_RETOPTS) => message.options = data.to_vec(),
        (libc::SOL_SOCKET, libc::SCM_TIMESTAMP) if data.len() >= size_of::<libc::timeval>() => {
            // SAFETY: the length was just looked at; unaligned is allowed for.
            let time = unsafe { data.as_ptr().cast::<libc::timeval>().read_unaligned() };
            let micros = time
                .tv_sec
                .saturating_mul(1_000_000)
                .saturating_add(time.tv_usec);
            message.at = u64::try_from(micros).ok().map(Duration::from_micros);
        }
        (libc::IPPROTO_IP, libc::IP_RECVERR) | (libc::IPPROTO_IPV6, libc::IPV6_RECVERR) => {
            message.complaint = complaint(data);
        }
        _ => {}
    }
}

fn complaint(data: &[u8]) -> Option<Complaint> {
    let size = size_of::<libc::sock_extended_err>();
    let rest = data.get(size..)?;
    // SAFETY: the length was just looked at; unaligned is allowed for. All zeroes is a valid
    // sockaddr_storage, and no more is copied than it holds.
    let (said, from) = unsafe {
        let said = data
            .as_ptr()
            .cast::<libc::sock_extended_err>()
            .read_unaligned();
        let mut storage: libc::sockaddr_storage = std::mem::zeroed();
        let length = rest.len().min(size_of::<libc::sockaddr_storage>());
        let to = std::ptr::from_mut(&mut storage).cast();
        std::ptr::copy_nonoverlapping(rest.as_ptr(), to, length);
        (said, sockets::from_storage(&storage))
    };
    Some(Complaint {
        errno: i32::try_from(said.ee_errno).unwrap_or(libc::EIO),
        local: said.ee_origin == libc::SO_EE_ORIGIN_LOCAL,
        kind: said.ee_type,
        code: said.ee_code,
        info: said.ee_info,
        from,
        labels: Labels::default(),
        extension: extension(&said),
    })
}

/// `ee_rfc4884` (linux/errqueue.h), which lies where `ee_data` does: two bytes of length, one of flags.
fn extension(said: &libc::sock_extended_err) -> usize {
    let [low, high, flags, _] = said.ee_data.to_ne_bytes();
    let icmp = [libc::SO_EE_ORIGIN_ICMP, libc::SO_EE_ORIGIN_ICMP6].contains(&said.ee_origin);
    match icmp && flags & EXTENSION_INVALID == 0 {
        true => usize::from(u16::from_ne_bytes([low, high])),
        false => 0,
    }
}

impl Complaint {
    /// Looks for labels where routers put them that do not say where they are: 128 bytes behind the beginning of the
    /// packet complained of (RFC 4884, 5.5), whose first `stripped` bytes the kernel kept to itself.
    pub fn look_behind(&mut self, bytes: &[u8], stripped: usize) {
        if self.extension == 0 && !self.local {
            let behind = bytes.get(LEAST_BEFORE.saturating_sub(stripped)..);
            let labels = behind.and_then(|b| Labels::decode(b, false));
            self.labels = labels.unwrap_or_default();
        }
    }

    /// Who complains, without a port.
    pub fn by(&self) -> Option<IpAddr> {
        self.from.map(|a| a.ip())
    }
}
