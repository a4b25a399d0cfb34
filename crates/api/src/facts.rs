//! The facts of a live cluster as a snapshot: only kinds that somebody asks for, only in the
//! namespaces that matter, thinned while they are read. What may not be read becomes a gap that
//! names the right.

mod crossed;

use crate::live::{Cluster, Denial, Error, Resource, Selection};
use crossed::{MOST_CROSSED, crossed, routes_of_system};
use netshoot_model::object::{Object, ObjectRef, at};
use netshoot_model::snapshot::{ClusterSnapshot, Gap};
use netshoot_model::text;
use netshoot_model::text::Text;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Requests in flight at the same time.
const AT_ONCE: usize = 8;
/// Where the cluster's own programs live.
pub const SYSTEM: &str = "kube-system";

/// What is wanted.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Kinds, as in manifests.
    pub kinds: BTreeSet<String>,
    /// Namespaces it is about; empty for all of them.
    pub namespaces: BTreeSet<String>,
    /// Words of the question: a namespace that is named in them is read too.
    pub words: String,
    /// Objects that the question names: they are tried one by one where lists are forbidden.
    pub named: BTreeSet<ObjectRef>,
    /// When, milliseconds since 1970.
    pub now_ms: u64,
}

/// One list to be read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Job {
    kind: String,
    namespace: String,
}

/// Reads the facts. Fails only where there is no cluster to ask.
pub fn facts(cluster: &Cluster, wanted: &Wanted) -> Result<ClusterSnapshot, Error> {
    // Asked beside the lists; it tells the name that stands in the cluster's audit log.
    let (who, mut read) = std::thread::scope(|scope| {
        let who = scope.spawn(|| cluster.who_am_i());
        let read = read(cluster, wanted, first_jobs(wanted));
        (who.join(), read)
    });
    let who = match who {
        Ok(Ok((name, _))) => name,
        Ok(Err(e)) if e.is_no_cluster() => return Err(e),
        _ => cluster.user().to_string(),
    };
    if let Some(e) = read.no_cluster.take() {
        return Err(e);
    }
    let mut jobs = jobs_in(wanted, &crossed(wanted, &read.objects));
    jobs.extend(routes_of_system(wanted, &read.objects));
    if !jobs.is_empty() {
        let more = self::read(cluster, wanted, jobs);
        read.objects.extend(more.objects);
        read.gaps.extend(more.gaps);
    }
    let source = format!("cluster {} ({})", cluster.context(), cluster.server());
    let mut snapshot = ClusterSnapshot::new(&source, &who, wanted.now_ms);
    snapshot.objects = read.objects;
    snapshot.gaps = read.gaps.into_iter().collect();
    crate::tidy(&mut snapshot);
    Ok(snapshot)
}

fn is_namespaced(kind: &str) -> bool {
    Resource::known(kind).is_none_or(|r| r.namespaced)
}

/// One of Kubernetes itself may have objects in any cluster: where it is not served at the place that is known, they may be
/// there in a version that nothing here reads.
fn is_kubernetes_own(kind: &str) -> bool {
    Resource::known(kind).is_some_and(|r| r.is_kubernetes_own())
}

fn first_jobs(wanted: &Wanted) -> Vec<Job> {
    let mut jobs: BTreeSet<Job> = wanted
        .kinds
        .iter()
        .filter(|k| !is_namespaced(k))
        .map(|k| Job {
            kind: k.clone(),
            namespace: String::new(),
        })
        .collect();
    if !wanted.namespaces.is_empty() {
        jobs.insert(carriers());
    }
    let mut namespaces = wanted.namespaces.clone();
    if namespaces.is_empty() {
        // The empty name is the list over all of them.
        namespaces.insert(String::new());
    } else {
        namespaces.insert(SYSTEM.into());
    }
    jobs.extend(jobs_in(wanted, &namespaces));
    jobs.into_iter().collect()
}

fn jobs_in(wanted: &Wanted, namespaces: &BTreeSet<String>) -> Vec<Job> {
    let mut jobs = Vec::new();
    for namespace in namespaces {
        let system = namespace == SYSTEM && !wanted.namespaces.contains(SYSTEM);
        for kind in wanted.kinds.iter().filter(|k| is_namespaced(k)) {
            // Of the cluster's own programs only those matter that conversations cross.
            if system && ["Secret", "Certificate", "ReplicaSet"].contains(&kind.as_str()) {
                continue;
            }
            let asked = namespace.is_empty() || wanted.namespaces.contains(namespace);
            let matters = match kind.as_str() {
                // Those of others are not asked about; what matters of others is whether they let in the asked ones.
                "Ingress" | "HTTPRoute" => asked,
                "ReferenceGrant" => namespace.is_empty() || !asked && !system,
                "Gateway" => !system,
                _ => true,
            };
            if !matters {
                continue;
            }
            jobs.push(Job {
                kind: kind.clone(),
                namespace: namespace.clone(),
            });
        }
        if namespace == SYSTEM || namespace.is_empty() {
            // What carries Services, and the settings of DNS.
            for kind in ["DaemonSet", "ConfigMap"] {
                jobs.push(Job {
                    kind: kind.into(),
                    namespace: SYSTEM.into(),
                });
            }
        }
    }
    jobs.sort();
    jobs.dedup();
    jobs
}

