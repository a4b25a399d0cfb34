//! One datagram.

use super::{Kind, Need};
use crate::probe::Harm;

/// The kind.
pub const KIND: Kind = Kind {
    id: "udp_exchange",
    asks: "what comes back for a UDP datagram",
    asks_zh: "一个 UDP 报文会换回什么",
    needs: &[Need::None],
    harm: Harm::FewPackets,
    page: PAGE,
    page_zh: PAGE_ZH,
};

const PAGE: &str = "\
# udp_exchange

## What it asks

What comes back for one UDP datagram with a given text.

## What it sends

That datagram, once.

## What the answers mean

- `answered`: a datagram came back; `reply` is its text.
- `refused`: an ICMP port unreachable: the host is there, nobody listens, or a rule rejects it.
- `silent`: nothing came back. UDP does not tell a listener that does not answer such a payload
  from a packet that was dropped.
- `unreachable`: another ICMP error, or the own routes or filters refuse it.
";

const PAGE_ZH: &str = "\
# udp_exchange

## 问什么

一个带有给定文本的 UDP 报文会换回什么。

## 发送什么

该报文，一次。

## 应答的含义

- `answered`：收到一个报文；`reply` 是其文本。
- `refused`：收到 ICMP 端口不可达：主机存在，但没有监听者，或被规则拒绝。
- `silent`：没有任何回应。UDP 无法区分监听者不应答这种内容，还是报文被丢弃。
- `unreachable`：收到其他 ICMP 错误，或本机的路由或过滤规则拒绝。
";
