//! Kernel settings.

use super::{Kind, Need};
use crate::probe::Harm;

/// The kind.
pub const KIND: Kind = Kind {
    id: "read_sysctls",
    asks: "how is this network stack set: forwarding, filters, limits",
    asks_zh: "该网络栈如何设置：转发、过滤、上限",
    needs: &[Need::None],
    harm: Harm::None,
    page: PAGE,
    page_zh: PAGE_ZH,
};

const PAGE: &str = "\
# read_sysctls

## What it asks

The values of kernel settings by their dotted names, such as `net.ipv4.ip_forward`. Those below
`net` are the network namespace's own. A dot in an interface name is written as a slash.

## What it sends

Nothing. It reads `/proc/sys`, needs no right for ordinary settings and disturbs nothing.

## What the answers mean

- A name that is not in the answer does not exist in this kernel or namespace; that is no zero.
- `net.ipv4.ip_forward` 0 on a node: it passes no packet on, pods reach nobody elsewhere.
- `net.ipv4.conf.*.rp_filter` 1: packets are refused that come in where the route back does not
  go out; the larger of `all` and the interface's own counts.
- `net.core.somaxconn` bounds the accept queue of every listener.
";

const PAGE_ZH: &str = "\
# read_sysctls

## 问什么

以点分名称读取的内核参数值，例如 `net.ipv4.ip_forward`。`net` 之下的参数属于网络命名空间自身。接口名中的点写作斜杠。

## 发送什么

不发送任何报文。读取 `/proc/sys`，普通参数不需要权限，也没有任何影响。

## 应答的含义

- 应答中没有的名称，表示该内核或命名空间中不存在此参数；这并不等于零。
- 节点上 `net.ipv4.ip_forward` 为 0：它不转发任何报文，Pod 访问不到别处。
- `net.ipv4.conf.*.rp_filter` 为 1：若报文进入的接口不是回程路由的出口，则被拒绝；取 `all` 与接口自身两者中较大的值。
- `net.core.somaxconn` 限定每个监听者的 accept 队列。
";
