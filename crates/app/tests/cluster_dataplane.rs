//! What the cluster is: Ingress and Gateway API references, both address families, another domain, pods on a node's
//! network, and something else than kube-proxy that carries Services.

#![allow(clippy::unwrap_used)]

mod ours;
mod ring5;

use ours::{IMAGE, PROGRAM, load, ready, report, text};
use ring5::{Cluster, Fresh, Said, Space, until};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const SHOP: &str = include_str!("ring5/shop.yaml");

fn diagnose(space: &Space<'_>, words: &[&str]) -> Said {
    let all = [&["diagnose", "-n", &space.name, "-o", "json"], words].concat();
    let mut c = space.cluster.command(PROGRAM);
    text(&c.args(all).env("NETSHOOT_IMAGE", IMAGE).output().unwrap())
}

/// The check and the object that are blamed.
#[track_caller]
fn cause(said: &Said) -> String {
    let r = report(said, 1);
    let of = |k: &str| r["cause"]["subject"][k].as_str().unwrap_or("").to_string();
    let id = r["cause"]["id"].as_str().unwrap_or("");
    format!(
        "{id} {}/{} {}",
        of("kind"),
        of("name"),
        r["cause"]["catalogue"].as_str().unwrap_or("")
    )
}

fn shop<'c>(cluster: &'c Cluster, word: &str) -> Space<'c> {
    let space = cluster.namespace(word);
    space.apply(SHOP);
    space
        .kubectl(&["rollout", "status", "deployment/web", "--timeout=60s"])
        .ok();
    space.ready(&["pod/client-a", "pod/client-b", "pod/on-host"]);
    space
}

fn ingress(name: &str, host: &str, service: &str, port: &str, class: &str) -> String {
    format!(
        "{{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {{name: {name}}}, spec: {{{class}rules: [{{host: {host}, http: {{paths: [{{path: /, pathType: Prefix, backend: {{service: {{name: {service}, port: {port}}}}}}}]}}}}]}}}}\n---\n"
    )
}

#[test]
fn an_ingress_is_followed_to_what_is_behind_it() {
    let Some(cluster) = ready() else { return };
    let space = shop(&cluster, "ingress");
    space.apply(
        &[
            ingress("well", "well.example.com", "web", "{name: http}", ""),
            ingress("astray", "astray.example.com", "webb", "{number: 80}", ""),
            ingress("port", "port.example.com", "web", "{number: 8080}", ""),
            ingress("named", "named.example.com", "web", "{name: https}", ""),
            ingress(
                "classed",
                "classed.example.com",
                "web",
                "{number: 80}",
                "ingressClassName: nobodys, ",
            ),
        ]
        .concat(),
    );
    let at = ["--access", "ephemeral"];
    let well = report(
        &diagnose(
            &space,
            &[&["--symptom", "well.example.com fails"][..], &at].concat(),
        ),
        0,
    );
    assert!(
        well["summary"].as_str().unwrap().contains("Ingress/well"),
        "{well}"
    );
    for (said, want) in [
        (
            "astray.example.com fails",
            "route-leads-to-no-service Ingress/astray F105",
        ),
        (
            "port.example.com is down",
            "route-names-missing-port Ingress/port F105",
        ),
        (
            "named.example.com 访问不了",
            "route-names-missing-port Ingress/named F105",
        ),
        (
            "ingress/classed times out",
            "route-taken-by-nobody Ingress/classed F105",
        ),
    ] {
        assert_eq!(
            cause(&diagnose(&space, &[&["--symptom", said][..], &at].concat())),
            want,
            "{said}"
        );
    }
    // View in the namespace: the Ingress is read; whether its class is there is not, and that is said. Of the Gateway API, which
    // is not served here, no right is missing.
    space
        .kubectl(&[
            "create",
            "rolebinding",
            "viewer",
            "--clusterrole=view",
            "--user=viewer",
        ])
        .ok();
    let said = diagnose(
        &space,
        &[
            "--to",
            "ingress/classed",
            "--as",
            "viewer",
            "--access",
            "objects",
        ],
    );
    let unread = report(&said, 2)["unknown"].to_string();
    assert!(
        unread.contains("ingressclasses") && !unread.contains("httproutes"),
        "{unread}"
    );
    // What stands behind is looked at as ever.
    space
        .kubectl(&[
            "patch",
            "service",
            "web",
            "-p",
            "{\"spec\":{\"selector\":{\"app\":\"wep\"}}}",
        ])
        .ok();
    let said = until("the endpoints are gone", 20, || {
        let said = diagnose(&space, &[&["--to", "ingress/well"][..], &at].concat());
        if said.code == 1 {
            Ok(said)
        } else {
            Err(said.all())
        }
    });
    assert_eq!(cause(&said), "service-selects-no-pod Service/web F21");
    // Who may read nothing is told what is missing, and no more.
    let said = diagnose(
        &space,
        &[
            "--to",
            "ingress/well",
            "--as",
            "nobody",
            "--access",
            "objects",
        ],
    );
    assert_ne!(said.code, 1, "{}", said.all());
}

