//! Real packets through the rules of each mode.

use super::town::{Town, answer, call, node_ip, pod_ip, service, slice};
use super::*;
use serde_json::json;
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::IpAddr;

fn ip(n: u8, v6: bool) -> IpAddr {
    super::town::ip(&if v6 {
        format!("fd96::{n}")
    } else {
        format!("10.96.0.{n}")
    })
}

fn ready() -> Value {
    json!({"ready": true, "serving": true, "terminating": false})
}

fn gone() -> Value {
    json!({"ready": false, "serving": false, "terminating": false})
}

fn leaving() -> Value {
    json!({"ready": false, "serving": true, "terminating": true})
}

fn sync_all(town: &Town, mode: &str, objects: &[Value]) {
    let mut all = town.nodes.clone();
    all.extend_from_slice(objects);
    for node in ["a", "b"] {
        sync(&town.node(node), node, mode, &all).expect("syncs");
    }
}

/// Calls until both backends were seen, at most 60 times.
fn seen(from: &NetNs, to: IpAddr, port: u16) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for _ in 0..60 {
        names.insert(call(from, to, port).expect("an answer").0);
        if names.len() > 1 {
            break;
        }
    }
    names
}

fn clusters(v6: bool, spec: Value) -> Value {
    let mut spec = spec;
    spec["clusterIP"] = json!(ip(10, v6));
    spec["clusterIPs"] = json!([ip(10, v6)]);
    service("web", spec)
}

fn both(name: &str, v6: bool, conditions: [Value; 2]) -> Value {
    let [one, two] = conditions;
    slice(
        name,
        &[(pod_ip(1, 20, v6), "a", one), (pod_ip(2, 20, v6), "b", two)],
    )
}

fn inside(mode: &str) {
    let town = Town::new();
    let client = town.pod(1, 10);
    let web = town.pod(1, 20);
    town.pod(2, 20);
    for v6 in [false, true] {
        let own = ip(10, v6);
        // Both backends are reached from a pod and from the node; pods keep their address.
        sync_all(
            &town,
            mode,
            &[clusters(v6, json!({})), both("web", v6, [ready(), ready()])],
        );
        assert_eq!(seen(&client, own, 80).len(), 2);
        assert_eq!(seen(&town.node("a"), own, 80).len(), 2);
        let (_, from) = call(&client, own, 80).expect("an answer");
        assert_eq!(from, pod_ip(1, 10, v6).to_string());
        // Only ready ones; when there is none, those that leave but still serve.
        sync_all(
            &town,
            mode,
            &[clusters(v6, json!({})), both("web", v6, [gone(), ready()])],
        );
        assert_eq!(seen(&client, own, 80), BTreeSet::from(["pod-2-20".into()]));
        sync_all(
            &town,
            mode,
            &[
                clusters(v6, json!({})),
                both("web", v6, [leaving(), gone()]),
            ],
        );
        assert_eq!(seen(&client, own, 80), BTreeSet::from(["pod-1-20".into()]));
        // A pod reaches itself through its Service, and sees its node.
        let (who, from) = call(&web, own, 80).expect("a hairpin");
        assert_eq!(who, "pod-1-20");
        assert_ne!(from, pod_ip(1, 20, v6).to_string());
        // No backend: refused, not silent.
        sync_all(
            &town,
            mode,
            &[clusters(v6, json!({})), both("web", v6, [gone(), gone()])],
        );
        for from in [&client, &town.node("a")] {
            assert_eq!(call(from, own, 80), Err(ErrorKind::ConnectionRefused));
        }
        // None here, with a local policy: silent.
        let local = json!({"internalTrafficPolicy": "Local"});
        sync_all(
            &town,
            mode,
            &[
                clusters(v6, local.clone()),
                both("web", v6, [gone(), ready()]),
            ],
        );
        assert_eq!(call(&client, own, 80), Err(ErrorKind::TimedOut));
        sync_all(
            &town,
            mode,
            &[clusters(v6, local), both("web", v6, [ready(), ready()])],
        );
        assert_eq!(seen(&client, own, 80), BTreeSet::from(["pod-1-20".into()]));
        // A client that stays with its backend.
        let sticky = json!({"sessionAffinity": "ClientIP"});
        let sticky = [clusters(v6, sticky), both("web", v6, [ready(), ready()])];
        sync_all(&town, mode, &sticky);
        let first = seen(&client, own, 80);
        assert_eq!(first.len(), 1);
        sync_all(&town, mode, &sticky);
        assert_eq!(seen(&client, own, 80), first);
    }
}

