use super::{Kind, Need, Place, gap, not_mine};
use crate::icmp;
use netshoot_model::probe::{Answer, Harm, Question};

/// Echo requests; the function is [`icmp::series`].
pub const PROBE: Kind = Kind {
    id: "icmp_echo",
    asks: "does an address answer ICMP echo, and who says that it cannot",
    asks_zh: "某个地址是否应答 ICMP echo；若不能，是谁说的",
    needs: &[Need::NetRaw],
    harm: Harm::FewPackets,
    run,
    page: PAGE,
    page_zh: PAGE_ZH,
};

fn run(question: &Question, _: &Place) -> Answer {
    let Question::Echo {
        to,
        count,
        timeout_ms,
    } = question
    else {
        return not_mine(question);
    };
    match icmp::series(*to, *count, *timeout_ms) {
        Ok(attempts) => Answer::Echo(attempts),
        Err(e) => gap(&e, Need::NetRaw),
    }
}

const PAGE: &str = "\
# icmp_echo

## What it asks

Whether an address answers ICMP echo requests (`ping`), as many as told.

## What it sends

Echo requests with 56 bytes of data, 50 ms apart. It opens a ping socket where
`net.ipv4.ping_group_range` allows that, else a raw socket, which needs CAP_NET_RAW.

## What the answers mean

- `answered`: the reply came.
- `unreachable`: an ICMP error came back; `detail` has its words and who sent it. `host
  unreachable` from the own address means that nobody answers to ARP (or neighbour discovery).
- `silent`: nothing came back. Many networks drop ICMP, and the virtual address of a Service
  answers no echo in most proxies: silence alone proves nothing about TCP.
";

const PAGE_ZH: &str = "\
# icmp_echo

## 问什么

某个地址是否应答 ICMP echo 请求（`ping`），按指定次数。

## 发送什么

带 56 字节数据的 echo 请求，间隔 50 毫秒。在 `net.ipv4.ping_group_range` 允许时使用 ping 套接字，否则使用原始套接字，后者需要 CAP_NET_RAW。

## 应答的含义

- `answered`：收到了应答。
- `unreachable`：收到 ICMP 错误；`detail` 中是其原文以及由谁发出。由自身地址发出的 `host unreachable`，表示无人应答 ARP（或邻居发现）。
- `silent`：没有任何回应。许多网络丢弃 ICMP，而且多数代理中 Service 的虚拟地址不应答 echo：仅凭无应答，对 TCP 什么也证明不了。
";

#[cfg(test)]
mod tests {
    use crate::icmp::series;
    use crate::testground::{alone, routed};
    use netshoot_model::probe::Outcome;
    use std::time::{Duration, Instant};

    #[test]
    fn replies_and_no_route() {
        alone(|| {
            for allow_anybody in [false, true] {
                if allow_anybody {
                    std::fs::write("/proc/sys/net/ipv4/ping_group_range", "0 2147483647").unwrap();
                }
                for to in ["127.0.0.1", "::1"] {
                    let all = series(to.parse().unwrap(), 3, 500).unwrap();
                    assert!(
                        all.len() == 3 && all.iter().all(|a| a.outcome == Outcome::Answered),
                        "{all:?}"
                    );
                }
                for to in ["192.0.2.1", "2001:db8::1"] {
                    let all = series(to.parse().unwrap(), 2, 500).unwrap();
                    assert!(
                        all.len() == 2 && all.iter().all(|a| a.outcome == Outcome::Unreachable),
                        "{all:?}"
                    );
                }
            }
        });
    }

    #[test]
    fn a_router_says_what_it_cannot_reach_and_a_dead_neighbour_is_silent() {
        routed(|far| {
            for allow_anybody in ["1 0", "0 2147483647"] {
                std::fs::write("/proc/sys/net/ipv4/ping_group_range", allow_anybody).unwrap();
                for to in far.reachable {
                    let all = series(to, 2, 1000).unwrap();
                    assert!(
                        all.iter().all(|a| a.outcome == Outcome::Answered),
                        "{to}: {all:?}"
                    );
                }
                for to in far.unroutable {
                    let all = series(to, 1, 1000).unwrap();
                    assert_eq!(all[0].outcome, Outcome::Unreachable, "{to}: {all:?}");
                    assert!(
                        all[0].detail.contains("unreachable (from "),
                        "{}",
                        all[0].detail
                    );
                }
                for to in far.dead {
                    let began = Instant::now();
                    let all = series(to, 3, 300).unwrap();
                    assert!(
                        all.len() == 3 && all.iter().all(|a| a.outcome == Outcome::Silent),
                        "{to}: {all:?}"
                    );
                    assert!(began.elapsed() < Duration::from_millis(600));
                }
            }
        });
    }
}
