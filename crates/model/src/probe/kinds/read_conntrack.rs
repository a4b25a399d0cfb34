//! Tracked connections.

use super::{Kind, Need};
use crate::probe::Harm;

/// The kind.
pub const KIND: Kind = Kind {
    id: "read_conntrack",
    asks: "which connections does the packet filter track, where did it send them, is it full",
    asks_zh: "包过滤器跟踪哪些连接，把它们转发到哪里，表是否已满",
    needs: &[Need::NetAdmin],
    harm: Harm::None,
    page: PAGE,
    page_zh: PAGE_ZH,
};

const PAGE: &str = "\
# read_conntrack

## What it asks

The size and limit of the connection tracking table, its counters summed over all CPUs, and its
entries, at most 1000, those with one original destination if that is asked for (ctnetlink, as
`conntrack -L` and `conntrack -S`).

## What it sends

Nothing. It reads, and needs CAP_NET_ADMIN: without it there is no answer, not an empty table. A
full table takes some hundred milliseconds to read.

## What the answers mean

- `count` near `max`: new connections are dropped, and `drop` grows.
- `insert_failed` grows when two packets of one flow race, as with DNS queries for A and AAAA from
  one socket.
- `reply_source` tells where destination NAT sent the connection: the backend of a Service. An
  address that no longer is a backend is a stale entry; UDP clients stay on it as long as they send.
- `unreplied`: no packet of the reply direction was seen here.
";

const PAGE_ZH: &str = "\
# read_conntrack

## 问什么

连接跟踪表的大小与上限、所有 CPU 合计的计数器，以及表中的条目：最多 1000 条，可只取某一个原始目的地址的条目（ctnetlink，等同 `conntrack -L` 与 `conntrack -S`）。

## 发送什么

不发送任何报文。只读取，需要 CAP_NET_ADMIN：没有该权限时没有应答，而不是空表。读取满表需要数百毫秒。

## 应答的含义

- `count` 接近 `max`：新连接被丢弃，`drop` 增长。
- 当同一条流的两个报文发生竞争时，`insert_failed` 增长，例如同一套接字发出的 A 与 AAAA 的 DNS 查询。
- `reply_source` 说明目的 NAT 把连接转发到了哪里：即 Service 的后端。若该地址已不再是后端，则是陈旧的条目；UDP 客户端只要持续发送，就会一直停留在它上面。
- `unreplied`：此处没有看到应答方向的报文。
";
