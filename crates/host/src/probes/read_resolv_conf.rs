//! A place's resolv.conf.

use super::{Place, Runs, not_mine};
use crate::resolv;
use netshoot_model::probe::{Answer, Question, kinds};
use netshoot_model::text;
use netshoot_model::text::Text;

/// Which servers and suffixes a resolver library uses; the function is [`resolv::parse`].
pub const PROBE: Runs = Runs {
    kind: &kinds::read_resolv_conf::KIND,
    run,
};

fn run(question: &Question, place: &Place) -> Answer {
    match (question, resolv_conf(place)) {
        (Question::ResolvConf, Ok(text)) => Answer::ResolvConf(resolv::parse(&text)),
        (Question::ResolvConf, Err(e)) => Answer::CouldNotAsk {
            why: format!("read /etc/resolv.conf: {e}"),
            missing: text!("a readable /etc/resolv.conf", "可读的 /etc/resolv.conf"),
            how_to_get: Text::default(),
        },
        _ => not_mine(question),
    }
}

/// The text of the place's resolv.conf.
fn resolv_conf(place: &Place) -> std::io::Result<String> {
    match &place.resolv_conf {
        Some(text) => Ok(text.clone()),
        None => std::fs::read_to_string("/etc/resolv.conf"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_decides() {
        let text = "search a.svc.cluster.local svc.cluster.local\nnameserver 10.96.0.10\noptions ndots:5\n";
        let place = Place {
            resolv_conf: Some(text.into()),
        };
        let Answer::ResolvConf(c) = run(&Question::ResolvConf, &place) else {
            panic!("no answer")
        };
        assert_eq!((c.nameservers.len(), c.search.len(), c.ndots), (1, 2, 5));
    }
}
