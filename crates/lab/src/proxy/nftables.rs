//! kube-proxy's nftables mode: table `ip kube-proxy` and `ip6 kube-proxy`.

mod skeleton;

use super::names;
use super::services::{Backend, ServicePort, View};
use netshoot_host::nft::Batch;
use netshoot_wire::nft::build::{
    End, address_bytes, concat, intervals, key_type, network_range, state,
};
use netshoot_wire::nft::expr::NAT_FULLY_RANDOM;
use netshoot_wire::nft::{Chain, Element, Expr, Family, MetaKey, Rule, Set, Table, Verdict};
use std::net::IpAddr;

/// The table's name.
const TABLE: &str = "kube-proxy";
/// The mark of packets to be masqueraded (`--iptables-masquerade-bit 14`).
const MASQUERADE: u32 = 0x4000;

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
    hairpins: Set,
    cluster_ips: Set,
    nodeport_ips: Set,
    no_endpoint_services: Set,
    no_endpoint_nodeports: Set,
    firewall_ips: Set,
    service_ips: Set,
    service_nodeports: Set,
    more_sets: Vec<Set>,
    anonymous: usize,
}

/// Type number and length of a key's part.
type Part = (u32, u32);

fn concatenated(name: &str, parts: &[Part], comment: &str) -> Set {
    let types: Vec<u32> = parts.iter().map(|(kind, _)| *kind).collect();
    Set {
        name: name.into(),
        key_type: key_type::concat(&types),
        key_len: parts.iter().map(|(_, len)| len.next_multiple_of(4)).sum(),
        fields: parts.iter().map(|(_, len)| *len).collect(),
        comment: comment.into(),
        ..Set::default()
    }
}

fn verdict_map(name: &str, parts: &[Part], comment: &str) -> Set {
    Set {
        map: true,
        verdicts: true,
        ..concatenated(name, parts, comment)
    }
}

fn chain(name: &str, rules: Vec<Rule>) -> Chain {
    Chain {
        name: name.into(),
        rules,
        ..Chain::default()
    }
}

fn mark_for_masquerade() -> Rule {
    Rule::new().mark_change(MASQUERADE, MASQUERADE)
}

/// Names of the chains of one service port.
struct Chains {
    about: String,
    service: String,
    local: String,
    external: String,
}

impl Chains {
    fn of(service: &ServicePort) -> Chains {
        let about = format!(
            "{}/{}/{}/{}",
            service.namespace, service.name, service.protocol, service.port_name
        );
        Chains {
            service: names::nft("service", &about),
            local: names::nft("local", &about),
            external: names::nft("external", &about),
            about,
        }
    }
}

