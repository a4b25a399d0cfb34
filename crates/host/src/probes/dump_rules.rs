//! The packet filter's rules of a network namespace.

use super::{Kind, Need, Place, gap, not_mine};
use crate::nft;
use netshoot_model::probe::{Answer, Harm, Question};

/// Tables, chains, rules and sets; the function is [`nft::dump`].
pub const PROBE: Kind = Kind {
    id: "dump_rules",
    asks: "what do the packet-filter rules here do with a packet",
    asks_zh: "这里的包过滤规则如何处理一个报文",
    needs: &[Need::NetAdmin],
    harm: Harm::None,
    run,
    page: PAGE,
    page_zh: PAGE_ZH,
};

fn run(question: &Question, _: &Place) -> Answer {
    match question {
        Question::Rules => match nft::dump() {
            Ok(tables) => Answer::Rules(tables),
            Err(e) => gap(&e, Need::NetAdmin),
        },
        _ => not_mine(question),
    }
}

const PAGE: &str = "\
# dump_rules

## What it asks

All tables of nf_tables with chains, hooks, policies, rules, counters, sets and maps, and those that
iptables-nft wrote, with its matches and targets decoded.

## What it sends

Nothing. It reads over netlink and needs CAP_NET_ADMIN.

## What the answers mean

- No table at all on a node: no kube-proxy in nftables or iptables-nft mode works there.
- A base chain with policy drop drops what none of its rules accepts.
- Rules of iptables-legacy are not in nf_tables and not in this answer.
";

const PAGE_ZH: &str = "\
# dump_rules

## 问什么

nf_tables 的全部表，包括链、钩子、默认策略、规则、计数器、集合与映射，以及由 iptables-nft 写入的表，其中的匹配与目标均已解码。

## 发送什么

不发送任何报文。经 netlink 读取，需要 CAP_NET_ADMIN。

## 应答的含义

- 节点上一张表都没有：那里没有以 nftables 或 iptables-nft 模式工作的 kube-proxy。
- 默认策略为 drop 的基链，会丢弃其中没有规则放行的一切报文。
- iptables-legacy 的规则不在 nf_tables 中，也不在此应答中。
";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{in_new_netns, without_capabilities};
    use netshoot_model::text::Text;

    #[test]
    fn a_new_namespace_has_no_rules() {
        in_new_netns(|| {
            let answer = run(&Question::Rules, &Place::default());
            assert_eq!(answer, Answer::Rules(Vec::new()));
        });
    }

    #[test]
    fn without_the_right_it_is_a_gap_and_no_empty_rule_set() {
        let answer = in_new_netns(|| {
            without_capabilities();
            run(&Question::Rules, &Place::default())
        });
        let Answer::CouldNotAsk { missing, .. } = answer else {
            panic!("{answer:?}")
        };
        assert_eq!(missing, Text::same("CAP_NET_ADMIN"));
    }
}
