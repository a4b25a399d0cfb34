use super::{Need, Place, Runs, gap, not_mine};
use crate::link;
use netshoot_model::probe::{Answer, Question, kinds};

/// The route decision for one address; the function is [`link::route_to`].
pub const PROBE: Runs = Runs {
    kind: &kinds::lookup_route::KIND,
    run,
};

fn run(question: &Question, _: &Place) -> Answer {
    match question {
        Question::RouteTo { to } => match link::route_to(*to) {
            Ok(route) => Answer::RouteTo(route),
            Err(e) => gap(&e, Need::None),
        },
        _ => not_mine(question),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{in_new_netns, oracle};

    fn lookup(to: &str) -> Option<netshoot_model::probe::Route> {
        match run(
            &Question::RouteTo {
                to: to.parse().unwrap(),
            },
            &Place::default(),
        ) {
            Answer::RouteTo(route) => route,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn decisions_are_those_of_ip_route_get() {
        in_new_netns(|| {
            link::create_veth("a", "b", None).unwrap();
            for (name, six, four) in [
                ("a", "fd00:1::1", "10.1.0.1"),
                ("b", "fd00:2::1", "10.2.0.1"),
            ] {
                link::set_up(name).unwrap();
                link::add_address(name, six.parse().unwrap(), 64).unwrap();
                link::add_address(name, four.parse().unwrap(), 24).unwrap();
            }
            link::add_route(
                "10.9.0.0".parse().unwrap(),
                16,
                Some("10.2.0.2".parse().unwrap()),
                None,
            )
            .unwrap();
            link::add_route(
                "fd00:9::".parse().unwrap(),
                32,
                Some("fd00:1::2".parse().unwrap()),
                None,
            )
            .unwrap();
            assert_eq!(lookup("192.0.2.1"), None);
            assert_eq!(lookup("2001:db8::1"), None);
            for (to, prefix) in [
                ("10.9.3.4", "10.9.0.0/16"),
                ("10.1.0.7", "10.1.0.0/24"),
                ("fd00:9::1", "fd00:9::/32"),
                ("fd00:2::9", "fd00:2::/64"),
            ] {
                let ours = lookup(to).unwrap();
                assert_eq!(ours.to, prefix, "{to}");
                let Some(theirs) = oracle("ip", &["-j", "route", "get", to]) else {
                    return;
                };
                let theirs = &theirs[0];
                assert_eq!(ours.interface, theirs["dev"], "{to}");
                assert_eq!(
                    ours.via.map(|v| v.to_string()),
                    theirs["gateway"].as_str().map(String::from),
                    "{to}"
                );
                assert_eq!(
                    ours.source.map(|v| v.to_string()),
                    theirs["prefsrc"].as_str().map(String::from),
                    "{to}"
                );
            }
        });
    }

    #[test]
    fn a_route_that_throws_away_is_no_route() {
        in_new_netns(|| {
            link::set_up("lo").unwrap();
            for (kind, family, to) in [
                ("blackhole", "-4", "10.8.0.0/16"),
                ("unreachable", "-4", "10.7.0.0/16"),
                ("prohibit", "-6", "fd00:7::/32"),
                ("blackhole", "-6", "fd00:8::/32"),
            ] {
                let Some(_) =
                    crate::testing::oracle_text("ip", &[family, "route", "add", kind, to])
                else {
                    return;
                };
                let address = to
                    .split('/')
                    .next()
                    .unwrap()
                    .replace(".0.0", ".0.1")
                    .replace("::", "::1");
                assert_eq!(lookup(&address), None, "{kind} {to}");
                let routes = link::routes().unwrap();
                assert_eq!(routes.iter().find(|r| r.to == to).unwrap().kind, kind);
            }
        });
    }
}
