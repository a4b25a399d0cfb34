use super::*;
use serde_json::json;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Instant;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Nodes `a`, `b`, ... with 10.90.0.11, ... and 10.244.1.0/24, ... or their IPv6 likes.
fn nodes(count: usize, families: &[&str]) -> Vec<Value> {
    let one = |i: usize| {
        let (mut addresses, mut cidrs) = (Vec::new(), Vec::new());
        for family in families {
            let (address, cidr) = match *family {
                "ipv4" => (format!("10.90.0.1{i}"), format!("10.244.{i}.0/24")),
                _ => (format!("fd90::1{i}"), format!("fd44:0:0:{i}::/64")),
            };
            addresses.push(json!({ "type": "InternalIP", "address": address }));
            cidrs.push(cidr);
        }
        let name = ["", "a", "b", "c"][i];
        json!({ "kind": "Node", "metadata": { "name": name }, "spec": { "podCIDRs": cidrs }, "status": { "addresses": addresses } })
    };
    (1..=count).map(one).collect()
}

fn wiring(network: &str) -> Wiring {
    Wiring {
        network: network.into(),
        ..Wiring::default()
    }
}

/// Whether `bytes` from one network reach a listener in another and come back; and whom the
/// listener saw.
fn exchange(from: &NetNs, at: &NetNs, to: IpAddr, bytes: usize) -> Option<IpAddr> {
    let listener = at
        .enter(|| TcpListener::bind(SocketAddr::new(to, 0)).unwrap())
        .unwrap();
    let address = listener.local_addr().unwrap();
    // Long enough for one SYN to be sent again, which takes a second.
    let patience = Duration::from_millis(1500);
    std::thread::scope(|scope| {
        let server = scope.spawn(move || {
            listener.set_nonblocking(true).unwrap();
            let end = Instant::now() + patience * 2;
            loop {
                match listener.accept() {
                    Ok((mut stream, peer)) => {
                        stream.set_nonblocking(false).unwrap();
                        stream.set_read_timeout(Some(patience)).unwrap();
                        let mut got = vec![0; bytes];
                        stream.read_exact(&mut got).ok()?;
                        stream.write_all(b"ok").ok()?;
                        return Some(peer.ip());
                    }
                    Err(_) if Instant::now() > end => return None,
                    Err(_) => std::thread::sleep(Duration::from_millis(5)),
                }
            }
        });
        let asked = from.enter(|| {
            let mut stream = TcpStream::connect_timeout(&address, patience).ok()?;
            stream.set_read_timeout(Some(patience)).ok()?;
            stream.write_all(&vec![7; bytes]).ok()?;
            let mut ok = [0; 2];
            stream.read_exact(&mut ok).ok()
        });
        let seen = server.join().unwrap();
        asked.unwrap().and(seen)
    })
}

#[test]
fn pods_reach_each_other_on_one_node_and_across() {
    for network in ["routed", "vxlan"] {
        for families in [&["ipv4"][..], &["ipv6"], &["ipv4", "ipv6"]] {
            let ground = Ground::build(&wiring(network), &nodes(2, families)).unwrap();
            let all = [("p1", "a", 1, 2), ("p2", "a", 1, 3), ("p3", "b", 2, 2)];
            let address = |family: &str, net: i32, host: i32| match family {
                "ipv4" => ip(&format!("10.244.{net}.{host}")),
                _ => ip(&format!("fd44:0:0:{net}::{host}")),
            };
            for (uid, node, net, host) in all {
                let addresses: Vec<IpAddr> =
                    families.iter().map(|f| address(f, net, host)).collect();
                ground.add_pod(uid, node, &addresses, false).unwrap();
            }
            let from = ground.pod("p1").unwrap();
            for family in families {
                for (uid, _, net, host) in &all[1..] {
                    let case = format!("{network} {families:?}: p1 to {uid} over {family}");
                    let seen = exchange(
                        &from,
                        &ground.pod(uid).unwrap(),
                        address(family, *net, *host),
                        100_000,
                    );
                    assert_eq!(
                        seen,
                        Some(address(family, 1, 2)),
                        "{case}: pods keep their address"
                    );
                }
            }
        }
    }
}

