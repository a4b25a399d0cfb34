//! Bytes to values and back: what travels on a wire or over a netlink socket.
//!
//! Reading order: [`netlink`] (attributes, the frame all kernel messages share), then the family
//! you need.
//!
//! Deliberately absent: sockets, clocks, the environment, logging. Nothing here can fail except
//! by returning a [`Malformed`].
#![warn(missing_docs)]
#![cfg_attr(test, allow(clippy::disallowed_methods))] // tests read fixtures and list their shelf

pub mod arp;
pub mod conntrack;
pub mod der;
pub mod dns;
pub mod fuzz;
pub mod h2;
pub mod h3;
pub mod hpack;
pub mod http;
pub mod inet;
pub mod inet_diag;
pub mod json;
pub mod message;
pub mod netlink;
pub mod nft;
pub mod protobuf;
pub mod rtnl;
pub mod sock_diag;
pub mod tcp_info;
pub mod web;
pub mod websocket;
pub mod x509;

use std::fmt;

/// Bytes that are not what their format promises: which format, at which byte, what was wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// The format that was being read, as its specification names it.
    pub format: &'static str,
    /// Offset of the first byte that did not fit.
    pub at: usize,
    /// What was expected there.
    pub expected: &'static str,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: byte {}: expected {}",
            self.format, self.at, self.expected
        )
    }
}

impl std::error::Error for Malformed {}
