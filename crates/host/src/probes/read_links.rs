use super::{Need, Place, Runs, gap, not_mine};
use crate::link;
use netshoot_model::probe::{Answer, Question, kinds};

/// Links with addresses, counters, ports and tunnels; the function is [`link::links`].
pub const PROBE: Runs = Runs {
    kind: &kinds::read_links::KIND,
    run,
};

fn run(question: &Question, _: &Place) -> Answer {
    match question {
        Question::Links => match link::links() {
            Ok(links) => Answer::Links(links),
            Err(e) => gap(&e, Need::None),
        },
        _ => not_mine(question),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::in_new_netns;

    #[test]
    fn counters_count_what_was_sent() {
        in_new_netns(|| {
            link::set_up("lo").unwrap();
            let count = || match run(&Question::Links, &Place::default()) {
                Answer::Links(links) => links.iter().find(|l| l.name == "lo").unwrap().rx_packets,
                other => panic!("{other:?}"),
            };
            let before = count();
            let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
            for _ in 0..5 {
                socket.send_to(b"x", socket.local_addr().unwrap()).unwrap();
            }
            assert_eq!(count() - before, 5);
        });
    }
}
