//! NodeLocal DNSCache in a real Kubernetes: pods ask the cache on their node, at its link-local address and at the one of Service
//! `kube-dns`; it is in order, forgotten by a policy, silent on one node (F12), and in order again by the remedy that was printed.

#![allow(clippy::unwrap_used)]

mod ours;
mod ring5;

use ours::{IMAGE, PROGRAM, ready, report, text};
use ring5::{Cluster, Said, Space, until};
use serde_json::Value;

const SHOP: &str = include_str!("ring5/shop.yaml");
const CACHE: &str = include_str!("ring5/dns-cache.yaml");
const CLIENTS: &str = include_str!("ring5/dns-cache-clients.yaml");
const LOCAL: &str = "169.254.20.10";
const NODES: [&str; 2] = ["node-a", "node-b"];

/// What node-cache does when it starts: an interface with its addresses, and no connection tracking for them, so that
/// kube-proxy's rules do not carry the Service's address on. A bridge stands in where the kernel has no dummy interfaces.
const BEGIN: &str = "set -e
ip link add nodelocaldns type dummy 2>/dev/null || ip link add nodelocaldns type bridge
ip link set nodelocaldns up
for address in 169.254.20.10 10.96.0.10; do ip addr add $address/32 dev nodelocaldns; done
mkdir -p /etc/node-local
printf '%s\\n' \"$1\" >/etc/node-local/Corefile
rules -A";
/// And when it ends.
const END: &str = "rules -D 2>/dev/null; ip link del nodelocaldns; rm -rf /etc/node-local";
const RULES: &str = "rules() {
    for address in 169.254.20.10 10.96.0.10; do
        for protocol in udp tcp; do
            iptables -t raw $1 PREROUTING -d $address -p $protocol --dport 53 -j NOTRACK
            iptables -t raw $1 OUTPUT -d $address -p $protocol --dport 53 -j NOTRACK
            iptables -t raw $1 OUTPUT -s $address -p $protocol --sport 53 -j NOTRACK
        done
    done
}\n";

/// The cache, which goes with the test: the cluster is shared.
struct Cache<'a>(&'a Cluster);

impl Cache<'_> {
    fn new(cluster: &Cluster) -> Cache<'_> {
        let cache = Cache(cluster);
        let (_, corefile) = CACHE.split_once("Corefile: |\n").unwrap();
        for node in NODES {
            let script = format!("{RULES}{BEGIN}");
            cluster
                .on(node, &["bash", "-c", &script, "-", corefile])
                .ok();
        }
        cluster.feed(&["apply", "-f", "-"], CACHE).ok();
        cache
    }

    /// Its pods run, all of them.
    #[track_caller]
    fn ready(&self) {
        let rollout = ["rollout", "status", "daemonset/node-local-dns"];
        let at = ["-n", "kube-system", "--timeout=30s"];
        self.0.kubectl(&[&rollout[..], &at].concat()).ok();
    }
}

impl Drop for Cache<'_> {
    fn drop(&mut self) {
        let words = ["delete", "--wait=false", "--ignore-not-found", "-f", "-"];
        self.0.feed(&words, CACHE);
        for node in NODES {
            self.0.on(node, &["bash", "-c", &format!("{RULES}{END}")]);
        }
    }
}

/// DNS to the cluster's DNS pods, and the web server.
const POLICY: &str = "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: egress}, spec: {podSelector: {matchLabels: {app: client}}, policyTypes: [Egress], egress: [{to: [{podSelector: {matchLabels: {app: web}}}]}, {to: [{namespaceSelector: {}, podSelector: {matchLabels: {k8s-app: kube-dns}}}], ports: [{port: 53, protocol: UDP}, {port: 53, protocol: TCP}]}]}}";

const EPHEMERAL: [&str; 2] = ["--access", "ephemeral"];
const NODE: [&str; 2] = ["--access", "node"];
/// May put a container into a pod of the namespace, and look no farther.
const LESSER: [&str; 4] = ["--access", "node", "--as", "lesser"];

fn diagnose(space: &Space<'_>, from: &str, more: &[&str]) -> Said {
    let words = ["diagnose", "-n", &space.name, "-o", "json", "--from", from];
    let all = [&words[..], &["--to", "svc/web:80"], more].concat();
    let mut c = space.cluster.command(PROGRAM);
    text(&c.args(all).env("NETSHOOT_IMAGE", IMAGE).output().unwrap())
}

/// Check, kind of the blamed object and catalogue number.
#[track_caller]
fn cause(said: &Said) -> String {
    let r = report(said, 1);
    let of = |v: &Value| v.as_str().unwrap_or("").to_string();
    let c = &r["cause"];
    let [id, kind, number] = [&c["id"], &c["subject"]["kind"], &c["catalogue"]].map(of);
    format!("{id} {kind} {number}")
}

/// With fewer rights: unknown, and why; or the same cause, never another.
#[track_caller]
fn unknown_or(said: &Said, right: &str) {
    if said.code == 1 {
        return assert_eq!(cause(said), right, "{}", said.all());
    }
    let r = report(said, 2);
    assert!(r["cause"].is_null(), "{r}");
    assert!(!r["unknown"].as_array().unwrap().is_empty(), "{r}");
}

