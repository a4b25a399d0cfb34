//! NodeLocal DNSCache (KEP-1024): a DaemonSet whose pods answer names on their own node, at addresses of a dummy
//! interface there, and ask the cluster's DNS by Service `kube-dns-upstream` what they do not know.
//!
//! A client asks it at a link-local address that the kubelet or the pod's dnsConfig names, or, where kube-proxy writes
//! packet-filter rules, at the very address of Service `kube-dns`, which the cache holds on its node too.

use crate::corefile;
use crate::evidence::EvidenceSet;
use crate::object::{Object, at};
use crate::path::Path;
use crate::probe::{Answer, Vantage};
use crate::topology::{Topology, addresses_of_service, condition, is_running};
use std::net::IpAddr;

/// Where the cluster's DNS and its caches live.
pub const SYSTEM: &str = "kube-system";
/// The Service by which the caches ask the cluster's DNS.
pub const UPSTREAM: &str = "kube-dns-upstream";
/// What the DaemonSet is called: by the manifest of Kubernetes, and by kubespray's.
const NAMES: [&str; 2] = ["node-local-dns", "nodelocaldns"];

/// The cache that a client asks.
#[derive(Clone, Debug)]
pub struct DnsCache<'a> {
    /// The address at which the client asks it.
    pub address: IpAddr,
    /// The DaemonSet, where it could be read.
    pub workload: Option<&'a Object>,
    /// Its pod on the client's node.
    pub pod: Option<&'a Object>,
    /// The Service by which it asks the cluster's DNS.
    pub upstream: Option<&'a Object>,
    /// That address is the one of the DNS Service too: without the cache, the node's Service rules carry it on.
    pub stands_before_service: bool,
}

impl DnsCache<'_> {
    /// Its pod on the client's node is there and ready.
    pub fn is_ready(&self) -> bool {
        self.pod
            .is_some_and(|p| is_running(p) && condition(p, "Ready") == Some(true))
    }
}

/// The DaemonSet of the cache.
pub fn workload<'a>(topology: &Topology<'a>) -> Option<&'a Object> {
    topology.in_namespace("DaemonSet", SYSTEM).find(|d| {
        let app = d.labels().get("k8s-app").copied();
        NAMES.contains(&d.name())
            || app.is_some_and(|a| NAMES.contains(&a))
            || !local_addresses(d).is_empty()
    })
}

/// The addresses that every cache listens on, as its arguments say (`-localip A,B`), else its Corefile (`bind A B`).
pub fn addresses(topology: &Topology<'_>) -> Vec<IpAddr> {
    let told = workload(topology).map(local_addresses).unwrap_or_default();
    if !told.is_empty() {
        return told;
    }
    let settings = NAMES
        .iter()
        .find_map(|n| topology.find("ConfigMap", SYSTEM, n));
    let Some(settings) = settings else {
        return Vec::new();
    };
    let blocks = corefile::parse(settings.str("data.Corefile"));
    let bound = blocks.iter().flat_map(|b| &b.plugins);
    let mut out: Vec<IpAddr> = bound
        .filter(|p| p.words.first().is_some_and(|w| w == "bind"))
        .flat_map(|p| p.words.iter().skip(1))
        .filter_map(|w| w.parse().ok())
        .collect();
    out.sort();
    out.dedup();
    out
}

/// `-localip A,B` among the arguments of a workload's containers.
fn local_addresses(workload: &Object) -> Vec<IpAddr> {
    let mut out = Vec::new();
    for container in workload.list("spec.template.spec.containers") {
        let words: Vec<&str> = ["command", "args"]
            .iter()
            .filter_map(|k| at(container, k).as_array())
            .flatten()
            .filter_map(|v| v.as_str())
            .collect();
        for (i, word) in words.iter().enumerate() {
            let Some(rest) = word.trim_start_matches('-').strip_prefix("localip") else {
                continue;
            };
            let list = match rest.strip_prefix('=') {
                Some(list) => list,
                None if rest.is_empty() => words.get(i + 1).copied().unwrap_or_default(),
                None => continue,
            };
            out.extend(
                list.split(',')
                    .filter_map(|a| a.trim().parse::<IpAddr>().ok()),
            );
        }
    }
    out
}

/// Whether a cache of a node answers at this address. Where nobody could read the cache's settings, a link-local address
/// tells it, unless it is the one at which clouds answer for their own machines.
pub fn listens_at(topology: &Topology<'_>, address: IpAddr) -> bool {
    let told = addresses(topology);
    if !told.is_empty() {
        return told.contains(&address);
    }
    let of_a_cloud = ["169.254.169.253", "169.254.169.254"]
        .iter()
        .any(|a| a.parse() == Ok(address));
    let link_local = match address {
        IpAddr::V4(a) => a.is_link_local(),
        IpAddr::V6(a) => a.segments().first().is_some_and(|s| s & 0xffc0 == 0xfe80),
    };
    link_local && !of_a_cloud
}

