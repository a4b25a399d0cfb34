//! One conversation (from, to, protocol, port) as ordered hops. Every diagnosis is a walk along a
//! path, and a hop is the address of every evidence.

use crate::dns_cache::{self, DnsCache};
use crate::evidence::EvidenceSet;
use crate::object::{Object, ObjectRef, at};
use crate::probe::{Answer, Vantage};
use crate::route;
use crate::text;
use crate::text::Text;
use crate::topology::{Endpoint, Topology, addresses_of_pod, addresses_of_service, is_running};
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, SocketAddr};

/// Where on a conversation's way something is. The order is the order of the walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HopKind {
    /// The client itself.
    Client,
    /// The DNS cache on the client's node, where it asks one.
    NameCache,
    /// Name lookup.
    Name,
    /// The Service: from its address to its endpoints.
    Service,
    /// Policies on what the client may send.
    EgressPolicy,
    /// The client's node: its links, rules, forwarding.
    ClientNode,
    /// Between the nodes: routes, tunnel, packet size.
    Path,
    /// The server's node.
    ServerNode,
    /// Policies on what the server may receive.
    IngressPolicy,
    /// The listening socket.
    Listener,
    /// TLS.
    Tls,
    /// The request itself.
    Http,
    /// The process behind the socket.
    Backend,
}

impl HopKind {
    /// All, in order.
    pub const ALL: [HopKind; 13] = [
        HopKind::Client,
        HopKind::NameCache,
        HopKind::Name,
        HopKind::Service,
        HopKind::EgressPolicy,
        HopKind::ClientNode,
        HopKind::Path,
        HopKind::ServerNode,
        HopKind::IngressPolicy,
        HopKind::Listener,
        HopKind::Tls,
        HopKind::Http,
        HopKind::Backend,
    ];

    /// The word in reports.
    pub fn word(self) -> &'static str {
        match self {
            HopKind::Client => "client",
            HopKind::NameCache => "name-cache",
            HopKind::Name => "name",
            HopKind::Service => "service",
            HopKind::EgressPolicy => "egress-policy",
            HopKind::ClientNode => "client-node",
            HopKind::Path => "path",
            HopKind::ServerNode => "server-node",
            HopKind::IngressPolicy => "ingress-policy",
            HopKind::Listener => "listener",
            HopKind::Tls => "tls",
            HopKind::Http => "http",
            HopKind::Backend => "backend",
        }
    }
}

/// What somebody wants to reach.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Destination {
    /// A Service.
    Service(ObjectRef),
    /// A pod.
    Pod(ObjectRef),
    /// A name or address that no object stands for.
    Host(String),
}

/// One conversation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Conversation {
    /// Who asks: a pod, a node, or none for this host.
    pub from: Option<ObjectRef>,
    /// What is asked for.
    pub to: Destination,
    /// Port of the Service, or of the pod or host.
    pub port: u16,
    /// `TCP` or `UDP`.
    pub protocol: String,
    /// TLS is spoken.
    pub tls: bool,
    /// HTTP is spoken: the path to ask for.
    pub http: Option<String>,
    /// The Ingress or HTTPRoute behind which the Service stands, where the question is about that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub through: Option<ObjectRef>,
}

/// A conversation with all that the topology knows of it.
#[derive(Clone, Debug)]
pub struct Path<'a> {
    /// The conversation.
    pub conversation: Conversation,
    /// The client pod.
    pub client: Option<&'a Object>,
    /// The client's node, empty when unknown.
    pub client_node: String,
    /// The client's addresses.
    pub client_addresses: Vec<IpAddr>,
    /// The Service.
    pub service: Option<&'a Object>,
    /// The Ingress or HTTPRoute that sends to the Service.
    pub through: Option<&'a Object>,
    /// Why nothing comes to the Service by it.
    pub astray: Option<route::Fault<'a>>,
    /// The Service's entry for the port.
    pub service_port: Option<&'a serde_json::Value>,
    /// Addresses that the client would connect to first, of families that both ends have.
    pub front: Vec<SocketAddr>,
    /// Endpoints behind it, of families that both ends have, ready or not.
    pub backends: Vec<Endpoint>,
    /// The name a client would use; empty when only an address is known.
    pub name: String,
    /// The DNS cache on its node that the client asks for names.
    pub cache: Option<DnsCache<'a>>,
}

