//! The snapshot indexed for questions: pods of a Service, policies of a namespace, the node of a
//! pod. Derived, never stored, never edited; building cannot fail.

use crate::object::{Object, ObjectRef, at};
use crate::snapshot::ClusterSnapshot;
use crate::symptom::{Configured, Reference};
use crate::text::{Lang, Text};
use serde_json::Value;
use std::cell::OnceCell;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::rc::Rc;

/// A snapshot and its indexes: a pass over the objects each, so that a namespace of thousands of pods
/// costs a few passes and not their square.
#[derive(Debug)]
pub struct Topology<'a> {
    snapshot: &'a ClusterSnapshot,
    by_kind: BTreeMap<&'a str, Vec<&'a Object>>,
    by_label: ByLabel<'a>,
    by_owner: HashMap<ObjectRef, Vec<&'a Object>>,
    slices: HashMap<(&'a str, &'a str), Vec<&'a Object>>,
    addresses: HashMap<IpAddr, &'a Object>,
    configured: OnceCell<Configured>,
}

/// Pods by namespace, label and value.
type ByLabel<'a> = HashMap<(&'a str, &'a str, &'a str), Vec<&'a Object>>;

/// One address behind a Service, as its EndpointSlices say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Address.
    pub address: IpAddr,
    /// Port that traffic is sent to.
    pub port: u16,
    /// Condition `ready` (absent counts as true, as the API says).
    pub ready: bool,
    /// The pod, where the slice names one.
    pub pod: Option<ObjectRef>,
    /// The node, where the slice names one.
    pub node: String,
}

impl<'a> Topology<'a> {
    /// Indexes a snapshot.
    pub fn new(snapshot: &'a ClusterSnapshot) -> Self {
        let mut by_kind: BTreeMap<&str, Vec<&Object>> = BTreeMap::new();
        for object in &snapshot.objects {
            by_kind.entry(object.kind()).or_default().push(object);
        }
        for list in by_kind.values_mut() {
            list.sort_by_key(|o| (o.namespace(), o.name()));
        }
        let mut topology = Topology {
            snapshot,
            by_kind,
            by_label: HashMap::new(),
            by_owner: HashMap::new(),
            slices: HashMap::new(),
            addresses: HashMap::new(),
            configured: OnceCell::new(),
        };
        topology.index();
        topology
    }

    fn index(&mut self) {
        for pod in self.all("Pod").to_vec() {
            for (k, v) in pod.labels() {
                let with = self.by_label.entry((pod.namespace(), k, v));
                with.or_default().push(pod);
            }
            let owner = self.owner_of(pod);
            self.by_owner.entry(owner).or_default().push(pod);
            if !pod.get("spec.hostNetwork").as_bool().unwrap_or(false) {
                for a in addresses_of_pod(pod) {
                    self.addresses.entry(a).or_insert(pod);
                }
            }
        }
        for slice in self.all("EndpointSlice").to_vec() {
            if let Some(service) = slice.labels().get("kubernetes.io/service-name") {
                let own = self.slices.entry((slice.namespace(), service));
                own.or_default().push(slice);
            }
        }
    }

    /// Objects of this kind in a namespace could not be read, all or in part: that none is there says nothing.
    pub fn unread(&self, kind: &str, namespace: &str) -> bool {
        let names_it = |t: &Text| {
            let t = t.in_lang(Lang::En);
            let (what, place) = match t.split_once(" in namespace ") {
                Some((what, place)) => (what, Some(place)),
                None => (t, None),
            };
            place.is_none_or(|p| p == namespace)
                && what.split(|c: char| !c.is_ascii_alphanumeric()).any(|w| {
                    let one = w.strip_suffix('s').unwrap_or(w);
                    w.eq_ignore_ascii_case(kind) || one.eq_ignore_ascii_case(kind)
                })
        };
        self.snapshot.gaps.iter().any(|g| names_it(&g.what))
    }

