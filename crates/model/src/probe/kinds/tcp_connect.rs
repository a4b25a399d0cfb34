//! TCP handshakes.

use super::{Kind, Need};
use crate::probe::Harm;

/// The kind.
pub const KIND: Kind = Kind {
    id: "tcp_connect",
    asks: "does something accept TCP connections there, and if not, who says so",
    asks_zh: "该处是否有程序接受 TCP 连接；若没有，是谁说的",
    needs: &[Need::None],
    harm: Harm::Series,
    page: PAGE,
    page_zh: PAGE_ZH,
};

const PAGE: &str = "\
# tcp_connect

## What it asks

Whether a TCP handshake with an address and port succeeds, as many times as told, 8 ms apart.

## What it sends

One SYN per try, the kernel's own retransmissions of it within the patience (after 1, 3, 7 s),
and an ordinary close. Never data.

## What the answers mean

- `answered`: the handshake was completed. The listener's kernel did that; the application may
  still be stuck behind it.
- `refused`: a RST came back, or an ICMP port unreachable: the host is there, nobody listens on the
  port, or a rule rejects it.
- `reset`: the connection stood and was torn down at once.
- `silent`: nothing came back. A rule drops the packets, the address is held by nobody, or the
  listener's accept queue is full (then `retransmissions` grow on some tries while others succeed).
- `unreachable`: an ICMP error, or the own routes or filters refuse it; `detail` has the words.
";

const PAGE_ZH: &str = "\
# tcp_connect

## 问什么

与某个地址和端口的 TCP 握手能否成功；按指定次数尝试，间隔 8 毫秒。

## 发送什么

每次尝试发送一个 SYN，在等待期限内由内核自行重传（1、3、7 秒之后），然后正常关闭。从不发送数据。

## 应答的含义

- `answered`：握手完成。这是监听方内核所做的；其后的应用仍可能卡住。
- `refused`：收到 RST，或 ICMP 端口不可达：主机存在，但该端口没有监听，或被规则拒绝。
- `reset`：连接建立后立即被断开。
- `silent`：没有任何回应。有规则丢弃报文，或该地址无人持有，或监听方的 accept 队列已满（此时部分尝试的 `retransmissions` 增长，而其他尝试成功）。
- `unreachable`：收到 ICMP 错误，或本机的路由或过滤规则拒绝；`detail` 中是原文。
";
