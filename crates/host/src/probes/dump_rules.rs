//! The packet filter's rules of a network namespace.

use super::{Kind, Need, Place, gap, not_mine};
use crate::nft;
use netshoot_model::probe::{Answer, Harm, Question};

/// Tables, chains, rules and sets; the function is [`nft::dump`].
pub const PROBE: Kind = Kind {
    id: "dump_rules",
    asks: "what do the packet-filter rules here do with a packet",
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

const PAGE_ZH: &str = "";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{in_new_netns, without_capabilities};

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
        assert_eq!(missing, "CAP_NET_ADMIN");
    }
}
