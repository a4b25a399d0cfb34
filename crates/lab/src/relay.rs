//! A cable that delays, reorders, corrupts and duplicates, over packet sockets: what the kernel's
//! netem does, on kernels without it and without rights beyond the namespace's own.
//!
//! A thread takes every frame from one link and puts it onto the other when it is due. Frames are
//! taken with their offload header (packet(7), `PACKET_VNET_HDR`): a segment of 64 KiB whose
//! checksum is not computed yet stays exactly that.

mod frame;
#[cfg(test)]
mod tests;

use netshoot_host::Error;
use netshoot_host::netns::NetNs;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Frames under way at once, both directions together; what comes beyond is lost, as in a queue
/// that is full.
const FRAMES: usize = 4096;
/// Bytes of them.
const BYTES: usize = 16 << 20;
/// Longest frame with its offload header: a segment as large as IP can say.
const LONGEST: usize = frame::OFFLOAD + frame::ETHERNET + 65_535 + 4;

/// `SOL_PACKET` and its options (linux/if_packet.h) that the libc crate does not name.
const PACKET_VNET_HDR: i32 = 15;
const PACKET_IGNORE_OUTGOING: i32 = 23;

/// What happens to frames, in both directions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    /// Delay each way, milliseconds.
    pub delay_ms: u32,
    /// Up to so many milliseconds more, for each frame by itself: frames may overtake each other.
    pub jitter_ms: u32,
    /// Frames with a flipped bit, percent.
    pub corrupt_percent: u32,
    /// Frames that arrive twice, percent.
    pub duplicate_percent: u32,
}

/// What a relay has done, frames of both directions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Put onto the other link.
    pub carried: u64,
    /// With a flipped bit.
    pub corrupted: u64,
    /// Carried a second time.
    pub duplicated: u64,
    /// Not carried: too many under way, or the other link did not take them.
    pub lost: u64,
}

/// A cable between two links. It ends when this value goes.
#[derive(Debug)]
pub struct Relay {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    conditions: Mutex<Conditions>,
    stop: AtomicBool,
    /// An eventfd: something changed.
    wake: OwnedFd,
    carried: AtomicU64,
    corrupted: AtomicU64,
    duplicated: AtomicU64,
    lost: AtomicU64,
}

impl Relay {
    /// Joins the links `a` and `b` of a namespace. They should have no address, no master and no
    /// other use: what else the kernel sends on them travels too.
    pub fn start(ns: &NetNs, a: &str, b: &str, conditions: Conditions) -> Result<Relay, Error> {
        let ends = ns.enter(|| Ok::<_, Error>([open(a)?, open(b)?]))??;
        // SAFETY: no pointers.
        let wake = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if wake < 0 {
            return Err(Error::last("make an eventfd", format!("cable {a} to {b}")));
        }
        // SAFETY: just made, owned by nobody else.
        let wake = unsafe { OwnedFd::from_raw_fd(wake) };
        let shared = Arc::new(Shared {
            conditions: Mutex::new(conditions),
            stop: AtomicBool::new(false),
            wake,
            carried: AtomicU64::new(0),
            corrupted: AtomicU64::new(0),
            duplicated: AtomicU64::new(0),
            lost: AtomicU64::new(0),
        });
        let theirs = shared.clone();
        let thread = std::thread::Builder::new()
            .name("cable".into())
            .stack_size(256 * 1024)
            .spawn(move || Cable::new(ends, &theirs).run())
            .map_err(|source| Error::System {
                tried: "start a thread",
                on: format!("cable {a} to {b}"),
                source,
            })?;
        Ok(Relay {
            shared,
            thread: Some(thread),
        })
    }

    /// Other conditions, for frames that come from now on.
    pub fn set(&self, conditions: Conditions) {
        *self
            .shared
            .conditions
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = conditions;
    }

