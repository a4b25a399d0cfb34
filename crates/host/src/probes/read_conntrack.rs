use super::{Kind, Need, Place, gap, not_mine};
use crate::diag::conntrack;
use netshoot_model::probe::{Answer, Harm, Question};

/// Most entries in one answer.
const MOST: usize = 1000;

/// Tracked connections; the function is [`conntrack::conntrack`].
pub const PROBE: Kind = Kind {
    id: "read_conntrack",
    asks: "which connections does the packet filter track, where did it send them, is it full",
    needs: &[Need::NetAdmin],
    harm: Harm::None,
    run,
    page: PAGE,
    page_zh: PAGE_ZH,
};

fn run(question: &Question, _: &Place) -> Answer {
    match question {
        Question::Conntrack { to } => match conntrack::conntrack(*to, MOST) {
            Ok(table) => Answer::Conntrack(table),
            Err(e) => gap(&e, Need::NetAdmin),
        },
        _ => not_mine(question),
    }
}

const PAGE: &str = "\
# read_conntrack

## What it asks

The size and limit of the connection tracking table, its counters summed over all CPUs, and its
entries, at most 1000, those with one original destination if that is asked for (ctnetlink, as
`conntrack -L` and `conntrack -S`).

## What it sends

Nothing. It reads, and needs CAP_NET_ADMIN: without it there is no answer, not an empty table. A
full table takes some hundred milliseconds to read.

## What the answers mean

- `count` near `max`: new connections are dropped, and `drop` grows.
- `insert_failed` grows when two packets of one flow race, as with DNS queries for A and AAAA from
  one socket.
- `reply_source` tells where destination NAT sent the connection: the backend of a Service. An
  address that no longer is a backend is a stale entry; UDP clients stay on it as long as they send.
- `unreplied`: no packet of the reply direction was seen here.
";

const PAGE_ZH: &str = "";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{in_new_netns, without_capabilities};

    #[test]
    fn without_the_right_it_is_a_gap_and_no_empty_table() {
        let answer = in_new_netns(|| {
            without_capabilities();
            run(&Question::Conntrack { to: None }, &Place::default())
        });
        let Answer::CouldNotAsk {
            missing,
            how_to_get,
            why,
        } = answer
        else {
            panic!("{answer:?}")
        };
        assert_eq!(missing, "CAP_NET_ADMIN");
        assert!(how_to_get.contains("setcap cap_net_admin"), "{how_to_get}");
        assert!(why.contains("conntrack"), "{why}");
    }

    #[test]
    fn an_empty_table_is_an_answer() {
        in_new_netns(|| {
            let Answer::Conntrack(table) =
                run(&Question::Conntrack { to: None }, &Place::default())
            else {
                panic!("no answer")
            };
            assert_eq!((table.count, table.entries.len()), (0, 0));
            assert!(table.max > 0 && !table.stats.is_empty());
        });
    }
}