fn from_outside(mode: &str) {
    let town = Town::new();
    town.pod(1, 20);
    town.pod(2, 20);
    let outside = town.ground.outside();
    for v6 in [false, true] {
        let spec = json!({"type": "NodePort",
            "ports": [{"name": "http", "port": 80, "protocol": "TCP", "nodePort": 30080}]});
        sync_all(
            &town,
            mode,
            &[
                clusters(v6, spec.clone()),
                both("web", v6, [ready(), ready()]),
            ],
        );
        assert_eq!(seen(&outside, node_ip(1, v6), 30080).len(), 2);
        sync_all(
            &town,
            mode,
            &[
                clusters(v6, spec.clone()),
                both("web", v6, [gone(), gone()]),
            ],
        );
        assert_eq!(
            call(&outside, node_ip(1, v6), 30080),
            Err(ErrorKind::ConnectionRefused)
        );
        // Local: only where a backend is, and with the caller's own address.
        let mut local = spec;
        local["externalTrafficPolicy"] = json!("Local");
        sync_all(
            &town,
            mode,
            &[clusters(v6, local), both("web", v6, [ready(), gone()])],
        );
        let (who, from) = call(&outside, node_ip(1, v6), 30080).expect("an answer");
        assert_eq!(who, "pod-1-20");
        assert_ne!(from, node_ip(1, v6).to_string());
        assert_eq!(
            call(&outside, node_ip(2, v6), 30080),
            Err(ErrorKind::TimedOut)
        );
        // The node itself, and pods, reach it there all the same.
        assert_eq!(
            seen(&town.node("b"), node_ip(2, v6), 30080),
            BTreeSet::from(["pod-1-20".into()])
        );
    }
}

#[test]
fn nftables_inside() {
    inside("nftables");
}

#[test]
fn nftables_from_outside() {
    from_outside("nftables");
}

fn iptables_is_here() -> bool {
    let here = ["iptables-restore", "ip6tables-restore"]
        .iter()
        .all(|tool| {
            std::process::Command::new(tool)
                .arg("--version")
                .output()
                .is_ok()
        });
    if !here {
        println!("SKIPPED: iptables is not installed");
    }
    here
}

#[test]
fn iptables_inside() {
    if iptables_is_here() {
        inside("iptables");
    }
}

#[test]
fn iptables_from_outside() {
    if iptables_is_here() {
        from_outside("iptables");
    }
}

/// Rules of a save by chain. Ours leave counting objects (nfacct) and kubelet's chains away; the
/// order of KUBE-SERVICES is by chance there.
fn chains(save: &str) -> std::collections::BTreeMap<String, Vec<String>> {
    let mut all = std::collections::BTreeMap::<String, Vec<String>>::new();
    let mut table = "";
    for line in save.lines() {
        if line.starts_with('*') {
            table = line;
        }
        let Some((chain, rule)) = line.strip_prefix("-A ").and_then(|l| l.split_once(' ')) else {
            continue;
        };
        let counted_only = rule.starts_with("-d 127.0.0.0/8 ") && rule.contains("nfacct");
        if line.contains("KUBE-FIREWALL") || counted_only {
            continue;
        }
        let rule = match rule.split_once(" -m nfacct --nfacct-name  ct_state_invalid_dropped_pkts")
        {
            Some((a, b)) => format!("{a}{b}"),
            None => rule.into(),
        };
        all.entry(format!("{table} {chain}"))
            .or_default()
            .push(rule);
    }
    for (chain, rules) in &mut all {
        if chain.contains("SERVICES")
            || chain.contains("NODEPORTS")
            || chain.contains("PROXY-FIREWALL")
        {
            rules.sort();
        }
    }
    all
}

