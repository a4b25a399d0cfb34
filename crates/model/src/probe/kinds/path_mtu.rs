//! A ladder of unfragmentable echoes.

use super::{Kind, Need};
use crate::probe::Harm;

/// The kind.
pub const KIND: Kind = Kind {
    id: "path_mtu",
    asks: "how large an IP packet does the path carry, and does anybody say so",
    asks_zh: "路径能承载多大的 IP 报文，是否有人告知",
    needs: &[Need::NetRaw],
    harm: Harm::Series,
    page: PAGE,
    page_zh: PAGE_ZH,
};

const PAGE: &str = "\
# path_mtu

## What it asks

How large an IP packet may be on the way to an address that answers ICMP echo, up to a size, and
what becomes of larger ones.

## What it sends

ICMP echo requests that must not be fragmented, each size twice, in rounds of eight sizes that
close in on the answer: usually 30 to 80 packets. It ignores what the kernel remembers of the
path. One timeout covers the whole ladder.

## What the answers mean

- `largest_answered` and `smallest_lost` are next to each other when the ladder came to its end.
  Replies may be fragmented, so only the way there is measured.
- `announced`: a router said \"fragmentation needed\" (IPv6: \"packet too big\") with this MTU: TCP
  adapts by itself, if that message reaches the sender.
- `announced` missing with a `smallest_lost`: larger packets vanish silently, a black hole.
  Connections open and then hang on the first full segment.
- `local`: the own outgoing interface refused: its MTU is the limit.
- `largest_answered` 0: no echo came back at all; nothing is known of the MTU.
";

const PAGE_ZH: &str = "\
# path_mtu

## 问什么

在通往某个应答 ICMP echo 的地址的路径上，IP 报文可以有多大（不超过给定大小），以及更大的报文会怎样。

## 发送什么

不可分片的 ICMP echo 请求，每个大小两次，每轮八个大小，逐步逼近答案：通常为 30 到 80 个报文。它忽略内核对该路径的记忆。整个过程共用一次超时。

## 应答的含义

- 当逐级探测完成时，`largest_answered` 与 `smallest_lost` 相邻。应答可以分片，因此只测量去程。
- `announced`：有路由器以此 MTU 告知“需要分片”（IPv6 为“报文过大”）：只要该消息能到达发送方，TCP 会自行调整。
- 没有 `announced` 而有 `smallest_lost`：更大的报文被静默丢弃，即黑洞。连接可以建立，然后在第一个满长报文段上挂起。
- `local`：被自身的出接口拒绝：限制来自它的 MTU。
- `largest_answered` 为 0：完全没有收到 echo 应答；对 MTU 一无所知。
";
