//! The cluster of ring 5 is what it says: a Kubernetes that behaves as Kubernetes does. Each claim of lab/cluster/README.md
//! about what runs in it is held here; what is left on the machine is held in cluster_machine.rs.

#![allow(clippy::unwrap_used)]

mod ring5;

use ring5::{Space, holds, shared, until};
use std::collections::BTreeSet;

/// A web server on both nodes and a client on each.
const SHOP: &str = include_str!("ring5/shop.yaml");

fn shop(space: &Space<'_>) {
    space.apply(SHOP);
    space
        .kubectl(&["rollout", "status", "deployment/web", "--timeout=60s"])
        .ok();
    space.ready(&["pod/client-a", "pod/client-b", "pod/on-host"]);
}

/// The replicas that answer a client which asks sixty times.
fn answering(space: &Space<'_>, client: &str) -> BTreeSet<String> {
    let ask = "for i in $(seq 60); do timeout 3 wget -q -O - http://web/hostname; echo; done";
    let said = space.exec(client, &["sh", "-c", ask]).ok();
    said.lines().map(str::to_string).collect()
}

#[test]
fn names_services_and_pods_are_reached_from_both_nodes() {
    let Some(cluster) = shared() else { return };
    let nodes = cluster
        .kubectl(&["get", "nodes", "-o", "jsonpath={.items[*].metadata.name}"])
        .ok();
    assert_eq!(nodes, "node-a node-b");
    let space = cluster.namespace("reach");
    shop(&space);
    let places = space.kubectl(&[
        "get",
        "pods",
        "-l",
        "app=web",
        "-o",
        "jsonpath={range .items[*]}{.metadata.name} {.spec.nodeName} {.status.podIP}{\"\\n\"}{end}",
    ]);
    let places = places.ok();
    let pods: Vec<Vec<&str>> = places.lines().map(|l| l.split(' ').collect()).collect();
    let names: BTreeSet<String> = pods.iter().map(|p| p[0].to_string()).collect();
    assert_eq!(names.len(), 5);
    let nodes: BTreeSet<&str> = pods.iter().map(|p| p[1]).collect();
    assert_eq!(nodes.len(), 2, "{places}");

    // node-a's kube-proxy writes iptables rules, node-b's nftables.
    // Ready pods are in their rules a moment later.
    for client in ["client-a", "client-b"] {
        until(
            &format!("all replicas from {client}"),
            10,
            || match answering(&space, client) {
                all if all == names => Ok(()),
                some => Err(format!("only {some:?}")),
            },
        );
    }
    let rules = cluster.on("node-a", &["iptables-save", "-t", "nat"]).ok();
    assert!(rules.contains("KUBE-SERVICES"), "{rules}");
    let rules = cluster.on("node-b", &["nft", "list", "tables"]).ok();
    assert!(rules.contains("table ip kube-proxy"), "{rules}");

    let lookup = |pod: &str, name: &str| space.exec(pod, &["nslookup", name]).all();
    let full = format!("web.{}.svc.cluster.local", space.name);
    let service = space.field("service/web", "{.spec.clusterIP}");
    for pod in ["client-a", "client-b", "on-host"] {
        holds(lookup(pod, &full), &format!("Address: {service}")).unwrap();
    }
    let headless = lookup(
        "client-a",
        &format!("web-headless.{}.svc.cluster.local", space.name),
    );
    assert_eq!(
        headless.matches("Address: 10.244.").count(),
        5,
        "{headless}"
    );
    holds(lookup("client-a", "www.example.test"), "198.51.100.80").unwrap();

    let port = space.field("service/web", "{.spec.ports[0].nodePort}");
    for node in ["10.90.0.11", "10.90.0.12"] {
        let url = format!("http://{node}:{port}/hostname");
        let said = cluster.on(
            "world",
            &["timeout", "3", "busybox", "wget", "-q", "-O", "-", &url],
        );
        assert!(names.contains(&said.ok()), "NodePort of {node}");
    }
    // Who goes out has the node's address, who stays inside has its own.
    let seen = space
        .get("client-a", "http://www.example.test/clientip")
        .ok();
    assert!(seen.starts_with("10.90.0.11:"), "{seen}");
    let far = pods.iter().find(|p| p[1] == "node-b").unwrap()[2];
    let own = space.field("pod/client-a", "{.status.podIP}");
    let seen = space
        .get("client-a", &format!("http://{far}:8080/clientip"))
        .ok();
    assert!(seen.starts_with(&format!("{own}:")), "{seen}, not {own}");
    let addresses = space.exec("on-host", &["ip", "addr"]).ok();
    assert!(addresses.contains("10.90.0.12/"), "{addresses}");
    // A pod reaches itself through its own Service.
    let lone = space.field("service/lone", "{.spec.clusterIP}");
    space.ready(&["pod/lone"]);
    until("the hairpin", 10, || {
        let own = cluster.on(
            &format!("{}/lone", space.name),
            &[
                "timeout",
                "3",
                "busybox",
                "wget",
                "-q",
                "-O",
                "-",
                &format!("http://{lone}/hostname"),
            ],
        );
        holds(own.all(), "lone")
    });
}

