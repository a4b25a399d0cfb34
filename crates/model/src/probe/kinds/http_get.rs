//! HTTP requests.

use super::{Kind, Need};
use crate::probe::Harm;

/// The kind.
pub const KIND: Kind = Kind {
    id: "http_get",
    asks: "does an HTTP server answer, how fast in each phase, and in which phase does it stop",
    asks_zh: "HTTP 服务器是否应答，各阶段多快，停在哪个阶段",
    needs: &[Need::None],
    harm: Harm::Series,
    page: PAGE,
    page_zh: PAGE_ZH,
};

const PAGE: &str = "\
# http_get

## What it asks

What an HTTP/1.1 server does with a GET request, from the SYN to the last byte, as many times as
told, 8 ms apart.

## What it sends

For each try a connection, with `tls` a TLS handshake (the certificate is not verified), one GET
request with `Connection: close`. `padding` adds so many bytes in `X-Padding` headers: enough of
them fill whole segments, which a path with a smaller MTU behind it then loses.

## What the answers mean

- `answered`: a whole response came, whatever its status.
- `phase` says how far it came: `connect`, `tls`, `request`, `response`, `done`.
- `silent` in `response` with `unacknowledged` bytes and `retransmissions`: the request never
  arrived, though the handshake did (MTU). Without unacknowledged bytes: the server has the
  request and does not answer.
- `reset` in `response`: the server, or something on the way, tore the connection down.
- `garbled`: what came is not HTTP, or was cut short; `detail` says which.
";

const PAGE_ZH: &str = "\
# http_get

## 问什么

HTTP/1.1 服务器如何处理一个 GET 请求，从 SYN 到最后一个字节；按指定次数尝试，间隔 8 毫秒。

## 发送什么

每次尝试建立一个连接；带 `tls` 时进行 TLS 握手（不校验证书）；发送一个带 `Connection: close` 的 GET 请求。`padding` 以 `X-Padding` 头增加相应的字节数：足够多时会填满整个报文段，而其后 MTU 更小的路径就会丢失它们。

## 应答的含义

- `answered`：收到了完整的响应，无论状态码是什么。
- `phase` 说明进行到哪一步：`connect`、`tls`、`request`、`response`、`done`。
- 停在 `response` 的 `silent`，并有 `unacknowledged` 字节和 `retransmissions`：握手到达了，请求却始终没有到达（MTU）。若没有未确认的字节：服务器收到了请求，但不应答。
- 停在 `response` 的 `reset`：服务器或路径上的某个设备断开了连接。
- `garbled`：收到的不是 HTTP，或中途截断；`detail` 说明是哪一种。
";
