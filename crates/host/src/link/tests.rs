use super::*;
use crate::testing::{in_new_netns, oracle};
use serde_json::Value;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// A bridge with a port whose peer is in another namespace, a tunnel, routes and neighbours.
fn small_network(pod: &NetNs) {
    set_up("lo").unwrap();
    create_bridge("cni0").unwrap();
    create_veth("veth1", "eth0", Some(pod)).unwrap();
    set_mac("veth1", "02:00:5e:00:00:01").unwrap();
    set_master("veth1", "cni0").unwrap();
    set_hairpin("veth1", true).unwrap();
    set_mtu("veth1", 1400).unwrap();
    add_address("cni0", ip("10.244.0.1"), 24).unwrap();
    add_address("cni0", ip("fd00:244::1"), 64).unwrap();
    set_up("cni0").unwrap();
    set_up("veth1").unwrap();
    create_vxlan(
        "flannel.1",
        1,
        8472,
        ip("10.244.0.1"),
        index("cni0").unwrap(),
        false,
    )
    .unwrap();
    create_vxlan("flannel6.1", 2, 8473, ip("fd00:244::1"), 0, true).unwrap();
    set_up("flannel.1").unwrap();
    add_fdb("02:00:5e:00:00:02", ip("10.0.0.2"), "flannel.1").unwrap();
    add_fdb("00:00:00:00:00:00", ip("10.0.0.3"), "flannel.1").unwrap();
    add_fdb("00:00:00:00:00:00", ip("10.0.0.4"), "flannel.1").unwrap();
    add_neighbour("flannel.1", ip("10.244.1.0"), "02:00:5e:00:00:02").unwrap();
    add_neighbour("cni0", ip("fd00:244::9"), "02:00:5e:00:00:03").unwrap();
    add_route(
        ip("10.244.1.0"),
        24,
        Some(ip("10.244.1.0")),
        Some("flannel.1"),
    )
    .unwrap();
    add_route(ip("0.0.0.0"), 0, Some(ip("10.244.0.9")), None).unwrap();
    add_route(ip("fd00:244:1::"), 64, Some(ip("fd00:244::9")), None).unwrap();
    add_route(ip("::"), 0, None, Some("cni0")).unwrap();
    pod.enter(|| {
        add_address("eth0", ip("10.244.0.7"), 24).unwrap();
        set_up("eth0").unwrap();
    })
    .unwrap();
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_string()
}

#[test]
fn what_was_made_is_read_back() {
    let pod = NetNs::new().unwrap();
    in_new_netns(|| {
        small_network(&pod);
        let all = links().unwrap();
        let named = |name: &str| all.iter().find(|l| l.name == name).unwrap();
        let port = named("veth1");
        assert_eq!(
            (port.kind.as_str(), port.mtu, port.mac.as_str()),
            ("veth", 1400, "02:00:5e:00:00:01")
        );
        assert_eq!(
            (port.master, port.hairpin, port.up),
            (named("cni0").index, Some(true), true)
        );
        assert!(port.port_state.is_some());
        let peer = pod.enter(|| index("eth0").unwrap()).unwrap();
        assert_eq!(port.peer, peer);
        assert_eq!(
            named("cni0").addresses[..2],
            ["10.244.0.1/24", "fd00:244::1/64"]
        );
        let tunnel = named("flannel.1");
        assert_eq!(
            (tunnel.vni, tunnel.tunnel_port, tunnel.tunnel_local),
            (Some(1), Some(8472), Some(ip("10.244.0.1")))
        );
        assert_eq!(named("flannel6.1").tunnel_local, Some(ip("fd00:244::1")));

        let entries = neighbours().unwrap();
        let flood: Vec<_> = entries
            .iter()
            .filter(|n| n.forwarding && n.mac == "00:00:00:00:00:00")
            .collect();
        assert_eq!(flood.len(), 2, "{entries:?}");
        assert!(entries.iter().any(|n| !n.forwarding
            && n.address == Some(ip("fd00:244::9"))
            && n.state == "PERMANENT"));

        let decision = route_to(ip("10.244.1.5")).unwrap().unwrap();
        assert_eq!(
            (decision.to.as_str(), decision.interface.as_str()),
            ("10.244.1.0/24", "flannel.1")
        );
        assert_eq!(
            (decision.via, decision.table),
            (Some(ip("10.244.1.0")), 254)
        );
        assert_eq!(route_to(ip("9.9.9.9")).unwrap().unwrap().to, "default");
        assert_eq!(
            route_to(ip("fd00:244:1::5")).unwrap().unwrap().via,
            Some(ip("fd00:244::9"))
        );
        assert_eq!(route_to(ip("10.244.0.1")).unwrap().unwrap().kind, "local");
    });
}