impl<'a> Writer<'a> {
    fn new(view: &'a View) -> Writer<'a> {
        let address = if view.v6 {
            (key_type::IPV6, 16)
        } else {
            (key_type::IPV4, 4)
        };
        let pair = [
            address,
            address,
            (key_type::PROTOCOL, 1),
            (key_type::PORT, 2),
        ];
        let (by_address, by_port) = (&pair[1..], &pair[2..]);
        let mut cluster_ips = Set::addresses("cluster-ips", view.v6);
        cluster_ips.comment = "Active ClusterIPs".into();
        let mut nodeport_ips = Set::addresses("nodeport-ips", view.v6);
        nodeport_ips.comment = "IPs that accept NodePort traffic".into();
        nodeport_ips.elements = view
            .node_addresses
            .iter()
            .map(|a| key(address_bytes(*a)))
            .collect();
        let map = verdict_map;
        Writer {
            view,
            chains: Vec::new(),
            hairpins: concatenated("hairpin-connections", &pair, "service hairpin connections"),
            cluster_ips,
            nodeport_ips,
            no_endpoint_services: map(
                "no-endpoint-services",
                by_address,
                "vmap to drop or reject packets to services with no endpoints",
            ),
            no_endpoint_nodeports: map(
                "no-endpoint-nodeports",
                by_port,
                "vmap to drop or reject packets to service nodeports with no endpoints",
            ),
            firewall_ips: map(
                "firewall-ips",
                by_address,
                "destinations that are subject to LoadBalancerSourceRanges",
            ),
            service_ips: map(
                "service-ips",
                by_address,
                "ClusterIP, ExternalIP and LoadBalancer IP traffic",
            ),
            service_nodeports: map("service-nodeports", by_port, "NodePort traffic"),
            more_sets: Vec::new(),
            anonymous: 0,
        }
    }

    /// A name for a set that one rule uses; the kernel gives it another.
    fn anonymous(&mut self, word: &str) -> String {
        self.anonymous += 1;
        format!("__{word}{}", self.anonymous)
    }

    /// `ip daddr . meta l4proto . th dport vmap @MAP`
    fn by_address(&self, map: &str) -> Rule {
        // The key fills 4-byte registers one after the other: address, protocol, port.
        let (protocol, port) = if self.view.v6 { (2, 13) } else { (9, 10) };
        Rule::new()
            .load_address(1, self.view.v6, End::Destination)
            .expr(Expr::Meta {
                dreg: protocol,
                key: MetaKey::L4proto,
            })
            .load_port(port, End::Destination)
            .verdict_map(1, map)
    }

    /// Behind a match on the address: `meta l4proto . th dport vmap @MAP`
    fn by_port(rule: Rule, map: &str) -> Rule {
        rule.expr(Expr::Meta {
            dreg: 1,
            key: MetaKey::L4proto,
        })
        .load_port(9, End::Destination)
        .verdict_map(1, map)
    }

    fn service(&mut self, service: &ServicePort) {
        let chains = Chains::of(service);
        if let Some(address) = service.cluster_ip
            && !self
                .cluster_ips
                .elements
                .iter()
                .any(|e| e.key == address_bytes(address))
        {
            self.cluster_ips.elements.push(key(address_bytes(address)));
        }
        self.addresses(service, &chains);
        if service.backends.is_empty() {
            return;
        }
        let outside = service.has_outside();
        if !service.internal_local || outside {
            self.backends(service, &chains, &chains.service, &service.backends);
        }
        if !service.local_backends.is_empty()
            && (service.internal_local || (service.external_local && outside))
        {
            self.backends(service, &chains, &chains.local, &service.local_backends);
        }
        if outside {
            self.outside(service, &chains);
            self.firewall(service, &chains);
        }
        for backend in &service.local_backends {
            let address = address_bytes(backend.address);
            let protocol = [service.protocol_number()];
            let hairpin = concat(&[&address, &address, &protocol, &backend.port.to_be_bytes()]);
            if !self.hairpins.elements.iter().any(|e| e.key == hairpin) {
                self.hairpins.elements.push(key(hairpin));
            }
        }
        if service.affinity_seconds.is_some() {
            for backend in &service.backends {
                self.sticky_backend(service, &chains, backend);
            }
        }
    }

    /// The maps that lead from an address or a node's port to a chain.
    fn addresses(&mut self, service: &ServicePort, chains: &Chains) {
        // Without backends in the cluster callers are told; with some, but none here, the
        // balancer's health check is meant to keep them away, so they are dropped.
        let refused = |none_here: bool| match service.backends.is_empty() {
            true => Some(Verdict::Goto("reject-chain".into())),
            false => none_here.then_some(Verdict::Drop),
        };
        let internal = if service.internal_local {
            &chains.local
        } else {
            &chains.service
        };
        if let Some(address) = service.cluster_ip {
            match refused(service.internal().is_empty()) {
                Some(verdict) => {
                    self.no_endpoint_services
                        .elements
                        .push(why(by(address, service, verdict), service));
                }
                None => {
                    let verdict = Verdict::Goto(internal.clone());
                    self.service_ips
                        .elements
                        .push(by(address, service, verdict));
                }
            }
        }
        let refusal = refused(service.external().is_empty());
        let to_outside = Verdict::Goto(chains.external.clone());
        // Pods and the node itself may come in where outsiders may not.
        let reachable = !service.backends.is_empty();
        for address in service.outside_ips() {
            if let Some(verdict) = &refusal {
                let element = by(address, service, verdict.clone());
                self.no_endpoint_services
                    .elements
                    .push(why(element, service));
            }
            if reachable {
                self.service_ips
                    .elements
                    .push(by(address, service, to_outside.clone()));
            }
        }
        if service.node_port != 0 {
            if let Some(verdict) = refusal {
                self.no_endpoint_nodeports
                    .elements
                    .push(why(at_node(service, verdict), service));
            }
            if reachable {
                self.service_nodeports
                    .elements
                    .push(at_node(service, to_outside));
            }
        }
    }

    /// The chain that picks a backend.
    fn backends(
        &mut self,
        service: &ServicePort,
        chains: &Chains,
        name: &str,
        backends: &[Backend],
    ) {
        let count = u32::try_from(backends.len()).unwrap_or(u32::MAX);
        let protocol = Rule::new().protocol(service.protocol_number());
        let mut rules = Vec::new();
        if service.affinity_seconds.is_some() {
            let endpoint = |b: &Backend| names::nft("endpoint", &at_backend(&chains.about, b));
            for backend in backends {
                let set = names::nft("affinity", &at_backend(&chains.about, backend));
                let rule = Rule::new().address_in(End::Source, true, self.view.v6, &set);
                rules.push(rule.goto(&endpoint(backend)));
            }
            let map = self.anonymous("map");
            let verdicts = backends.iter().map(|b| Verdict::Goto(endpoint(b)));
            self.more_sets.push(Set::choice(&map, verdicts));
            rules.push(Rule::new().random(count).verdict_map(1, &map));
        } else if let [single] = backends {
            rules.push(protocol.dnat(single.address, single.port));
        } else {
            let map = self.anonymous("map");
            let targets = backends.iter().map(|b| (b.address, b.port));
            self.more_sets
                .push(Set::backends(&map, self.view.v6, targets));
            rules.push(protocol.dnat_random(self.view.v6, count, &map));
        }
        self.chains.push(chain(name, rules));
    }

    /// The chain for callers from outside.
    fn outside(&mut self, service: &ServicePort, chains: &Chains) {
        let mut rules = Vec::new();
        if !service.external_local {
            rules.push(mark_for_masquerade().comment("masquerade"));
            rules.push(Rule::new().goto(&chains.service));
            self.chains.push(chain(&chains.external, rules));
            return;
        }
        if let Some(pods) = self.view.pod_network {
            let rule = Rule::new().network(End::Source, true, pods.address, pods.prefix);
            rules.push(
                rule.goto(&chains.service)
                    .comment("short-circuit pod traffic"),
            );
        }
        let local = || Rule::new().is_local(End::Source);
        let mark = local().mark_change(MASQUERADE, MASQUERADE);
        rules.push(mark.comment("masquerade local traffic"));
        rules.push(
            local()
                .goto(&chains.service)
                .comment("short-circuit local traffic"),
        );
        // With nobody here the chain ends, and the filter drops the others.
        if !service.local_backends.is_empty() {
            rules.push(Rule::new().goto(&chains.local));
        }
        self.chains.push(chain(&chains.external, rules));
    }

    /// The chain that drops who may not come through the load balancer.
    fn firewall(&mut self, service: &ServicePort, chains: &Chains) {
        if service.source_ranges.is_empty() || service.balancer_ips.is_empty() {
            return;
        }
        let name = names::nft("firewall", &chains.about);
        for address in &service.balancer_ips {
            let element = by(*address, service, Verdict::Goto(name.clone()));
            self.firewall_ips.elements.push(element);
        }
        let rule = if let [range] = service.source_ranges.as_slice() {
            Rule::new().network(End::Source, false, range.network(), range.prefix)
        } else {
            let mut set = Set::addresses(&self.anonymous("set"), self.view.v6);
            (set.anonymous, set.constant, set.interval) = (true, true, true);
            let ranges = service
                .source_ranges
                .iter()
                .map(|r| network_range(r.address, r.prefix));
            set.elements = intervals(ranges.collect());
            let rule = Rule::new().address_in(End::Source, false, self.view.v6, &set.name);
            self.more_sets.push(set);
            rule
        };
        self.chains.push(chain(&name, vec![rule.drop()]));
    }

    /// The chain of a backend that keeps its clients.
    fn sticky_backend(&mut self, service: &ServicePort, chains: &Chains, backend: &Backend) {
        let about = at_backend(&chains.about, backend);
        let mut set = Set::addresses(&names::nft("affinity", &about), self.view.v6);
        set.dynamic = true;
        set.timeout_ms = u64::from(service.affinity_seconds.unwrap_or(0)) * 1000;
        let rules = vec![
            Rule::new()
                .load_address(1, self.view.v6, End::Source)
                .update_set(1, &set.name),
            Rule::new()
                .protocol(service.protocol_number())
                .dnat(backend.address, backend.port),
        ];
        self.chains
            .push(chain(&names::nft("endpoint", &about), rules));
        self.more_sets.push(set);
    }

    fn finish(self) -> Table {
        let mut chains = self.skeleton();
        chains.extend(self.chains);
        let mut sets = vec![self.hairpins, self.cluster_ips];
        if !self.nodeport_ips.elements.is_empty() {
            sets.push(self.nodeport_ips);
        }
        sets.extend([
            self.no_endpoint_services,
            self.no_endpoint_nodeports,
            self.firewall_ips,
            self.service_ips,
            self.service_nodeports,
        ]);
        sets.extend(self.more_sets);
        Table {
            family: if self.view.v6 {
                Family::Ip6
            } else {
                Family::Ip
            },
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

/// Says for whom an element of a no-endpoint map stands.
fn why(element: Element, service: &ServicePort) -> Element {
    Element {
        comment: service.title(),
        ..element
    }
}

fn at_backend(about: &str, backend: &Backend) -> String {
    // A colon would end a name in nft's own language.
    let address = backend.address.to_string().replace(':', ".");
    format!("{about}__{address}/{}", backend.port)
}

fn by(address: IpAddr, service: &ServicePort, verdict: Verdict) -> Element {
    let protocol = [service.protocol_number()];
    let key = concat(&[
        &address_bytes(address),
        &protocol,
        &service.port.to_be_bytes(),
    ]);
    Element {
        key,
        verdict: Some(verdict),
        ..Element::default()
    }
}

fn at_node(service: &ServicePort, verdict: Verdict) -> Element {
    let protocol = [service.protocol_number()];
    let key = concat(&[&protocol, &service.node_port.to_be_bytes()]);
    Element {
        key,
        verdict: Some(verdict),
        ..Element::default()
    }
}
