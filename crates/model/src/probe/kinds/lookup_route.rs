//! The route decision for one address.

use super::{Kind, Need};
use crate::probe::Harm;

/// The kind.
pub const KIND: Kind = Kind {
    id: "lookup_route",
    asks: "which way would the kernel send a packet to this address",
    asks_zh: "内核会把发往该地址的报文送往哪里",
    needs: &[Need::None],
    harm: Harm::None,
    page: PAGE,
    page_zh: PAGE_ZH,
};

const PAGE: &str = "\
# lookup_route

## What it asks

The kernel's own route decision for one destination, rules and tables included: outgoing link,
router, source address, and the prefix of the route that decided (rtnetlink, as `ip route get`).

## What it sends

Nothing. It reads, needs no right and disturbs nothing.

## What the answers mean

- No route: none matches, or the one that does is `unreachable`, `blackhole` or `prohibit`.
  Packets sent from here are refused at once.
- A decision over `default` for an address of the cluster says that the route to that node or pod
  network is missing.
- `local`: the address is this network namespace's own.
- It is the decision for packets that start here; for forwarded ones, ask in the node.
";

const PAGE_ZH: &str = "\
# lookup_route

## 问什么

内核对某一个目的地址自身的路由决策，已计入规则和各路由表：出接口、路由器、源地址，以及起决定作用的路由前缀（rtnetlink，等同 `ip route get`）。

## 发送什么

不发送任何报文。只读取，不需要权限，也没有任何影响。

## 应答的含义

- 没有路由：没有匹配的路由，或匹配的是 `unreachable`、`blackhole` 或 `prohibit`。从这里发出的报文会立即被拒绝。
- 集群内的地址由 `default` 决定：说明缺少通往该节点或 Pod 网段的路由。
- `local`：该地址属于此网络命名空间自身。
- 这是针对由此发出的报文的决策；对于转发的报文，应在节点上查询。
";
