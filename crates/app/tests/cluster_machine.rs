//! What a cluster leaves on the machine: nothing, whatever ends it. And its other shapes: a tunnel, two families.

#![allow(clippy::unwrap_used)]

mod ring5;
mod standins;

use ring5::{Cluster, Fresh, holds, shared, until};
use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

fn said(program: &str, words: &[&str]) -> String {
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap());
    let output = Command::new(program).args(words).env("PATH", path).output();
    output.map_or_else(
        |e| e.to_string(),
        |o| String::from_utf8_lossy(&o.stdout).into_owned(),
    )
}

/// The machine as it is, apart from clusters of other names: they come and go beside this one.
fn machine(own: &str) -> BTreeMap<&'static str, Vec<String>> {
    let ours = |line: &str| {
        line.split("lab-")
            .skip(1)
            .all(|rest| format!("lab-{rest}").starts_with(own))
    };
    let lines = |text: String| -> Vec<String> {
        let mut lines: Vec<String> = text
            .lines()
            .filter(|l| ours(l))
            .map(str::to_string)
            .collect();
        lines.sort();
        lines
    };
    let names = |folder: &str| {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        entries
            .map(|e| e.path().display().to_string() + "\n")
            .collect::<String>()
    };
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let mounts = mounts
        .lines()
        .map(|l| l.split(' ').nth(4).unwrap().to_string() + "\n")
        .collect();
    let cgroups = std::fs::read_dir("/sys/fs/cgroup").unwrap().flatten();
    let cgroups = cgroups
        .map(|c| names(&c.path().display().to_string()))
        .collect();
    let in_run = names("/run");
    let signatures = in_run.lines().filter(|l| l.ends_with(".cluster"));
    let signatures = signatures.map(|l| format!("{l}\n")).collect();
    let sysctls = [
        "net/ipv4/ip_forward",
        "net/netfilter/nf_conntrack_max",
        "net/bridge/bridge-nf-call-iptables",
        "net/ipv4/conf/all/rp_filter",
        "net/ipv6/conf/all/forwarding",
        "vm/overcommit_memory",
        "vm/panic_on_oom",
        "kernel/panic",
        "kernel/panic_on_oops",
        "kernel/keys/root_maxkeys",
        "kernel/keys/root_maxbytes",
        "kernel/hostname",
    ];
    let sysctls = sysctls.map(|name| {
        format!(
            "{name} {:?}\n",
            std::fs::read_to_string(Path::new("/proc/sys").join(name)).ok()
        )
    });
    let links = said("ip", &["-o", "link"]);
    BTreeMap::from([
        ("links", lines(links)),
        ("addresses", lines(said("ip", &["-br", "addr"]))),
        (
            "routes",
            lines(said("ip", &["route", "show", "table", "all"])),
        ),
        ("rules", lines(said("ip", &["rule"]))),
        ("nftables", lines(said("nft", &["list", "ruleset"]))),
        ("mounts", lines(mounts)),
        ("cgroups", lines(cgroups)),
        ("networks", lines(names("/run/netns"))),
        ("signatures", lines(signatures)),
        ("sysctls", lines(sysctls.concat())),
    ])
}

/// What differs, without the named parts.
fn changed(
    before: &BTreeMap<&str, Vec<String>>,
    after: &BTreeMap<&str, Vec<String>>,
    apart_from: &[&str],
) -> Vec<String> {
    let parts = before.iter().filter(|(name, _)| !apart_from.contains(name));
    parts
        .flat_map(|(name, lines)| {
            let now = &after[name];
            let gone = lines
                .iter()
                .filter(|l| !now.contains(l))
                .map(move |l| format!("{name} lost: {l}"));
            let new = now
                .iter()
                .filter(|l| !lines.contains(l))
                .map(move |l| format!("{name} has: {l}"));
            gone.chain(new).collect::<Vec<_>>()
        })
        .collect()
}

/// The machine's numbers of all processes of a node.
fn processes(name: &str, node: &str) -> Vec<String> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let all = entries.filter_map(|e| {
        let id = e.file_name().into_string().ok()?;
        let cgroups = std::fs::read_to_string(e.path().join("cgroup")).ok()?;
        let stat = std::fs::read_to_string(e.path().join("stat")).ok()?;
        let ended = stat.rsplit(") ").next()?.starts_with('Z');
        (!ended && cgroups.contains(&format!(":memory:/{name}/{node}"))).then_some(id)
    });
    all.collect()
}

/// The first process of each node.
fn firsts(cluster: &Cluster) -> BTreeMap<String, String> {
    let status = cluster.script(&["status"]);
    let lines = status.out.lines().filter_map(|l| {
        let (node, rest) = l.split_once(" runs (first process ")?;
        Some((node.to_string(), rest.trim_end_matches(')').to_string()))
    });
    lines.collect()
}

fn name_of(cluster: &Cluster) -> String {
    let text = std::fs::read_to_string(cluster.state().join("settings")).unwrap();
    let line = text
        .lines()
        .find_map(|l| l.strip_prefix("CLUSTER_NAME="))
        .unwrap();
    line.to_string()
}

