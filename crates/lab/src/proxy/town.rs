//! Ground for the tests of rules: two nodes with both families, pods that answer, callers.

use crate::ground::Ground;
use crate::world::Wiring;
use netshoot_host::netns::NetNs;
use serde_json::{Value, json};
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

/// Longer than any answer takes, short enough to wait for a drop. An IPv6 socket believes an ICMP
/// error only at its second SYN, after a second.
const PATIENCE: Duration = Duration::from_millis(1500);

/// Two nodes, `a` and `b`.
pub struct Town {
    pub ground: Ground,
    pub nodes: Vec<Value>,
}

pub fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// Address of pod `n` on node `number`.
pub fn pod_ip(node: u8, n: u8, v6: bool) -> IpAddr {
    if v6 {
        ip(&format!("fd44:0:0:{node}::{n}"))
    } else {
        ip(&format!("10.244.{node}.{n}"))
    }
}

/// Address of a node.
pub fn node_ip(node: u8, v6: bool) -> IpAddr {
    ip(&if v6 {
        format!("fd90::1{node}")
    } else {
        format!("10.90.0.1{node}")
    })
}

fn node(name: &str, number: u8) -> Value {
    json!({"kind": "Node", "metadata": {"name": name},
        "spec": {"podCIDRs": [format!("10.244.{number}.0/24"), format!("fd44:0:0:{number}::/64")]},
        "status": {"addresses": [
            {"type": "InternalIP", "address": node_ip(number, false)},
            {"type": "InternalIP", "address": node_ip(number, true)},
            {"type": "Hostname", "address": name}]}})
}

impl Town {
    pub fn new() -> Town {
        let nodes = vec![node("a", 1), node("b", 2)];
        let wiring = Wiring {
            families: vec!["ipv4".into(), "ipv6".into()],
            ..Wiring::default()
        };
        let ground = Ground::build(&wiring, &nodes).expect("the ground stands");
        Town { ground, nodes }
    }

    /// A pod that answers on TCP 8080 with its name and whom it saw.
    pub fn pod(&self, node: u8, n: u8) -> Arc<NetNs> {
        let name = format!("pod-{node}-{n}");
        let at = if node == 1 { "a" } else { "b" };
        let addresses = [pod_ip(node, n, false), pod_ip(node, n, true)];
        self.ground
            .add_pod(&name, at, &addresses, false)
            .expect("a pod");
        let network = self.ground.pod(&name).expect("its network");
        answer(&network, name, 8080);
        network
    }

    pub fn node(&self, name: &str) -> Arc<NetNs> {
        self.ground.node(name).expect("a node")
    }
}

/// Answers on a TCP port of a network until the test ends.
pub fn answer(network: &NetNs, name: String, port: u16) {
    let listener = network
        .enter(|| TcpListener::bind(("::", port)))
        .expect("inside")
        .expect("bound");
    std::thread::spawn(move || {
        for stream in listener.incoming().take(1000) {
            let Ok(mut stream) = stream else { continue };
            let peer = stream
                .peer_addr()
                .map(|a| a.ip().to_canonical().to_string());
            let _ = stream.write_all(format!("{name} {}", peer.unwrap_or_default()).as_bytes());
        }
    });
}

/// Calls; the answer as (who, whom it saw), or how it failed.
pub fn call(from: &NetNs, to: IpAddr, port: u16) -> Result<(String, String), ErrorKind> {
    call_within(from, to, port, PATIENCE)
}

/// [`call`] with another patience.
pub fn call_within(
    from: &NetNs,
    to: IpAddr,
    port: u16,
    patience: Duration,
) -> Result<(String, String), ErrorKind> {
    let work = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&SocketAddr::new(to, port), patience)?;
        stream.set_read_timeout(Some(patience))?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text)
    };
    let text = from.enter(work).expect("inside").map_err(|e| e.kind())?;
    let (who, seen) = text.split_once(' ').unwrap_or((&text, ""));
    Ok((who.into(), seen.into()))
}

/// A Service with one TCP port 80 called `http`.
pub fn service(name: &str, spec: Value) -> Value {
    let mut object = json!({"kind": "Service", "metadata": {"namespace": "shop", "name": name},
        "spec": {"type": "ClusterIP", "ports": [{"name": "http", "port": 80, "protocol": "TCP"}]}});
    for (key, value) in spec.as_object().expect("an object") {
        object["spec"][key] = value.clone();
    }
    object
}

/// Its EndpointSlice: addresses, node, conditions.
pub fn slice(service: &str, endpoints: &[(IpAddr, &str, Value)]) -> Value {
    let v6 = endpoints.first().is_some_and(|e| e.0.is_ipv6());
    let endpoints: Vec<Value> = endpoints
        .iter()
        .map(|(a, node, conditions)| json!({"addresses": [a], "nodeName": node, "conditions": conditions}))
        .collect();
    json!({"kind": "EndpointSlice", "addressType": if v6 { "IPv6" } else { "IPv4" },
        "metadata": {"namespace": "shop", "name": format!("{service}-{v6}"),
            "labels": {"kubernetes.io/service-name": service}},
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}], "endpoints": endpoints})
}
