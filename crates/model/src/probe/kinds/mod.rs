//! The shelf of kinds of questions: what each asks, needs and does to the network, and its page. Data alone: what asks
//! them is `netshoot_host::probes`, which a laptop's half of the program does not have.
//!
//! To add one: a file with a `pub const KIND: Kind`, a `mod` line, a line in [`ALL`], and what asks it in `host`.

pub mod capture_packets;
pub mod dump_rules;
pub mod http_get;
pub mod icmp_echo;
pub mod lookup_name;
pub mod lookup_route;
pub mod path_mtu;
pub mod read_conntrack;
pub mod read_counters;
pub mod read_links;
pub mod read_neighbours;
pub mod read_resolv_conf;
pub mod read_routes;
pub mod read_sockets;
pub mod read_sysctls;
pub mod resolve_name;
pub mod tcp_connect;
pub mod tls_handshake;
pub mod udp_exchange;

use super::{Answer, Harm};
use crate::text::Text;

/// All kinds, in the order in which they are shown.
pub const ALL: &[&Kind] = &[
    &tcp_connect::KIND,
    &http_get::KIND,
    &tls_handshake::KIND,
    &resolve_name::KIND,
    &lookup_name::KIND,
    &read_sockets::KIND,
    &read_counters::KIND,
    &read_conntrack::KIND,
    &read_sysctls::KIND,
    &read_links::KIND,
    &read_neighbours::KIND,
    &read_routes::KIND,
    &lookup_route::KIND,
    &read_resolv_conf::KIND,
    &dump_rules::KIND,
    &udp_exchange::KIND,
    &icmp_echo::KIND,
    &path_mtu::KIND,
    &capture_packets::KIND,
];

/// A kind of question that a network namespace can answer.
pub struct Kind {
    /// Verb and noun, the file's name, [`crate::probe::Question::id`].
    pub id: &'static str,
    /// What it asks, one line.
    pub asks: &'static str,
    /// The same in Chinese.
    pub asks_zh: &'static str,
    /// The rights it needs; an entry that is missing makes it [`crate::probe::Answer::CouldNotAsk`].
    pub needs: &'static [Need],
    /// What it does to the network at most.
    pub harm: Harm,
    /// Markdown: what it asks, what it sends, what the answers mean.
    pub page: &'static str,
    /// The same in Chinese.
    pub page_zh: &'static str,
}

/// A right a probe needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Nothing beyond an ordinary process.
    None,
    /// Raw and packet sockets.
    NetRaw,
    /// Reading rules, conntrack and other settings of the network.
    NetAdmin,
}

impl Need {
    /// The capability's name; empty for [`Need::None`].
    pub fn word(self) -> &'static str {
        match self {
            Need::None => "",
            Need::NetRaw => "CAP_NET_RAW",
            Need::NetAdmin => "CAP_NET_ADMIN",
        }
    }

    /// The command that gives it; empty for [`Need::None`].
    pub fn how_to_get(self) -> &'static str {
        match self {
            Need::None => "",
            Need::NetRaw => "sudo setcap cap_net_raw+ep \"$(command -v netshoot)\"",
            Need::NetAdmin => "sudo setcap cap_net_admin+ep \"$(command -v netshoot)\"",
        }
    }

    /// The gap that the lack of this right makes. `why` says what was tried and what came back.
    pub fn missing(self, why: impl Into<String>) -> Answer {
        Answer::CouldNotAsk {
            why: why.into(),
            missing: Text::same(self.word()),
            how_to_get: Text::same(self.how_to_get()),
        }
    }
}

#[cfg(test)]
mod laws {
    use super::*;

    #[test]
    fn pages_are_complete() {
        for k in ALL {
            for heading in [
                "## What it asks",
                "## What it sends",
                "## What the answers mean",
            ] {
                assert!(
                    k.page.contains(heading),
                    "{}: the page lacks `{heading}`",
                    k.id
                );
            }
            for heading in ["## 问什么", "## 发送什么", "## 应答的含义"] {
                assert!(
                    k.page_zh.contains(heading),
                    "{}: the Chinese page lacks `{heading}`",
                    k.id
                );
            }
            assert!(
                !k.asks_zh.is_empty() && !k.asks_zh.ends_with('。'),
                "{}: `asks_zh` is one line without a full stop",
                k.id
            );
            assert!(
                !k.asks.is_empty() && !k.asks.ends_with('.'),
                "{}: `asks` is one line without a full stop",
                k.id
            );
            assert!(
                !k.needs.is_empty(),
                "{}: `needs` says Need::None when nothing is needed",
                k.id
            );
        }
    }

    #[test]
    fn a_kind_is_a_file_of_its_name() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/probe/kinds");
        let files = std::fs::read_dir(folder).unwrap();
        let names = files.filter_map(|f| Some(f.ok()?.path().file_stem()?.to_str()?.to_string()));
        let mut files: Vec<String> = names.filter(|n| n != "mod").collect();
        let mut ids: Vec<&str> = ALL.iter().map(|k| k.id).collect();
        files.sort();
        ids.sort();
        assert_eq!(files, ids);
    }
}