fn address(cluster: &Cluster) -> SocketAddr {
    let text = std::fs::read_to_string(cluster.state().join("address")).unwrap();
    text.trim().parse().unwrap()
}

#[test]
fn the_machine_is_as_before_whatever_ends_the_cluster() {
    let Some(first) = shared() else { return };
    let before = machine("lab-none");
    let Some(cluster) = Fresh::start("machine", &[]) else {
        return;
    };
    let name = name_of(&cluster);
    // While it runs there are namespaces and cgroups, and nothing else.
    let during = machine(&name);
    assert_eq!(
        changed(
            &before,
            &during,
            &["networks", "cgroups", "mounts", "signatures"]
        ),
        [""; 0]
    );
    let folders = |part: &str| during[part].iter().filter(|l| l.contains(&name)).count();
    assert!(
        folders("networks") == 4 && folders("cgroups") >= 4,
        "{during:#?}"
    );
    let added = changed(&before, &during, &["networks", "cgroups", "signatures"]);
    assert!(added.iter().all(|l| l.contains("/run/netns")), "{added:#?}");

    // One process ends a node: daemons, shims, containers.
    let nodes = firsts(&cluster);
    assert_eq!(
        nodes.keys().collect::<Vec<_>>(),
        ["control", "node-a", "node-b", "world"]
    );
    assert!(processes(&name, "node-b").len() > 5);
    said("kill", &["-KILL", &nodes["node-b"]]);
    until("nothing of node-b runs", 10, || {
        match processes(&name, "node-b") {
            left if left.is_empty() => Ok(()),
            left => Err(format!("{left:?}")),
        }
    });
    assert_eq!(cluster.script(&["status"]).code, 2);
    cluster.kubectl(&["get", "nodes"]).ok();

    // The forwarder ends with the control plane.
    let door = address(&cluster);
    TcpStream::connect(door).unwrap();
    said("kill", &["-KILL", &nodes["control"]]);
    until(
        "the forwarder's port is closed",
        10,
        || match TcpStream::connect_timeout(&door, Duration::from_secs(1)) {
            Ok(_) => Err("still open".to_string()),
            Err(_) => Ok(()),
        },
    );
    assert_ne!(cluster.kubectl(&["get", "nodes"]).code, 0);

    // What is left of a killed one is no obstacle.
    cluster.script(&["up"]).ok();
    cluster.script(&["status"]).ok();
    cluster.script(&["down"]).ok();
    assert!(!cluster.state().exists());
    assert_eq!(changed(&before, &machine(&name), &[]), [""; 0]);
    assert_eq!(
        cluster.script(&["down"]).code,
        0,
        "a second time is no error"
    );
    assert_eq!(cluster.script(&["status"]).code, 1);
    // The other one never noticed.
    first.kubectl(&["get", "nodes"]).ok();
}

/// `up` with this state folder, killed when it has come this far; the name it gave.
fn killed_start(scripts: &Path, state: &Path, point: &str) -> String {
    let mut up = script(scripts, state, "up").spawn().unwrap();
    until("it is on its way", 60, || {
        if state.join(point).exists() {
            Ok(())
        } else {
            Err(format!("no {point}"))
        }
    });
    up.kill().unwrap();
    up.wait().unwrap();
    let settings = std::fs::read_to_string(state.join("settings")).unwrap();
    let mut lines = settings.lines();
    let name = lines.find_map(|l| l.strip_prefix("CLUSTER_NAME="));
    name.unwrap().to_string()
}

fn script(scripts: &Path, state: &Path, word: &str) -> Command {
    let mut command = Command::new(scripts);
    command
        .arg(word)
        .env("CLUSTER_STATE", state)
        .stdin(Stdio::null())
        .stderr(Stdio::null());
    if word == "up" {
        command.stdout(Stdio::null());
    }
    command
}

/// What `down` says it removed.
fn down(scripts: &Path, state: &Path) -> String {
    let said = script(scripts, state, "down").output().unwrap();
    assert!(said.status.success());
    String::from_utf8(said.stdout).unwrap()
}

/// The scripts' own processes: they are in no cgroup of the cluster.
fn scripts_of(state: &Path) -> Vec<String> {
    let wanted = format!("CLUSTER_STATE={}\0", state.display());
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let texts = entries.filter_map(|e| {
        let around = std::fs::read(e.path().join("environ")).ok()?;
        let line = std::fs::read(e.path().join("cmdline")).ok()?;
        String::from_utf8_lossy(&around)
            .contains(&wanted)
            .then(|| String::from_utf8_lossy(&line).replace('\0', " "))
    });
    texts.collect()
}

