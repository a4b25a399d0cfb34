//! What this process may do (capabilities(7)), and taking up what it may.

use crate::Error;

/// A right of the kernel; the number is its bit (linux/capability.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Capability {
    /// Change and list the network's settings and rules.
    NetAdmin = 12,
    /// Raw sockets: capture, crafted packets.
    NetRaw = 13,
    /// Look into processes of other users.
    SysPtrace = 19,
    /// Enter namespaces, mount.
    SysAdmin = 21,
}

impl Capability {
    /// As the kernel's headers and messages write it.
    pub fn name(self) -> &'static str {
        match self {
            Capability::NetAdmin => "CAP_NET_ADMIN",
            Capability::NetRaw => "CAP_NET_RAW",
            Capability::SysPtrace => "CAP_SYS_PTRACE",
            Capability::SysAdmin => "CAP_SYS_ADMIN",
        }
    }

    /// Its bit in the kernel's sets.
    pub fn bit(self) -> u64 {
        1 << (self as u8)
    }
}

/// The rights of the calling thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rights {
    effective: u64,
    permitted: u64,
    inheritable: u64,
}

impl Rights {
    /// Asks the kernel.
    pub fn of_this_thread() -> Result<Rights, Error> {
        let mut header = HEADER;
        let mut sets = [0u32; 6];
        // SAFETY: version 3 reads two words and writes six; both live through the call.
        if unsafe { libc::syscall(libc::SYS_capget, header.as_mut_ptr(), sets.as_mut_ptr()) } != 0 {
            return Err(Error::last("capget", "this thread"));
        }
        let [e0, p0, i0, e1, p1, i1] = sets.map(u64::from);
        Ok(Rights {
            effective: e1 << 32 | e0,
            permitted: p1 << 32 | p0,
            inheritable: i1 << 32 | i0,
        })
    }

    /// It may be used now.
    pub fn has(&self, capability: Capability) -> bool {
        self.effective & capability.bit() != 0
    }

    fn set(&self) -> Result<(), Error> {
        let low = [self.effective, self.permitted, self.inheritable].map(|set| set as u32);
        let high = [self.effective, self.permitted, self.inheritable].map(|set| (set >> 32) as u32);
        let mut header = HEADER;
        let sets = [low, high].concat();
        // SAFETY: version 3 reads two words and six; both live through the call.
        if unsafe { libc::syscall(libc::SYS_capset, header.as_mut_ptr(), sets.as_ptr()) } != 0 {
            return Err(Error::last("capset", "this thread"));
        }
        Ok(())
    }
}

/// struct __user_cap_header_struct: _LINUX_CAPABILITY_VERSION_3, the calling thread.
const HEADER: [u32; 2] = [0x2008_0522, 0];

/// Takes up the network's two rights where the file gave them as permitted only, which is how the
/// image carries them: a file that gave them as effective could not be started at all where a
/// container's bounds lack one. To be called before any other thread starts.
pub fn take_up() -> Result<(), Error> {
    let rights = Rights::of_this_thread()?;
    let ours = Capability::NetAdmin.bit() | Capability::NetRaw.bit();
    let effective = rights.effective | (rights.permitted & ours);
    if effective == rights.effective {
        return Ok(());
    }
    Rights {
        effective,
        ..rights
    }
    .set()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sets as /proc shows them.
    fn shown(field: &str) -> u64 {
        let text = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        let line = text.lines().find_map(|l| l.strip_prefix(field)).unwrap();
        u64::from_str_radix(line.trim(), 16).unwrap()
    }

    #[test]
    fn the_sets_are_those_of_proc() {
        let rights = Rights::of_this_thread().unwrap();
        assert_eq!(rights.effective, shown("CapEff:"));
        assert_eq!(rights.permitted, shown("CapPrm:"));
        assert_eq!(rights.inheritable, shown("CapInh:"));
    }

    #[test]
    fn what_is_permitted_is_taken_up_and_no_more() {
        std::thread::spawn(|| {
            let held = Rights::of_this_thread().unwrap();
            let net = Capability::NetRaw.bit();
            if held.permitted & net == 0 {
                println!("SKIPPED: this process has no CAP_NET_RAW to drop");
                return;
            }
            let permitted = net | held.permitted & Capability::SysAdmin.bit();
            let dropped = Rights {
                effective: 0,
                permitted,
                ..held
            };
            dropped.set().unwrap();
            assert!(!Rights::of_this_thread().unwrap().has(Capability::NetRaw));
            take_up().unwrap();
            let now = Rights::of_this_thread().unwrap();
            assert_eq!((now.effective, now.permitted), (net, permitted));
            assert!(now.has(Capability::NetRaw) && !now.has(Capability::NetAdmin));
            take_up().unwrap();
        })
        .join()
        .unwrap();
    }
}