    /// The facts themselves.
    pub fn snapshot(&self) -> &'a ClusterSnapshot {
        self.snapshot
    }

    /// All objects of a kind, by namespace and name.
    pub fn all(&self, kind: &str) -> &[&'a Object] {
        self.by_kind.get(kind).map(Vec::as_slice).unwrap_or(&[])
    }

    /// Objects of a kind in a namespace.
    pub fn in_namespace<'s>(
        &'s self,
        kind: &str,
        namespace: &'s str,
    ) -> impl Iterator<Item = &'a Object> + 's {
        let all = self.all(kind);
        let start = all.partition_point(|o| o.namespace() < namespace);
        all.iter()
            .skip(start)
            .copied()
            .take_while(move |o| o.namespace() == namespace)
    }

    /// One object.
    pub fn find(&self, kind: &str, namespace: &str, name: &str) -> Option<&'a Object> {
        let all = self.all(kind);
        let at = all.partition_point(|o| (o.namespace(), o.name()) < (namespace, name));
        all.get(at)
            .copied()
            .filter(|o| o.namespace() == namespace && o.name() == name)
    }

    /// One object by reference.
    pub fn get(&self, r: &ObjectRef) -> Option<&'a Object> {
        self.find(&r.kind, &r.namespace, &r.name)
    }

    /// Pods that a selector of equalities (`spec.selector`) selects. None select nothing.
    pub fn selected(&self, namespace: &str, selector: &Value) -> Vec<&'a Object> {
        let want = crate::object::string_map(selector);
        let lists = want.iter().map(|(k, v)| {
            let with = self.by_label.get(&(namespace, *k, *v));
            with.map_or(&[][..], Vec::as_slice)
        });
        // The rarest label leaves the fewest to look at; none wanted selects nothing.
        let few = lists.min_by_key(|l| l.len()).unwrap_or(&[]);
        few.iter()
            .copied()
            .filter(|pod| {
                let labels = pod.labels();
                want.iter().all(|(k, v)| labels.get(k) == Some(v))
            })
            .collect()
    }

    /// Pods that belong to a Deployment, ReplicaSet, StatefulSet, DaemonSet, or the pod itself.
    pub fn pods_of(&self, owner: &Object) -> Vec<&'a Object> {
        if owner.kind() == "Pod" {
            return self
                .find("Pod", owner.namespace(), owner.name())
                .into_iter()
                .collect();
        }
        let own = self.by_owner.get(&owner.reference());
        own.cloned().unwrap_or_default()
    }

    /// There is such a namespace: the object itself, or something in it where namespaces may not be read.
    pub fn has_namespace(&self, name: &str) -> bool {
        !name.is_empty()
            && (self.find("Namespace", "", name).is_some()
                || ["Pod", "Service"]
                    .iter()
                    .any(|k| self.in_namespace(k, name).next().is_some()))
    }

    /// The Services that a pod's settings name.
    pub fn configured(&self, pod: &ObjectRef) -> &[Reference] {
        self.settings().by_pod.get(pod).map_or(&[], |named| named)
    }

    /// Every Service that settings name, there or not, with the pods whose settings do, by name.
    pub fn callers(&self) -> &BTreeMap<ObjectRef, Vec<Rc<ObjectRef>>> {
        &self.settings().by_service
    }

    fn settings(&self) -> &Configured {
        self.configured.get_or_init(|| Configured::of(self))
    }

    /// The workload a person would edit for this pod: Deployment before ReplicaSet before the pod.
    pub fn owner_of(&self, object: &Object) -> ObjectRef {
        let mut current = object.reference();
        let mut owner = controller(object);
        for _ in 0..4 {
            let Some((kind, name)) = owner else { break };
            current = ObjectRef::new(&kind, object.namespace(), &name);
            owner = self.get(&current).and_then(controller);
        }
        current
    }

    /// Endpoints of a Service's port (number as in the Service, or 0 for all ports).
    pub fn endpoints(&self, service: &Object, port: u16) -> Vec<Endpoint> {
        let declared = service.list("spec.ports");
        let name = declared
            .iter()
            .find(|p| at(p, "port").as_i64() == Some(i64::from(port)))
            .map(|p| at(p, "name").as_str().unwrap_or("").to_string());
        // A port that the Service does not have leads to no endpoint.
        if port > 0 && name.is_none() && !declared.is_empty() {
            return Vec::new();
        }
        let own = self.slices.get(&(service.namespace(), service.name()));
        let mut out = Vec::new();
        for slice in own.into_iter().flatten() {
            for p in slice.list("ports") {
                if name
                    .as_deref()
                    .is_some_and(|n| n != at(p, "name").as_str().unwrap_or(""))
                {
                    continue;
                }
                let Some(number) = at(p, "port").as_i64().and_then(|n| u16::try_from(n).ok())
                else {
                    continue;
                };
                for e in slice.list("endpoints") {
                    out.extend(endpoint(e, number, service.namespace()));
                }
            }
        }
        out.sort_by_key(|e| (e.address, e.port));
        out.dedup();
        out
    }

    /// Whether some address behind a Service is ready, whatever its port: a headless Service needs none.
    pub fn any_ready(&self, service: &Object) -> bool {
        let own = self.slices.get(&(service.namespace(), service.name()));
        let all = own.into_iter().flatten();
        all.flat_map(|slice| slice.list("endpoints"))
            .any(|e| at(e, "conditions.ready").as_bool().unwrap_or(true))
    }

    /// The Service of the cluster's DNS. The one by which the caches of nodes ask it bears its label too.
    pub fn dns(&self) -> Option<&'a Object> {
        self.all("Service").iter().copied().find(|s| {
            s.namespace() == "kube-system"
                && s.name() != crate::dns_cache::UPSTREAM
                && (s.labels().get("k8s-app") == Some(&"kube-dns") || s.name() == "kube-dns")
        })
    }

    /// The domain below which the cluster's DNS names Services, as CoreDNS is told (`kubernetes
    /// cluster.local ...` in its Corefile); `cluster.local` where that cannot be read.
    pub fn domain(&self) -> &'a str {
        let told = self
            .find("ConfigMap", "kube-system", "coredns")
            .into_iter()
            .flat_map(|c| c.str("data.Corefile").lines())
            .find_map(|l| {
                l.trim()
                    .strip_prefix("kubernetes ")?
                    .split_whitespace()
                    .next()
            });
        told.map(|d| d.trim_end_matches('.'))
            .filter(|d| !d.is_empty() && !d.ends_with("arpa") && *d != "{")
            .unwrap_or("cluster.local")
    }

    /// Whether nobody could read what the cluster's DNS is told, so that [`Topology::domain`] is a guess.
    pub fn guesses_domain(&self) -> bool {
        self.find("ConfigMap", "kube-system", "coredns").is_none()
            && self.unread("ConfigMap", "kube-system")
    }

    /// The address a workload's pods and nodes have: the pod's or node's first of that family.
    pub fn pod_with_address(&self, address: IpAddr) -> Option<&'a Object> {
        self.addresses.get(&address).copied()
    }

    /// The InternalIPs of a node.
    pub fn node_addresses(&self, node: &str) -> Vec<IpAddr> {
        let Some(n) = self.find("Node", "", node) else {
            return Vec::new();
        };
        n.list("status.addresses")
            .iter()
            .filter(|a| at(a, "type").as_str() == Some("InternalIP"))
            .filter_map(|a| at(a, "address").as_str()?.parse().ok())
            .collect()
    }
}

