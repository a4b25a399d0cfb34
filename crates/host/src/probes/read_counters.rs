use super::{Kind, Need, Place, gap, not_mine};
use crate::diag;
use netshoot_model::probe::{Answer, Harm, Question};

/// Protocol counters; the function is [`diag::counters()`].
pub const PROBE: Kind = Kind {
    id: "read_counters",
    asks: "what did this network stack count: losses, retransmissions, full queues",
    asks_zh: "该网络栈统计到什么：丢包、重传、队列溢出",
    needs: &[Need::None],
    harm: Harm::None,
    run,
    page: PAGE,
    page_zh: PAGE_ZH,
};

fn run(question: &Question, _: &Place) -> Answer {
    match question {
        Question::Counters => match diag::counters() {
            Ok(counters) => Answer::Counters(counters),
            Err(e) => gap(&e, Need::None),
        },
        _ => not_mine(question),
    }
}

const PAGE: &str = "\
# read_counters

## What it asks

The protocol counters of the network namespace, `/proc/net/snmp`, `netstat` and `snmp6`, as
`Group.Name` (as `nstat -az`).

## What it sends

Nothing. It reads, needs no right and disturbs nothing.

## What the answers mean

All of them count since the namespace was made, so one reading alone proves little: what counts is
what grows while the trouble lasts.

- `TcpExt.ListenOverflows`, `TcpExt.ListenDrops`: SYNs or handshakes thrown away, because an accept
  queue was full.
- `Tcp.RetransSegs` beside `Tcp.OutSegs`: the share of segments sent again.
- `TcpExt.TCPTimeouts`: nothing came back for a whole retransmission timeout.
- `Ip.OutNoRoutes`, `Ip6.OutNoRoutes`: no route.
- `Ip.FragFails`, `Ip6.InTooBigErrors`: packets larger than the path takes.
- `Udp.RcvbufErrors`: a program reads too slowly. `Udp.NoPorts`: nobody listens.
- `TcpExt.IPReversePathFilter`: packets refused by rp_filter.
";

const PAGE_ZH: &str = "\
# read_counters

## 问什么

网络命名空间的协议计数器，`/proc/net/snmp`、`netstat` 与 `snmp6`，以 `组.名称` 的形式给出（等同 `nstat -az`）。

## 发送什么

不发送任何报文。只读取，不需要权限，也没有任何影响。

## 应答的含义

它们都是自命名空间创建以来的累计值，因此单次读数说明不了多少：重要的是故障期间哪些在增长。

- `TcpExt.ListenOverflows`、`TcpExt.ListenDrops`：因 accept 队列已满而丢弃的 SYN 或握手。
- `Tcp.RetransSegs` 与 `Tcp.OutSegs` 之比：重传报文段的比例。
- `TcpExt.TCPTimeouts`：在整个重传超时内没有任何回应。
- `Ip.OutNoRoutes`、`Ip6.OutNoRoutes`：没有路由。
- `Ip.FragFails`、`Ip6.InTooBigErrors`：报文大于路径所能承载。
- `Udp.RcvbufErrors`：程序读取太慢。`Udp.NoPorts`：没有监听者。
- `TcpExt.IPReversePathFilter`：被 rp_filter 拒绝的报文。
";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link;
    use crate::testing::{in_new_netns, oracle_text};

    #[test]
    fn counters_are_what_nstat_says() {
        in_new_netns(|| {
            link::set_up("lo").unwrap();
            let _ = std::net::TcpStream::connect("127.0.0.1:9");
            let _ = std::net::TcpStream::connect("[::1]:9");
            let Answer::Counters(ours) = run(&Question::Counters, &Place::default()) else {
                panic!("no answer")
            };
            assert_eq!(ours["Tcp.OutRsts"], 2);
            let Some(text) = oracle_text("nstat", &["-a", "-s", "-z"]) else {
                return;
            };
            // nstat joins group and name, and leaves some out; all that it shows must agree.
            let ours: std::collections::BTreeMap<_, _> = ours
                .iter()
                .map(|(name, value)| (name.replace('.', ""), *value))
                .collect();
            let mut seen = 0;
            for line in text.lines().filter(|line| !line.starts_with('#')) {
                let words: Vec<_> = line.split_whitespace().collect();
                let (name, value) = (words[0], words[1].parse::<u64>().unwrap());
                if let Some(our) = ours.get(name) {
                    assert_eq!(*our, value, "{name}");
                    seen += 1;
                }
            }
            assert!(seen > 100, "{seen} of {}", text.lines().count());
        });
    }
}