#[derive(Default)]
struct Read {
    objects: Vec<Object>,
    gaps: BTreeSet<Gap>,
    refused: Vec<(Job, Denial)>,
    no_cluster: Option<Error>,
    /// No answer in time, or none for so many.
    silent: Option<Error>,
    /// Something was answered, if only by a refusal.
    answered: bool,
}

fn read(cluster: &Cluster, wanted: &Wanted, jobs: Vec<Job>) -> Read {
    let next = AtomicUsize::new(0);
    let all = Mutex::new(Read::default());
    let work = || {
        while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
            let one = read_one(cluster, wanted, job);
            let Ok(mut all) = all.lock() else { return };
            all.objects.extend(one.objects);
            all.gaps.extend(one.gaps);
            all.refused.extend(one.refused);
            all.answered |= one.answered;
            let silent = one.silent.filter(|_| !all.answered);
            if let Some(e) = one.no_cluster.or(silent) {
                all.no_cluster = Some(e);
                // Nothing else will be answered either.
                next.store(jobs.len(), Ordering::Relaxed);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..AT_ONCE.min(jobs.len()) {
            scope.spawn(work);
        }
        work();
    });
    let mut all = all.into_inner().unwrap_or_default();
    get_where_lists_are_forbidden(cluster, wanted, &mut all);
    all
}

/// The objects of a job. A kind of the Gateway API may be served in another version, or nowhere: who may not list it is told
/// so by the API server in either case.
fn listed(cluster: &Cluster, job: &Job) -> Result<Vec<Object>, Error> {
    let kind = cluster.resource(&job.kind)?;
    let list = |kind: &Resource| {
        cluster.list_thin(kind, &job.namespace, &selection(job), &|item| thin(item))
    };
    match list(&kind) {
        Err(e) if e.is_forbidden() || e.is_not_found() => match cluster.elsewhere(&kind) {
            Ok(Some(other)) if other != kind => list(&other),
            Ok(None) if kind.group.starts_with("gateway.") => Ok(Vec::new()),
            _ => Err(e),
        },
        other => other,
    }
}

fn selection(job: &Job) -> Selection {
    match job.kind.as_str() {
        // Other Secrets are none of a network diagnosis's business.
        "Secret" => Selection::fields("type=kubernetes.io/tls"),
        _ => Selection::default(),
    }
}

fn read_one(cluster: &Cluster, wanted: &Wanted, job: &Job) -> Read {
    let mut out = Read::default();
    if *job == carriers() && !wanted.namespaces.is_empty() {
        return carriers_of(cluster);
    }
    let settings = job.kind == "ConfigMap" && !wanted.kinds.contains("ConfigMap");
    if settings {
        return settings_of(cluster, job);
    }
    let listed = listed(cluster, job);
    match listed {
        Ok(objects) => {
            out.objects = objects;
            out.answered = true;
        }
        // A kind of an extension that this cluster does not know has no objects: that is no gap.
        Err(e) if e.is_not_found() && !is_kubernetes_own(&job.kind) => out.answered = true,
        Err(e) if e.is_no_cluster() => out.no_cluster = Some(e),
        Err(e) => {
            out.answered = e.is_forbidden() || e.is_not_found();
            match e {
                // Nobody but administrators may list them; the check that needs one says so.
                Error::Forbidden(_) if job.kind.ends_with("WebhookConfiguration") => {}
                Error::Forbidden(d) => out.refused.push((job.clone(), *d)),
                e => {
                    out.gaps.insert(gap(job, &e));
                    out.silent = Some(e).filter(Error::is_silence);
                }
            }
        }
    }
    out
}

/// DaemonSets that carry Services instead of kube-proxy or beside it, wherever they are.
const CARRIERS: [&str; 6] = [
    "anetd",
    "antrea-agent",
    "calico-node",
    "cilium",
    "kube-router",
    "ovnkube-node",
];

fn carriers() -> Job {
    Job {
        kind: "DaemonSet".into(),
        namespace: String::new(),
    }
}