    /// What it has done so far.
    pub fn counters(&self) -> Counters {
        let read = |n: &AtomicU64| n.load(Ordering::Relaxed);
        Counters {
            carried: read(&self.shared.carried),
            corrupted: read(&self.shared.corrupted),
            duplicated: read(&self.shared.duplicated),
            lost: read(&self.shared.lost),
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        let one = 1u64.to_ne_bytes();
        // SAFETY: eight bytes of this stack.
        unsafe { libc::write(self.shared.wake.as_raw_fd(), one.as_ptr().cast(), one.len()) };
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// A packet socket on one link that hears all that comes in and nothing that we send.
fn open(link: &str) -> Result<OwnedFd, Error> {
    let index = netshoot_host::link::index(link)?;
    let failed = |tried| move || Error::last(tried, link);
    // Protocol 0: nothing is heard before it is bound to its link.
    // SAFETY: no pointers.
    let fd = unsafe {
        libc::socket(
            libc::AF_PACKET,
            libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK,
            0,
        )
    };
    if fd < 0 {
        return Err(failed("open packet socket")());
    }
    // SAFETY: just made, owned by nobody else.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    set(&fd, libc::SOL_PACKET, PACKET_VNET_HDR, 1).ok_or_else(failed("ask for offload headers"))?;
    set(&fd, libc::SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
        .ok_or_else(failed("leave out what is sent"))?;
    // As much as may be: a burst waits here while the thread is not scheduled.
    set(&fd, libc::SOL_SOCKET, libc::SO_RCVBUF, 4 << 20);
    set(&fd, libc::SOL_SOCKET, libc::SO_SNDBUF, 4 << 20);
    // SAFETY: all zeroes is a valid sockaddr_ll.
    let mut place: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    place.sll_family = libc::AF_PACKET as u16;
    place.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
    place.sll_ifindex = index as i32;
    // SAFETY: pointer and length are those of `place`, which lives through the call.
    let bound = unsafe {
        libc::bind(
            fd.as_raw_fd(),
            std::ptr::from_ref(&place).cast(),
            size_of_val(&place) as u32,
        )
    };
    if bound != 0 {
        return Err(failed("bind packet socket")());
    }
    Ok(fd)
}

fn set(fd: &OwnedFd, level: i32, option: i32, value: i32) -> Option<()> {
    // SAFETY: pointer and length are those of `value`, which lives through the call.
    let done = unsafe {
        let at = std::ptr::from_ref(&value).cast();
        libc::setsockopt(
            fd.as_raw_fd(),
            level,
            option,
            at,
            size_of_val(&value) as u32,
        )
    };
    (done == 0).then_some(())
}

/// A frame under way. Ordered by when it is due, then by when it came.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Underway {
    due: Instant,
    number: u64,
    /// The end it is put onto.
    to: usize,
    bytes: Vec<u8>,
}

/// The thread's own part.
struct Cable<'a> {
    ends: [OwnedFd; 2],
    shared: &'a Shared,
    underway: BinaryHeap<Reverse<Underway>>,
    bytes: usize,
    number: u64,
    random: crate::behave::Random,
}

impl<'a> Cable<'a> {
    fn new(ends: [OwnedFd; 2], shared: &'a Shared) -> Cable<'a> {
        let seed = shared.wake.as_raw_fd() as u64;
        Cable {
            ends,
            shared,
            underway: BinaryHeap::new(),
            bytes: 0,
            number: 0,
            random: crate::behave::Random::new(seed),
        }
    }

    fn run(mut self) {
        let mut buffer = vec![0; LONGEST];
        while !self.shared.stop.load(Ordering::Relaxed) {
            self.wait();
            let conditions = *self
                .shared
                .conditions
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            for from in [0, 1] {
                // Not without end: what is due must go out meanwhile.
                for _ in 0..64 {
                    let Some(bytes) = self
                        .ends
                        .get(from)
                        .and_then(|fd| receive(fd, &mut buffer).ok())
                    else {
                        break;
                    };
                    let frame = buffer.get(..bytes).unwrap_or_default().to_vec();
                    self.take(frame, 1 - from, conditions);
                }
            }
            self.put_due();
        }
    }

    /// Until a frame comes, one is due, or somebody wakes us.
    fn wait(&self) {
        let left = self
            .underway
            .peek()
            .map(|Reverse(u)| u.due.saturating_duration_since(Instant::now()));
        let time = left.map(|l| libc::timespec {
            tv_sec: l.as_secs() as libc::time_t,
            tv_nsec: i64::from(l.subsec_nanos()),
        });
        let [a, b] = self.ends.each_ref().map(AsRawFd::as_raw_fd);
        let mut fds = [a, b, self.shared.wake.as_raw_fd()].map(|fd| libc::pollfd {
            fd,
            events: libc::POLLIN,
            revents: 0,
        });
        let time = time.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        // SAFETY: three entries and, if any, the time, all on this stack.
        let n = unsafe { libc::ppoll(fds.as_mut_ptr(), 3, time, std::ptr::null()) };
        // A link that went down shows as an error again and again: it is taken, and not at once.
        if n > 0 && fds.iter().any(|f| f.revents & libc::POLLERR != 0) {
            for fd in &self.ends {
                forget_error(fd);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn take(&mut self, mut frame: Vec<u8>, to: usize, conditions: Conditions) {
        let hit = |random: &mut crate::behave::Random, percent: u32| {
            percent > 0 && random.below(100) < u64::from(percent)
        };
        if hit(&mut self.random, conditions.corrupt_percent)
            && frame::flip_a_bit(&mut frame, self.random.below(u64::MAX))
        {
            self.shared.corrupted.fetch_add(1, Ordering::Relaxed);
        }
        if hit(&mut self.random, conditions.duplicate_percent) {
            self.shared.duplicated.fetch_add(1, Ordering::Relaxed);
            self.queue(frame.clone(), to, conditions);
        }
        self.queue(frame, to, conditions);
    }

    fn queue(&mut self, bytes: Vec<u8>, to: usize, conditions: Conditions) {
        if self.underway.len() >= FRAMES || self.bytes + bytes.len() > BYTES {
            self.shared.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let jitter_us = self
            .random
            .below(u64::from(conditions.jitter_ms) * 1000 + 1);
        let delay =
            Duration::from_millis(conditions.delay_ms.into()) + Duration::from_micros(jitter_us);
        self.number += 1;
        self.bytes += bytes.len();
        self.underway.push(Reverse(Underway {
            due: Instant::now() + delay,
            number: self.number,
            to,
            bytes,
        }));
    }

    fn put_due(&mut self) {
        let now = Instant::now();
        while self.underway.peek().is_some_and(|Reverse(u)| u.due <= now) {
            let Some(Reverse(frame)) = self.underway.pop() else {
                return;
            };
            self.bytes -= frame.bytes.len();
            let put = self
                .ends
                .get(frame.to)
                .is_some_and(|fd| send(fd, &frame.bytes).is_ok());
            let counter = if put {
                &self.shared.carried
            } else {
                &self.shared.lost
            };
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn receive(fd: &OwnedFd, buffer: &mut [u8]) -> io::Result<usize> {
    // SAFETY: pointer and length are those of the buffer.
    let n = unsafe { libc::recv(fd.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), 0) };
    usize::try_from(n).map_err(|_| io::Error::last_os_error())
}

fn send(fd: &OwnedFd, bytes: &[u8]) -> io::Result<usize> {
    // SAFETY: pointer and length are those of the slice.
    let n = unsafe { libc::send(fd.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), 0) };
    usize::try_from(n).map_err(|_| io::Error::last_os_error())
}

fn forget_error(fd: &OwnedFd) {
    let (mut value, mut length) = (0i32, size_of::<i32>() as u32);
    // SAFETY: the pointers describe `value` and `length`, which live through the call.
    unsafe {
        libc::getsockopt(
            fd.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ERROR,
            std::ptr::from_mut(&mut value).cast(),
            &mut length,
        )
    };
}
