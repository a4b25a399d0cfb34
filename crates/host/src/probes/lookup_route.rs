use super::{Kind, Need, Place, gap, not_mine};
use crate::link;
use netshoot_model::probe::{Answer, Harm, Question};

/// The route decision for one address; the function is [`link::route_to`].
pub const PROBE: Kind = Kind {
    id: "lookup_route",
    asks: "which way would the kernel send a packet to this address",
    asks_zh: "内核会把发往该地址的报文送往哪里",
    needs: &[Need::None],
    harm: Harm::None,
    run,
    page: PAGE,
    page_zh: PAGE_ZH,
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

const PAGE: &str = "\
# lookup_route

## What it asks

The kernel's own route decision for one destination, rules and tables included: outgoing link,
router, source address, and the prefix of the route that decided (rtnetlink, as `ip route get`).

## What it sends

Nothing. It reads, needs no right and disturbs nothing.

## What the answers mean

- No route: none matches, or the one that does is `unreachable`, `blackhole` or `prohibit`.
  Packets sent from here are refused at once.
- A decision over `default` for an address of the cluster says that the route to that node or pod
  network is missing.
- `local`: the address is this network namespace's own.
- It is the decision for packets that start here; for forwarded ones, ask in the node.
";

const PAGE_ZH: &str = "\
# lookup_route

## 问什么

内核对某一个目的地址自身的路由决策，已计入规则和各路由表：出接口、路由器、源地址，以及起决定作用的路由前缀（rtnetlink，等同 `ip route get`）。

## 发送什么

不发送任何报文。只读取，不需要权限，也没有任何影响。

## 应答的含义

- 没有路由：没有匹配的路由，或匹配的是 `unreachable`、`blackhole` 或 `prohibit`。从这里发出的报文会立即被拒绝。
- 集群内的地址由 `default` 决定：说明缺少通往该节点或 Pod 网段的路由。
- `local`：该地址属于此网络命名空间自身。
- 这是针对由此发出的报文的决策；对于转发的报文，应在节点上查询。
";

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
