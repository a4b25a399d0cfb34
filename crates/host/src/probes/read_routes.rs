use super::{Need, Place, Runs, gap, not_mine};
use crate::link;
use netshoot_model::probe::{Answer, Question, kinds};

/// Routes; the function is [`link::routes`].
pub const PROBE: Runs = Runs {
    kind: &kinds::read_routes::KIND,
    run,
};

fn run(question: &Question, _: &Place) -> Answer {
    match question {
        Question::Routes => match link::routes() {
            Ok(routes) => Answer::Routes(routes),
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
    fn a_connected_network_is_a_route() {
        in_new_netns(|| {
            link::create_bridge("b").unwrap();
            link::set_up("b").unwrap();
            link::add_address("b", "10.3.0.1".parse().unwrap(), 16).unwrap();
            let Answer::Routes(routes) = run(&Question::Routes, &Place::default()) else {
                panic!("no answer")
            };
            let route = routes.iter().find(|r| r.to == "10.3.0.0/16").unwrap();
            assert_eq!(
                (route.interface.as_str(), route.table, route.kind.as_str()),
                ("b", 254, "unicast")
            );
            assert_eq!(route.source, "10.3.0.1".parse().ok());
            assert!(routes.iter().all(|r| r.table != 255), "{routes:?}");
        });
    }
}
