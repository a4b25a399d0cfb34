//! This machine: namespaces, netlink, `/proc`, sockets, capture, privileges, clock.
//!
//! Reading order: [`netns`] (a network namespace held by a descriptor), [`netlink`] (one socket,
//! one request), then the families ([`link`], [`nft`], [`diag`]), then [`probes`] (the shelf).
//!
//! Deliberately absent: Kubernetes. Nothing here knows what a Service is.

#![allow(unsafe_code)] // system calls; each with its SAFETY line

pub mod arp;
pub mod authorities;
pub mod capture;
pub mod clock;
pub mod diag;
pub mod dns;
pub mod groups;
pub mod grpc;
pub mod hops;
pub mod http;
pub mod icmp;
pub mod init;
pub mod interrupt;
pub mod link;
pub mod listening;
pub mod memory;
pub mod message;
pub mod mtu;
pub mod names;
pub mod netlink;
pub mod netns;
pub mod nft;
pub mod nss;
pub mod pinging;
pub mod privileges;
pub mod probes;
pub mod pty;
pub mod requests;
pub mod resolv;
pub mod secret;
pub mod secure;
pub mod sockets;
pub mod streams;
pub mod sweep;
pub mod tcp;
#[cfg(test)]
mod testground;
#[cfg(test)]
mod testing;
pub mod tls;
pub mod udp;
pub mod web;

use std::fmt;
use std::io;

/// What went wrong on this machine, by the step that failed.
#[derive(Debug)]
pub enum Error {
    /// A system call: what was tried, on what, what the kernel said.
    System {
        /// What was tried, `create veth`.
        tried: &'static str,
        /// On what, `eth0 in node-a`.
        on: String,
        /// What came back.
        source: io::Error,
    },
    /// The kernel answered with bytes that do not parse.
    Malformed(netshoot_wire::Malformed),
    /// A right is missing.
    Denied {
        /// What was tried.
        tried: String,
        /// The right, `CAP_NET_RAW`.
        missing: &'static str,
        /// The command that would give it.
        how_to_get: String,
    },
    /// This kernel or machine lacks it.
    Absent {
        /// What is not there.
        what: String,
    },
}

impl Error {
    /// The last OS error, for `tried` on `on`.
    pub fn last(tried: &'static str, on: impl Into<String>) -> Self {
        Error::System {
            tried,
            on: on.into(),
            source: io::Error::last_os_error(),
        }
    }

    /// `tried` on `on` was not permitted for want of `capability` (`CAP_NET_ADMIN`).
    pub fn denied(tried: &str, on: &str, capability: &'static str) -> Self {
        let lower = capability.to_ascii_lowercase();
        Error::Denied {
            tried: format!("{tried} on {on}"),
            missing: capability,
            how_to_get: format!(
                "run as root, or once: sudo setcap {lower}+ep \"$(command -v netshoot)\""
            ),
        }
    }

    /// The OS error number, if a system call failed.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Error::System { source, .. } => source.raw_os_error(),
            Error::Denied { .. } => Some(libc::EPERM),
            _ => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::System { tried, on, source } => write!(f, "{tried} on {on}: {source}"),
            Error::Malformed(m) => write!(f, "the kernel's answer does not parse: {m}"),
            Error::Denied {
                tried,
                missing,
                how_to_get,
            } => write!(f, "{tried}: needs {missing}: {how_to_get}"),
            Error::Absent { what } => write!(f, "{what} is not in this kernel"),
        }
    }
}

impl std::error::Error for Error {}

impl From<netshoot_wire::Malformed> for Error {
    fn from(m: netshoot_wire::Malformed) -> Self {
        Error::Malformed(m)
    }
}
