//! A TLS handshake.

use super::{Kind, Need};
use crate::probe::Harm;

/// The kind.
pub const KIND: Kind = Kind {
    id: "tls_handshake",
    asks: "which certificates does a TLS server present, and would a strict client take them",
    asks_zh: "TLS 服务器出示哪些证书，严格的客户端是否会接受",
    needs: &[Need::None],
    harm: Harm::FewPackets,
    page: PAGE,
    page_zh: PAGE_ZH,
};

const PAGE: &str = "\
# tls_handshake

## What it asks

Which certificate chain a TLS server presents for a name, and what a client that verifies it
would say now: expired, not yet valid, not for this name, issued by somebody unknown.

## What it sends

One connection, one TLS 1.2 or 1.3 handshake that is finished whatever the certificate is, and a
close. No client certificate, no data.

## What the answers mean

- `answered`: a chain came. `problem` is empty when it is valid for the name now, from an
  authority that is trusted: one of the PEM given, or else a public one that is compiled in, or
  one of this machine (`SSL_CERT_FILE`, `SSL_CERT_DIR`, else the distribution's bundle). Pods of
  worlds have only the public ones.
- `stores` says where was looked, `trusted_by` by which of them the chain is valid.
- `garbled`: what came is not TLS, an alert, or a close; `detail` says which.
- `refused`, `silent`, `unreachable`: as in `tcp_connect`. `silent` with a fast TCP connect: the
  handshake's large packets may be lost (MTU), or the server is stuck.
";

const PAGE_ZH: &str = "\
# tls_handshake

## 问什么

TLS 服务器针对某个名称出示怎样的证书链，以及校验证书的客户端此刻会怎么说：已过期、尚未生效、不适用于该名称、由未知的签发者签发。

## 发送什么

一个连接，一次 TLS 1.2 或 1.3 握手（无论证书如何都会完成），然后关闭。没有客户端证书，也没有数据。

## 应答的含义

- `answered`：收到了证书链。若它此刻对该名称有效，且来自受信任的 CA（给定的 PEM，否则为内置的公共 CA 或本机的 CA：`SSL_CERT_FILE`、`SSL_CERT_DIR`，否则为发行版的证书包），则 `problem` 为空。世界中的 Pod 只用公共 CA。
- `stores` 列出查找过的位置，`trusted_by` 是使该证书链有效的那一个。
- `garbled`：收到的不是 TLS，或是一个 alert，或连接被关闭；`detail` 说明是哪一种。
- `refused`、`silent`、`unreachable`：含义同 `tcp_connect`。TCP 连接很快却 `silent`：握手中的大报文可能丢失（MTU），或服务器卡住。
";