#[test]
fn iptables_as_a_real_kube_proxy_wrote_them() {
    if !iptables_is_here() {
        return;
    }
    let ns = NetNs::new().expect("a namespace");
    // Over an older state: what is gone goes, jumps do not pile up.
    sync(&ns, "node-a", "iptables", &recorded()).expect("syncs");
    sync(&ns, "node-b", "iptables", &recorded()).expect("syncs again");
    for (tool, theirs) in [
        ("iptables-save", include_str!("recorded/iptables-save")),
        ("ip6tables-save", include_str!("recorded/ip6tables-save")),
    ] {
        let ours = chains(&shown(&ns, tool, &[]).expect("installed"));
        for (chain, rules) in chains(theirs) {
            assert_eq!(ours.get(&chain), Some(&rules), "{tool} {chain}");
        }
        let extra: Vec<_> = ours
            .keys()
            .filter(|c| !chains(theirs).contains_key(*c))
            .collect();
        assert!(extra.is_empty(), "{extra:?}");
    }
}

#[test]
fn other_modes_are_refused() {
    let ns = NetNs::new().expect("a namespace");
    assert!(sync(&ns, "a", "ipvs", &[]).is_err());
}

#[test]
fn the_wrong_port_of_a_service_is_refused() {
    let town = Town::new();
    let client = town.pod(1, 10);
    answer(&town.pod(1, 20), "other".into(), 9090);
    for v6 in [false, true] {
        sync_all(
            &town,
            "nftables",
            &[clusters(v6, json!({})), both("web", v6, [ready(), ready()])],
        );
        assert_eq!(
            call(&client, ip(10, v6), 9090),
            Err(ErrorKind::ConnectionRefused)
        );
    }
}

/// The output of a tool in a namespace; none when it is not installed.
fn shown(ns: &NetNs, tool: &str, words: &[&str]) -> Option<String> {
    let run = || std::process::Command::new(tool).args(words).output();
    match ns.enter(run).expect("inside") {
        Ok(output) => {
            assert!(
                output.status.success(),
                "{}",
                String::from_utf8_lossy(&output.stderr)
            );
            Some(String::from_utf8_lossy(&output.stdout).into_owned())
        }
        Err(_) => {
            println!("SKIPPED: {tool} is not installed");
            None
        }
    }
}

/// A listing as a set of lines, each with the chain or set it stands in: order differs by hashing.
fn lines(listing: &str) -> BTreeSet<String> {
    let joined = listing.replace(",\n", ", ");
    let (mut table, mut block) = (String::new(), String::new());
    let mut all = BTreeSet::new();
    for line in joined
        .lines()
        .map(|l| l.split_whitespace().collect::<Vec<_>>().join(" "))
    {
        if line.starts_with("table ") {
            (table, block) = (line, String::new());
        } else if line.starts_with("chain ") || line.starts_with("set ") || line.starts_with("map ")
        {
            block = line;
        } else if let Some(elements) = line.strip_prefix("elements = {") {
            for element in elements.trim_end_matches('}').split(", ") {
                all.insert(format!("{table} {block} {}", element.trim()));
            }
        } else if line.len() > 1 {
            all.insert(format!("{table} {block} {line}"));
        }
    }
    all
}

fn recorded() -> Vec<Value> {
    serde_json::from_str(include_str!("recorded/objects.json")).expect("JSON")
}

#[test]
fn nftables_as_a_real_kube_proxy_wrote_them() {
    let ns = NetNs::new().expect("a namespace");
    sync(&ns, "node-a", "nftables", &recorded()).expect("syncs");
    let Some(ours) = shown(&ns, "nft", &["list", "ruleset"]) else {
        return;
    };
    let (ours, theirs) = (lines(&ours), lines(include_str!("recorded/nftables.nft")));
    let missing: Vec<_> = theirs.difference(&ours).collect();
    let extra: Vec<_> = ours.difference(&theirs).collect();
    assert!(
        missing.is_empty() && extra.is_empty(),
        "missing {missing:#?}\nextra {extra:#?}"
    );
}

