//! The chains that are there whatever the Services are.

use super::*;
use netshoot_wire::nft::Hook;
use std::net::{Ipv4Addr, Ipv6Addr};

/// `IPS_DST_NAT` (linux/netfilter/nf_conntrack_common.h).
const WAS_DNATED: u32 = 0x20;

fn base(name: &str, kind: &str, point: &str, priority: i32, rules: Vec<Rule>) -> Chain {
    let hook = Hook {
        kind: kind.into(),
        point: point.into(),
        priority,
        policy_drop: false,
        policy_packets: None,
    };
    Chain {
        hook: Some(hook),
        ..chain(name, rules)
    }
}

/// A rule for connections that begin.
fn fresh(to: &str) -> Rule {
    Rule::new().ct_state(state::NEW).jump(to)
}

impl Writer<'_> {
    /// `ip saddr . ip daddr . meta l4proto . th dport @hairpin-connections`
    fn hairpin(&self) -> Rule {
        let (to, protocol, port) = if self.view.v6 {
            (2, 3, 17)
        } else {
            (9, 10, 11)
        };
        Rule::new()
            .ct_status(WAS_DNATED)
            .load_address(1, self.view.v6, End::Source)
            .load_address(to, self.view.v6, End::Destination)
            .expr(Expr::Meta {
                dreg: protocol,
                key: MetaKey::L4proto,
            })
            .load_port(port, End::Destination)
            .lookup(1, true, "hairpin-connections")
            .masquerade(NAT_FULLY_RANDOM)
    }

    /// A packet for the node's ports: to its address, or, in a family that the node has no address
    /// of, to any of the machine's but the loopback.
    fn to_node(&self, check_local: bool) -> Rule {
        if !self.view.node_addresses.is_empty() {
            return Rule::new().address_in(End::Destination, true, self.view.v6, "nodeport-ips");
        }
        let rule = Rule::new();
        let rule = if check_local {
            rule.is_local(End::Destination)
        } else {
            rule
        };
        if self.view.v6 {
            rule.address(End::Destination, false, IpAddr::V6(Ipv6Addr::LOCALHOST))
        } else {
            rule.network(
                End::Destination,
                false,
                IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)),
                8,
            )
        }
    }

    /// The base chains and those that they call.
    pub(super) fn skeleton(&self) -> Vec<Chain> {
        let v6 = self.view.v6;
        let to_cluster_ip = || Rule::new().address_in(End::Destination, true, v6, "cluster-ips");
        let mut services = Vec::new();
        if let Some(pods) = self.view.pod_network {
            let rule = to_cluster_ip().network(End::Source, false, pods.address, pods.prefix);
            let rule = rule.mark_change(MASQUERADE, MASQUERADE);
            services.push(rule.comment("masquerade clusterIP traffic from outside cluster"));
        }
        services.push(self.by_address("service-ips"));
        services.push(Self::by_port(self.to_node(true), "service-nodeports"));
        let invalid = "Reject traffic to invalid ports of ClusterIPs";
        let mut cluster_ips = vec![to_cluster_ip().reject(v6).comment(invalid)];
        for network in &self.view.service_networks {
            let rule =
                Rule::new().network(End::Destination, true, network.network(), network.prefix);
            cluster_ips.push(
                rule.drop()
                    .comment("Drop traffic to unallocated ClusterIPs"),
            );
        }
        let masquerading = vec![
            // The mark is taken off, so that a tunnel's outer packet is not masqueraded too.
            Rule::new()
                .mark_has(MASQUERADE)
                .mark_change(0, MASQUERADE)
                .masquerade(NAT_FULLY_RANDOM),
            self.hairpin(),
        ];
        let node_ports = Self::by_port(self.to_node(false), "no-endpoint-nodeports");
        let to_services = || vec![Rule::new().jump("services")];
        let before = || vec![fresh("firewall-check")];
        let endpoints = || fresh("service-endpoints-check");
        let inside = || vec![endpoints(), fresh("cluster-ips-check")];
        let mut reject = chain("reject-chain", vec![Rule::new().reject(v6)]);
        reject.comment = "helper for @no-endpoint-services / @no-endpoint-nodeports".into();
        vec![
            base(
                "filter-prerouting-pre-dnat",
                "filter",
                "prerouting",
                -110,
                before(),
            ),
            base("filter-output-pre-dnat", "filter", "output", -110, before()),
            base(
                "filter-input",
                "filter",
                "input",
                0,
                vec![fresh("nodeport-endpoints-check"), endpoints()],
            ),
            base("filter-forward", "filter", "forward", 0, inside()),
            base("filter-output", "filter", "output", 0, inside()),
            base("nat-prerouting", "nat", "prerouting", -100, to_services()),
            base("nat-output", "nat", "output", -100, to_services()),
            base(
                "nat-postrouting",
                "nat",
                "postrouting",
                100,
                vec![Rule::new().jump("masquerading")],
            ),
            chain("nodeport-endpoints-check", vec![node_ports]),
            chain(
                "service-endpoints-check",
                vec![self.by_address("no-endpoint-services")],
            ),
            chain("firewall-check", vec![self.by_address("firewall-ips")]),
            chain("services", services),
            chain("masquerading", masquerading),
            chain("cluster-ips-check", cluster_ips),
            reject,
        ]
    }
}