impl<'a> Path<'a> {
    /// Looks a conversation up.
    pub fn new(topology: &Topology<'a>, conversation: Conversation) -> Self {
        let client = conversation
            .from
            .as_ref()
            .filter(|r| r.kind == "Pod")
            .and_then(|r| topology.get(r));
        let client_node = match &conversation.from {
            Some(r) if r.kind == "Node" => r.name.clone(),
            _ => client
                .map(|c| c.str("spec.nodeName").to_string())
                .unwrap_or_default(),
        };
        let client_addresses = match client {
            Some(c) => addresses_of_pod(c),
            None => topology.node_addresses(&client_node),
        };
        let mut path = Path {
            client,
            client_node,
            client_addresses,
            service: None,
            through: conversation.through.as_ref().and_then(|r| topology.get(r)),
            astray: None,
            service_port: None,
            front: Vec::new(),
            backends: Vec::new(),
            name: String::new(),
            cache: None,
            conversation,
        };
        path.fill(topology);
        path.astray = route::fault(topology, &path);
        path
    }

    fn fill(&mut self, topology: &Topology<'a>) {
        let port = self.conversation.port;
        match self.conversation.to.clone() {
            Destination::Service(r) => {
                if !self.knows_no_service_names(topology) {
                    self.name = format!("{}.{}.svc.{}", r.name, r.namespace, topology.domain());
                }
                let Some(service) = topology.get(&r) else {
                    return;
                };
                self.service = Some(service);
                self.service_port = service.list("spec.ports").iter().find(|p| {
                    at(p, "port").as_i64() == Some(i64::from(port))
                        && at(p, "protocol").as_str().unwrap_or("TCP") == self.conversation.protocol
                });
                self.front = addresses_of_service(service)
                    .into_iter()
                    // A route may name a port that the Service does not have: then there is none to ask.
                    .filter(|a| port > 0 && self.reaches(*a))
                    .map(|a| SocketAddr::new(a, port))
                    .collect();
                if !self.lacks_port() {
                    self.backends = topology
                        .endpoints(service, port)
                        .into_iter()
                        .filter(|e| self.reaches(e.address))
                        .collect();
                }
            }
            Destination::Pod(r) => {
                let Some(pod) = topology.get(&r) else { return };
                let addresses: Vec<IpAddr> = addresses_of_pod(pod)
                    .into_iter()
                    .filter(|a| self.reaches(*a))
                    .collect();
                self.front = addresses
                    .iter()
                    .map(|a| SocketAddr::new(*a, port))
                    .collect();
                self.backends = addresses
                    .iter()
                    .map(|a| Endpoint {
                        address: *a,
                        port,
                        ready: is_running(pod),
                        pod: Some(r.clone()),
                        node: pod.str("spec.nodeName").into(),
                    })
                    .collect();
            }
            Destination::Host(host) => match host.parse::<IpAddr>() {
                Ok(address) => self.front = vec![SocketAddr::new(address, port)],
                Err(_) => self.name = host,
            },
        }
    }

    /// The resolv.conf of a pod tells the cluster's domain to whoever may not read what the DNS is told: its search list
    /// holds `svc.DOMAIN`.
    pub fn learn_domain(&mut self, topology: &Topology<'a>, evidence: &EvidenceSet) {
        let told = evidence
            .iter()
            .find_map(|a| match (&a.probe.from, &a.answer) {
                (Vantage::Pod { .. }, Answer::ResolvConf(c)) => c.search.iter().find_map(|s| {
                    s.trim_end_matches('.')
                        .strip_prefix("svc.")
                        .map(String::from)
                }),
                _ => None,
            });
        let guess = format!(".svc.{}", topology.domain());
        if topology.guesses_domain()
            && let Some(domain) = told
            && let Some(head) = self.name.strip_suffix(&guess)
        {
            self.name = format!("{head}.svc.{domain}");
        }
    }