/// Rules by chain; a set that a rule made for itself has a number that depends on the order.
fn rules(ns: &NetNs) -> std::collections::BTreeMap<String, Vec<String>> {
    let tables = ns
        .enter(netshoot_host::nft::dump)
        .expect("inside")
        .expect("dumps");
    let mut all = std::collections::BTreeMap::new();
    for table in tables {
        for chain in table.chains {
            let text = |r: netshoot_wire::nft::Rule| {
                let text = format!("{:?} {}", r.exprs, r.comment);
                text.split('"')
                    .filter(|w| !w.starts_with("__map"))
                    .collect::<Vec<_>>()
                    .join("\"")
            };
            let name = format!("{} {}", table.family.name(), chain.name);
            all.insert(name, chain.rules.into_iter().map(text).collect());
        }
    }
    all
}

#[test]
fn the_same_instructions_as_a_real_kube_proxys() {
    let (ours, theirs) = (
        NetNs::new().expect("a namespace"),
        NetNs::new().expect("a namespace"),
    );
    let file = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/src/proxy/recorded/nftables.nft"
    );
    if shown(&theirs, "nft", &["-f", file]).is_none() {
        return;
    }
    sync(&ours, "node-a", "nftables", &recorded()).expect("syncs");
    assert_eq!(rules(&ours), rules(&theirs));
}

#[test]
fn what_iptables_wrote_is_understood() {
    if !iptables_is_here() {
        return;
    }
    use netshoot_wire::nft::{Expr, xt::XtMeaning};
    let ns = NetNs::new().expect("a namespace");
    sync(&ns, "node-a", "iptables", &recorded()).expect("syncs");
    let (mut known, mut unknown) = (BTreeSet::new(), BTreeSet::new());
    for table in ns
        .enter(netshoot_host::nft::dump)
        .expect("inside")
        .expect("dumps")
    {
        for expr in table
            .chains
            .iter()
            .flat_map(|c| &c.rules)
            .flat_map(|r| &r.exprs)
        {
            let (name, meaning) = match expr {
                Expr::Match(xt) => (&xt.name, xt.read_match(table.family)),
                Expr::Target(xt) => (&xt.name, xt.read_target(table.family)),
                Expr::Other { name, .. } => (name, XtMeaning::Unknown),
                _ => continue,
            };
            let known = if meaning == XtMeaning::Unknown {
                &mut unknown
            } else {
                &mut known
            };
            known.insert(name.clone());
        }
    }
    assert_eq!(unknown, BTreeSet::from(["recent".to_string()]));
    for name in [
        "comment",
        "conntrack",
        "statistic",
        "addrtype",
        "MARK",
        "DNAT",
        "MASQUERADE",
    ] {
        assert!(known.contains(name), "{name} is not among {known:?}");
    }
}

#[test]
fn udp_goes_to_the_new_backend_when_the_old_one_is_gone() {
    let town = Town::new();
    let client = town.pod(1, 10);
    for (node, n) in [(1, 20), (2, 20)] {
        let network = town.pod(node, n);
        let socket = network
            .enter(|| std::net::UdpSocket::bind(("::", 8080)))
            .expect("inside")
            .expect("bound");
        std::thread::spawn(move || {
            for _ in 0..1000 {
                let Ok((_, from)) = socket.recv_from(&mut [0; 8]) else {
                    return;
                };
                let _ = socket.send_to(&[node], from);
            }
        });
    }
    for v6 in [false, true] {
        let spec = json!({"ports": [{"name": "http", "port": 80, "protocol": "UDP"}]});
        let set = |conditions: [Value; 2]| {
            let mut slice = both("web", v6, conditions);
            slice["ports"][0]["protocol"] = json!("UDP");
            sync_all(&town, "nftables", &[clusters(v6, spec.clone()), slice]);
        };
        let socket =
            client.enter(|| std::net::UdpSocket::bind(if v6 { "[::]:0" } else { "0.0.0.0:0" }));
        let socket = socket.expect("inside").expect("bound");
        socket
            .set_read_timeout(Some(std::time::Duration::from_secs(2)))
            .expect("set");
        let ask = || {
            socket.send_to(b"?", (ip(10, v6), 80)).expect("sent");
            let mut who = [0];
            socket.recv(&mut who).map(|_| who[0])
        };
        set([ready(), gone()]);
        assert_eq!(ask().expect("an answer"), 1);
        set([gone(), ready()]);
        assert_eq!(
            ask().expect("an answer"),
            2,
            "the old backend is remembered"
        );
    }
}
