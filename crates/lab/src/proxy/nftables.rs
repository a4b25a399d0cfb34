//! kube-proxy's nftables mode: table `ip kube-proxy` and `ip6 kube-proxy`.

use super::names;
use super::services::{Backend, ServicePort, View};
use netshoot_host::nft::Batch;
use netshoot_wire::nft::build::{End, address_bytes, concat, key_type, state};
use netshoot_wire::nft::expr::NAT_FULLY_RANDOM;
use netshoot_wire::nft::{Chain, Element, Expr, Family, Hook, MetaKey, Rule, Set, Table, Verdict};
use std::net::IpAddr;

/// The table's name.
const TABLE: &str = "kube-proxy";
/// The mark of packets to be masqueraded (`--iptables-masquerade-bit 14`).
const MASQUERADE: u32 = 0x4000;
/// `RTN_LOCAL` (linux/rtnetlink.h).
const LOCAL: u32 = 2;

/// Replaces both tables of the calling thread's namespace in one transaction.
pub fn apply(views: &[View]) -> Result<(), netshoot_host::Error> {
    let before = netshoot_host::nft::dump()?;
    let mut batch = Batch::new();
    for view in views {
        let mut table = table(view);
        if let Some(old) = before
            .iter()
            .find(|t| t.family == table.family && t.name == TABLE)
        {
            keep_clients(old, &mut table);
        }
        batch.replace(&table);
    }
    batch.apply()
}

/// Clients stay with their backends over a change of the rules.
fn keep_clients(old: &Table, new: &mut Table) {
    for set in new.sets.iter_mut().filter(|s| s.dynamic) {
        if let Some(old) = old.sets.iter().find(|s| s.name == set.name) {
            set.elements = old.elements.clone();
        }
    }
}

/// The whole table for one family.
pub fn table(view: &View) -> Table {
    let mut writer = Writer::new(view);
    for service in &view.services {
        writer.service(service);
    }
    writer.finish()
}

struct Writer<'a> {
    view: &'a View,
    chains: Vec<Chain>,
    cluster_ips: Set,
    nodeport_ips: Set,
    service_ips: Set,
    service_nodeports: Set,
    no_endpoint_services: Set,
    no_endpoint_nodeports: Set,
    more_sets: Vec<Set>,
    choices: usize,
}

fn verdict_map(name: &str, parts: &[(u32, u32)], comment: &str) -> Set {
    let types: Vec<u32> = parts.iter().map(|(kind, _)| *kind).collect();
    Set {
        name: name.into(),
        key_type: key_type::concat(&types),
        key_len: parts.iter().map(|(_, len)| len.next_multiple_of(4)).sum(),
        fields: parts.iter().map(|(_, len)| *len).collect(),
        map: true,
        verdicts: true,
        comment: comment.into(),
        ..Set::default()
    }
}

fn chain(name: &str, comment: &str, rules: Vec<Rule>) -> Chain {
    Chain {
        name: name.into(),
        comment: comment.into(),
        rules,
        ..Chain::default()
    }
}

fn base(name: &str, kind: &str, point: &str, priority: i32, rules: Vec<Rule>) -> Chain {
    let hook = Hook {
        kind: kind.into(),
        point: point.into(),
        priority,
        policy_drop: false,
        policy_packets: None,
    };
    Chain {
        name: name.into(),
        hook: Some(hook),
        rules,
        ..Chain::default()
    }
}

/// A rule for connections that begin.
fn fresh(to: &str) -> Rule {
    Rule::new().ct_state(state::NEW).jump(to)
}

