//! Links with addresses, counters, ports and tunnels.

use super::{Kind, Need};
use crate::probe::Harm;

/// The kind.
pub const KIND: Kind = Kind {
    id: "read_links",
    asks: "which links are here, are they up, how large may packets be, what do they count",
    asks_zh: "这里有哪些网络接口，是否启用，报文可以多大，计数如何",
    needs: &[Need::None],
    harm: Harm::None,
    page: PAGE,
    page_zh: PAGE_ZH,
};

const PAGE: &str = "\
# read_links

## What it asks

The kernel's list of network interfaces with name, kind, MTU, hardware address, addresses, the
bridge each is a port of, hairpin mode and spanning-tree state of bridge ports, identifier, port
and source of VXLAN tunnels, and packet, error and drop counters (rtnetlink).

## What it sends

Nothing. It reads, needs no right and disturbs nothing.

## What the answers mean

- `up` is what the administrator wants, `carrier` what the cable says: up without carrier is a
  peer that is down or gone.
- `peer` is an index in the namespace at the other end of a veth; for a tunnel it is the link
  below it.
- `port_state` 3 forwards; 0 is disabled, 1 listens, 2 learns, 4 blocks.
- Counters count since the link was made. `rx_dropped` grows for frames nobody wanted, too: only
  its growth beside lost packets says something.
";

const PAGE_ZH: &str = "\
# read_links

## 问什么

内核的网络接口列表，包括名称、类型、MTU、硬件地址、地址、所属的网桥、网桥端口的 hairpin 模式与生成树状态，VXLAN 隧道的标识、端口与源地址，以及报文、错误和丢弃计数器（rtnetlink）。

## 发送什么

不发送任何报文。只读取，不需要权限，也没有任何影响。

## 应答的含义

- `up` 是管理员的设置，`carrier` 是链路的实际状态：已启用而没有载波，说明对端已关闭或不存在。
- `peer` 是 veth 另一端所在命名空间中的索引；对于隧道，则是其下层的接口。
- `port_state` 为 3 表示转发；0 为禁用，1 为监听，2 为学习，4 为阻塞。
- 计数器自接口创建时开始累计。无人需要的帧也会使 `rx_dropped` 增长：只有在丢包的同时它也增长，才说明问题。
";
