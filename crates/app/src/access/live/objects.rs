//! Questions that the API server answers itself: logs, memory by the kubelet or the metrics API;
//! and what carries Services in this cluster.

use crate::clock;
use netshoot_api::facts::SYSTEM;
use netshoot_api::live::{Cluster, Error, LogOptions, Resource};
use netshoot_model::growth::parse_quantity;
use netshoot_model::object::{Object, at};
use netshoot_model::probe::{Answer, Answered, ContainerMemory, Probe, Question};
use netshoot_model::snapshot::ClusterSnapshot;
use netshoot_model::text;
use netshoot_model::text::Text;
use netshoot_model::topology::Topology;
use netshoot_wire::nft;
use serde_json::Value;
use std::time::Instant;

/// Lines of a log that are read.
const LINES: u32 = 200;

/// A gap from an error of the API server.
pub fn gap(e: &Error) -> Answer {
    let (missing, how_to_get) = lacks(e);
    Answer::CouldNotAsk {
        why: e.to_string(),
        missing,
        how_to_get,
    }
}

/// What is missing, in few words, and how to get it. No words where the error is all there is to say.
pub fn lacks(e: &Error) -> (Text, Text) {
    let missing = match e {
        Error::Forbidden(d) => text!("the right to {}", "权限：{}", d.right()),
        Error::PodSecurity { tried, level, .. } => text!(
            "leave of Pod Security to {} {}: the level {level} of namespace {} forbids it",
            "Pod Security 的许可（{} {}）：命名空间 {2} 的级别 {level} 禁止",
            tried.verb,
            tried.full_resource(),
            tried.namespace
        ),
        Error::Webhook { webhook, why, .. } => text!(
            "an answer of the admission webhook {webhook}: {why}",
            "准入 webhook {webhook} 的应答：{why}"
        ),
        Error::Denied { by, says, .. } => text!("leave of {by}: {says}", "{by} 的许可：{says}"),
        Error::NamespaceEnds { namespace, .. } => text!(
            "a namespace that takes something new: {namespace} is being deleted",
            "可接收新对象的命名空间：{namespace} 正在被删除"
        ),
        _ => Text::default(),
    };
    let how_to_get = match e {
        Error::PodSecurity { tried, .. } => Text::same(format!(
            "kubectl label --overwrite namespace {} pod-security.kubernetes.io/enforce=privileged",
            tried.namespace
        )),
        Error::Webhook { .. } => text!(
            "the Service behind it: kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations -o wide",
            "检查其背后的 Service：kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations -o wide"
        ),
        e => Text::same(e.how_to_get()),
    };
    (missing, how_to_get)
}

/// An answer to a question of the API server.
pub fn answered(probe: &Probe, ask: impl FnOnce() -> Answer) -> Answered {
    let at_ms = clock::now_ms();
    let began = Instant::now();
    let answer = ask();
    Answered {
        probe: probe.clone(),
        at_ms,
        took_ms: began.elapsed().as_millis() as u64,
        answer,
    }
}

/// The last lines of a container.
pub fn log(cluster: &Cluster, question: &Question) -> Answer {
    let Question::Log {
        namespace,
        pod,
        container,
        previous,
    } = question
    else {
        return gap_of("another question was handed to the log");
    };
    let options = LogOptions {
        container: container.clone(),
        previous: *previous,
        tail: Some(LINES),
        most_bytes: Some(256 << 10),
        ..LogOptions::default()
    };
    match cluster.log(namespace, pod, &options) {
        Ok(text) => Answer::Log(text.lines().map(String::from).collect()),
        // No previous incarnation, or not started: there are no lines, which is an answer.
        Err(Error::Invalid { says, .. })
            if says.contains("not found") || says.contains("waiting") =>
        {
            Answer::Log(Vec::new())
        }
        Err(e) => gap(&e),
    }
}

fn gap_of(why: &str) -> Answer {
    Answer::CouldNotAsk {
        why: why.into(),
        missing: Text::default(),
        how_to_get: Text::default(),
    }
}