/// Whoever may not list them everywhere learns it from those of kube-system.
fn carriers_of(cluster: &Cluster) -> Read {
    let mut out = Read::default();
    let listed = cluster
        .resource("DaemonSet")
        .and_then(|kind| cluster.list_thin(&kind, "", &Selection::default(), &|item| thin(item)));
    out.answered = matches!(listed, Ok(_) | Err(Error::Forbidden(_)));
    let mut found = listed.unwrap_or_default();
    found.retain(|o| o.namespace() != SYSTEM && CARRIERS.contains(&o.name()));
    for o in found.iter().filter(|o| o.name() == "cilium") {
        let settings = Resource::known("ConfigMap")
            .and_then(|kind| cluster.get(&kind, o.namespace(), "cilium-config").ok());
        out.objects.extend(settings);
    }
    out.objects.extend(found);
    out
}

/// Those settings, each by its name. Without the right to read them it is not known what the cluster's domain is and what
/// carries Services, which is a gap like any other.
fn settings_of(cluster: &Cluster, job: &Job) -> Read {
    let mut out = Read::default();
    let Some(kind) = Resource::known(&job.kind) else {
        return out;
    };
    for name in SETTINGS {
        match cluster.get(&kind, &job.namespace, name) {
            Ok(object) => out.objects.push(object),
            Err(Error::Forbidden(d)) => {
                out.answered = true;
                out.refused.push((job.clone(), *d));
                // The others are refused too.
                break;
            }
            Err(e) if e.is_not_found() => out.answered = true,
            Err(e) if e.is_no_cluster() => {
                out.no_cluster = Some(e);
                break;
            }
            Err(e) => {
                out.gaps.insert(gap(job, &e));
                out.silent = Some(e).filter(Error::is_silence);
                break;
            }
        }
    }
    out
}

/// Settings that tell how names are answered and what carries Services.
const SETTINGS: &[&str] = &["coredns", "cilium-config", "node-local-dns"];

fn gap(job: &Job, e: &Error) -> Gap {
    let kind = &job.kind;
    let what = match job.namespace.as_str() {
        "" => text!("objects of kind {kind}", "{kind} 类对象"),
        n => text!(
            "objects of kind {kind} in namespace {n}",
            "命名空间 {n} 中的 {kind} 类对象"
        ),
    };
    Gap {
        what,
        missing: Text::same(e.to_string()),
        how_to_get: Text::same(e.how_to_get()),
    }
}

/// One gap for all that is refused in a namespace: nobody wants to grant rights one by one.
fn refused_together(refused: &[(Job, Denial)]) -> Vec<Gap> {
    let mut by_place: BTreeMap<&str, Vec<&(Job, Denial)>> = BTreeMap::new();
    for one in refused {
        by_place
            .entry(one.1.tried.namespace.as_str())
            .or_default()
            .push(one);
    }
    let join = |words: BTreeSet<String>, by: &str| words.into_iter().collect::<Vec<_>>().join(by);
    let mut gaps = Vec::new();
    for (place, all) in by_place {
        let Some((_, first)) = all.first() else {
            continue;
        };
        let kinds = join(all.iter().map(|(j, _)| j.kind.clone()).collect(), ", ");
        let resources: BTreeSet<String> = all.iter().map(|(_, d)| d.resource_word()).collect();
        let shown = join(resources.clone(), ", ");
        let (what, missing) = if place.is_empty() {
            (
                text!("objects of kind {kinds}", "{kinds} 类对象"),
                text!(
                    "the right to list {shown} in all namespaces",
                    "在全部命名空间列出 {shown} 的权限"
                ),
            )
        } else {
            (
                text!(
                    "objects of kind {kinds} in namespace {place}",
                    "命名空间 {place} 中的 {kinds} 类对象"
                ),
                text!(
                    "the right to list {shown} in namespace {place}",
                    "在命名空间 {place} 列出 {shown} 的权限"
                ),
            )
        };
        let command = first.grant("netshoot-read", "get,list", &join(resources, ","));
        gaps.push(Gap {
            what,
            missing,
            how_to_get: Text::same(command),
        });
    }
    gaps
}