    /// Whether the client asks a DNS cache on its node is told by its own queries first, then by its settings.
    pub fn learn_cache(&mut self, topology: &Topology<'a>, evidence: &EvidenceSet) {
        self.cache = dns_cache::asked_by(topology, self, evidence);
    }

    /// A node asks its own resolver, and so do the pods of the cluster's DNS, which would ask themselves otherwise: both
    /// reach Services by address.
    fn knows_no_service_names(&self, topology: &Topology<'a>) -> bool {
        let is_node = |r: &ObjectRef| r.kind == "Node";
        if self.conversation.from.as_ref().is_some_and(is_node) {
            return true;
        }
        let (Some(client), Some(dns)) = (self.client, topology.dns()) else {
            return false;
        };
        let serves = topology.selected(dns.namespace(), dns.get("spec.selector"));
        // On the node's network a pod asks the node's resolver (ClusterFirst falls back to it there). That is
        // wrong only for a pod that is told to call somebody by name.
        let by_name = |r: &crate::symptom::Reference| matches!(&self.conversation.to, Destination::Service(s) if *s == r.service);
        if client.get("spec.hostNetwork").as_bool() == Some(true)
            && client.str("spec.dnsPolicy") != "ClusterFirstWithHostNet"
            && !topology.configured(&client.reference()).iter().any(by_name)
        {
            return true;
        }
        serves.iter().any(|p| p.reference() == client.reference())
            && ["Default", "None"].contains(&client.str("spec.dnsPolicy"))
    }

    /// The Service has an address of its own and ports, and not this one: nothing carries packets on.
    pub fn lacks_port(&self) -> bool {
        self.service_port.is_none()
            && self.service.is_some_and(|s| {
                !addresses_of_service(s).is_empty() && !s.list("spec.ports").is_empty()
            })
    }

    /// The client has an address of that family (or none is known).
    fn reaches(&self, address: IpAddr) -> bool {
        self.client_addresses.is_empty()
            || self
                .client_addresses
                .iter()
                .any(|a| a.is_ipv4() == address.is_ipv4())
    }

    /// Where the client's questions are asked from.
    pub fn vantage(&self) -> Vantage {
        match (&self.client, &self.conversation.from) {
            (Some(c), _) => Vantage::Pod {
                namespace: c.namespace().into(),
                name: c.name().into(),
            },
            (None, Some(r)) if r.kind == "Node" => Vantage::Node {
                name: r.name.clone(),
            },
            _ => Vantage::Here,
        }
    }

    /// The client's node as a vantage point.
    pub fn node_vantage(&self) -> Option<Vantage> {
        (!self.client_node.is_empty()).then(|| Vantage::Node {
            name: self.client_node.clone(),
        })
    }

    /// Endpoints that traffic is sent to.
    pub fn ready_backends(&self) -> impl Iterator<Item = &Endpoint> {
        self.backends.iter().filter(|b| b.ready)
    }

    /// One sentence: `pod production/web-1 to Service production/cart:80 (TCP)`.
    pub fn describe(&self) -> Text {
        let c = &self.conversation;
        let from = c
            .from
            .as_ref()
            .map(|r| r.to_string())
            .map_or_else(|| text!("this host", "本机"), Text::same);
        let to = match &c.to {
            Destination::Service(r) | Destination::Pod(r) => r.to_string(),
            Destination::Host(h) if h.contains(':') => format!("[{h}]"),
            Destination::Host(h) => h.clone(),
        };
        let protocol = &c.protocol;
        let to = match c.port {
            0 => to,
            port => format!("{to}:{port}"),
        };
        match &c.through {
            Some(r) => text!(
                "{from} to {to} ({protocol}), behind {r}",
                "{from:#} 到 {to}（{protocol}），位于 {r} 之后"
            ),
            None => text!(
                "{from} to {to} ({protocol})",
                "{from:#} 到 {to}（{protocol}）"
            ),
        }
    }
}