/// Memory of a pod's containers as one sample: by the metrics API where it is served, else by the
/// kubelet where that is allowed.
pub fn memory(cluster: &Cluster, pod: Option<&Object>, question: &Question) -> Answer {
    let Question::Memory {
        namespace,
        pod: name,
        ..
    } = question
    else {
        return gap_of("another question was handed to the memory");
    };
    let metrics = Resource {
        group: "metrics.k8s.io".into(),
        version: "v1beta1".into(),
        kind: "PodMetrics".into(),
        plural: "pods".into(),
        namespaced: true,
    };
    let limits = pod.map(limits).unwrap_or_default();
    let limit = |c: &str| limits.iter().find(|(n, _)| n == c).map(|(_, l)| *l);
    let by_metrics = cluster.get(&metrics, namespace, name);
    if let Ok(m) = &by_metrics {
        let all = m.list("containers").iter().filter_map(|c| {
            let container = at(c, "name").as_str()?.to_string();
            let usage = parse_quantity(at(c, "usage.memory").as_str()?)?;
            Some(one(container, "metrics.k8s.io", usage, &limit))
        });
        return Answer::Memory(all.collect());
    }
    let node = pod.map(|p| p.str("spec.nodeName")).unwrap_or("");
    match cluster.kubelet_summary(node) {
        Ok(summary) => Answer::Memory(of_summary(&summary, namespace, name, &limit)),
        Err(e) => match by_metrics {
            Err(Error::Forbidden(d)) if serves_metrics(cluster) => gap(&Error::Forbidden(d)),
            _ => gap(&e),
        },
    }
}

/// A right is refused before anybody looks whether there is something to have it to: a Role for metrics that nobody serves
/// would bring nothing.
fn serves_metrics(cluster: &Cluster) -> bool {
    let found = cluster.resource("podmetrics.metrics.k8s.io");
    !matches!(found, Err(Error::UnknownKind { .. }))
}

fn one(
    container: String,
    by: &str,
    usage: u64,
    limit: &dyn Fn(&str) -> Option<u64>,
) -> ContainerMemory {
    ContainerMemory {
        limit: limit(&container),
        container,
        accounted_by: by.into(),
        max_usage: 0,
        limit_hits: 0,
        age_ms: 0,
        samples: vec![(0, usage)],
    }
}

fn of_summary(
    summary: &Value,
    namespace: &str,
    name: &str,
    limit: &dyn Fn(&str) -> Option<u64>,
) -> Vec<ContainerMemory> {
    let list = |v: &Value, k: &str| at(v, k).as_array().cloned().unwrap_or_default();
    list(summary, "pods")
        .iter()
        .filter(|p| {
            at(p, "podRef.name").as_str() == Some(name)
                && at(p, "podRef.namespace").as_str() == Some(namespace)
        })
        .flat_map(|p| list(p, "containers"))
        .filter_map(|c| {
            let usage = at(&c, "memory.usageBytes").as_u64()?;
            let container = at(&c, "name").as_str()?.to_string();
            Some(one(container, "kubelet", usage, limit))
        })
        .collect()
}

fn limits(pod: &Object) -> Vec<(String, u64)> {
    pod.list("spec.containers")
        .iter()
        .filter_map(|c| {
            let limit = parse_quantity(at(c, "resources.limits.memory").as_str()?)?;
            Some((at(c, "name").as_str()?.to_string(), limit))
        })
        .collect()
}

