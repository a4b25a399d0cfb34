//! TCP and UDP sockets.

use super::{Kind, Need};
use crate::probe::Harm;

/// The kind.
pub const KIND: Kind = Kind {
    id: "read_sockets",
    asks: "who listens and who talks here, and how full are their queues",
    asks_zh: "这里谁在监听、谁在通信，它们的队列有多满",
    needs: &[Need::None],
    harm: Harm::None,
    page: PAGE,
    page_zh: PAGE_ZH,
};

const PAGE: &str = "\
# read_sockets

## What it asks

All TCP and UDP sockets of the network namespace, IPv4 and IPv6, with state and queues
(inet_diag, as `ss -tuan`).

## What it sends

Nothing. It reads, needs no right and disturbs nothing.

## What the answers mean

- `LISTEN`: `recv_q` counts connections that wait for accept(2), `send_q` is how many may. When
  they are more than that, the kernel throws SYNs away in silence: the program is too slow or
  stuck, and clients see time-outs.
- A listener on 127.0.0.1 or ::1 is out of reach for everybody else.
- A listener on `[::]` takes IPv4 too unless `v6_only`.
- `recv_q` of a connection are bytes that the program did not read; `send_q` are bytes that the
  other end did not acknowledge.
- Many `SYN-SENT`: answers do not come. Many `CLOSE-WAIT`: the program does not close.
- An IPv4 peer of a dual-stack socket is given as IPv4, not as ::ffff:a.b.c.d.
";

const PAGE_ZH: &str = "\
# read_sockets

## 问什么

网络命名空间中所有的 TCP 与 UDP 套接字，IPv4 与 IPv6，及其状态和队列（inet_diag，等同 `ss -tuan`）。

## 发送什么

不发送任何报文。只读取，不需要权限，也没有任何影响。

## 应答的含义

- `LISTEN`：`recv_q` 是等待 accept(2) 的连接数，`send_q` 是允许的上限。超过上限时，内核会静默丢弃 SYN：程序太慢或卡住，客户端看到的是超时。
- 监听在 127.0.0.1 或 ::1 上的套接字，其他任何人都无法访问。
- 监听在 `[::]` 上的套接字也接受 IPv4，除非 `v6_only`。
- 连接的 `recv_q` 是程序尚未读取的字节；`send_q` 是对端尚未确认的字节。
- 大量 `SYN-SENT`：收不到应答。大量 `CLOSE-WAIT`：程序没有关闭连接。
- 双栈套接字的 IPv4 对端以 IPv4 给出，而不是 ::ffff:a.b.c.d。
";
