//! Packets as they pass.

use super::{Kind, Need};
use crate::probe::Harm;

/// The kind.
pub const KIND: Kind = Kind {
    id: "capture_packets",
    asks: "which conversations pass the interfaces here, and do they lose or refuse packets",
    asks_zh: "哪些会话经过这里的接口，它们是否丢包或被拒绝",
    needs: &[Need::NetRaw],
    harm: Harm::None,
    page: PAGE,
    page_zh: PAGE_ZH,
};

const PAGE: &str = "\
# capture_packets

## What it asks

Which conversations pass one interface or all of them in a given time. A packet inside a VXLAN
tunnel counts twice: as the tunnel's packet and as the one inside.

## What it sends

Nothing. It reads the first 512 bytes of every packet and keeps only counts; it needs CAP_NET_RAW.

## What the answers mean

- One entry per conversation and interface, both directions together. `source` sent the first
  packet that was seen.
- `backward` 0: nobody answered here. The same conversation on the next interface tells whether
  the packets got that far.
- `syns` without `backward`, with `retransmissions`: the SYN is lost or dropped.
- `retransmissions`: bytes that were seen before; reordered ones do not count.
- `too_big`: an ICMP error said that packets of this conversation do not fit.
- `zero_windows`: a receiver that does not read. `resets`: somebody tore it down.
- An empty list: nothing passed that matches; packets on other interfaces say nothing here.
";

const PAGE_ZH: &str = "\
# capture_packets

## 问什么

在给定时间内，哪些会话经过某个接口或所有接口。VXLAN 隧道中的报文计两次：一次作为隧道的报文，一次作为其内层的报文。

## 发送什么

不发送任何报文。读取每个报文的前 512 字节，只保留计数；需要 CAP_NET_RAW。

## 应答的含义

- 每个会话和接口一条记录，两个方向合计。`source` 发出了所见的第一个报文。
- `backward` 为 0：此处没有人应答。下一个接口上的同一会话会说明报文是否到达了那里。
- 有 `syns` 而没有 `backward`，并有 `retransmissions`：SYN 丢失或被丢弃。
- `retransmissions`：先前已见过的字节；乱序的不计入。
- `too_big`：有 ICMP 错误告知该会话的报文放不下。
- `zero_windows`：接收方不读取数据。`resets`：有人断开了连接。
- 空列表：没有匹配的报文经过；其他接口上的报文在此说明不了什么。
";
