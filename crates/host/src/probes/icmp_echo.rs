use super::{Need, Place, Runs, gap, not_mine};
use crate::icmp;
use netshoot_model::probe::{Answer, Question, kinds};

/// Echo requests; the function is [`icmp::series`].
pub const PROBE: Runs = Runs {
    kind: &kinds::icmp_echo::KIND,
    run,
};

fn run(question: &Question, _: &Place) -> Answer {
    let Question::Echo {
        to,
        count,
        timeout_ms,
    } = question
    else {
        return not_mine(question);
    };
    match icmp::series(*to, *count, *timeout_ms) {
        Ok(attempts) => Answer::Echo(attempts),
        Err(e) => gap(&e, Need::NetRaw),
    }
}

#[cfg(test)]
mod tests {
    use crate::icmp::series;
    use crate::testground::{alone, routed};
    use netshoot_model::probe::Outcome;
    use std::time::{Duration, Instant};

    #[test]
    fn replies_and_no_route() {
        alone(|| {
            for allow_anybody in [false, true] {
                if allow_anybody {
                    std::fs::write("/proc/sys/net/ipv4/ping_group_range", "0 2147483647").unwrap();
                }
                for to in ["127.0.0.1", "::1"] {
                    let all = series(to.parse().unwrap(), 3, 500).unwrap();
                    assert!(
                        all.len() == 3 && all.iter().all(|a| a.outcome == Outcome::Answered),
                        "{all:?}"
                    );
                }
                for to in ["192.0.2.1", "2001:db8::1"] {
                    let all = series(to.parse().unwrap(), 2, 500).unwrap();
                    assert!(
                        all.len() == 2 && all.iter().all(|a| a.outcome == Outcome::Unreachable),
                        "{all:?}"
                    );
                }
            }
        });
    }

    #[test]
    fn a_router_says_what_it_cannot_reach_and_a_dead_neighbour_is_silent() {
        routed(|far| {
            for allow_anybody in ["1 0", "0 2147483647"] {
                std::fs::write("/proc/sys/net/ipv4/ping_group_range", allow_anybody).unwrap();
                for to in far.reachable {
                    let all = series(to, 2, 1000).unwrap();
                    assert!(
                        all.iter().all(|a| a.outcome == Outcome::Answered),
                        "{to}: {all:?}"
                    );
                }
                for to in far.unroutable {
                    let all = series(to, 1, 1000).unwrap();
                    assert_eq!(all[0].outcome, Outcome::Unreachable, "{to}: {all:?}");
                    assert!(
                        all[0].detail.contains("unreachable (from "),
                        "{}",
                        all[0].detail
                    );
                }
                for to in far.dead {
                    let began = Instant::now();
                    let all = series(to, 3, 300).unwrap();
                    assert!(
                        all.len() == 3 && all.iter().all(|a| a.outcome == Outcome::Silent),
                        "{to}: {all:?}"
                    );
                    assert!(began.elapsed() < Duration::from_millis(600));
                }
            }
        });
    }
}
