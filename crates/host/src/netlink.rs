//! One netlink socket, one request at a time, answers collected.
//!
//! The socket belongs to the network namespace in which it was opened, whichever thread uses it.

use crate::Error;
use netshoot_wire::netlink::{
    ACK, DONE, DUMP, DUMP_INTERRUPTED, ERROR, Frames, NOOP, REQUEST, Verdict, message,
};
use std::cell::Cell;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// How often a dump is asked again when the table changed meanwhile.
const DUMP_TRIES: u32 = 10;
/// Largest datagram read. Dumps come in pieces of 32 KiB at most, single messages below 64 KiB.
const BUFFER: usize = 256 * 1024;
/// Wanted socket buffers; a batch must fit into the send buffer whole.
const SOCKET_BUFFER: i32 = 8 * 1024 * 1024;
/// Patience for one datagram. The kernel answers at once; a dump of a full table takes a moment.
const PATIENCE_SECONDS: i64 = 10;
/// `NFNL_MSG_BATCH_BEGIN`, `NFNL_MSG_BATCH_END` (linux/netfilter/nfnetlink.h).
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;

/// An open netlink socket.
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
    protocol: i32,
    seq: Cell<u32>,
}

/// Why a batch was refused.
#[derive(Debug)]
pub struct Refused {
    /// Which message, by its place in the list; none when the batch as a whole was refused.
    pub index: Option<usize>,
    /// What the kernel said.
    pub error: Error,
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        refused.error
    }
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.index {
            Some(index) => write!(f, "message {index} of the batch: {}", self.error),
            None => write!(f, "the batch: {}", self.error),
        }
    }
}

