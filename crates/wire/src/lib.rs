//! Bytes to values and back: what travels on a wire or over a netlink socket.
//!
//! Reading order: [`netlink`] (attributes, the frame all kernel messages share), then the family
//! you need.
//!
//! Deliberately absent: sockets, clocks, the environment, logging. Nothing here can fail except
//! by returning a [`Malformed`].
#![warn(missing_docs)]
#![cfg_attr(test, allow(clippy::disallowed_methods))] // tests read fixtures and list their shelf

pub mod conntrack;
pub mod dns;
pub mod http;
pub mod inet;
pub mod inet_diag;
pub mod netlink;
pub mod nft;
pub mod rtnl;

#[cfg(test)]
mod fuzz;

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

/// Calls `try_it` with `rounds` damaged copies of `valid`: the same ones on every run.
#[cfg(test)]
pub(crate) fn mutations(valid: &[u8], rounds: u32, mut try_it: impl FnMut(&[u8])) {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below.max(1) as u64) as usize
    };
    for _ in 0..rounds {
        let mut bytes = valid.to_vec();
        for _ in 0..=random(4) {
            if bytes.is_empty() {
                break;
            }
            let at = random(bytes.len());
            match random(4) {
                0 => bytes.truncate(at),
                1 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][random(5)],
                2 => bytes.insert(at, random(256) as u8),
                _ => bytes[at] ^= 1 << random(8),
            }
        }
        try_it(&bytes);
    }
}
