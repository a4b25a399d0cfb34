use super::{Need, Place, Runs, gap, not_mine};
use crate::link;
use netshoot_model::probe::{Answer, Question, kinds};

/// Neighbours and forwarding entries; the function is [`link::neighbours`].
pub const PROBE: Runs = Runs {
    kind: &kinds::read_neighbours::KIND,
    run,
};

fn run(question: &Question, _: &Place) -> Answer {
    match question {
        Question::Neighbours => match link::neighbours() {
            Ok(entries) => Answer::Neighbours(entries),
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
    fn a_neighbour_that_never_answers_is_seen() {
        in_new_netns(|| {
            link::create_veth("a", "b", None).unwrap();
            link::set_up("a").unwrap();
            link::set_up("b").unwrap();
            link::add_address("a", "10.0.0.1".parse().unwrap(), 24).unwrap();
            let socket = std::net::UdpSocket::bind("10.0.0.1:0").unwrap();
            socket.send_to(b"x", "10.0.0.2:9").unwrap();
            let Answer::Neighbours(entries) = run(&Question::Neighbours, &Place::default()) else {
                panic!("no answer")
            };
            let entry = entries
                .iter()
                .find(|n| n.address == "10.0.0.2".parse().ok())
                .unwrap();
            assert!(
                ["INCOMPLETE", "FAILED"].contains(&entry.state.as_str()),
                "{entry:?}"
            );
            assert_eq!((entry.interface.as_str(), entry.mac.as_str()), ("a", ""));
        });
    }
}
