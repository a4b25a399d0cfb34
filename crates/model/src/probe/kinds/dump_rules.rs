//! Tables, chains, rules and sets.

use super::{Kind, Need};
use crate::probe::Harm;

/// The kind.
pub const KIND: Kind = Kind {
    id: "dump_rules",
    asks: "what do the packet-filter rules here do with a packet",
    asks_zh: "这里的包过滤规则如何处理一个报文",
    needs: &[Need::NetAdmin],
    harm: Harm::None,
    page: PAGE,
    page_zh: PAGE_ZH,
};

const PAGE: &str = "\
# dump_rules

## What it asks

All tables of nf_tables with chains, hooks, policies, rules, counters, sets and maps, and those that
iptables-nft wrote, with its matches and targets decoded.

## What it sends

Nothing. It reads over netlink and needs CAP_NET_ADMIN.

## What the answers mean

- No table at all on a node: no kube-proxy in nftables or iptables-nft mode works there.
- A base chain with policy drop drops what none of its rules accepts.
- Rules of iptables-legacy are not in nf_tables and not in this answer.
";

const PAGE_ZH: &str = "\
# dump_rules

## 问什么

nf_tables 的全部表，包括链、钩子、默认策略、规则、计数器、集合与映射，以及由 iptables-nft 写入的表，其中的匹配与目标均已解码。

## 发送什么

不发送任何报文。经 netlink 读取，需要 CAP_NET_ADMIN。

## 应答的含义

- 节点上一张表都没有：那里没有以 nftables 或 iptables-nft 模式工作的 kube-proxy。
- 默认策略为 drop 的基链，会丢弃其中没有规则放行的一切报文。
- iptables-legacy 的规则不在 nf_tables 中，也不在此应答中。
";