/// What carries Services where kube-proxy does not: then its rules say nothing, and their lack is
/// no fault.
pub fn other_dataplane(snapshot: &ClusterSnapshot) -> Option<String> {
    let text = |o: &Object, k: &str| at(o.get("data"), k).as_str().unwrap_or("").to_string();
    let alone = !has_kube_proxy(snapshot);
    let carried_by = |o: &Object| match (o.kind(), o.name()) {
        ("ConfigMap", "cilium-config") => {
            let replaces = text(o, "kube-proxy-replacement");
            let replaces = ["true", "strict"].contains(&replaces.as_str());
            replaces.then_some("Cilium (eBPF, kube-proxy-replacement)")
        }
        ("DaemonSet", "cilium") if alone => Some("Cilium (eBPF), and there is no kube-proxy"),
        ("DaemonSet", "anetd") if alone => Some("Cilium (GKE Dataplane V2)"),
        ("DaemonSet", "calico-node") if env_is(o, "FELIX_BPFENABLED", "true") => {
            Some("Calico (eBPF)")
        }
        ("DaemonSet", "kube-router") if !argument(o, "--run-service-proxy=false") => {
            Some("kube-router (IPVS)")
        }
        ("DaemonSet", "ovnkube-node") if alone => {
            Some("OVN-Kubernetes, and there is no kube-proxy")
        }
        ("DaemonSet", "antrea-agent") if alone => Some("Antrea, and there is no kube-proxy"),
        _ => None,
    };
    let found = snapshot.objects.iter().find_map(carried_by);
    found.map(String::from)
}

/// Whether nothing is known of what carries Services, and the rules of a node do not tell either: none of them sends a
/// Service anywhere, which is a fault where kube-proxy shall write them and nothing where something else does.
pub fn nobody_knows_what_carries(snapshot: &ClusterSnapshot, rules: &[nft::Table]) -> bool {
    let topology = Topology::new(snapshot);
    topology.unread("DaemonSet", SYSTEM)
        && !has_kube_proxy(snapshot)
        && !rules.iter().any(by_kube_proxy)
}

/// The chain where kube-proxy begins in iptables mode, or its own table of nftables mode. Others of that name are the kubelet's.
fn by_kube_proxy(table: &nft::Table) -> bool {
    table.name == "kube-proxy" || table.chains.iter().any(|c| c.name == "KUBE-SERVICES")
}

fn argument(o: &Object, word: &str) -> bool {
    let containers = o.list("spec.template.spec.containers").iter();
    let mut words = containers.flat_map(|c| {
        let all = ["command", "args"].map(|k| at(c, k).as_array().cloned().unwrap_or_default());
        all.concat()
    });
    words.any(|w| w.as_str() == Some(word))
}

fn has_kube_proxy(snapshot: &ClusterSnapshot) -> bool {
    snapshot
        .objects
        .iter()
        .any(|o| o.kind() == "DaemonSet" && o.name().starts_with("kube-proxy"))
}