const DENY: &str = "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: default-deny}
spec: {podSelector: {}, policyTypes: [Ingress, Egress]}
";

#[test]
fn policies_close_and_open_on_both_nodes() {
    let Some(cluster) = shared() else { return };
    let space = cluster.namespace("policy");
    shop(&space);
    let service = space.field("service/web", "{.spec.clusterIP}");
    let by_address = format!("http://{service}/hostname");
    let reached = |pod: &str, url: &str| {
        let said = space.get(pod, url);
        if said.code == 0 {
            Ok(said.out)
        } else {
            Err(said.all())
        }
    };
    let closed = |pod: &str, url: &str| match reached(pod, url) {
        Ok(answer) => Err(answer),
        Err(_) => Ok(()),
    };
    for pod in ["client-a", "client-b"] {
        until("all is open", 10, || reached(pod, "http://web/hostname"));
    }
    space.apply(DENY);
    for pod in ["client-a", "client-b"] {
        until("default-deny closes the Service", 10, || {
            closed(pod, &by_address)
        });
    }
    assert_ne!(
        space
            .exec("client-b", &["timeout", "3", "nslookup", "web"])
            .code,
        0,
        "DNS too"
    );
    space.apply(include_str!("ring5/allow.yaml"));
    for pod in ["client-a", "client-b"] {
        until("two allow rules open it, names too", 10, || {
            reached(pod, "http://web/hostname")
        });
    }
    closed("client-a", "http://198.51.100.80/hostname").unwrap();
    // What it dropped is counted by pod and direction.
    let rules = cluster
        .on("node-a", &["nft", "list", "table", "inet", "netpol"])
        .ok();
    let drops = rules
        .lines()
        .find(|l| l.contains(&format!("egress {}/client-a", space.name)))
        .unwrap();
    assert!(
        drops.contains("drop") && !drops.contains("packets 0 "),
        "{drops}"
    );
    space.kubectl(&["delete", "networkpolicy", "--all"]).ok();
    until("without policies all is open", 10, || {
        reached("client-a", "http://198.51.100.80/hostname")
    });
}

#[test]
fn pods_that_fail_are_told_as_kubernetes_tells_them() {
    let Some(cluster) = shared() else { return };
    let space = cluster.namespace("failing");
    space.apply(include_str!("ring5/failing.yaml"));
    let status = |pod: &str, path: &str| {
        space.field(
            &format!("pod/{pod}"),
            &format!("{{.status.containerStatuses[0].{path}}}"),
        )
    };
    until("OOMKilled", 30, || {
        holds(status("greedy", "lastState.terminated.reason"), "OOMKilled")
    });
    assert_eq!(status("greedy", "lastState.terminated.exitCode"), "137");
    let mut look = 0;
    until("CrashLoopBackOff", 40, || {
        // This kubelet sleeps through the back-off and says so only when something wakes it: an update of the pod.
        look += 1;
        space.kubectl(&[
            "annotate",
            "pod",
            "greedy",
            "--overwrite",
            &format!("looked-at={look}"),
        ]);
        holds(status("greedy", "state.waiting.reason"), "CrashLoopBackOff")
    });
    until("the EndpointSlice says not ready", 30, || {
        let slices = [
            "get",
            "endpointslices",
            "-l",
            "kubernetes.io/service-name=unready",
            "-o",
            "jsonpath={.items[0].endpoints[0].conditions}",
        ];
        holds(space.kubectl(&slices).out, "\"ready\":false")
    });
    until("an image that nobody has", 60, || {
        let reason = status("no-image", "state.waiting.reason");
        if ["ImagePullBackOff", "ErrImagePull"].contains(&reason.as_str()) {
            Ok(())
        } else {
            Err(reason)
        }
    });
}