fn controller(object: &Object) -> Option<(String, String)> {
    object
        .list("metadata.ownerReferences")
        .iter()
        .find(|o| at(o, "controller").as_bool() == Some(true))
        .and_then(|o| {
            Some((
                at(o, "kind").as_str()?.to_string(),
                at(o, "name").as_str()?.to_string(),
            ))
        })
}

fn endpoint(e: &Value, port: u16, namespace: &str) -> Vec<Endpoint> {
    let pod = (at(e, "targetRef.kind").as_str() == Some("Pod")).then(|| {
        ObjectRef::new(
            "Pod",
            at(e, "targetRef.namespace").as_str().unwrap_or(namespace),
            at(e, "targetRef.name").as_str().unwrap_or(""),
        )
    });
    let addresses = at(e, "addresses")
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or(&[]);
    addresses
        .iter()
        .filter_map(|a| a.as_str()?.parse().ok())
        .map(|address| Endpoint {
            address,
            port,
            ready: at(e, "conditions.ready").as_bool().unwrap_or(true),
            pod: pod.clone(),
            node: at(e, "nodeName").as_str().unwrap_or("").to_string(),
        })
        .collect()
}

/// `status.podIPs` (or `podIP`) of a pod.
pub fn addresses_of_pod(pod: &Object) -> Vec<IpAddr> {
    let mut all: Vec<IpAddr> = pod
        .list("status.podIPs")
        .iter()
        .filter_map(|p| at(p, "ip").as_str()?.parse().ok())
        .collect();
    if all.is_empty() {
        all.extend(pod.str("status.podIP").parse::<IpAddr>().ok());
    }
    all
}