impl<'a> Writer<'a> {
    fn new(view: &'a View) -> Writer<'a> {
        let address = if view.v6 {
            (key_type::IPV6, 16)
        } else {
            (key_type::IPV4, 4)
        };
        let by_address = [address, (key_type::PROTOCOL, 1), (key_type::PORT, 2)];
        let by_port = &by_address[1..];
        let mut cluster_ips = Set::addresses("cluster-ips", view.v6);
        cluster_ips.comment = "Active ClusterIPs".into();
        let mut nodeport_ips = Set::addresses("nodeport-ips", view.v6);
        nodeport_ips.comment = "IPs that accept NodePort traffic".into();
        nodeport_ips.elements = view
            .node_addresses
            .iter()
            .map(|a| key(address_bytes(*a)))
            .collect();
        let blocked = "vmap to drop or reject packets to services with no endpoints";
        let blocked_ports = "vmap to drop or reject packets to service nodeports with no endpoints";
        Writer {
            view,
            chains: Vec::new(),
            cluster_ips,
            nodeport_ips,
            service_ips: verdict_map(
                "service-ips",
                &by_address,
                "ClusterIP, ExternalIP and LoadBalancer IP traffic",
            ),
            service_nodeports: verdict_map("service-nodeports", by_port, "NodePort traffic"),
            no_endpoint_services: verdict_map("no-endpoint-services", &by_address, blocked),
            no_endpoint_nodeports: verdict_map("no-endpoint-nodeports", by_port, blocked_ports),
            more_sets: Vec::new(),
            choices: 0,
        }
    }

    /// `ip daddr . meta l4proto . th dport vmap @MAP`
    fn by_address(&self, map: &str) -> Rule {
        // The key fills 4-byte registers one after the other: address, protocol, port.
        let (protocol, port) = if self.view.v6 { (12, 13) } else { (9, 10) };
        Rule::new()
            .load_address(1, self.view.v6, End::Destination)
            .expr(Expr::Meta {
                dreg: protocol,
                key: MetaKey::L4proto,
            })
            .load_port(port, End::Destination)
            .verdict_map(1, map)
    }

    /// `ip daddr @nodeport-ips meta l4proto . th dport vmap @MAP`
    fn by_port(&self, map: &str) -> Rule {
        Rule::new()
            .address_in(End::Destination, true, self.view.v6, "nodeport-ips")
            .expr(Expr::Meta {
                dreg: 1,
                key: MetaKey::L4proto,
            })
            .load_port(9, End::Destination)
            .verdict_map(1, map)
    }

    fn service(&mut self, service: &ServicePort) {
        let about = format!(
            "{}/{}/{}/{}",
            service.namespace, service.name, service.protocol, service.port_name
        );
        let all = names::nft("service", &about);
        let local = names::nft("local", &about);
        let outside = names::nft("external", &about);
        let internal = if service.internal_local { &local } else { &all };
        let external = if service.external_local { &local } else { &all };

        // Without backends in the cluster callers are told; with some, but none here, the
        // balancer's health check is meant to keep them away, so they are dropped.
        let refused = |none_here: bool| {
            if service.backends.is_empty() {
                Some(Verdict::Goto("reject-chain".into()))
            } else {
                none_here.then_some(Verdict::Drop)
            }
        };
        if let Some(address) = service.cluster_ip {
            if !self
                .cluster_ips
                .elements
                .iter()
                .any(|e| e.key == address_bytes(address))
            {
                self.cluster_ips.elements.push(key(address_bytes(address)));
            }
            match refused(service.internal().is_empty()) {
                Some(verdict) => self
                    .no_endpoint_services
                    .elements
                    .push(by(address, service, verdict)),
                None => {
                    let verdict = Verdict::Goto(internal.clone());
                    self.service_ips
                        .elements
                        .push(by(address, service, verdict));
                }
            }
        }
        for address in &service.external_ips {
            let element = match refused(service.external().is_empty()) {
                Some(verdict) => {
                    self.no_endpoint_services
                        .elements
                        .push(by(*address, service, verdict));
                    // Pods of the cluster may still reach it.
                    service
                        .external_local
                        .then(|| Verdict::Goto(outside.clone()))
                }
                None => Some(Verdict::Goto(outside.clone())),
            };
            if let Some(verdict) = element.filter(|_| !service.backends.is_empty()) {
                self.service_ips
                    .elements
                    .push(by(*address, service, verdict));
            }
        }
        if service.node_port != 0 {
            if let Some(verdict) = refused(service.external().is_empty()) {
                self.no_endpoint_nodeports
                    .elements
                    .push(at_node(service, verdict));
            }
            if !service.backends.is_empty() {
                let verdict = Verdict::Goto(outside.clone());
                self.service_nodeports
                    .elements
                    .push(at_node(service, verdict));
            }
        }
        if service.backends.is_empty() {
            return;
        }
        self.backends(service, &about, &all, &service.backends, true);
        if service.internal_local || service.external_local {
            self.backends(
                service,
                &about,
                &local,
                &service.local_backends,
                service.internal_local,
            );
        }
        if service.has_outside() {
            self.outside(service, &outside, &all, external);
        }
        for backend in &service.backends {
            self.backend(service, &about, backend);
        }
    }

    /// The chain that picks a backend.
    fn backends(
        &mut self,
        service: &ServicePort,
        about: &str,
        name: &str,
        backends: &[Backend],
        own: bool,
    ) {
        let mut rules = Vec::new();
        if let Some(address) = service.cluster_ip.filter(|_| own) {
            for (network, prefix) in &self.view.pod_networks {
                let mut rule = Rule::new().address(End::Destination, true, address);
                // The first register pair is the port: as the real one, after the address.
                rule = rule
                    .protocol(service.protocol_number())
                    .port(End::Destination, service.port);
                rules.push(
                    rule.network(End::Source, false, *network, *prefix)
                        .jump("mark-for-masquerade"),
                );
            }
        }
        if service.affinity_seconds.is_some() {
            for backend in backends {
                let set = names::nft("affinity", &at_backend(about, backend));
                let rule = Rule::new().address_in(End::Source, true, self.view.v6, &set);
                rules.push(rule.goto(&names::nft("endpoint", &at_backend(about, backend))));
            }
        }
        if !backends.is_empty() {
            let choice = format!("__map{}", self.choices);
            self.choices += 1;
            let goto = |b: &Backend| Verdict::Goto(names::nft("endpoint", &at_backend(about, b)));
            self.more_sets
                .push(Set::choice(&choice, backends.iter().map(goto)));
            let count = u32::try_from(backends.len()).unwrap_or(u32::MAX);
            rules.push(Rule::new().random(count).verdict_map(1, &choice));
        }
        self.chains.push(chain(name, "", rules));
    }

    /// The chain for callers from outside.
    fn outside(&mut self, service: &ServicePort, name: &str, all: &str, external: &str) {
        let mut rules = Vec::new();
        if service.external_local {
            for (network, prefix) in &self.view.pod_networks {
                let rule = Rule::new()
                    .network(End::Source, true, *network, *prefix)
                    .goto(all);
                rules.push(rule.comment("short-circuit pod traffic"));
            }
            // What the node itself sends counts as from inside, and needs the node's address.
            let local = || {
                Rule::new()
                    .expr(Expr::Fib {
                        dreg: 1,
                        result: 3,
                        flags: 1,
                    })
                    .expr(Expr::Cmp {
                        sreg: 1,
                        op: netshoot_wire::nft::CmpOp::Eq,
                        data: LOCAL.to_ne_bytes().to_vec(),
                    })
            };
            rules.push(
                local()
                    .jump("mark-for-masquerade")
                    .comment("masquerade local traffic"),
            );
            rules.push(local().goto(all).comment("short-circuit local traffic"));
        } else {
            rules.push(Rule::new().jump("mark-for-masquerade"));
        }
        // With Local and nobody here the chain ends, and the filter has dropped the others.
        rules.push(Rule::new().goto(external));
        self.chains.push(chain(name, "", rules));
    }

    /// The chain of one backend.
    fn backend(&mut self, service: &ServicePort, about: &str, backend: &Backend) {
        let about = at_backend(about, backend);
        let name = names::nft("endpoint", &about);
        // A pod that reaches itself must see another source, or it answers itself directly.
        let mut rules = vec![
            Rule::new()
                .address(End::Source, true, backend.address)
                .jump("mark-for-masquerade"),
        ];
        if let Some(seconds) = service.affinity_seconds {
            let mut set = Set::addresses(&names::nft("affinity", &about), self.view.v6);
            set.dynamic = true;
            set.timeout_ms = u64::from(seconds) * 1000;
            let rule = Rule::new().load_address(1, self.view.v6, End::Source);
            rules.push(rule.update_set(1, &set.name));
            self.more_sets.push(set);
        }
        let rule = Rule::new().protocol(service.protocol_number());
        rules.push(rule.dnat(backend.address, backend.port));
        self.chains.push(chain(&name, "", rules));
    }

    fn finish(self) -> Table {
        let v6 = self.view.v6;
        let invalid = Rule::new()
            .address_in(End::Destination, true, v6, "cluster-ips")
            .reject(v6)
            .comment("Reject traffic to invalid ports of ClusterIPs");
        // A mark is taken off first, so that the packet is not masqueraded again behind a tunnel.
        let masquerading = vec![
            Rule::new()
                .mark_has(false, MASQUERADE)
                .verdict(Verdict::Return),
            Rule::new().mark_change(0, MASQUERADE),
            Rule::new().masquerade(NAT_FULLY_RANDOM),
        ];
        let services = vec![
            self.by_address("service-ips"),
            self.by_port("service-nodeports"),
        ];
        let mut chains = vec![
            base(
                "filter-prerouting",
                "filter",
                "prerouting",
                -110,
                vec![fresh("firewall-check")],
            ),
            base(
                "filter-input",
                "filter",
                "input",
                -110,
                vec![
                    fresh("nodeport-endpoints-check"),
                    fresh("service-endpoints-check"),
                ],
            ),
            base(
                "filter-forward",
                "filter",
                "forward",
                -110,
                vec![fresh("service-endpoints-check"), fresh("cluster-ips-check")],
            ),
            base(
                "filter-output",
                "filter",
                "output",
                -110,
                vec![fresh("service-endpoints-check"), fresh("firewall-check")],
            ),
            base(
                "filter-output-post-dnat",
                "filter",
                "output",
                -90,
                vec![fresh("cluster-ips-check")],
            ),
            base(
                "nat-prerouting",
                "nat",
                "prerouting",
                -100,
                vec![Rule::new().jump("services")],
            ),
            base(
                "nat-output",
                "nat",
                "output",
                -100,
                vec![Rule::new().jump("services")],
            ),
            base(
                "nat-postrouting",
                "nat",
                "postrouting",
                100,
                vec![Rule::new().jump("masquerading")],
            ),
            chain("services", "", services),
            chain("masquerading", "", masquerading),
            chain(
                "mark-for-masquerade",
                "",
                vec![Rule::new().mark_change(MASQUERADE, MASQUERADE)],
            ),
            chain(
                "service-endpoints-check",
                "",
                vec![self.by_address("no-endpoint-services")],
            ),
            chain(
                "nodeport-endpoints-check",
                "",
                vec![self.by_port("no-endpoint-nodeports")],
            ),
            chain("cluster-ips-check", "", vec![invalid]),
            chain("firewall-check", "", vec![]),
            chain(
                "reject-chain",
                "helper for @no-endpoint-services / @no-endpoint-nodeports",
                vec![Rule::new().reject(v6)],
            ),
        ];
        chains.extend(self.chains);
        let mut sets = vec![
            self.cluster_ips,
            self.nodeport_ips,
            self.no_endpoint_services,
            self.no_endpoint_nodeports,
            self.service_ips,
            self.service_nodeports,
        ];
        sets.extend(self.more_sets);
        Table {
            family: if v6 { Family::Ip6 } else { Family::Ip },
            name: TABLE.into(),
            comment: "rules for kube-proxy".into(),
            dormant: false,
            chains,
            sets,
        }
    }
}

fn key(key: Vec<u8>) -> Element {
    Element {
        key,
        ..Element::default()
    }
}

fn at_backend(about: &str, backend: &Backend) -> String {
    // A colon would end a name in nft's own language.
    let address = backend.address.to_string().replace(':', ".");
    format!("{about}__{address}/{}", backend.port)
}

fn by(address: IpAddr, service: &ServicePort, verdict: Verdict) -> Element {
    let protocol = [service.protocol_number()];
    Element {
        key: concat(&[
            &address_bytes(address),
            &protocol,
            &service.port.to_be_bytes(),
        ]),
        verdict: Some(verdict),
        comment: service.title(),
        ..Element::default()
    }
}

fn at_node(service: &ServicePort, verdict: Verdict) -> Element {
    let protocol = [service.protocol_number()];
    Element {
        key: concat(&[&protocol, &service.node_port.to_be_bytes()]),
        verdict: Some(verdict),
        comment: service.title(),
        ..Element::default()
    }
}