impl Socket {
    /// Opens a socket of a `NETLINK_*` protocol in the calling thread's namespace.
    pub fn open(protocol: i32) -> Result<Socket, Error> {
        // SAFETY: socket takes no pointers.
        let fd = unsafe {
            libc::socket(
                libc::AF_NETLINK,
                libc::SOCK_RAW | libc::SOCK_CLOEXEC,
                protocol,
            )
        };
        if fd < 0 {
            let error = Error::last("open netlink socket", format!("protocol {protocol}"));
            return Err(match error.errno() {
                Some(libc::EPROTONOSUPPORT) => Error::Absent {
                    what: format!("netlink protocol {protocol}"),
                },
                _ => error,
            });
        }
        // SAFETY: fd was just opened and belongs to nobody else.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        let socket = Socket {
            fd,
            protocol,
            seq: Cell::new(0),
        };
        let patience = libc::timeval {
            tv_sec: PATIENCE_SECONDS,
            tv_usec: 0,
        };
        socket.set(libc::SOL_SOCKET, libc::SO_RCVTIMEO, &patience)?;
        socket.set(libc::SOL_SOCKET, libc::SO_SNDTIMEO, &patience)?;
        // The FORCE forms need CAP_NET_ADMIN in the first user namespace; without it the buffers
        // stay at net.core.*mem_max, which limits batches, not dumps.
        for (force, plain) in [
            (libc::SO_RCVBUFFORCE, libc::SO_RCVBUF),
            (libc::SO_SNDBUFFORCE, libc::SO_SNDBUF),
        ] {
            if socket.set(libc::SOL_SOCKET, force, &SOCKET_BUFFER).is_err() {
                socket.set(libc::SOL_SOCKET, plain, &SOCKET_BUFFER)?;
            }
        }
        // Words with errors, and no quoting of the refused message; kernels before 4.12 lack both.
        for option in [libc::NETLINK_EXT_ACK, libc::NETLINK_CAP_ACK] {
            let _ = socket.set(libc::SOL_NETLINK, option, &1i32);
        }
        Ok(socket)
    }

    fn set<T>(&self, level: i32, option: i32, value: &T) -> Result<(), Error> {
        // SAFETY: value points to size_of::<T>() readable bytes for the duration of the call.
        let done = unsafe {
            libc::setsockopt(
                self.fd.as_raw_fd(),
                level,
                option,
                std::ptr::from_ref(value).cast(),
                size_of::<T>() as libc::socklen_t,
            )
        };
        if done != 0 {
            Err(Error::last(
                "set option",
                format!("netlink socket ({option})"),
            ))
        } else {
            Ok(())
        }
    }

    /// Sends one message and collects the answers as (type, payload). With [`DUMP`] in `flags` a
    /// whole table, otherwise what comes before the acknowledgement. [`REQUEST`] and [`ACK`] are
    /// added here.
    pub fn request(
        &self,
        kind: u16,
        flags: u16,
        payload: &[u8],
    ) -> Result<Vec<(u16, Vec<u8>)>, Error> {
        self.ask(
            "netlink request",
            &format!("protocol {}, message {kind}", self.protocol),
            kind,
            flags,
            payload,
        )
    }

    /// As [`Socket::request`]; an error says what was `tried` on what (`on`).
    pub fn ask(
        &self,
        tried: &'static str,
        on: &str,
        kind: u16,
        flags: u16,
        payload: &[u8],
    ) -> Result<Vec<(u16, Vec<u8>)>, Error> {
        for _ in 0..DUMP_TRIES {
            let mut answers = Vec::new();
            let whole = self.each(tried, on, kind, flags, payload, |kind, payload| {
                answers.push((kind, payload.to_vec()));
                Ok(())
            })?;
            if whole {
                return Ok(answers);
            }
        }
        Err(refusal(
            tried,
            on,
            &Verdict {
                errno: libc::EINTR,
                said: "the table kept changing while it was read".into(),
            },
        ))
    }

    /// As [`Socket::ask`], but hands each answer to `take` as it comes, for tables too large to
    /// hold. False when the table changed meanwhile, so that entries may be missing or doubled.
    pub fn each(
        &self,
        tried: &'static str,
        on: &str,
        kind: u16,
        flags: u16,
        payload: &[u8],
        mut take: impl FnMut(u16, &[u8]) -> Result<(), Error>,
    ) -> Result<bool, Error> {
        let acked = if flags & DUMP == DUMP { 0 } else { ACK };
        let seq = self.next_seq();
        self.send(
            tried,
            on,
            &message(kind, REQUEST | flags | acked, seq, payload),
        )?;
        let mut whole = true;
        let mut buffer = vec![0u8; BUFFER];
        loop {
            for frame in self.receive(tried, on, &mut buffer, 0)? {
                let frame = frame?;
                if frame.seq != seq || frame.kind == NOOP {
                    continue; // the rest of an earlier request that was given up
                }
                whole &= frame.flags & DUMP_INTERRUPTED == 0;
                if !matches!(frame.kind, ERROR | DONE) {
                    take(frame.kind, frame.payload)?;
                    continue;
                }
                let verdict = Verdict::read(&frame)?;
                return match verdict.errno {
                    0 => Ok(whole),
                    libc::EINTR if frame.kind == DONE => Ok(false),
                    _ => Err(refusal(tried, on, &verdict)),
                };
            }
        }
    }

    /// Sends all messages (type, flags, payload) in one datagram, so that nfnetlink takes them as
    /// one transaction: the caller puts its begin and end around them, or uses
    /// [`Socket::transaction`]. The first refused message is named by its index.
    pub fn batch(&self, messages: &[(u16, u16, Vec<u8>)]) -> Result<(), Refused> {
        let whole = |error| Refused { index: None, error };
        let (tried, on) = ("netlink batch", format!("protocol {}", self.protocol));
        // Older kernels acknowledge no batch end, so the last message before it is asked to.
        let last = messages
            .iter()
            .rposition(|(kind, ..)| *kind != BATCH_BEGIN && *kind != BATCH_END);
        let mut bytes = Vec::new();
        let mut first_seq = 0;
        for (index, (kind, flags, payload)) in messages.iter().enumerate() {
            let seq = self.next_seq();
            if index == 0 {
                first_seq = seq;
            }
            let ack = if last == Some(index) { ACK } else { 0 };
            bytes.extend(message(*kind, REQUEST | flags | ack, seq, payload));
        }
        if bytes.is_empty() {
            return Ok(());
        }
        self.send(tried, &on, &bytes).map_err(whole)?;
        let mut buffer = vec![0u8; BUFFER];
        let mut waiting = last.is_some();
        loop {
            let wait = if waiting { 0 } else { libc::MSG_DONTWAIT };
            let received = match self.receive(tried, &on, &mut buffer, wait) {
                Ok(received) => received,
                Err(error) if error.errno() == Some(libc::EAGAIN) && !waiting => return Ok(()),
                // More answers than the buffer holds; the first ones are in it.
                Err(error) if error.errno() == Some(libc::ENOBUFS) => continue,
                Err(error) => return Err(whole(error)),
            };
            for frame in received {
                let frame = frame.map_err(|malformed| whole(malformed.into()))?;
                let index = frame.seq.wrapping_sub(first_seq) as usize;
                let Some((kind, ..)) = messages.get(index) else {
                    continue;
                };
                if frame.kind != ERROR {
                    continue;
                }
                let verdict = Verdict::read(&frame).map_err(|malformed| whole(malformed.into()))?;
                if verdict.errno != 0 {
                    let index = (*kind != BATCH_BEGIN && *kind != BATCH_END).then_some(index);
                    self.drain(&mut buffer);
                    return Err(Refused {
                        index,
                        error: refusal(tried, &on, &verdict),
                    });
                }
                waiting &= Some(index) != last;
            }
        }
    }

    /// [`Socket::batch`] with nfnetlink's begin and end for `subsystem` (`NFNL_SUBSYS_*`) around it;
    /// indexes count the messages given.
    pub fn transaction(
        &self,
        subsystem: u16,
        messages: &[(u16, u16, Vec<u8>)],
    ) -> Result<(), Refused> {
        // struct nfgenmsg: family, version, res_id in network order.
        let [high, low] = subsystem.to_be_bytes();
        let bracket = vec![0, 0, high, low];
        let mut all = Vec::with_capacity(messages.len() + 2);
        all.push((BATCH_BEGIN, 0, bracket.clone()));
        all.extend_from_slice(messages);
        all.push((BATCH_END, 0, bracket));
        self.batch(&all).map_err(|refused| Refused {
            index: refused.index.map(|i| i.saturating_sub(1)),
            ..refused
        })
    }

    fn next_seq(&self) -> u32 {
        self.seq.set(self.seq.get().wrapping_add(1));
        self.seq.get()
    }

    /// Throws away what is still queued, within a bound.
    fn drain(&self, buffer: &mut [u8]) {
        for _ in 0..100_000 {
            match self.receive("drain", "netlink socket", buffer, libc::MSG_DONTWAIT) {
                Err(error) if error.errno() != Some(libc::ENOBUFS) => return,
                _ => {}
            }
        }
    }

    fn send(&self, tried: &'static str, on: &str, bytes: &[u8]) -> Result<(), Error> {
        loop {
            // SAFETY: bytes is readable for its length during the call; without an address the
            // datagram goes to the kernel.
            let sent =
                unsafe { libc::send(self.fd.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), 0) };
            if sent >= 0 {
                return Ok(());
            }
            let error = io::Error::last_os_error();
            match error.raw_os_error() {
                Some(libc::EINTR) => {}
                Some(libc::EPERM) => return Err(Error::denied(tried, on, "CAP_NET_ADMIN")),
                Some(libc::EMSGSIZE) => {
                    let on = format!(
                        "{on} ({} bytes in one send; net.core.wmem_max limits it)",
                        bytes.len()
                    );
                    return Err(Error::System {
                        tried,
                        on,
                        source: error,
                    });
                }
                _ => {
                    return Err(Error::System {
                        tried,
                        on: on.into(),
                        source: error,
                    });
                }
            }
        }
    }

    /// One datagram from the kernel, as messages.
    fn receive<'a>(
        &self,
        tried: &'static str,
        on: &str,
        buffer: &'a mut [u8],
        flags: i32,
    ) -> Result<Frames<'a>, Error> {
        let failed = |source| Error::System {
            tried,
            on: on.into(),
            source,
        };
        let len = loop {
            // SAFETY: sockaddr_nl is plain data for which all zeros is a value.
            let mut from: libc::sockaddr_nl = unsafe { std::mem::zeroed() };
            let mut from_len = size_of::<libc::sockaddr_nl>() as libc::socklen_t;
            // SAFETY: buffer is writable for its length; from and from_len live through the call.
            let len = unsafe {
                libc::recvfrom(
                    self.fd.as_raw_fd(),
                    buffer.as_mut_ptr().cast(),
                    buffer.len(),
                    flags | libc::MSG_TRUNC,
                    std::ptr::from_mut(&mut from).cast(),
                    &mut from_len,
                )
            };
            if len >= 0 && from.nl_pid == 0 {
                break len as usize;
            }
            if len >= 0 {
                continue; // not from the kernel
            }
            let error = io::Error::last_os_error();
            match error.raw_os_error() {
                Some(libc::EINTR) => {}
                Some(libc::EAGAIN) if flags & libc::MSG_DONTWAIT == 0 => {
                    return Err(failed(io::Error::from_raw_os_error(libc::ETIMEDOUT)));
                }
                _ => return Err(failed(error)),
            }
        };
        // With MSG_TRUNC the length is the datagram's, even when it did not fit.
        let Some(bytes) = buffer.get(..len) else {
            return Err(failed(io::Error::from_raw_os_error(libc::EMSGSIZE)));
        };
        Ok(Frames::new(bytes))
    }
}

