//! Protocol counters.

use super::{Kind, Need};
use crate::probe::Harm;

/// The kind.
pub const KIND: Kind = Kind {
    id: "read_counters",
    asks: "what did this network stack count: losses, retransmissions, full queues",
    asks_zh: "该网络栈统计到什么：丢包、重传、队列溢出",
    needs: &[Need::None],
    harm: Harm::None,
    page: PAGE,
    page_zh: PAGE_ZH,
};

const PAGE: &str = "\
# read_counters

## What it asks

The protocol counters of the network namespace, `/proc/net/snmp`, `netstat` and `snmp6`, as
`Group.Name` (as `nstat -az`).

## What it sends

Nothing. It reads, needs no right and disturbs nothing.

## What the answers mean

All of them count since the namespace was made, so one reading alone proves little: what counts is
what grows while the trouble lasts.

- `TcpExt.ListenOverflows`, `TcpExt.ListenDrops`: SYNs or handshakes thrown away, because an accept
  queue was full.
- `Tcp.RetransSegs` beside `Tcp.OutSegs`: the share of segments sent again.
- `TcpExt.TCPTimeouts`: nothing came back for a whole retransmission timeout.
- `Ip.OutNoRoutes`, `Ip6.OutNoRoutes`: no route.
- `Ip.FragFails`, `Ip6.InTooBigErrors`: packets larger than the path takes.
- `Udp.RcvbufErrors`: a program reads too slowly. `Udp.NoPorts`: nobody listens.
- `TcpExt.IPReversePathFilter`: packets refused by rp_filter.
";

const PAGE_ZH: &str = "\
# read_counters

## 问什么

网络命名空间的协议计数器，`/proc/net/snmp`、`netstat` 与 `snmp6`，以 `组.名称` 的形式给出（等同 `nstat -az`）。

## 发送什么

不发送任何报文。只读取，不需要权限，也没有任何影响。

## 应答的含义

它们都是自命名空间创建以来的累计值，因此单次读数说明不了多少：重要的是故障期间哪些在增长。

- `TcpExt.ListenOverflows`、`TcpExt.ListenDrops`：因 accept 队列已满而丢弃的 SYN 或握手。
- `Tcp.RetransSegs` 与 `Tcp.OutSegs` 之比：重传报文段的比例。
- `TcpExt.TCPTimeouts`：在整个重传超时内没有任何回应。
- `Ip.OutNoRoutes`、`Ip6.OutNoRoutes`：没有路由。
- `Ip.FragFails`、`Ip6.InTooBigErrors`：报文大于路径所能承载。
- `Udp.RcvbufErrors`：程序读取太慢。`Udp.NoPorts`：没有监听者。
- `TcpExt.IPReversePathFilter`：被 rp_filter 拒绝的报文。
";
