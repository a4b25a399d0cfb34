use super::{Need, Place, Runs, gap, not_mine};
use crate::diag::conntrack;
use netshoot_model::probe::{Answer, Question, kinds};

/// Most entries in one answer.
const MOST: usize = 1000;

/// Tracked connections; the function is [`conntrack::conntrack`].
pub const PROBE: Runs = Runs {
    kind: &kinds::read_conntrack::KIND,
    run,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{in_new_netns, without_capabilities};
    use netshoot_model::text::Text;

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
        assert_eq!(missing, Text::same("CAP_NET_ADMIN"));
        assert!(
            how_to_get.as_str().contains("setcap cap_net_admin"),
            "{how_to_get}"
        );
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
