use super::{Need, Place, Runs, gap, not_mine};
use crate::diag;
use netshoot_model::probe::{Answer, Question, kinds};

/// Protocol counters; the function is [`diag::counters()`].
pub const PROBE: Runs = Runs {
    kind: &kinds::read_counters::KIND,
    run,
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