#[test]
fn no_route_is_an_answer() {
    in_new_netns(|| {
        assert_eq!(route_to(ip("10.1.1.1")).unwrap(), None);
        assert_eq!(route_to(ip("fd00::1")).unwrap(), None);
    });
}

#[test]
fn what_is_taken_away_is_gone() {
    let pod = NetNs::new().unwrap();
    in_new_netns(|| {
        small_network(&pod);
        del_route(ip("10.244.1.0"), 24, None, None).unwrap();
        del_fdb("02:00:5e:00:00:02", ip("10.0.0.2"), "flannel.1").unwrap();
        del_neighbour("cni0", ip("fd00:244::9")).unwrap();
        del_address("cni0", ip("fd00:244::1"), 64).unwrap();
        clear_master("veth1").unwrap();
        set_down("veth1").unwrap();
        rename("veth1", "veth2").unwrap();
        move_to("veth2", &pod).unwrap();
        assert!(!routes().unwrap().iter().any(|r| r.to == "10.244.1.0/24"));
        let entries = neighbours().unwrap();
        assert!(
            !entries
                .iter()
                .any(|n| n.mac == "02:00:5e:00:00:02" && n.forwarding)
        );
        assert!(!entries.iter().any(|n| n.address == Some(ip("fd00:244::9"))));
        assert_eq!(index("veth2").unwrap_err().errno(), Some(libc::ENODEV));
        pod.enter(|| {
            delete("veth2").unwrap();
            assert!(index("eth0").is_err(), "the peer goes with it");
        })
        .unwrap();
    });
}

#[test]
fn refusals_say_what_and_why() {
    in_new_netns(|| {
        create_bridge("b").unwrap();
        let again = create_bridge("b").unwrap_err();
        assert_eq!(again.errno(), Some(libc::EEXIST));
        assert!(
            again.to_string().starts_with("create bridge on b"),
            "{again}"
        );
        let error = add_route(ip("10.9.0.0"), 16, Some(ip("10.1.1.1")), None).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("10.9.0.0/16 via 10.1.1.1 (Nexthop has invalid gateway)"),
            "{error}"
        );
        assert!(set_mac("b", "nonsense").is_err());
    });
}

#[test]
fn links_are_what_ip_says() {
    let pod = NetNs::new().unwrap();
    in_new_netns(|| {
        small_network(&pod);
        let before = links().unwrap();
        let Some(Value::Array(theirs)) = oracle("ip", &["-j", "-d", "-s", "address"]) else {
            return;
        };
        let ours = links().unwrap();
        assert_eq!(ours.len(), theirs.len());
        for (our, their) in ours.iter().zip(&theirs) {
            assert_eq!(u64::from(our.index), their["ifindex"].as_u64().unwrap());
            assert_eq!(our.name, text(their, "ifname"));
            assert_eq!(our.mac, text(their, "address"), "{}", our.name);
            assert_eq!(
                u64::from(our.mtu),
                their["mtu"].as_u64().unwrap(),
                "{}",
                our.name
            );
            assert_eq!(
                our.kind,
                text(&their["linkinfo"], "info_kind"),
                "{}",
                our.name
            );
            let flags = their["flags"].as_array().unwrap();
            assert_eq!(our.up, flags.iter().any(|f| f == "UP"), "{}", our.name);
            assert_eq!(
                our.carrier,
                flags.iter().any(|f| f == "LOWER_UP"),
                "{}",
                our.name
            );
            assert_eq!(
                our.promiscuous,
                flags.iter().any(|f| f == "PROMISC"),
                "{}",
                our.name
            );
            let master = ours
                .iter()
                .find(|l| l.index == our.master)
                .map(|l| l.name.clone())
                .unwrap_or_default();
            assert_eq!(master, text(their, "master"), "{}", our.name);
            let addresses: Vec<String> = their["addr_info"]
                .as_array()
                .unwrap()
                .iter()
                .map(|a| format!("{}/{}", text(a, "local"), a["prefixlen"]))
                .collect();
            assert_eq!(our.addresses, addresses, "{}", our.name);
            let port = &their["linkinfo"]["info_slave_data"];
            assert_eq!(our.hairpin, port["hairpin"].as_bool(), "{}", our.name);
            let data = &their["linkinfo"]["info_data"];
            if our.kind == "vxlan" {
                assert_eq!(our.vni.map(u64::from), data["id"].as_u64());
                assert_eq!(our.tunnel_port.map(u64::from), data["port"].as_u64());
            }
            // Packets arrive meanwhile: the oracle looked between our two looks.
            let earlier = before.iter().find(|l| l.index == our.index).unwrap();
            let between = their["stats64"]["rx"]["packets"].as_u64().unwrap();
            assert!(
                (earlier.rx_packets..=our.rx_packets).contains(&between),
                "{}: {between}",
                our.name
            );
        }
    });
}

