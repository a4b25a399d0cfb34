//! What Services and EndpointSlices say, seen from one node and one address family.

use serde_json::Value;
use std::collections::BTreeSet;
use std::net::IpAddr;

/// What a node's proxy has to do for one address family.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// IPv6 rather than IPv4.
    pub v6: bool,
    /// The node's pod networks: who comes from there is not masqueraded.
    pub pod_networks: Vec<(IpAddr, u8)>,
    /// The node's own addresses, which take NodePort traffic.
    pub node_addresses: Vec<IpAddr>,
    /// Service ports, sorted by namespace, name, port.
    pub services: Vec<ServicePort>,
}

/// One port of one Service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServicePort {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Name of the port, may be empty.
    pub port_name: String,
    /// `tcp` or `udp`.
    pub protocol: String,
    /// Its port.
    pub port: u16,
    /// Its port on every node, 0 for none.
    pub node_port: u16,
    /// Its own address.
    pub cluster_ip: Option<IpAddr>,
    /// Addresses from outside: externalIPs and the load balancer's.
    pub external_ips: Vec<IpAddr>,
    /// internalTrafficPolicy: Local.
    pub internal_local: bool,
    /// externalTrafficPolicy: Local.
    pub external_local: bool,
    /// Clients stay with their backend for so many seconds.
    pub affinity_seconds: Option<u32>,
    /// Backends of the whole cluster.
    pub backends: Vec<Backend>,
    /// Backends on this node.
    pub local_backends: Vec<Backend>,
}

/// One backend of a Service port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Backend {
    /// Address.
    pub address: IpAddr,
    /// Port.
    pub port: u16,
}

impl Backend {
    /// `10.0.0.1:80`, `[fd00::1]:80`
    pub fn text(&self) -> String {
        std::net::SocketAddr::new(self.address, self.port).to_string()
    }
}

impl ServicePort {
    /// `namespace/name:port`, or without the port's name where it has none.
    pub fn title(&self) -> String {
        let dot = if self.port_name.is_empty() { "" } else { ":" };
        format!("{}/{}{dot}{}", self.namespace, self.name, self.port_name)
    }

    /// IP protocol number.
    pub fn protocol_number(&self) -> u8 {
        if self.protocol == "udp" { 17 } else { 6 }
    }

    /// Backends for callers inside the cluster.
    pub fn internal(&self) -> &[Backend] {
        if self.internal_local {
            &self.local_backends
        } else {
            &self.backends
        }
    }

    /// Backends for callers from outside.
    pub fn external(&self) -> &[Backend] {
        if self.external_local {
            &self.local_backends
        } else {
            &self.backends
        }
    }

    /// Whether anybody from outside may call it.
    pub fn has_outside(&self) -> bool {
        self.node_port != 0 || !self.external_ips.is_empty()
    }
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or("")
}

fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value
        .pointer(pointer)
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or(&[])
}

fn port(value: &Value, pointer: &str) -> u16 {
    value
        .pointer(pointer)
        .and_then(Value::as_u64)
        .and_then(|p| u16::try_from(p).ok())
        .unwrap_or(0)
}

impl View {
    /// Reads the objects.
    pub fn of(node: &str, v6: bool, objects: &[Value]) -> View {
        let kind =
            |wanted: &'static str| objects.iter().filter(move |o| text(o, "/kind") == wanted);
        let slices: Vec<&Value> = kind("EndpointSlice").collect();
        let mut view = View {
            v6,
            ..View::default()
        };
        if let Some(object) = kind("Node").find(|n| text(n, "/metadata/name") == node) {
            view.read_node(object);
        }
        for service in kind("Service") {
            view.read_service(node, service, &slices);
        }
        view.services.sort_by(|a, b| {
            (&a.namespace, &a.name, a.port, &a.protocol).cmp(&(
                &b.namespace,
                &b.name,
                b.port,
                &b.protocol,
            ))
        });
        view
    }

    fn address(&self, text: &str) -> Option<IpAddr> {
        text.parse()
            .ok()
            .filter(|a: &IpAddr| a.is_ipv6() == self.v6)
    }

    fn addresses(&self, values: &[Value], pointer: &str) -> Vec<IpAddr> {
        values
            .iter()
            .filter_map(|v| self.address(text(v, pointer)))
            .collect()
    }

    fn read_node(&mut self, node: &Value) {
        let mut cidrs: Vec<&str> = list(node, "/spec/podCIDRs")
            .iter()
            .filter_map(Value::as_str)
            .collect();
        if cidrs.is_empty() {
            cidrs.push(text(node, "/spec/podCIDR"));
        }
        self.pod_networks = cidrs
            .iter()
            .filter_map(|cidr| cidr.split_once('/'))
            .filter_map(|(a, p)| Some((self.address(a)?, p.parse().ok()?)))
            .collect();
        let own = list(node, "/status/addresses")
            .iter()
            .filter(|a| text(a, "/type") == "InternalIP");
        self.node_addresses = own
            .filter_map(|a| self.address(text(a, "/address")))
            .collect();
    }