fn env_is(o: &Object, name: &str, value: &str) -> bool {
    o.list("spec.template.spec.containers")
        .iter()
        .flat_map(|c| at(c, "env").as_array().cloned().unwrap_or_default())
        .any(|e| {
            at(&e, "name").as_str() == Some(name)
                && at(&e, "value")
                    .as_str()
                    .is_some_and(|v| v.eq_ignore_ascii_case(value))
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn who_carries_services() {
        for (objects, want) in [
            (
                json!([{"kind": "DaemonSet", "metadata": {"name": "kube-proxy", "namespace": "kube-system"}}]),
                None,
            ),
            (json!([]), None),
            (
                json!([{"kind": "ConfigMap", "metadata": {"name": "cilium-config", "namespace": "kube-system"}, "data": {"kube-proxy-replacement": "true"}}]),
                Some("Cilium"),
            ),
            (
                json!([{"kind": "ConfigMap", "metadata": {"name": "cilium-config", "namespace": "kube-system"}, "data": {"kube-proxy-replacement": "false"}},
                {"kind": "DaemonSet", "metadata": {"name": "cilium", "namespace": "kube-system"}},
                {"kind": "DaemonSet", "metadata": {"name": "kube-proxy", "namespace": "kube-system"}}]),
                None,
            ),
            (
                json!([{"kind": "DaemonSet", "metadata": {"name": "cilium", "namespace": "kube-system"}}]),
                Some("no kube-proxy"),
            ),
            (
                json!([{"kind": "ConfigMap", "metadata": {"name": "cilium-config", "namespace": "cilium"}, "data": {"kube-proxy-replacement": "true"}}]),
                Some("Cilium"),
            ),
            (
                json!([{"kind": "DaemonSet", "metadata": {"name": "cilium", "namespace": "cilium"}}]),
                Some("no kube-proxy"),
            ),
            (
                json!([{"kind": "DaemonSet", "metadata": {"name": "anetd", "namespace": "kube-system"}}]),
                Some("Dataplane V2"),
            ),
            (
                json!([{"kind": "DaemonSet", "metadata": {"name": "kube-router", "namespace": "kube-system"},
                "spec": {"template": {"spec": {"containers": [{"args": ["--run-router=true"]}]}}}}]),
                Some("kube-router"),
            ),
            (
                json!([{"kind": "DaemonSet", "metadata": {"name": "kube-router", "namespace": "kube-system"},
                "spec": {"template": {"spec": {"containers": [{"args": ["--run-service-proxy=false"]}]}}}}]),
                None,
            ),
            (
                json!([{"kind": "DaemonSet", "metadata": {"name": "ovnkube-node", "namespace": "ovn-kubernetes"}}]),
                Some("OVN-Kubernetes"),
            ),
            (
                json!([{"kind": "DaemonSet", "metadata": {"name": "antrea-agent", "namespace": "kube-system"}},
                {"kind": "DaemonSet", "metadata": {"name": "kube-proxy", "namespace": "kube-system"}}]),
                None,
            ),
            (
                json!([{"kind": "DaemonSet", "metadata": {"name": "calico-node", "namespace": "calico-system"},
                "spec": {"template": {"spec": {"containers": [{"env": [{"name": "FELIX_BPFENABLED", "value": "true"}]}]}}}}]),
                Some("Calico"),
            ),
            (
                json!([{"kind": "DaemonSet", "metadata": {"name": "calico-node", "namespace": "kube-system"},
                "spec": {"template": {"spec": {"containers": [{"env": [{"name": "FELIX_BPFENABLED", "value": "True"}]}]}}}}]),
                Some("Calico"),
            ),
        ] {
            let mut s = ClusterSnapshot::new("x", "y", 0);
            s.objects = serde_json::from_value(objects).unwrap();
            let said = other_dataplane(&s);
            match want {
                None => assert_eq!(said, None),
                Some(w) => assert!(said.as_deref().is_some_and(|t| t.contains(w)), "{said:?}"),
            }
        }
    }

    #[test]
    fn rules_without_a_sign_of_kube_proxy_say_nothing_where_its_daemonset_may_not_be_read() {
        let table = |name: &str, chain: &str| nft::Table {
            name: name.into(),
            chains: vec![nft::Chain {
                name: chain.into(),
                ..nft::Chain::default()
            }],
            ..nft::Table::default()
        };
        let mut s = ClusterSnapshot::new("x", "y", 0);
        let rules = [table("mangle", "KUBE-KUBELET-CANARY")];
        assert!(!nobody_knows_what_carries(&s, &rules), "all was read");
        s.gaps.push(netshoot_model::snapshot::Gap {
            what: text!("objects of kind DaemonSet in namespace kube-system", "x"),
            missing: Text::default(),
            how_to_get: Text::default(),
        });
        assert!(nobody_knows_what_carries(&s, &rules));
        assert!(nobody_knows_what_carries(&s, &[]));
        for sign in [
            table("nat", "KUBE-SERVICES"),
            table("kube-proxy", "services"),
        ] {
            assert!(!nobody_knows_what_carries(&s, &[sign]));
        }
    }

    #[test]
    fn memory_of_a_summary() {
        let summary = json!({"pods": [
            {"podRef": {"name": "a", "namespace": "shop"}, "containers": [{"name": "app", "memory": {"usageBytes": 100, "workingSetBytes": 80}}]},
            {"podRef": {"name": "a", "namespace": "other"}, "containers": [{"name": "app", "memory": {"usageBytes": 7}}]}]});
        let all = of_summary(&summary, "shop", "a", &|_| Some(128));
        assert_eq!(
            (all.len(), all[0].samples[0].1, all[0].limit),
            (1, 100, Some(128))
        );
    }
}
