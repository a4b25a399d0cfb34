//! The packet filter's rules of a network namespace.

use super::{Need, Place, Runs, gap, not_mine};
use crate::nft;
use netshoot_model::probe::{Answer, Question, kinds};

/// Tables, chains, rules and sets; the function is [`nft::dump`].
pub const PROBE: Runs = Runs {
    kind: &kinds::dump_rules::KIND,
    run,
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