#[test]
fn an_interrupted_start_leaves_nothing_after_down() {
    let Some(first) = shared() else { return };
    let state = first.state().with_file_name("cluster-interrupted");
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/cluster");
    let before = machine("lab-none");
    for (point, lost) in [
        ("nodes", ""),
        ("control/node.log", ""),
        ("control/node.log", "nodes"),
        ("address", ""),
        ("address", "settings"),
        ("api-ready", ""),
        ("api-ready", "everything"),
    ] {
        let name = killed_start(&scripts, &state, point);
        match lost {
            "" => {}
            "everything" => std::fs::remove_dir_all(&state).unwrap(),
            file => std::fs::remove_file(state.join(file)).unwrap(),
        }
        let said = down(&scripts, &state);
        let at = format!("at {point}, without {lost:?}: {said}");
        assert!(said.starts_with(&format!("removed {name}, ")), "{at}");
        assert_eq!(said.lines().count(), 1, "{at}");
        assert_eq!(changed(&before, &machine(&name), &[]), [""; 0], "{at}");
        assert!(processes(&name, "").is_empty(), "{at}");
        until("the scripts have ended", 5, || match scripts_of(&state) {
            left if left.is_empty() => Ok(()),
            left => Err(format!("{at}{left:?}")),
        });
    }

    // Of another checkout: kept as long as that one is there, even without its folder; removed when it is gone.
    let project = scripts.parent().unwrap().parent().unwrap();
    let other = first.state().with_file_name("other-checkout");
    for folder in ["lab", "scripts"] {
        std::fs::create_dir_all(other.join(folder)).unwrap();
    }
    for part in ["lab/cluster", "scripts/cluster"] {
        let (from, to) = (project.join(part), other.join(part));
        let copied = Command::new("cp").arg("-r").args([&from, &to]).status();
        assert!(copied.unwrap().success());
    }
    let others = other.join("target/cluster");
    let name = killed_start(&other.join("scripts/cluster"), &others, "api-ready");
    assert!(!down(&scripts, &state).contains(&name));
    std::fs::remove_dir_all(&others).unwrap();
    assert!(!down(&scripts, &state).contains(&name));
    assert!(!processes(&name, "").is_empty());
    std::fs::remove_dir_all(&other).unwrap();
    assert!(down(&scripts, &state).contains(&name));
    assert_eq!(changed(&before, &machine(&name), &[]), [""; 0]);
    assert!(processes(&name, "").is_empty());
    first.kubectl(&["get", "nodes"]).ok();
}

const PAIR: &str = "
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec:
  nodeName: node-b
  containers: [{name: web, image: localhost/agnhost:lab, imagePullPolicy: Never, args: [netexec, --http-port=8080, --udp-port=-1]}]
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {ipFamilyPolicy: RequireDualStack, selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Pod
metadata: {name: client}
spec:
  nodeName: node-a
  containers: [{name: client, image: localhost/busybox:lab, imagePullPolicy: Never, command: [sleep, infinity]}]
";

#[test]
fn a_cluster_with_a_tunnel_and_two_families() {
    let settings = [
        ("CLUSTER_NETWORK", "vxlan"),
        ("CLUSTER_IPV6", "1"),
        ("CLUSTER_PROXY", "nftables iptables"),
    ];
    let Some(cluster) = Fresh::start("shape", &settings) else {
        return;
    };
    let space = cluster.namespace("dual");
    space.apply(PAIR);
    space.ready(&["pod/web", "pod/client"]);
    for family in [0, 1] {
        let service = space.field("service/web", &format!("{{.spec.clusterIPs[{family}]}}"));
        let pod = space.field("pod/web", &format!("{{.status.podIPs[{family}].ip}}"));
        for (address, port) in [(service, 80), (pod, 8080)] {
            let host = if family == 1 {
                format!("[{address}]")
            } else {
                address
            };
            until("an answer over the tunnel", 20, || {
                holds(
                    space
                        .get("client", &format!("http://{host}:{port}/hostname"))
                        .all(),
                    "web",
                )
            });
        }
    }
    // A node itself comes to a Service by its default route: the rules are asked for after it.
    let six = space.field("service/web", "{.spec.clusterIPs[1]}");
    let way = cluster.on("node-a", &["ip", "-6", "route", "get", &six]);
    assert!(way.ok().contains("via fd90::1 "));
    let link = space.exec("client", &["ip", "link", "show", "eth0"]).ok();
    assert!(link.contains("mtu 1450"), "{link}");
    let tunnel = cluster
        .on("node-a", &["ip", "-d", "link", "show", "lab.1"])
        .ok();
    assert!(tunnel.contains("vxlan id 1"), "{tunnel}");
    let rules = cluster.on("node-a", &["nft", "list", "tables"]).ok();
    assert!(rules.contains("ip6 kube-proxy"), "{rules}");
    // The worlds' stand-in of kube-proxy beside the real one, in the second family.
    let space = cluster.namespace("kinds");
    standins::town(&space);
    for (node, mode) in [("node-a", "nftables"), ("node-b", "iptables")] {
        let rules = standins::same_rules(&cluster, node, mode, true);
        let ways = standins::same_ways(&space, node, mode, true);
        println!(
            "{mode}: {rules} rules of IPv6 as the real kube-proxy's, {ways} ways of packets too"
        );
        assert!(rules > 60 && ways > 60, "{rules} {ways}");
    }
    let compared = standins::same_answers(&cluster, &space);
    println!("{compared} questions answered as the real CoreDNS does, in both families");
    assert!(compared > 300, "{compared}");
}
