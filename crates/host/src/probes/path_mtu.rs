use super::{Kind, Need, Place, gap, not_mine};
use crate::mtu;
use netshoot_model::probe::{Answer, Harm, Question};

/// A ladder of unfragmentable echoes; the function is [`mtu::climb`].
pub const PROBE: Kind = Kind {
    id: "path_mtu",
    asks: "how large an IP packet does the path carry, and does anybody say so",
    asks_zh: "路径能承载多大的 IP 报文，是否有人告知",
    needs: &[Need::NetRaw],
    harm: Harm::Series,
    run,
    page: PAGE,
    page_zh: PAGE_ZH,
};

fn run(question: &Question, _: &Place) -> Answer {
    let Question::PathMtu {
        to,
        largest,
        timeout_ms,
    } = question
    else {
        return not_mine(question);
    };
    match mtu::climb(*to, *largest, *timeout_ms) {
        Ok(found) => Answer::PathMtu(found),
        Err(e) => gap(&e, Need::NetRaw),
    }
}

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

#[cfg(test)]
mod tests {
    use crate::mtu::climb;
    use crate::testground::{Narrow, alone, narrowed};
    use netshoot_model::probe::PathMtu;
    use std::time::{Duration, Instant};

    #[test]
    fn narrow_places_and_who_speaks_of_them() {
        let found = |answered, lost, announced, local| PathMtu {
            largest_answered: answered,
            smallest_lost: lost,
            announced,
            local,
        };
        for (narrow, expected) in [
            (Narrow::Announced(1383), found(1383, 1384, Some(1383), None)),
            // A veth lets four bytes more pass, for a VLAN tag.
            (Narrow::Silent(1371), found(1375, 1376, None, None)),
            (Narrow::Here(1340), found(1340, 1341, None, Some(1340))),
            (Narrow::Here(1500), found(1500, 0, None, None)),
        ] {
            narrowed(narrow, |far| {
                for to in far.reachable {
                    for allow_anybody in ["1 0", "0 2147483647"] {
                        std::fs::write("/proc/sys/net/ipv4/ping_group_range", allow_anybody)
                            .unwrap();
                        let began = Instant::now();
                        assert_eq!(climb(to, 1500, 600).unwrap(), expected, "{narrow:?} {to}");
                        assert!(
                            began.elapsed() < Duration::from_millis(1200),
                            "{narrow:?} {to} {:?}",
                            began.elapsed()
                        );
                    }
                }
            });
        }
    }

    #[test]
    fn silence_costs_one_timeout_and_says_nothing() {
        narrowed(Narrow::Here(1500), |far| {
            for to in far.dead {
                let began = Instant::now();
                let found = climb(to, 1500, 800).unwrap();
                assert_eq!(
                    (found.largest_answered, found.announced),
                    (0, None),
                    "{found:?}"
                );
                // A second timeout would end at 1600.
                assert!(began.elapsed() < Duration::from_millis(1600));
            }
        });
    }

    #[test]
    fn no_way_at_all() {
        alone(|| {
            for to in ["192.0.2.1", "2001:db8::1"] {
                assert_eq!(
                    climb(to.parse().unwrap(), 1500, 300)
                        .unwrap()
                        .largest_answered,
                    0
                );
            }
            for to in ["127.0.0.1", "::1"] {
                assert_eq!(
                    climb(to.parse().unwrap(), 9000, 300)
                        .unwrap()
                        .largest_answered,
                    9000,
                    "{to}"
                );
            }
        });
    }
}
