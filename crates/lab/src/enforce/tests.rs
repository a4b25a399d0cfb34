//! Policies against real packets.

use super::*;
use crate::ground::Ground;
use crate::proxy::town::{Town, call_within, pod_ip, service, slice};
use crate::world::Wiring;
use serde_json::json;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

/// Policies drop, they do not refuse: who has no answer by now gets none.
fn call(from: &NetNs, to: IpAddr, port: u16) -> Result<(String, String), ErrorKind> {
    call_within(from, to, port, Duration::from_millis(500))
}

fn pod(node: u8, n: u8, app: &str) -> Value {
    let at = if node == 1 { "a" } else { "b" };
    let ips: Vec<Value> = [false, true]
        .map(|v6| json!({"ip": pod_ip(node, n, v6)}))
        .into();
    json!({"kind": "Pod",
        "metadata": {"namespace": "shop", "name": format!("pod-{node}-{n}"), "uid": format!("uid-{node}-{n}"), "labels": {"app": app}},
        "spec": {"nodeName": at, "containers": [{"name": "c", "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}]}]},
        "status": {"phase": "Running", "podIPs": ips}})
}

fn policy(name: &str, spec: Value) -> Value {
    json!({"kind": "NetworkPolicy", "metadata": {"namespace": "shop", "name": name}, "spec": spec})
}

fn dropped(node: &NetNs, comment: &str) -> u64 {
    let tables = node.enter(dump).expect("inside").expect("dumps");
    let rules = tables.iter().flat_map(|t| &t.chains).flat_map(|c| &c.rules);
    rules
        .filter(|r| r.comment == comment)
        .map(|r| match r.exprs.first() {
            Some(Expr::Counter { packets, .. }) => *packets,
            other => panic!("no counter but {other:?}"),
        })
        .sum()
}

/// A web server on node a; clients beside it and on node b.
struct Shop {
    town: Town,
    near: Arc<NetNs>,
    far: Arc<NetNs>,
    pods: Vec<Value>,
}

impl Shop {
    fn new() -> Shop {
        let town = Town::new();
        town.pod(1, 20);
        let (near, far) = (town.pod(1, 10), town.pod(2, 10));
        let pods = vec![pod(1, 20, "web"), pod(1, 10, "near"), pod(2, 10, "far")];
        Shop {
            town,
            near,
            far,
            pods,
        }
    }

    fn sync(&self, policies: &[Value]) {
        let all = [self.pods.clone(), policies.to_vec()].concat();
        for node in ["a", "b"] {
            super::sync(&self.town.node(node), node, &all).expect("syncs");
        }
    }

    /// Who reaches the web server: the client beside it, the one on the other node.
    fn reach(&self, v6: bool) -> (bool, bool) {
        let open = |from: &NetNs| match call(from, pod_ip(1, 20, v6), 8080) {
            Ok(_) => true,
            Err(ErrorKind::TimedOut) => false,
            Err(other) => panic!("{other:?}"),
        };
        (open(&self.near), open(&self.far))
    }
}

#[test]
fn a_policy_closes_and_another_opens() {
    let shop = Shop::new();
    let web = json!({"matchLabels": {"app": "web"}});
    let from = |peers: Value, ports: Value| {
        policy(
            "open",
            json!({"podSelector": web, "ingress": [{"from": peers, "ports": ports}]}),
        )
    };
    let closed = policy(
        "closed",
        json!({"podSelector": {}, "policyTypes": ["Ingress"]}),
    );
    for v6 in [false, true] {
        shop.sync(&[]);
        assert_eq!(shop.reach(v6), (true, true));
        shop.sync(std::slice::from_ref(&closed));
        assert_eq!(shop.reach(v6), (false, false));
        // Drops are counted with the pod's name, and the count goes on over a change.
        let count = dropped(&shop.town.node("a"), "ingress shop/pod-1-20");
        assert!(count >= 2, "{count}");
        // The node's own probes pass.
        assert!(call(&shop.town.node("a"), pod_ip(1, 20, v6), 8080).is_ok());
        let far = json!([{"podSelector": {"matchExpressions": [{"key": "app", "operator": "In", "values": ["far"]}]}}]);
        shop.sync(&[closed.clone(), from(far.clone(), json!([{"port": "http"}]))]);
        assert_eq!(shop.reach(v6), (false, true));
        assert!(dropped(&shop.town.node("a"), "ingress shop/pod-1-20") >= count);
        shop.sync(&[
            closed.clone(),
            from(far.clone(), json!([{"port": 8000, "endPort": 8090}])),
        ]);
        assert_eq!(shop.reach(v6), (false, true));
        shop.sync(&[
            closed.clone(),
            from(
                far,
                json!([{"port": 8081}, {"port": 8080, "protocol": "UDP"}]),
            ),
        ]);
        assert_eq!(shop.reach(v6), (false, false));
        let all = if v6 { "::/0" } else { "0.0.0.0/0" };
        let hole = format!("{}/{}", pod_ip(2, 10, v6), if v6 { 128 } else { 32 });
        shop.sync(&[from(
            json!([{"ipBlock": {"cidr": all, "except": [hole]}}]),
            json!([]),
        )]);
        assert_eq!(shop.reach(v6), (true, false));
    }
}

#[test]
fn egress_closes_through_a_service_too() {
    let shop = Shop::new();
    let egress = |rules: Value| {
        policy(
            "out",
            json!({"podSelector": {"matchLabels": {"app": "near"}}, "policyTypes": ["Egress"], "egress": rules}),
        )
    };
    for v6 in [false, true] {
        let own = crate::proxy::town::ip(if v6 { "fd96::10" } else { "10.96.0.10" });
        let ready = json!({"ready": true});
        let mut objects = shop.town.nodes.clone();
        objects.push(service(
            "web",
            json!({"clusterIP": own, "clusterIPs": [own]}),
        ));
        objects.push(slice("web", &[(pod_ip(1, 20, v6), "a", ready)]));
        crate::proxy::sync(&shop.town.node("a"), "a", "nftables", &objects).expect("syncs");
        shop.sync(&[egress(json!([]))]);
        assert_eq!(call(&shop.near, own, 80), Err(ErrorKind::TimedOut));
        assert_eq!(shop.reach(v6), (false, true));
        // The pod's port counts, not the Service's.
        let to = |port: Value| {
            egress(
                json!([{"to": [{"podSelector": {"matchLabels": {"app": "web"}}}], "ports": [{"port": port}]}]),
            )
        };
        shop.sync(&[to(json!(80))]);
        assert_eq!(call(&shop.near, own, 80), Err(ErrorKind::TimedOut));
        for port in [json!(8080), json!("http")] {
            shop.sync(&[to(port)]);
            assert!(call(&shop.near, own, 80).is_ok());
        }
        // Open out, closed in at the other end.
        shop.sync(&[
            to(json!(8080)),
            policy(
                "in",
                json!({"podSelector": {"matchLabels": {"app": "web"}}}),
            ),
        ]);
        assert_eq!(call(&shop.near, own, 80), Err(ErrorKind::TimedOut));
    }
}

/// Every how many steps of the truth table are played with packets; all of them pass.
const STRIDE: usize = 16;

const PORTS: [(&str, u16); 4] = [("TCP", 80), ("TCP", 81), ("UDP", 80), ("UDP", 81)];

/// Answers on both protocols until the test ends.
fn listen(network: &NetNs) {
    for (protocol, port) in PORTS {
        if protocol == "TCP" {
            let listener = network.enter(|| TcpListener::bind(("0.0.0.0", port)));
            let listener = listener.expect("inside").expect("bound");
            std::thread::spawn(move || listener.incoming().take(100_000).for_each(drop));
        } else {
            let socket = network.enter(|| UdpSocket::bind(("0.0.0.0", port)));
            let socket = socket.expect("inside").expect("bound");
            std::thread::spawn(move || {
                for _ in 0..100_000 {
                    let Ok((_, from)) = socket.recv_from(&mut [0; 8]) else {
                        return;
                    };
                    let _ = socket.send_to(b"yes", from);
                }
            });
        }
    }
}

fn gets_through(protocol: &str, to: SocketAddr, patience: Duration) -> bool {
    if protocol == "TCP" {
        return TcpStream::connect_timeout(&to, patience).is_ok();
    }
    let socket = UdpSocket::bind(("0.0.0.0", 0)).expect("bound");
    socket.set_read_timeout(Some(patience)).expect("set");
    socket.send_to(b"?", to).is_ok() && socket.recv(&mut [0; 8]).is_ok()
}

/// Whether row by row, column by column, a cell of the table says that packets pass; none for a
/// port that the step does not ask about.
fn allowed(step: &Value, port: &str, from: usize, to: usize) -> Option<bool> {
    let cell = |direction: &str| {
        let groups = step[direction].as_array().expect("groups");
        let group = groups.iter().find(|g| {
            g[0].as_str()
                .is_some_and(|ports| ports.split(',').any(|p| p == port))
        })?;
        let rows = group[1].as_str().expect("rows of the port");
        Some(rows.split(' ').nth(from)?.chars().nth(to)? == '.')
    };
    Some(cell("ingress")? && cell("egress")?)
}

#[test]
fn the_truth_table_with_packets() {
    let table: Value = serde_json::from_str(include_str!(
        "../../../model/testdata/networkpolicy-cases.json"
    ))
    .expect("JSON");
    let world = &table["worlds"][0];
    let node = json!({"kind": "Node", "metadata": {"name": "n"}, "spec": {"podCIDRs": ["192.168.0.0/23"]},
        "status": {"addresses": [{"type": "InternalIP", "address": "10.90.0.11"}]}});
    let ground = Ground::build(&Wiring::default(), &[node]).expect("the ground stands");
    let mut objects: Vec<Value> = Vec::new();
    for (name, labels) in world["namespaces"].as_object().expect("namespaces") {
        objects.push(json!({"kind": "Namespace", "metadata": {"name": name, "labels": labels}}));
    }
    let ports: Vec<Value> = table["ports"]
        .as_array()
        .expect("ports")
        .iter()
        .map(|p| json!({"protocol": p["protocol"], "containerPort": p["port"], "name": p["name"]}))
        .collect();
    let mut pods = Vec::new();
    for (i, p) in world["pods"].as_array().expect("pods").iter().enumerate() {
        let (uid, address) = (
            format!("pod-{i}"),
            crate::proxy::town::ip(p["ip"].as_str().expect("text")),
        );
        objects.push(json!({"kind": "Pod",
            "metadata": {"namespace": p["ns"], "name": p["name"], "uid": uid, "labels": p["labels"]},
            "spec": {"nodeName": "n", "containers": [{"ports": ports}]}, "status": {"podIPs": [{"ip": address}]}}));
        ground.add_pod(&uid, "n", &[address], false).expect("a pod");
        let network = ground.pod(&uid).expect("its network");
        listen(&network);
        pods.push((network, address));
    }
    let node = ground.node("n").expect("the node");
    let steps = table["steps"].as_array().expect("steps");
    // The table's namespaces lack the label that every API server gives them.
    let named = |s: &Value| {
        s["policies"]
            .to_string()
            .contains("kubernetes.io/metadata.name")
    };
    let steps = steps
        .iter()
        .enumerate()
        .filter(|(_, s)| s["world"] == 0 && !named(s))
        .step_by(STRIDE);
    let mut cells = (0, 0);
    for (number, step) in steps {
        let mut all = objects.clone();
        for written in step["policies"].as_array().expect("policies") {
            let mut policy = written.clone();
            policy["kind"] = json!("NetworkPolicy");
            all.push(policy);
        }
        sync(&node, "n", &all).expect("syncs");
        // A source port of an earlier step may come again: its connection was let through.
        node.enter(netshoot_host::diag::conntrack::flush)
            .expect("inside")
            .expect("forgotten");
        for (from, (network, _)) in pods.iter().enumerate() {
            let pods = &pods;
            let wrong = network
                .enter(|| {
                    std::thread::scope(|scope| {
                        let mut asked = Vec::new();
                        for (to, (_, address)) in
                            pods.iter().enumerate().filter(|(to, _)| *to != from)
                        {
                            for (protocol, port) in PORTS {
                                let cell = allowed(step, &format!("{protocol}/{port}"), from, to);
                                let Some(expected) = cell else { continue };
                                let patience =
                                    Duration::from_millis(if expected { 3000 } else { 30 });
                                let address = SocketAddr::new(*address, port);
                                let ask = move || gets_through(protocol, address, patience);
                                asked.push((to, protocol, port, expected, scope.spawn(ask)));
                            }
                        }
                        asked
                            .into_iter()
                            .map(|(to, protocol, port, expected, ask)| {
                                let passed = ask.join().expect("asked");
                                (
                                    expected,
                                    (passed != expected).then(|| {
                                        format!("{protocol}/{port} from {from} to {to}: {passed}")
                                    }),
                                )
                            })
                            .collect::<Vec<_>>()
                    })
                })
                .expect("inside");
            cells.0 += wrong.iter().filter(|(expected, _)| *expected).count();
            cells.1 += wrong.iter().filter(|(expected, _)| !*expected).count();
            let wrong: Vec<_> = wrong.into_iter().filter_map(|(_, w)| w).collect();
            assert!(
                wrong.is_empty(),
                "step {number}: {wrong:?}\n{}",
                step["policies"]
            );
        }
    }
    assert!(cells.0 > 1000 && cells.1 > 300, "{cells:?}");
}
