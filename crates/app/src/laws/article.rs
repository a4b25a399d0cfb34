//! The command lines of the article and the shelf go along: `tests/article/lines.rs`.

#[path = "../../tests/article/lines.rs"]
#[allow(dead_code)]
mod lines;

use lines::{At, CASE, LINES, PENDING};
use std::collections::BTreeSet;

#[test]
fn a_line_of_the_article_is_pending_as_long_as_its_word_is_not_there_and_no_longer() {
    let there: BTreeSet<&str> = crate::applets::links().into_iter().collect();
    let ours = |l: &&lines::Line| ![At::Laptop, At::Terminal].contains(&l.at);
    let all = LINES.iter().chain(CASE);
    let mut used: BTreeSet<&str> = BTreeSet::new();
    for line in all.filter(ours) {
        for word in line.words() {
            used.insert(word);
            let (pending, has) = (PENDING.contains(&word), there.contains(word));
            assert!(
                pending != has,
                "{word} ({}): {}",
                line.line,
                if has {
                    "it is there now; take it from PENDING in tests/article/lines.rs, then cluster_article runs its lines"
                } else {
                    "no applet, and not in PENDING either"
                }
            );
        }
    }
    for word in PENDING {
        assert!(used.contains(word), "{word}: no line of the article has it");
    }
}

#[test]
fn no_line_of_the_article_was_lost() {
    assert_eq!((LINES.len(), CASE.len()), (60, 15));
}