    fn read_service(&mut self, node: &str, service: &Value, slices: &[&Value]) {
        if text(service, "/spec/type") == "ExternalName"
            || text(service, "/spec/clusterIP") == "None"
            || service
                .pointer("/metadata/labels/service.kubernetes.io~1service-proxy-name")
                .is_some()
        {
            return;
        }
        let mut own = self.addresses(list(service, "/spec/clusterIPs"), "");
        own.extend(self.address(text(service, "/spec/clusterIP")));
        let Some(cluster_ip) = own.first().copied() else {
            return;
        };
        let mut external_ips = self.addresses(list(service, "/spec/externalIPs"), "");
        external_ips.extend(self.addresses(list(service, "/status/loadBalancer/ingress"), "/ip"));
        let (namespace, name) = (
            text(service, "/metadata/namespace"),
            text(service, "/metadata/name"),
        );
        let sticky = text(service, "/spec/sessionAffinity") == "ClientIP";
        let seconds = service.pointer("/spec/sessionAffinityConfig/clientIP/timeoutSeconds");
        let seconds = seconds
            .and_then(Value::as_u64)
            .and_then(|s| u32::try_from(s).ok());
        for part in list(service, "/spec/ports") {
            let protocol = match text(part, "/protocol") {
                "" | "TCP" => "tcp",
                "UDP" => "udp",
                _ => continue,
            };
            let mut one = ServicePort {
                namespace: namespace.into(),
                name: name.into(),
                port_name: text(part, "/name").into(),
                protocol: protocol.into(),
                port: port(part, "/port"),
                node_port: port(part, "/nodePort"),
                cluster_ip: Some(cluster_ip),
                external_ips: external_ips.clone(),
                internal_local: text(service, "/spec/internalTrafficPolicy") == "Local",
                external_local: text(service, "/spec/externalTrafficPolicy") == "Local",
                affinity_seconds: sticky.then_some(seconds.unwrap_or(10_800)),
                ..ServicePort::default()
            };
            let of_service: Vec<&Value> = slices
                .iter()
                .copied()
                .filter(|s| text(s, "/metadata/namespace") == namespace)
                .filter(|s| text(s, "/metadata/labels/kubernetes.io~1service-name") == name)
                .collect();
            let all = self.candidates(&one, &of_service);
            one.backends = chosen(&all, None);
            one.local_backends = chosen(&all, Some(node));
            self.services.push(one);
        }
    }

    fn candidates(&self, service: &ServicePort, slices: &[&Value]) -> Vec<Candidate> {
        let mut found = Vec::new();
        for slice in slices {
            let ports = list(slice, "/ports").iter().filter(|p| {
                let protocol = text(p, "/protocol").to_lowercase();
                let protocol = if protocol.is_empty() {
                    "tcp"
                } else {
                    &protocol
                };
                text(p, "/name") == service.port_name && protocol == service.protocol
            });
            for number in ports.map(|p| port(p, "/port")).filter(|n| *n != 0) {
                for endpoint in list(slice, "/endpoints") {
                    let yes = |condition: &str, otherwise: bool| {
                        let pointer = format!("/conditions/{condition}");
                        endpoint
                            .pointer(&pointer)
                            .and_then(Value::as_bool)
                            .unwrap_or(otherwise)
                    };
                    let ready = yes("ready", true);
                    let terminating = yes("terminating", false);
                    for address in self.addresses(list(endpoint, "/addresses"), "") {
                        found.push(Candidate {
                            backend: Backend {
                                address,
                                port: number,
                            },
                            node: text(endpoint, "/nodeName").into(),
                            ready: ready && !terminating,
                            leaving: terminating && yes("serving", ready),
                        });
                    }
                }
            }
        }
        found
    }
}

struct Candidate {
    backend: Backend,
    node: String,
    ready: bool,
    leaving: bool,
}

/// Ready ones; when there is none, those that are on their way out and still serve.
fn chosen(all: &[Candidate], node: Option<&str>) -> Vec<Backend> {
    let here = || all.iter().filter(|c| node.is_none_or(|n| c.node == n));
    let some = |yes: fn(&Candidate) -> bool| {
        here()
            .filter(|c| yes(c))
            .map(|c| c.backend.clone())
            .collect::<BTreeSet<_>>()
    };
    let ready = some(|c| c.ready);
    let usable = if ready.is_empty() {
        some(|c| c.leaving)
    } else {
        ready
    };
    usable.into_iter().collect()
}