/// Objects that may be read by their names although the list may not: those that the question
/// names, the namespaces it is about, the nodes of the pods that were read.
fn get_where_lists_are_forbidden(cluster: &Cluster, wanted: &Wanted, read: &mut Read) {
    let mut refused = std::mem::take(&mut read.refused);
    // Classes matter where there is something of a class.
    let classed = read.objects.iter().any(|o| o.kind() == "Ingress");
    refused.retain(|(job, _)| classed || job.kind != "IngressClass");
    read.gaps.extend(refused_together(&refused));
    let mut names: BTreeSet<ObjectRef> = BTreeSet::new();
    for (job, _) in &refused {
        let (kind, place) = (&job.kind, &job.namespace);
        let asked = wanted.named.iter().filter(|r| r.kind == *kind);
        names.extend(asked.filter(|r| r.namespace == *place).cloned());
        if kind == "Namespace" {
            let all = wanted.namespaces.iter();
            names.extend(all.map(|n| ObjectRef::new(kind, "", n)));
            // A word of the question may be another one, and whoever has rights in it may read it.
            let words = wanted
                .words
                .split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
            let like_one = |w: &&str| w.len() > 2 && !w.contains(|c: char| c.is_ascii_uppercase());
            let words = words.filter(like_one).take(MOST_CROSSED);
            names.extend(words.map(|n| ObjectRef::new(kind, "", n)));
        }
        if kind == "Node" {
            let pods = read.objects.iter().filter(|o| o.kind() == "Pod");
            let nodes: BTreeSet<&str> = pods.map(|p| p.str("spec.nodeName")).collect();
            let nodes = nodes.into_iter().filter(|n| !n.is_empty()).take(16);
            names.extend(nodes.map(|n| ObjectRef::new(kind, "", n)));
        }
        if kind == "Service" && place == SYSTEM {
            names.insert(ObjectRef::new(kind, SYSTEM, "kube-dns"));
        }
    }
    for name in names {
        let got = cluster
            .resource(&name.kind)
            .and_then(|kind| cluster.get(&kind, &name.namespace, &name.name));
        match got {
            Ok(mut object) => {
                thin(&mut object.0);
                read.objects.push(object);
            }
            // One refusal is enough to know that the others are refused too.
            Err(Error::Forbidden(_)) if name.kind == "Node" => break,
            Err(_) => {}
        }
    }
}

/// Takes away what no diagnosis reads: thousands of pods must fit.
pub fn thin(object: &mut Value) {
    crate::redact(object);
    let kind = object
        .get("kind")
        .and_then(Value::as_str)
        .unwrap_or("")
        .to_string();
    if let Some(Value::Object(m)) = object.get_mut("metadata") {
        for key in ["selfLink", "generateName", "managedFields"] {
            m.remove(key);
        }
    }
    match kind.as_str() {
        "Pod" => thin_pod(object),
        "Node" => {
            if let Some(Value::Object(status)) = object.get_mut("status") {
                for key in [
                    "images",
                    "volumesInUse",
                    "volumesAttached",
                    "daemonEndpoints",
                ] {
                    status.remove(key);
                }
            }
        }
        "ReplicaSet" => {
            // Owner of pods, owned by a Deployment: the template stands there.
            if let Some(Value::Object(spec)) = object.get_mut("spec") {
                spec.remove("template");
            }
        }
        _ => {}
    }
}

fn thin_pod(pod: &mut Value) {
    if let Some(Value::Object(spec)) = pod.get_mut("spec") {
        for key in [
            "tolerations",
            "schedulerName",
            "preemptionPolicy",
            "priority",
            "enableServiceLinks",
            "terminationGracePeriodSeconds",
            "serviceAccount",
        ] {
            spec.remove(key);
        }
        let token = |v: &Value| {
            at(v, "name")
                .as_str()
                .is_some_and(|n| n.starts_with("kube-api-access-"))
        };
        if let Some(Value::Array(volumes)) = spec.get_mut("volumes") {
            volumes.retain(|v| !token(v));
        }
        for list in ["containers", "initContainers", "ephemeralContainers"] {
            let Some(Value::Array(containers)) = spec.get_mut(list) else {
                continue;
            };
            for c in containers.iter_mut().filter_map(Value::as_object_mut) {
                for key in [
                    "terminationMessagePath",
                    "terminationMessagePolicy",
                    "imagePullPolicy",
                ] {
                    c.remove(key);
                }
                if let Some(Value::Array(mounts)) = c.get_mut("volumeMounts") {
                    mounts.retain(|m| !token(m));
                }
                c.retain(|_, v| !v.as_array().is_some_and(Vec::is_empty));
            }
        }
        spec.retain(|_, v| !v.as_array().is_some_and(Vec::is_empty));
    }
    if let Some(Value::Object(status)) = pod.get_mut("status") {
        for key in ["hostIPs", "qosClass", "observedGeneration"] {
            status.remove(key);
        }
        if let Some(Value::Array(conditions)) = status.get_mut("conditions") {
            // A condition that holds says nothing beyond its name; Ready tells its time.
            conditions.retain(|c| {
                at(c, "status").as_str() != Some("True") || at(c, "type").as_str() == Some("Ready")
            });
        }
    }
}

#[cfg(test)]
mod tests;
