//! Which servers and suffixes a resolver library uses.

use super::{Kind, Need};
use crate::probe::Harm;

/// The kind.
pub const KIND: Kind = Kind {
    id: "read_resolv_conf",
    asks: "which name servers, search suffixes and ndots do processes here use",
    asks_zh: "这里的进程使用哪些域名服务器、搜索后缀和 ndots",
    needs: &[Need::None],
    harm: Harm::None,
    page: PAGE,
    page_zh: PAGE_ZH,
};

const PAGE: &str = "\
# read_resolv_conf

## What it asks

The name servers, search suffixes and `ndots` of resolv.conf(5) as processes there see it. In a
pod the kubelet writes that file from the pod's dnsPolicy and dnsConfig.

## What it sends

Nothing. It reads one file.

## What the answers mean

- A pod with dnsPolicy ClusterFirst names the cluster DNS; any other server does not know cluster
  names.
- A missing `ndots` counts as 1; Kubernetes writes 5, which makes short names cheap and outside names
  dear.
- Only the first three servers are ever asked.
";

const PAGE_ZH: &str = "\
# read_resolv_conf

## 问什么

该处进程所见的 resolv.conf(5) 中的域名服务器、搜索后缀与 `ndots`。在 Pod 中，该文件由 kubelet 根据 Pod 的 dnsPolicy 与 dnsConfig 写入。

## 发送什么

不发送任何报文。只读取一个文件。

## 应答的含义

- dnsPolicy 为 ClusterFirst 的 Pod 使用集群 DNS；其他服务器都不知道集群内的域名。
- 没有 `ndots` 时按 1 计；Kubernetes 写入 5，这使短名称代价低，而外部域名代价高。
- 只会询问前三个服务器。
";