#[test]
fn routes_are_what_ip_says() {
    let pod = NetNs::new().unwrap();
    in_new_netns(|| {
        small_network(&pod);
        for (family, six) in [("-4", false), ("-6", true)] {
            let Some(Value::Array(theirs)) = oracle(
                "ip",
                &["-j", "-N", family, "route", "show", "table", "main"],
            ) else {
                return;
            };
            let mut theirs: Vec<_> = theirs
                .iter()
                .map(|r| {
                    let to = text(r, "dst");
                    let bits = if six { "/128" } else { "/32" };
                    let to = if to == "default" || to.contains('/') {
                        to
                    } else {
                        to + bits
                    };
                    (
                        to,
                        text(r, "gateway"),
                        text(r, "dev"),
                        r["metric"].as_u64().unwrap_or(0),
                    )
                })
                .collect();
            let is_six = |r: &netshoot_model::probe::Route| {
                r.to.contains(':') || (r.to == "default" && r.metric == 1024)
            };
            let mut ours: Vec<_> = routes()
                .unwrap()
                .iter()
                .filter(|r| is_six(r) == six && r.table == 254)
                .map(|r| {
                    let via = r.via.map(|v| v.to_string()).unwrap_or_default();
                    (r.to.clone(), via, r.interface.clone(), u64::from(r.metric))
                })
                .collect();
            theirs.sort();
            ours.sort();
            assert_eq!(ours, theirs);
            assert!(!ours.is_empty());
        }
    });
}

#[test]
fn neighbours_are_what_ip_and_bridge_say() {
    let pod = NetNs::new().unwrap();
    in_new_netns(|| {
        small_network(&pod);
        // Entries come and go by themselves: the two looks are compared when nothing came between them.
        let table = || {
            let mut ours: Vec<_> = neighbours()
                .unwrap()
                .iter()
                .filter(|n| !n.forwarding)
                .map(|n| {
                    (
                        n.address.unwrap().to_string(),
                        n.interface.clone(),
                        n.mac.clone(),
                    )
                })
                .collect();
            ours.sort();
            ours
        };
        for _ in 0..20 {
            let ours = table();
            let Some(Value::Array(theirs)) = oracle("ip", &["-j", "neighbour"]) else {
                break;
            };
            let mut theirs: Vec<_> = theirs
                .iter()
                .map(|n| (text(n, "dst"), text(n, "dev"), text(n, "lladdr")))
                .collect();
            theirs.sort();
            if ours == table() {
                assert_eq!(ours, theirs);
                assert!(ours.len() >= 2);
                break;
            }
        }
        // The bridge learns meanwhile: what was the same before and after is compared.
        for _ in 0..100 {
            let before = neighbours().unwrap();
            let Some(Value::Array(theirs)) = oracle("bridge", &["-j", "fdb"]) else {
                break;
            };
            let mut theirs: Vec<_> = theirs
                .iter()
                .map(|n| (text(n, "mac"), text(n, "ifname"), text(n, "dst")))
                .collect();
            let mut ours: Vec<_> = before
                .iter()
                .filter(|n| n.forwarding)
                .map(|n| {
                    (
                        n.mac.clone(),
                        n.interface.clone(),
                        n.address.map(|a| a.to_string()).unwrap_or_default(),
                    )
                })
                .collect();
            theirs.sort();
            ours.sort();
            if neighbours().unwrap() == before {
                assert_eq!(ours, theirs);
                assert!(ours.len() >= 3);
                break;
            }
        }
    });
}