/// The kernel's refusal as an error, with its own words where it gave some.
fn refusal(tried: &'static str, on: &str, verdict: &Verdict) -> Error {
    let on = if verdict.said.is_empty() {
        on.to_string()
    } else {
        format!("{on} ({})", verdict.said)
    };
    if verdict.errno == libc::EPERM {
        return Error::denied(tried, &on, "CAP_NET_ADMIN");
    }
    Error::System {
        tried,
        on,
        source: io::Error::from_raw_os_error(verdict.errno),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netns::NetNs;

    const GET_LINK: u16 = 18;
    const NEW_ADDRESS: u16 = 20;

    #[test]
    fn a_dump_of_links_holds_lo() {
        let links = NetNs::new()
            .unwrap()
            .enter(|| {
                Socket::open(libc::NETLINK_ROUTE)
                    .unwrap()
                    .request(GET_LINK, DUMP, &[0; 16])
                    .unwrap()
            })
            .unwrap();
        assert!(
            links
                .iter()
                .any(|(kind, bytes)| *kind == 16 && bytes.windows(3).any(|w| w == b"lo\0")),
            "{links:?}"
        );
    }

    #[test]
    fn a_refusal_names_errno_and_the_kernels_words() {
        let error = NetNs::new()
            .unwrap()
            .enter(|| {
                Socket::open(libc::NETLINK_ROUTE)
                    .unwrap()
                    .request(NEW_ADDRESS, 0, &[2, 99, 0, 0, 1, 0, 0, 0])
                    .unwrap_err()
            })
            .unwrap();
        assert_eq!(error.errno(), Some(libc::EINVAL), "{error}");
    }

    #[test]
    fn a_batch_names_the_message_that_was_refused() {
        NetNs::new()
            .unwrap()
            .enter(|| {
                // NFT_MSG_NEWTABLE (0x0a00) with NFTA_TABLE_NAME; the second has no name.
                let socket = Socket::open(libc::NETLINK_NETFILTER).unwrap();
                let mut table = vec![1, 0, 0, 0];
                table.extend(netshoot_wire::netlink::Builder::new().str(1, "t").finish());
                let good = (0x0a00, 0x400, table.clone());
                let bad = (0x0a00, 0x400, vec![1, 0, 0, 0]);
                let refused = socket.transaction(10, &[good.clone(), bad]).unwrap_err();
                assert_eq!(refused.index, Some(1), "{refused}");
                socket.transaction(10, std::slice::from_ref(&good)).unwrap();
                // The first batch left nothing behind: exclusive creation fails only now.
                let again = socket
                    .transaction(10, &[(0x0a00, 0x600, table)])
                    .unwrap_err();
                assert_eq!(
                    (again.index, again.error.errno()),
                    (Some(0), Some(libc::EEXIST))
                );
            })
            .unwrap();
    }
}
