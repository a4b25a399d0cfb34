//! Echo requests.

use super::{Kind, Need};
use crate::probe::Harm;

/// The kind.
pub const KIND: Kind = Kind {
    id: "icmp_echo",
    asks: "does an address answer ICMP echo, and who says that it cannot",
    asks_zh: "某个地址是否应答 ICMP echo；若不能，是谁说的",
    needs: &[Need::NetRaw],
    harm: Harm::FewPackets,
    page: PAGE,
    page_zh: PAGE_ZH,
};

const PAGE: &str = "\
# icmp_echo

## What it asks

Whether an address answers ICMP echo requests (`ping`), as many as told.

## What it sends

Echo requests with 56 bytes of data, 50 ms apart. It opens a ping socket where
`net.ipv4.ping_group_range` allows that, else a raw socket, which needs CAP_NET_RAW.

## What the answers mean

- `answered`: the reply came.
- `unreachable`: an ICMP error came back; `detail` has its words and who sent it. `host
  unreachable` from the own address means that nobody answers to ARP (or neighbour discovery).
- `silent`: nothing came back. Many networks drop ICMP, and the virtual address of a Service
  answers no echo in most proxies: silence alone proves nothing about TCP.
";

const PAGE_ZH: &str = "\
# icmp_echo

## 问什么

某个地址是否应答 ICMP echo 请求（`ping`），按指定次数。

## 发送什么

带 56 字节数据的 echo 请求，间隔 50 毫秒。在 `net.ipv4.ping_group_range` 允许时使用 ping 套接字，否则使用原始套接字，后者需要 CAP_NET_RAW。

## 应答的含义

- `answered`：收到了应答。
- `unreachable`：收到 ICMP 错误；`detail` 中是其原文以及由谁发出。由自身地址发出的 `host unreachable`，表示无人应答 ARP（或邻居发现）。
- `silent`：没有任何回应。许多网络丢弃 ICMP，而且多数代理中 Service 的虚拟地址不应答 echo：仅凭无应答，对 TCP 什么也证明不了。
";