#[test]
fn people_enter_pods_and_nodes_with_stock_kubectl() {
    let Some(cluster) = shared() else { return };
    let space = cluster.namespace("enter");
    shop(&space);
    assert_eq!(space.exec("client-a", &["hostname"]).ok(), "client-a\n");
    assert_eq!(space.exec("client-a", &["sh", "-c", "exit 7"]).code, 7);
    holds(
        space.kubectl(&["logs", "deployment/web"]).ok(),
        "Started HTTP server",
    )
    .unwrap();
    let web = space.field(
        "pods",
        "{.items[?(@.metadata.labels.app==\"web\")].metadata.name}",
    );
    let web = web.split(' ').next().unwrap();

    // port-forward, from the machine: it prints the port that it took.
    let mut child = cluster
        .command("kubectl")
        .args([
            "-n",
            &space.name,
            "port-forward",
            &format!("pod/{web}"),
            ":8080",
        ])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    // Held open: it goes on writing there.
    let mut says = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut says, &mut line).unwrap();
    let address = line.split(' ').nth(2).unwrap();
    let url = format!("http://{address}/hostname");
    let said = cluster.run("busybox", &["wget", "-q", "-O", "-", &url]);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(said.ok(), web);

    let debug = |words: &str| {
        let kubectl = cluster.state().join("bin/kubectl");
        let line = format!(
            "'{}' -n {} debug -it --image=localhost/busybox:lab {words}",
            kubectl.display(),
            space.name
        );
        cluster.run("script", &["-qec", &line, "/dev/null"]).all()
    };
    // A command that ends before kubectl is attached is told by its logs; it is kept a moment for that.
    let text = debug(&format!("{web} --target=web -- sh -c 'sleep 1; ps'"));
    holds(text, "agnhost netexec").unwrap();
    let text = debug(&format!(
        "{web} --profile=netadmin -- sh -c 'sleep 1; grep CapEff /proc/self/status'"
    ));
    let bits = text
        .split("CapEff:")
        .nth(1)
        .unwrap()
        .split_whitespace()
        .next()
        .unwrap();
    let bits = u64::from_str_radix(bits, 16).unwrap();
    assert_eq!(
        (bits >> 12 & 1, bits >> 13 & 1),
        (1, 1),
        "NET_ADMIN and NET_RAW: {text}"
    );
    let text = debug(
        "node/node-a -- sh -c 'sleep 1; ip addr show cni0; cat /host/proc/sys/kernel/hostname'",
    );
    assert!(
        text.contains("node-a") && text.contains("10.244.1.1/24"),
        "{text}"
    );
}

#[test]
fn rights_and_pod_security_are_enforced() {
    let Some(cluster) = shared() else { return };
    let space = cluster.namespace("rights");
    space.apply(include_str!("ring5/reader.yaml"));
    let token = space.kubectl(&["create", "token", "reader"]).ok();
    let admin = std::fs::read_to_string(cluster.variable("KUBECONFIG")).unwrap();
    let (before, _) = admin.split_once("    client-certificate-data").unwrap();
    let file = std::env::temp_dir().join(format!("reader-{}.kubeconfig", std::process::id()));
    std::fs::write(&file, format!("{before}    token: {token}\n")).unwrap();
    let config = format!("--kubeconfig={}", file.display());
    let may = space.kubectl(&[&config, "get", "pods"]);
    let may_not = space.kubectl(&[&config, "get", "secrets"]);
    std::fs::remove_file(&file).unwrap();
    may.ok();
    assert_eq!(may_not.code, 1);
    holds(may_not.err, "Forbidden").unwrap();

    cluster
        .kubectl(&[
            "label",
            "namespace",
            &space.name,
            "pod-security.kubernetes.io/enforce=restricted",
        ])
        .ok();
    let said = space.kubectl(&[
        "run",
        "bad",
        "--image=localhost/busybox:lab",
        "--privileged",
    ]);
    holds(said.err, "violates PodSecurity \"restricted").unwrap();
}