/// What the report says to type.
#[track_caller]
fn remedied(cluster: &Cluster, said: &Said) -> String {
    let r = report(said, 1);
    let steps = r["remedy"]["steps"].as_array().unwrap();
    let commands = steps.iter().map(|s| s["command"].as_str().unwrap());
    let line = commands.collect::<Vec<_>>().join(" && ");
    cluster.run("bash", &["-c", &line]).ok();
    line
}

#[test]
fn the_cache_of_a_node_is_a_hop_of_its_own() {
    let Some(cluster) = ready() else { return };
    let cache = Cache::new(&cluster);
    let space = cluster.namespace("cache");
    space.apply(SHOP);
    space.apply(&CLIENTS.replace("NAMESPACE", &space.name));
    rights(&space);
    space
        .kubectl(&["rollout", "status", "deployment/web", "--timeout=60s"])
        .ok();
    space.ready(&["pod/client-a", "pod/link-a", "pod/link-b"]);
    cache.ready();
    for client in ["client-a", "link-a", "link-b"] {
        resolves(&space, client);
    }
    in_order(&space);
    forgotten_by_a_policy(&cluster, &space);
    silent_on_one_node(&cluster, &cache, &space);
}

fn rights(space: &Space<'_>) {
    let to = "--user=lesser";
    let make = |words: &[&str]| space.kubectl(&[&["create"], words].concat()).ok();
    make(&["rolebinding", "lesser", "--clusterrole=edit", to]);
    let what = "--resource=pods/ephemeralcontainers";
    make(&["role", "lesser", "--verb=patch,update,get", what]);
    make(&["rolebinding", "lesser-too", "--role=lesser", to]);
}

/// As the pod itself sees it.
#[track_caller]
fn resolves(space: &Space<'_>, client: &str) {
    let name = format!("web.{}.svc.cluster.local", space.name);
    until("the pod's names resolve", 20, || {
        let said = space.exec(client, &["nslookup", &name]);
        if said.code == 0 {
            Ok(())
        } else {
            Err(said.all())
        }
    });
}

fn in_order(space: &Space<'_>) {
    for (client, node, address) in [
        ("pod/client-a", "node-a", "10.96.0.10"),
        ("pod/link-b", "node-b", LOCAL),
    ] {
        let r = report(&diagnose(space, client, &EPHEMERAL), 0);
        let label = format!("DNS cache {address} on node {node} -> Service kube-dns-upstream");
        let hops = r["path"].as_array().unwrap();
        let hop = hops.iter().find(|h| h["hop"] == "name-cache");
        let hop = hop.unwrap_or_else(|| panic!("{client}: {}", r["path"]));
        assert_eq!(
            (&hop["label"], &hop["state"]),
            (&label.into(), &"ok".into()),
            "{client}"
        );
    }
}

/// The lab's policy agent filters what is forwarded. Others filter what pods send to their own node as well: a rule does what they
/// would do, until the policy names the cache.
fn forgotten_by_a_policy(cluster: &Cluster, space: &Space<'_>) {
    space.apply(POLICY);
    let from = space.field("pod/link-a", "{.status.podIP}");
    let rule = |verb: &str| {
        let drop = format!(
            "for p in udp tcp; do iptables {verb} INPUT -s {from} -d {LOCAL} -p $p --dport 53 -j DROP; done"
        );
        cluster.on("node-a", &["bash", "-c", &drop]).ok();
    };
    rule("-I");
    let right = "policy-blocks-dns-cache NetworkPolicy F12";
    let said = diagnose(space, "pod/link-a", &NODE);
    let less = diagnose(space, "pod/link-a", &LESSER);
    assert_eq!(cause(&said), right, "{}", said.all());
    unknown_or(&less, right);
    let line = remedied(cluster, &said);
    let egress = space.field("networkpolicy/egress", "{.spec.egress}");
    assert!(egress.contains(&format!("{LOCAL}/32")), "{line}\n{egress}");
    rule("-D");
    report(&diagnose(space, "pod/link-a", &EPHEMERAL), 0);
    space.kubectl(&["delete", "networkpolicy", "egress"]).ok();
}

/// It is halted, and keeps its address: nobody else answers there, and Kubernetes takes it for a pod in order.
fn silent_on_one_node(cluster: &Cluster, cache: &Cache<'_>, space: &Space<'_>) {
    let pids = "pgrep -f '^/coredns -conf /etc/[n]ode-local'";
    let halt = format!("kill -STOP $({pids})");
    cluster.on("node-a", &["bash", "-c", &halt]).ok();
    let right = "dns-cache-down Pod F12";
    let said = diagnose(space, "pod/link-a", &NODE);
    assert_eq!(cause(&said), right, "{}", said.all());
    unknown_or(&diagnose(space, "pod/link-a", &LESSER), right);
    // The cache of the other node is none of theirs.
    report(&diagnose(space, "pod/link-b", &EPHEMERAL), 0);
    remedied(cluster, &said);
    // Its grace is none: the kubelet takes a second to kill it, in which the new one shares the address with it, and the
    // kernel gives each of them a part of the queries.
    until("the halted cache is gone", 20, || {
        let gone = format!("! {pids} -r T");
        let said = cluster.on("node-a", &["bash", "-c", &gone]);
        if said.code == 0 {
            Ok(())
        } else {
            Err(said.all())
        }
    });
    cache.ready();
    resolves(space, "link-a");
    report(&diagnose(space, "pod/link-a", &EPHEMERAL), 0);
}