/// The cache that the client of a path asks for names: by its own queries, by its resolv.conf, else by its settings.
pub fn asked_by<'a>(
    topology: &Topology<'a>,
    path: &Path<'a>,
    evidence: &EvidenceSet,
) -> Option<DnsCache<'a>> {
    let client = path.client?;
    let service = topology.dns().map(addresses_of_service).unwrap_or_default();
    let mut asked = seen(&path.vantage(), evidence);
    if asked.is_empty() {
        asked = by_settings(client, &service);
    }
    let address = asked.into_iter().find(|a| listens_at(topology, *a))?;
    let pod = topology.in_namespace("Pod", SYSTEM).find(|p| {
        let app = p.labels().get("k8s-app").copied();
        let of_cache = app.is_some_and(|a| NAMES.contains(&a))
            || workload(topology).is_some_and(|w| topology.owner_of(p) == w.reference());
        of_cache && p.str("spec.nodeName") == path.client_node
    });
    let stands_before_service = service.contains(&address);
    // Where the DaemonSet leaves the node out, the address is that of the Service and no more.
    let elsewhere = stands_before_service && pod.is_none() && !topology.unread("Pod", SYSTEM);
    (!elsewhere).then(|| DnsCache {
        address,
        workload: workload(topology),
        pod,
        upstream: topology.find("Service", SYSTEM, UPSTREAM),
        stands_before_service,
    })
}

/// The servers that the client was seen to ask, first those of its queries.
fn seen(from: &Vantage, evidence: &EvidenceSet) -> Vec<IpAddr> {
    let (mut queried, mut written) = (Vec::new(), Vec::new());
    for answered in evidence.iter().filter(|a| a.probe.from == *from) {
        match &answered.answer {
            Answer::Lookup { queries, .. } => {
                queried.extend(queries.iter().map(|q| q.server.ip()));
            }
            Answer::ResolvConf(c) => written.extend(c.nameservers.iter().copied()),
            _ => {}
        }
    }
    queried.extend(written);
    queried
}

fn by_settings(client: &Object, service: &[IpAddr]) -> Vec<IpAddr> {
    let own = client.list("spec.dnsConfig.nameservers").iter();
    let mut out: Vec<IpAddr> = own.filter_map(|a| a.as_str()?.parse().ok()).collect();
    let on_host = client.get("spec.hostNetwork").as_bool() == Some(true);
    match client.str("spec.dnsPolicy") {
        "ClusterFirstWithHostNet" => out.extend(service),
        "ClusterFirst" if !on_host => out.extend(service),
        _ => {}
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::ClusterSnapshot;
    use serde_json::{Value, json};

    fn snapshot(objects: &[Value]) -> ClusterSnapshot {
        let mut snapshot = ClusterSnapshot::new("dump", "test", 0);
        snapshot.objects = objects.iter().cloned().map(Object).collect();
        snapshot
    }

    fn daemon_set(args: Value) -> Value {
        json!({"kind": "DaemonSet", "metadata": {"name": "node-local-dns", "namespace": "kube-system"},
            "spec": {"template": {"spec": {"containers": [{"name": "node-cache", "args": args}]}}}})
    }

    fn told(objects: &[Value]) -> String {
        let snapshot = snapshot(objects);
        let all = addresses(&Topology::new(&snapshot));
        let all: Vec<String> = all.iter().map(IpAddr::to_string).collect();
        all.join(" ")
    }

    #[test]
    fn the_addresses_are_those_of_the_arguments_else_of_the_corefile() {
        let corefile = json!({"kind": "ConfigMap", "metadata": {"name": "node-local-dns", "namespace": "kube-system"},
            "data": {"Corefile": "cluster.local:53 {\n    bind 169.254.20.11 fd00::10\n    forward . __PILLAR__CLUSTER__DNS__ {\n        force_tcp\n    }\n}\n"}});
        for (args, want) in [
            (
                json!([
                    "-localip",
                    "169.254.20.10,10.96.0.10",
                    "-conf",
                    "/etc/Corefile"
                ]),
                "169.254.20.10 10.96.0.10",
            ),
            (json!(["--localip=fd00::10"]), "fd00::10"),
            (json!(["-localip"]), ""),
            (json!(["-conf", "/etc/Corefile"]), ""),
        ] {
            assert_eq!(told(&[daemon_set(args.clone())]), want, "{args}");
        }
        let both = [daemon_set(json!(["-conf", "x"])), corefile];
        assert_eq!(told(&both), "169.254.20.11 fd00::10");
    }

    #[test]
    fn the_service_of_the_dns_is_not_the_one_that_caches_ask() {
        let service = |name: &str| json!({"kind": "Service", "metadata": {"name": name, "namespace": "kube-system", "labels": {"k8s-app": "kube-dns"}}});
        let both = snapshot(&[service(UPSTREAM), service("rke2-coredns")]);
        let topology = Topology::new(&both);
        assert_eq!(topology.dns().map(Object::name), Some("rke2-coredns"));
    }

    #[test]
    fn a_cloud_s_own_resolver_is_no_cache() {
        let nothing = snapshot(&[]);
        let cache = snapshot(&[daemon_set(json!(["-localip", "169.254.20.10"]))]);
        for (of, address, want) in [
            (&nothing, "169.254.20.10", true),
            (&nothing, "169.254.169.253", false),
            (&nothing, "169.254.169.254", false),
            (&nothing, "10.96.0.10", false),
            (&cache, "169.254.20.10", true),
            (&cache, "169.254.20.11", false),
        ] {
            let topology = Topology::new(of);
            let is = listens_at(&topology, address.parse().unwrap());
            assert_eq!(is, want, "{address}");
        }
    }
}