const CILIUM: &str = "{apiVersion: v1, kind: ConfigMap, metadata: {name: cilium-config}, data: {kube-proxy-replacement: 'true'}}\n---\n";

fn daemon_set(name: &str, env: &str) -> String {
    format!(
        "{{apiVersion: apps/v1, kind: DaemonSet, metadata: {{name: {name}}}, spec: {{selector: {{matchLabels: {{k8s-app: {name}}}}}, template: {{metadata: {{labels: {{k8s-app: {name}}}}}, spec: {{terminationGracePeriodSeconds: 0, containers: [{{name: agent, image: 'localhost/busybox:lab', imagePullPolicy: Never, command: [sleep, infinity], env: [{env}]}}]}}}}}}}}\n"
    )
}

fn route(from: &Space<'_>, to: &Space<'_>) -> String {
    format!(
        "{{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {{name: front, namespace: {}}}, spec: {{hostnames: [front.example.com], rules: [{{backendRefs: [{{name: web, namespace: {}, port: 80}}]}}]}}}}",
        from.name, to.name
    )
}

#[test]
fn a_cluster_of_both_families_another_domain_and_another_dataplane() {
    let settings = [("CLUSTER_IPV6", "1"), ("CLUSTER_DOMAIN", "corp.example")];
    let Some(cluster) = Fresh::start("plane", &settings) else {
        return;
    };
    load(&cluster);
    let space = shop(&cluster, "plane");
    space.apply(include_str!("ring5/plane.yaml"));
    let ask = |from: &str, to: &str, more: &[&str]| {
        diagnose(&space, &[&["--from", from, "--to", to][..], more].concat())
    };
    carried(&space);
    both_families(&ask);
    another_domain(&space);
    gateway(&cluster, &space);
    ipv6_rules(&cluster, &ask);
    other_dataplanes(&cluster, &space);
}

/// Waits until kube-proxy has written the rules of Services just made, as each client sees it.
fn carried(space: &Space<'_>) {
    for (service, family) in [("web-dual", 1), ("web-six", 0)] {
        let address = space.field(
            &format!("service/{service}"),
            &format!("{{.spec.clusterIPs[{family}]}}"),
        );
        let to = SocketAddr::new(address.parse().unwrap(), 80);
        for client in ["pod/client-a", "pod/client-b", "pod/on-host"] {
            let node = space.field(client, "{.spec.nodeName}");
            let uid = space.field(client, "{.metadata.uid}");
            let network = space.cluster.network(&node, &uid);
            until("Services are carried", 20, || {
                let connect = || TcpStream::connect_timeout(&to, Duration::from_secs(1));
                let connected = network.enter(connect).unwrap();
                connected
                    .map(drop)
                    .map_err(|e| format!("{client} to {to}: {e}"))
            });
        }
    }
}

type Ask<'a> = &'a dyn Fn(&str, &str, &[&str]) -> Said;

fn both_families(ask: Ask<'_>) {
    for from in ["pod/client-a", "pod/client-b", "pod/on-host"] {
        for to in ["svc/web-dual:80", "svc/web-six:80"] {
            let said = ask(from, to, &["--access", "ephemeral"]);
            let r = report(&said, 0);
            assert!(
                r["symptom"].to_string().contains("TCP connect to [fd96:"),
                "{from} {to}: {}",
                r["symptom"]
            );
        }
    }
}

/// Who may read the DNS's settings learns the domain there, who may not from a pod's resolv.conf.
fn another_domain(space: &Space<'_>) {
    let to = [
        "--from",
        "pod/client-a",
        "--to",
        "svc/web:80",
        "--access",
        "ephemeral",
    ];
    let name = format!("web.{}.svc.corp.example resolves", space.name);
    let r = report(&diagnose(space, &to), 0);
    assert!(r["symptom"].to_string().contains(&name), "{r}");
    space
        .kubectl(&[
            "create",
            "rolebinding",
            "lesser",
            "--clusterrole=edit",
            "--user=lesser",
        ])
        .ok();
    space
        .kubectl(&[
            "create",
            "role",
            "lesser",
            "--verb=patch,update,get",
            "--resource=pods/ephemeralcontainers",
        ])
        .ok();
    space
        .kubectl(&[
            "create",
            "rolebinding",
            "lesser-too",
            "--role=lesser",
            "--user=lesser",
        ])
        .ok();
    let r = report(
        &diagnose(space, &[&to[..], &["--as", "lesser"]].concat()),
        0,
    );
    assert!(r["symptom"].to_string().contains(&name), "{r}");
    assert!(
        r["unknown"].to_string().contains("ConfigMap"),
        "{}",
        r["unknown"]
    );
}