/// `spec.clusterIPs` (or `clusterIP`) of a Service; none for headless and ExternalName.
pub fn addresses_of_service(service: &Object) -> Vec<IpAddr> {
    let mut all: Vec<IpAddr> = service
        .list("spec.clusterIPs")
        .iter()
        .filter_map(|p| p.as_str()?.parse().ok())
        .collect();
    if all.is_empty() {
        all.extend(service.str("spec.clusterIP").parse::<IpAddr>().ok());
    }
    all
}

/// The condition of a type is `True`.
pub fn condition(object: &Object, kind: &str) -> Option<bool> {
    object
        .list("status.conditions")
        .iter()
        .find(|c| at(c, "type").as_str() == Some(kind))
        .map(|c| at(c, "status").as_str() == Some("True"))
}

/// A pod that runs and is not being deleted.
pub fn is_running(pod: &Object) -> bool {
    pod.str("status.phase") == "Running" && pod.get("metadata.deletionTimestamp").is_null()
}

/// Whether two addresses are of one family.
pub fn same_family(a: IpAddr, b: IpAddr) -> bool {
    a.is_ipv4() == b.is_ipv4()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_nobody_read_is_known_as_such() {
        let mut snapshot = ClusterSnapshot::new("dump", "test", 0);
        for what in [
            "objects of kind EndpointSlice",
            "Nodes",
            "objects of kind DaemonSet, Service in namespace kube-system",
        ] {
            snapshot.gaps.push(crate::snapshot::Gap {
                what: Text::same(what),
                missing: Text::default(),
                how_to_get: Text::default(),
            });
        }
        let topology = Topology::new(&snapshot);
        let unread =
            ["EndpointSlice", "Node", "Pod", "Endpoint"].map(|k| topology.unread(k, "shop"));
        assert_eq!(unread, [true, true, false, false]);
        // What was not read elsewhere says nothing about what is here.
        let services = ["shop", "kube-system"].map(|n| topology.unread("Service", n));
        assert_eq!(services, [false, true]);
    }

    #[test]
    fn the_domain_is_the_one_that_dns_is_told() {
        for (corefile, domain) in [
            (
                ".:53 {\n    errors\n    kubernetes corp.example in-addr.arpa ip6.arpa {\n    }\n}",
                "corp.example",
            ),
            (
                ".:53 {\n    kubernetes cluster.local. {\n    }\n}",
                "cluster.local",
            ),
            (".:53 {\n    kubernetes {\n    }\n}", "cluster.local"),
            (".:53 {\n    kubernetes in-addr.arpa\n}", "cluster.local"),
            ("", "cluster.local"),
        ] {
            let mut snapshot = ClusterSnapshot::new("test", "test", 0);
            snapshot.objects = vec![Object(
                json!({"kind": "ConfigMap", "metadata": {"name": "coredns", "namespace": "kube-system"}, "data": {"Corefile": corefile}}),
            )];
            assert_eq!(Topology::new(&snapshot).domain(), domain, "{corefile}");
        }
    }
}
