//! One DNS query.

use super::{Kind, Need};
use crate::probe::Harm;

/// The kind.
pub const KIND: Kind = Kind {
    id: "resolve_name",
    asks: "what does one DNS server say to one exact name",
    asks_zh: "某一个 DNS 服务器对某一个确切的域名如何应答",
    needs: &[Need::None],
    harm: Harm::FewPackets,
    page: PAGE,
    page_zh: PAGE_ZH,
};

const PAGE: &str = "\
# resolve_name

## What it asks

What one DNS server answers to one exact name and record type. No search suffixes, no second
server, no second try.

## What it sends

One query with recursion desired and an EDNS size of 1232 bytes, over UDP, or over one TCP
connection. UDP and TCP differ where a rule lets only one of them through.

## What the answers mean

- `answered` with an `rcode`: `NOERROR` without answers means that the name exists but has no such
  record; `NXDOMAIN` that it does not exist; `SERVFAIL` that the server could not find out;
  `REFUSED` that it does not want to.
- `refused`: a closed port (ICMP port unreachable, or RST): the host is there, the server is not.
- `silent`: nothing came back: dropped on the way, or the server is stuck.
- `unreachable`: an ICMP error, or the own routes or filters refuse it.
- `garbled`: something came back that is no reply to this query.
- `truncated`: the answer did not fit; ask over TCP.
";

const PAGE_ZH: &str = "\
# resolve_name

## 问什么

某一个 DNS 服务器对某一个确切的域名和记录类型如何应答。不用搜索后缀，不问第二个服务器，不做第二次尝试。

## 发送什么

一个要求递归、EDNS 大小为 1232 字节的查询，经 UDP 或一个 TCP 连接发送。当规则只放行其中一种时，UDP 与 TCP 的结果不同。

## 应答的含义

- `answered` 并带 `rcode`：`NOERROR` 而没有记录，表示域名存在但没有这类记录；`NXDOMAIN` 表示域名不存在；`SERVFAIL` 表示服务器无法查到；`REFUSED` 表示服务器不愿回答。
- `refused`：端口关闭（ICMP 端口不可达，或 RST）：主机存在，但没有 DNS 服务。
- `silent`：没有任何回应：在路径上被丢弃，或服务器卡住。
- `unreachable`：收到 ICMP 错误，或本机的路由或过滤规则拒绝。
- `garbled`：收到了内容，但不是对该查询的应答。
- `truncated`：应答放不下；应改用 TCP 查询。
";
