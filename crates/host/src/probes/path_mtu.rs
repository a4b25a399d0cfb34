use super::{Need, Place, Runs, gap, not_mine};
use crate::mtu;
use netshoot_model::probe::{Answer, Question, kinds};

/// A ladder of unfragmentable echoes; the function is [`mtu::climb`].
pub const PROBE: Runs = Runs {
    kind: &kinds::path_mtu::KIND,
    run,
};

fn run(question: &Question, _: &Place) -> Answer {
    let Question::PathMtu {
        to,
        largest,
        timeout_ms,
    } = question
    else {
        return not_mine(question);
    };
    match mtu::climb(*to, *largest, *timeout_ms) {
        Ok(found) => Answer::PathMtu(found),
        Err(e) => gap(&e, Need::NetRaw),
    }
}

#[cfg(test)]
mod tests {
    use crate::mtu::climb;
    use crate::testground::{Narrow, alone, narrowed};
    use netshoot_model::probe::PathMtu;
    use std::time::{Duration, Instant};

    #[test]
    fn narrow_places_and_who_speaks_of_them() {
        let found = |answered, lost, announced, local| PathMtu {
            largest_answered: answered,
            smallest_lost: lost,
            announced,
            local,
        };
        for (narrow, expected) in [
            (Narrow::Announced(1383), found(1383, 1384, Some(1383), None)),
            // A veth lets four bytes more pass, for a VLAN tag.
            (Narrow::Silent(1371), found(1375, 1376, None, None)),
            (Narrow::Here(1340), found(1340, 1341, None, Some(1340))),
            (Narrow::Here(1500), found(1500, 0, None, None)),
        ] {
            narrowed(narrow, |far| {
                for to in far.reachable {
                    for allow_anybody in ["1 0", "0 2147483647"] {
                        std::fs::write("/proc/sys/net/ipv4/ping_group_range", allow_anybody)
                            .unwrap();
                        let began = Instant::now();
                        assert_eq!(climb(to, 1500, 600).unwrap(), expected, "{narrow:?} {to}");
                        assert!(
                            began.elapsed() < Duration::from_millis(1200),
                            "{narrow:?} {to} {:?}",
                            began.elapsed()
                        );
                    }
                }
            });
        }
    }

    #[test]
    fn silence_costs_one_timeout_and_says_nothing() {
        narrowed(Narrow::Here(1500), |far| {
            for to in far.dead {
                let began = Instant::now();
                let found = climb(to, 1500, 800).unwrap();
                assert_eq!(
                    (found.largest_answered, found.announced),
                    (0, None),
                    "{found:?}"
                );
                // A second timeout would end at 1600.
                assert!(began.elapsed() < Duration::from_millis(1600));
            }
        });
    }

    #[test]
    fn no_way_at_all() {
        alone(|| {
            for to in ["192.0.2.1", "2001:db8::1"] {
                assert_eq!(
                    climb(to.parse().unwrap(), 1500, 300)
                        .unwrap()
                        .largest_answered,
                    0
                );
            }
            for to in ["127.0.0.1", "::1"] {
                assert_eq!(
                    climb(to.parse().unwrap(), 9000, 300)
                        .unwrap()
                        .largest_answered,
                    9000,
                    "{to}"
                );
            }
        });
    }
}