#[test]
fn a_pod_leaves_with_its_nodes_address() {
    let families = ["ipv4", "ipv6"];
    let mut wiring = wiring("routed");
    wiring
        .outside
        .insert("api.example.test".into(), "198.51.100.80".into());
    let ground = Ground::build(&wiring, &nodes(1, &families)).unwrap();
    ground
        .add_pod("p", "a", &[ip("10.244.1.2"), ip("fd44:0:0:1::2")], false)
        .unwrap();
    ground.add_pod("h", "a", &[], true).unwrap();
    let cases = [
        ("p", "198.51.100.80", "10.90.0.11"),
        ("p", "198.51.100.53", "10.90.0.11"),
        ("p", "2001:db8:100::53", "fd90::11"),
        ("h", "198.51.100.80", "10.90.0.11"),
    ];
    for (pod, to, seen) in cases {
        let got = exchange(&ground.pod(pod).unwrap(), &ground.outside(), ip(to), 10);
        assert_eq!(got, Some(ip(seen)), "{pod} to {to}");
    }
    assert_eq!(
        ground.resolver(),
        [ip("198.51.100.53"), ip("2001:db8:100::53")]
    );
}

#[test]
fn what_cannot_be_built_says_so() {
    let ground = Ground::build(&wiring("routed"), &nodes(1, &["ipv4"])).unwrap();
    let cases = [
        (
            ground.add_pod("p", "zz", &[], false),
            "node zz is not in this world",
        ),
        (
            ground.add_pod("p", "a", &[ip("10.0.0.1")], false),
            "in none of the node's podCIDRs",
        ),
        (
            ground
                .spawn(&Launch {
                    pod: "zz".into(),
                    ..Launch::default()
                })
                .map(drop),
            "pod zz has no sandbox",
        ),
        (
            Ground::build(&wiring("routed"), &[json!({ "metadata": { "name": "n" } })]).map(drop),
            "InternalIP",
        ),
    ];
    for (got, expected) in cases {
        let said = got.unwrap_err().to_string();
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn an_address_is_free_again_at_once() {
    let ground = Ground::build(&wiring("routed"), &nodes(1, &["ipv4"])).unwrap();
    for _ in 0..3 {
        ground
            .add_pod("p", "a", &[ip("10.244.1.2")], false)
            .unwrap();
        let node = ground.node("a").unwrap();
        assert!(exchange(&node, &ground.pod("p").unwrap(), ip("10.244.1.2"), 10).is_some());
        ground.remove_pod("p");
        assert!(ground.pod("p").is_none());
    }
}

#[test]
fn a_container_runs_and_its_end_is_noticed() {
    let ground = Ground::build(&wiring("routed"), &nodes(1, &["ipv4"])).unwrap();
    ground
        .add_pod("p", "a", &[ip("10.244.1.2")], false)
        .unwrap();
    let launch = Launch {
        pod: "p".into(),
        container: "main".into(),
        behaviour: json!({ "says": ["hello"], "crash": { "after_ms": 50, "code": 3 } }),
        resolv_conf: "nameserver 10.96.0.10\n".into(),
        files: vec![("/etc/tls/tls.crt".into(), b"x".to_vec())],
        ..Launch::default()
    };
    let pid = ground.spawn(&launch).unwrap();
    let end = Instant::now() + Duration::from_secs(5);
    while ground.ended(pid).is_none() && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(
        ground.ended(pid),
        Some(Ended {
            code: 3,
            out_of_memory: false
        }),
        "{:?}",
        ground.log(pid)
    );
    assert!(
        ground.log(pid).iter().any(|l| l.contains("hello")),
        "{:?}",
        ground.log(pid)
    );
    assert_eq!(
        ground.resolv_conf("p").as_deref(),
        Some("nameserver 10.96.0.10\n")
    );
}

/// What the switch does to a cable, seen from two pods on its two sides.
#[test]
fn cables_do_what_they_are_told() {
    for network in ["routed", "vxlan"] {
        let ground = Ground::build(&wiring(network), &nodes(2, &["ipv4"])).unwrap();
        ground
            .add_pod("p1", "a", &[ip("10.244.1.2")], false)
            .unwrap();
        ground
            .add_pod("p2", "b", &[ip("10.244.2.2")], false)
            .unwrap();
        let (from, at) = (ground.pod("p1").unwrap(), ground.pod("p2").unwrap());
        let reaches = |bytes| exchange(&from, &at, ip("10.244.2.2"), bytes).is_some();
        let cable = |change: &dyn Fn(&mut Cable)| {
            let mut cable = Cable {
                node: "b".into(),
                ..Cable::default()
            };
            change(&mut cable);
            ground.set_cable(&cable).unwrap();
        };
        type Case<'a> = (&'a str, &'a dyn Fn(&mut Cable), bool, bool);
        let cases: [Case<'_>; 11] = [
            ("nothing", &|_| {}, true, true),
            ("small", &|c| c.mtu = 1300, true, false),
            ("large enough", &|c| c.mtu = 1500, true, true),
            ("all lost", &|c| c.loss_percent = 100, false, false),
            (
                "tunnel port",
                &|c| c.blocked_udp = vec![8472],
                network == "routed",
                network == "routed",
            ),
            ("late", &|c| c.delay_ms = 20, true, true),
            (
                "late and small",
                &|c| (c.delay_ms, c.mtu) = (1, 1300),
                true,
                false,
            ),
            (
                "late and lost",
                &|c| (c.jitter_ms, c.loss_percent) = (3, 100),
                false,
                false,
            ),
            (
                "every bit wrong",
                &|c| c.corrupt_percent = 100,
                false,
                false,
            ),
            ("mended", &|_| {}, true, true),
            ("doubled", &|c| c.duplicate_percent = 100, true, true),
        ];
        for (name, change, small, large) in cases {
            cable(change);
            assert_eq!(
                (reaches(100), reaches(30_000)),
                (small, large),
                "{network}: {name}"
            );
        }
        cable(&|c| c.delay_ms = 20);
        reaches(1);
        let began = Instant::now();
        assert!(reaches(1));
        let took = began.elapsed();
        assert!(took >= Duration::from_millis(40), "{network}: {took:?}");
        // A third of the packets: some get through, some do not. TCP sends again, so two of three exchanges work; that
        // forty end the same way is out of question.
        cable(&|c| c.loss_percent = 34);
        let mut ends = (0..40).map(|_| reaches(1));
        let first = ends.next();
        let other = ends.find(|end| Some(*end) != first);
        assert!(
            other.is_some(),
            "{network}: all of 40 {first:?} over a lossy cable"
        );
    }
}

fn until(what: &str, condition: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < end, "waited 10 s for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The limit kills, whoever counts: the kernel's cgroup, or this crate where there is none.
#[test]
fn a_container_over_its_limit_is_killed_and_says_why() {
    let keeper = crate::hold::cgroup::Keeper::start().unwrap();
    if keeper.is_none() {
        println!("SKIPPED: no memory cgroup may be made here");
    }
    let counted = [Some(None), keeper.as_ref().map(|k| Some(k.root.clone()))];
    for cgroup in counted.into_iter().flatten() {
        let by = if cgroup.is_some() {
            "cgroup"
        } else {
            "process"
        };
        let ground = Ground::build_under(&wiring("routed"), &nodes(1, &["ipv4"]), cgroup).unwrap();
        ground
            .add_pod("p", "a", &[ip("10.244.1.2")], false)
            .unwrap();
        let launch = |container: &str, limit: u64, memory: Value| Launch {
            pod: "p".into(),
            container: container.into(),
            behaviour: json!({ "memory": memory, "says": ["begins"] }),
            memory_limit: Some(limit),
            ..Launch::default()
        };
        let leak = json!({ "base_mib": 4, "item_kib": 512, "per_second": 200, "leak": true });
        let modest = json!({ "base_mib": 4, "item_kib": 4, "items": 10, "per_second": 10 });
        let bad = ground.spawn(&launch("bad", 24 << 20, leak)).unwrap();
        let good = ground.spawn(&launch("good", 64 << 20, modest)).unwrap();
        until("the leak to be killed", || ground.ended(bad).is_some());
        assert_eq!(
            ground.ended(bad),
            Some(Ended {
                code: 137,
                out_of_memory: true
            }),
            "{by}"
        );
        let last = ground.memory(bad).unwrap();
        assert!(last.by.starts_with(by), "{last:?}");
        assert!(
            last.max_usage >= 22 << 20 && last.limit_hits > 0,
            "{last:?}"
        );
        until("the other to be counted", || {
            ground.memory(good).unwrap().usage > 3 << 20
        });
        assert_eq!(ground.ended(good), None);
        assert!(
            ground.log(good).iter().any(|l| l.contains("begins")),
            "{:?}",
            ground.log(good)
        );
        ground.stop(good, true);
        until("the other to end", || ground.ended(good).is_some());
        let killed = Some(Ended {
            code: 137,
            out_of_memory: false,
        });
        assert_eq!(
            ground.ended(good),
            killed,
            "{by}: a kill by hand is no lack of memory"
        );
        assert_eq!(ground.containers("p").len(), 2);
    }
    if let Some(keeper) = keeper {
        keeper.wait();
    }
}
