//! A resolver library's walk.

use super::{Kind, Need};
use crate::probe::Harm;

/// The kind.
pub const KIND: Kind = Kind {
    id: "lookup_name",
    asks: "what does an application get when it looks a name up, and by which queries",
    asks_zh: "应用解析域名时得到什么，经过了哪些查询",
    needs: &[Need::None],
    harm: Harm::FewPackets,
    page: PAGE,
    page_zh: PAGE_ZH,
};

const PAGE: &str = "\
# lookup_name

## What it asks

What a resolver library makes of a name with the resolv.conf of that place: search suffixes in
order, `ndots`, A and AAAA together, the next server when one does not know.

## What it sends

Two queries for each name that is tried (A, AAAA), more over TCP where a reply was truncated. Each
server is given one timeout per name; when all are silent it stops, as a library would do after
more patience.

## What the answers mean

- `addresses` is what the application gets; empty is what it calls \"name does not resolve\".
- `queries` has every query with its outcome and `rcode`: suffixes that nobody needs, a server
  that does not answer, `SERVFAIL` from one of two servers can all be seen there.
- A name of this host's `/etc/hosts` has its addresses from there, and no queries. The hosts files
  of pods are not looked at.
";

const PAGE_ZH: &str = "\
# lookup_name

## 问什么

解析库按照该处的 resolv.conf 如何解析一个域名：依次使用搜索后缀、`ndots`，同时查询 A 与 AAAA，一个服务器不知道时再问下一个。

## 发送什么

每个尝试的域名两次查询（A、AAAA）；应答被截断时再经 TCP 查询。每个服务器对每个域名有一次超时；若全部无应答就停止，而解析库会在等待更久之后停止。

## 应答的含义

- `addresses` 是应用得到的地址；为空即应用所说的“域名无法解析”。
- `queries` 列出每次查询及其结果和 `rcode`：无人需要的后缀、不应答的服务器、两个服务器之一返回的 `SERVFAIL`，都可以在其中看到。
- 写在本机 `/etc/hosts` 中的域名从那里得到地址，没有查询。不查看 Pod 的 hosts 文件。
";
