//! Routes.

use super::{Kind, Need};
use crate::probe::Harm;

/// The kind.
pub const KIND: Kind = Kind {
    id: "read_routes",
    asks: "which routes are here",
    asks_zh: "这里有哪些路由",
    needs: &[Need::None],
    harm: Harm::None,
    page: PAGE,
    page_zh: PAGE_ZH,
};

const PAGE: &str = "\
# read_routes

## What it asks

The routes of IPv4 and IPv6 in the main table and in every table beside it, except the kernel's
own `local` one (rtnetlink).

## What it sends

Nothing. It reads, needs no right and disturbs nothing.

## What the answers mean

- A route with several ways out comes once for each.
- `blackhole`, `unreachable` and `prohibit` routes throw packets away on purpose.
- `table` 254 is main. Another table counts only where a rule (ip-rule(8)) names it; what the
  kernel really decides for one address says `lookup_route`.
- Among equal prefixes the lowest `metric` wins.
";

const PAGE_ZH: &str = "\
# read_routes

## 问什么

main 表以及除内核自身的 `local` 表之外其他各表中的 IPv4 与 IPv6 路由（rtnetlink）。

## 发送什么

不发送任何报文。只读取，不需要权限，也没有任何影响。

## 应答的含义

- 有多个出口的路由，每个出口各列一次。
- `blackhole`、`unreachable` 和 `prohibit` 路由会有意丢弃报文。
- `table` 254 即 main。其他表只有在被规则（ip-rule(8)）引用时才生效；内核对某个地址的实际决策见 `lookup_route`。
- 前缀相同时，`metric` 最小者优先。
";