fn gateway(cluster: &Cluster, space: &Space<'_>) {
    cluster
        .feed(&["apply", "-f", "-"], include_str!("ring5/gateway.yaml"))
        .ok();
    let asking = cluster.namespace("front");
    cluster
        .kubectl(&[
            "wait",
            "--for=condition=Established",
            "--timeout=20s",
            "crd",
            "--all",
        ])
        .ok();
    until("the routes are served", 20, || {
        let said = cluster.feed(&["apply", "-f", "-"], &route(&asking, space));
        if said.code == 0 {
            Ok(())
        } else {
            Err(said.all())
        }
    });
    asking.apply("{apiVersion: v1, kind: Pod, metadata: {name: client}, spec: {terminationGracePeriodSeconds: 0, containers: [{name: client, image: 'localhost/busybox:lab', imagePullPolicy: Never, command: [sleep, infinity]}]}}");
    asking.ready(&["pod/client"]);
    let words = [
        "--symptom",
        "front.example.com fails",
        "--access",
        "ephemeral",
    ];
    assert_eq!(
        cause(&diagnose(&asking, &words)),
        "route-lacks-reference-grant HTTPRoute/front F105"
    );
    // The grant is served in another version than the one that is built in.
    space.apply(&format!("{{apiVersion: gateway.networking.k8s.io/v1, kind: ReferenceGrant, metadata: {{name: front}}, spec: {{from: [{{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: {}}}], to: [{{group: '', kind: Service}}]}}}}", asking.name));
    let r = report(&diagnose(&asking, &words), 0);
    assert!(
        r["summary"].as_str().unwrap().contains("HTTPRoute/front"),
        "{r}"
    );
}

/// kube-proxy's rules of IPv6 alone are gone, in each of its modes.
fn ipv6_rules(cluster: &Cluster, ask: Ask<'_>) {
    for (node, client, flush) in [
        (
            "node-a",
            "pod/client-a",
            &["ip6tables", "-t", "nat", "-F", "KUBE-SERVICES"][..],
        ),
        (
            "node-b",
            "pod/client-b",
            &["nft", "delete", "table", "ip6", "kube-proxy"],
        ),
    ] {
        cluster.script(&["daemon", "kill", node, "kube-proxy"]).ok();
        cluster.on(node, flush).ok();
        let said = ask(client, "svc/web-six:80", &["--access", "node"]);
        assert_eq!(
            cause(&said),
            format!("service-rules-stale Node/{node} F44"),
            "{}",
            said.all()
        );
        report(&ask(client, "svc/web:80", &["--access", "ephemeral"]), 0);
    }
}

/// The way to the Service of both, looked at with the node's rights.
fn by_node(client: &str) -> [&str; 6] {
    ["--from", client, "--to", "svc/web:80", "--access", "node"]
}

/// Without kube-proxy, its rules gone: unknown, because of the dataplane, never rules missing.
fn other_dataplanes(cluster: &Cluster, space: &Space<'_>) {
    cluster
        .on("node-a", &["iptables", "-t", "nat", "-F", "KUBE-SERVICES"])
        .ok();
    let to = by_node("pod/client-a");
    assert_eq!(
        cause(&diagnose(space, &to)),
        "service-rules-stale Node/node-a F44"
    );
    let (own, env) = (
        cluster.namespace("own"),
        "{name: FELIX_BPFENABLED, value: 'true'}",
    );
    for (manifests, want) in [
        (format!("{CILIUM}{}", daemon_set("cilium", "")), "Cilium"),
        (daemon_set("calico-node", env), "Calico (eBPF)"),
    ] {
        own.apply(&manifests);
        let r = report(&diagnose(space, &to), 2);
        let (cause, unknown) = (&r["cause"], r["unknown"].to_string());
        assert!(
            cause.is_null() && unknown.contains("the dataplane is ") && unknown.contains(want),
            "{r}"
        );
        assert!(!r.to_string().contains("F44"), "{r}");
        own.delete(&manifests);
    }
    daemonsets_unread(cluster, space);
}

/// Whose rules are missing is not known to who may not read DaemonSets, where nothing of kube-proxy's is left on the node.
fn daemonsets_unread(cluster: &Cluster, space: &Space<'_>) {
    cluster
        .on("node-b", &["nft", "delete", "table", "ip", "kube-proxy"])
        .ok();
    let to = by_node("pod/client-b");
    assert_eq!(
        cause(&diagnose(space, &to)),
        "service-rules-stale Node/node-b F44"
    );
    let but = "{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: but-daemonsets}, rules: [{apiGroups: ['', discovery.k8s.io, networking.k8s.io, batch], resources: ['*'], verbs: ['*']}, {apiGroups: [apps], resources: [deployments, replicasets, statefulsets], verbs: ['*']}]}";
    cluster.feed(&["apply", "-f", "-"], but).ok();
    cluster
        .kubectl(&[
            "create",
            "clusterrolebinding",
            "but-daemonsets",
            "--clusterrole=but-daemonsets",
            "--user=but",
        ])
        .ok();
    let r = report(&diagnose(space, &[&to[..], &["--as", "but"]].concat()), 2);
    assert!(
        r["cause"].is_null() && r["unknown"].to_string().contains("what carries Services"),
        "{r}"
    );
}
