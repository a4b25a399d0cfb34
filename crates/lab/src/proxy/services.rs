//! What Services and EndpointSlices say, seen from one node and one address family.

use crate::ground::address::Cidr;
use serde_json::Value;
use std::collections::BTreeSet;
use std::net::IpAddr;

/// What a node's proxy has to do for one address family.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// IPv6 rather than IPv4.
    pub v6: bool,
    /// The network of all pods: who comes from there is not masqueraded.
    pub pod_network: Option<Cidr>,
    /// Networks that ClusterIPs are taken from (ServiceCIDR objects).
    pub service_networks: Vec<Cidr>,
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
    /// Where a node says whether it has a backend, 0 for nowhere.
    pub health_port: u16,
    /// Its own address.
    pub cluster_ip: Option<IpAddr>,
    /// Addresses from outside that administrators gave it.
    pub external_ips: Vec<IpAddr>,
    /// The load balancer's addresses.
    pub balancer_ips: Vec<IpAddr>,
    /// Who may come through the load balancer; empty for everybody.
    pub source_ranges: Vec<Cidr>,
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
        self.node_port != 0 || self.outside_ips().next().is_some()
    }

    /// Addresses for callers from outside.
    pub fn outside_ips(&self) -> impl Iterator<Item = IpAddr> {
        self.external_ips.iter().chain(&self.balancer_ips).copied()
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
        let nodes: Vec<&Value> = kind("Node").collect();
        if let Some(object) = nodes.iter().find(|n| text(n, "/metadata/name") == node) {
            let all = list(object, "/status/addresses").iter();
            let own = all.filter(|a| text(a, "/type") == "InternalIP");
            view.node_addresses = own
                .filter_map(|a| view.address(text(a, "/address")))
                .take(1)
                .collect();
        }
        for object in kind("ServiceCIDR") {
            let cidrs = list(object, "/spec/cidrs")
                .iter()
                .filter_map(|c| view.cidr(c));
            view.service_networks.extend(cidrs.collect::<Vec<_>>());
        }
        for service in kind("Service") {
            view.read_service(node, service, &slices);
        }
        view.pod_network = view.find_pod_network(node, &nodes);
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

    fn cidr(&self, value: &Value) -> Option<Cidr> {
        value
            .as_str()
            .and_then(Cidr::parse)
            .filter(|c| c.address.is_ipv6() == self.v6)
    }

    fn pod_cidrs(&self, node: &Value) -> Vec<Cidr> {
        let mut cidrs: Vec<Cidr> = list(node, "/spec/podCIDRs")
            .iter()
            .filter_map(|c| self.cidr(c))
            .collect();
        if cidrs.is_empty() {
            cidrs.extend(node.pointer("/spec/podCIDR").and_then(|c| self.cidr(c)));
        }
        cidrs
    }

    /// What a real kube-proxy is told by --cluster-cidr: a network that holds the pods of all
    /// nodes and nothing else; where there is none, that of this node (NodeCIDR).
    fn find_pod_network(&self, node: &str, nodes: &[&Value]) -> Option<Cidr> {
        let all: Vec<Cidr> = nodes.iter().flat_map(|n| self.pod_cidrs(n)).collect();
        let ends: Vec<IpAddr> = all.iter().flat_map(|c| [c.network(), c.last()]).collect();
        let usual = if self.v6 { 48 } else { 16 };
        let foreign = nodes
            .iter()
            .flat_map(|n| list(n, "/status/addresses"))
            .filter_map(|a| self.address(text(a, "/address")))
            .chain(self.services.iter().filter_map(|s| s.cluster_ip))
            .collect::<Vec<_>>();
        let fits = |longest: u8| {
            let cidr = Cidr::around(&ends, longest)?;
            let cidr = Cidr {
                address: cidr.network(),
                ..cidr
            };
            (!foreign.iter().any(|a| cidr.holds(*a))).then_some(cidr)
        };
        let own = || {
            let own = nodes.iter().find(|n| text(n, "/metadata/name") == node)?;
            self.pod_cidrs(own).first().copied()
        };
        fits(usual).or_else(|| fits(128)).or_else(own)
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
        let external_ips = self.addresses(list(service, "/spec/externalIPs"), "");
        let balancer_ips = self.addresses(list(service, "/status/loadBalancer/ingress"), "/ip");
        let source_ranges: Vec<Cidr> = list(service, "/spec/loadBalancerSourceRanges")
            .iter()
            .filter_map(|c| self.cidr(c))
            .collect();
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
                health_port: port(service, "/spec/healthCheckNodePort"),
                cluster_ip: Some(cluster_ip),
                external_ips: external_ips.clone(),
                balancer_ips: balancer_ips.clone(),
                source_ranges: source_ranges.clone(),
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
    let mut usable: Vec<Backend> = usable.into_iter().collect();
    usable.sort_by_key(Backend::text); // the real one sorts text, not numbers
    usable
}
