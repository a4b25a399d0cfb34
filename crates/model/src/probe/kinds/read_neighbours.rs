//! Neighbours and forwarding entries.

use super::{Kind, Need};
use crate::probe::Harm;

/// The kind.
pub const KIND: Kind = Kind {
    id: "read_neighbours",
    asks: "which hardware addresses and tunnel ends does the kernel know for its neighbours",
    asks_zh: "内核知道邻居的哪些硬件地址和隧道端点",
    needs: &[Need::None],
    harm: Harm::None,
    page: PAGE,
    page_zh: PAGE_ZH,
};

const PAGE: &str = "\
# read_neighbours

## What it asks

The neighbour tables of IPv4 (ARP) and IPv6 (neighbour discovery), and the forwarding entries of
bridges and VXLAN tunnels (rtnetlink).

## What it sends

Nothing. It reads, needs no right and disturbs nothing.

## What the answers mean

- `REACHABLE`, `DELAY`, `PROBE`, `STALE`: known; `STALE` is ordinary, not broken.
- `INCOMPLETE`: asked, no answer yet. `FAILED`: nobody answered: the host is down, or the question
  does not get there.
- `PERMANENT`: written by a program, such as a network plugin; it does not heal by itself when it
  is wrong.
- An entry with `forwarding` maps a hardware address to a port or, with an address, to the far end
  of a tunnel; 00:00:00:00:00:00 stands for frames to all.
";

const PAGE_ZH: &str = "\
# read_neighbours

## 问什么

IPv4（ARP）与 IPv6（邻居发现）的邻居表，以及网桥和 VXLAN 隧道的转发表项（rtnetlink）。

## 发送什么

不发送任何报文。只读取，不需要权限，也没有任何影响。

## 应答的含义

- `REACHABLE`、`DELAY`、`PROBE`、`STALE`：已知；`STALE` 属于正常，并非故障。
- `INCOMPLETE`：已询问，尚无应答。`FAILED`：无人应答：主机已关闭，或询问到不了那里。
- `PERMANENT`：由程序写入，例如网络插件；若有错误，不会自行恢复。
- 带 `forwarding` 的表项把硬件地址映射到某个端口，带地址时则映射到隧道的远端；00:00:00:00:00:00 代表发给所有人的帧。
";
