use super::*;
use serde_json::json;
use std::collections::BTreeSet;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

/// A world of two nodes and nothing else.
pub(crate) fn two_nodes() -> World {
    let node = |i: u8| {
        json!({
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": { "name": format!("node-{i}") },
            "spec": { "podCIDRs": [format!("10.244.{i}.0/24")] },
            "status": { "addresses": [{ "type": "InternalIP", "address": format!("10.90.0.1{i}") }] },
        })
    };
    World {
        name: "two-nodes".into(),
        objects: vec![node(1), node(2)],
        ..World::default()
    }
}

/// What the test's parent process does: `__test_hold`. Holds a world until it is killed.
pub(crate) fn parent() -> i32 {
    let mut held = match hold(&two_nodes(), 1, &Options::default()) {
        Ok(held) => held,
        Err(e) => {
            println!("failed {e}");
            return 1;
        }
    };
    match held.wait_ready(Duration::from_secs(20), &mut |_| {}) {
        Ok(()) => println!("ready {}", held.pid()),
        Err(e) => println!("failed {e}"),
    }
    drop(std::io::stdin().read_line(&mut String::new()));
    0
}

const MARK: &str = "NETSHOOT_TEST_MARK";

/// Processes that carry a mark in their environment (zombies have none left).
fn marked(mark: &str) -> Vec<String> {
    let wanted = format!("{MARK}={mark}");
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let environ = std::fs::read(entry.path().join("environ")).unwrap_or_default();
        if environ.split(|b| *b == 0).any(|e| e == wanted.as_bytes()) {
            let words = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            found.push(format!(
                "{:?} {}",
                entry.file_name(),
                String::from_utf8_lossy(&words).replace('\0', " ")
            ));
        }
    }
    found
}

/// What a world must not change: links and sysctls of this namespace, mounts.
fn surroundings() -> BTreeSet<String> {
    let files = [
        "/proc/self/mountinfo",
        "/proc/sys/net/ipv4/ip_forward",
        "/proc/sys/net/ipv6/conf/all/forwarding",
        "/proc/sys/net/bridge/bridge-nf-call-iptables",
        "/proc/sys/net/ipv4/ping_group_range",
        "/proc/sys/net/ipv4/conf/all/rp_filter",
    ];
    let read = |f: &str| std::fs::read_to_string(f).unwrap_or_default();
    let mut all: BTreeSet<String> = files.iter().map(|f| format!("{f}: {}", read(f))).collect();
    all.extend(
        read("/proc/net/dev")
            .lines()
            .filter_map(|l| Some(l.split_once(':')?.0.trim().to_string())),
    );
    all
}

fn start(mark: &str, uid: Option<u32>) -> std::process::Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .arg("__test_hold")
        .env(MARK, mark)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    if let Some(uid) = uid {
        command.uid(uid).gid(uid).current_dir("/");
    }
    command.spawn().unwrap()
}

fn gone_within(mark: &str, pid: u32, limit: Duration) {
    let end = Instant::now() + limit;
    loop {
        let processes = marked(mark);
        let folders = cgroup::left_by(pid);
        if processes.is_empty() && folders.is_empty() {
            return;
        }
        assert!(
            Instant::now() < end,
            "left after {limit:?}: {processes:?} {folders:?}"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Kills the parent at a moment that differs each time; 50 of them, from before the first
/// namespace to after everything stands.
#[test]
fn a_killed_parent_leaves_nothing() {
    let before = surroundings();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for round in 0..50 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let mark = format!("{}-{round}", std::process::id());
        let mut parent = start(&mark, None);
        // Skewed to the early moments, where most happens.
        std::thread::sleep(Duration::from_micros(
            state % 1000 * (state >> 10) % 250_000,
        ));
        parent.kill().unwrap();
        parent.wait().unwrap();
        gone_within(&mark, parent.id(), Duration::from_secs(2));
    }
    assert_eq!(surroundings(), before);
}

#[test]
fn a_world_stands_and_ends_in_order_with_and_without_root() {
    let before = surroundings();
    for uid in [None, Some(65534)] {
        let mark = format!("{}-order-{uid:?}", std::process::id());
        let mut parent = start(&mark, uid);
        let mut said = String::new();
        BufReader::new(parent.stdout.take().unwrap())
            .read_line(&mut said)
            .unwrap();
        assert!(said.starts_with("ready "), "as {uid:?}: {said}");
        assert!(marked(&mark).len() >= 2);
        drop(parent.stdin.take());
        assert!(parent.wait().unwrap().success());
        gone_within(&mark, parent.id(), Duration::from_secs(2));
    }
    assert_eq!(surroundings(), before);
}

#[test]
fn answers_through_its_socket_and_lets_commands_in() {
    let mut held = hold(&two_nodes(), 1, &Options::default()).unwrap();
    held.wait_ready(Duration::from_secs(20), &mut |_| {})
        .unwrap();
    let kinds = held
        .ask(&json!({ "snapshot": { "kinds": ["Node"] } }))
        .unwrap();
    assert_eq!(kinds["source"], "world");
    let bad = [
        json!({}),
        json!("x"),
        json!({ "probes": 3 }),
        json!({ "snapshot": {}, "x": 1 }),
        json!(null),
    ];
    for request in bad {
        let said = held.ask(&request).unwrap_err().to_string();
        assert!(said.contains("not a request"), "{request}: {said}");
    }
    let words = |text: &str| text.split(' ').map(String::from).collect::<Vec<_>>();
    let cases = [
        ("node/node-1", "sh -c exit\u{a0}7", 7),
        ("node/node-1", "test -d /sys", 0),
        ("node/node-1", "test -S /run/netshoot/world.sock", 0),
        ("node/node-1", "grep -q cni0 /proc/net/dev", 0),
        ("node/node-9", "true", 125),
        ("node/node-2", "no-such-command", 127),
    ];
    for (place, command, code) in cases {
        let command: Vec<String> = words(command)
            .iter()
            .map(|w| w.replace('\u{a0}', " "))
            .collect();
        assert_eq!(
            held.run(place, &command).unwrap(),
            code,
            "{place} {command:?}"
        );
    }
}

/// A whole world: what a diagnosis is told of it, and what it may change.
#[test]
fn a_diagnosis_sees_objects_and_network_and_may_change_them() {
    let world = crate::labs::lab("listens-on-loopback").unwrap().unwrap();
    let mut held = hold(&world, 1, &Options::default()).unwrap();
    held.wait_ready(Duration::from_secs(60), &mut |_| {})
        .unwrap();
    let all = held.ask(&json!({ "snapshot": { "kinds": null } })).unwrap();
    let objects = all["objects"].as_array().unwrap();
    let secrets = objects.iter().filter(|o| o["kind"] == "Secret");
    assert!(
        secrets
            .into_iter()
            .all(|s| s.get("data").is_none() && s.get("stringData").is_none())
    );
    for word in [
        "behaviour",
        "catalogue",
        world.name.as_str(),
        world.plan.title.as_str(),
    ] {
        assert!(
            !all.to_string().contains(word),
            "the snapshot gives away {word:?}"
        );
    }
    let pod = objects
        .iter()
        .find(|o| o["kind"] == "Pod" && o["spec"]["hostNetwork"].is_null())
        .unwrap();
    let (namespace, name) = (&pod["metadata"]["namespace"], &pod["metadata"]["name"]);
    let node = &pod["spec"]["nodeName"];
    let from_pod = json!({ "pod": { "namespace": namespace, "name": name } });
    let from_node = json!({ "node": { "name": node } });
    let asked = [
        (from_pod.clone(), json!("links"), "links"),
        (
            from_node.clone(),
            json!({ "memory": { "namespace": namespace, "pod": name, "watch_ms": 60 } }),
            "memory",
        ),
        (from_pod.clone(), json!("resolv_conf"), "resolv_conf"),
        (
            from_node.clone(),
            json!({ "log": { "namespace": namespace, "pod": name, "container": "", "previous": false } }),
            "log",
        ),
        (
            from_node.clone(),
            json!({ "log": { "namespace": namespace, "pod": "no", "container": "", "previous": false } }),
            "could_not_ask",
        ),
        (json!("here"), json!("links"), "could_not_ask"),
        (
            json!({ "node": { "name": "no" } }),
            json!("links"),
            "could_not_ask",
        ),
        (json!(7), json!({ "nonsense": 1 }), "could_not_ask"),
    ];
    let probes: Vec<Value> = asked
        .iter()
        .map(|(from, q, _)| json!({ "from": from, "question": q }))
        .collect();
    let answers = held.ask(&json!({ "probes": probes })).unwrap();
    for ((probe, answered), (_, _, kind)) in
        probes.iter().zip(answers.as_array().unwrap()).zip(&asked)
    {
        assert_eq!(&answered["probe"], probe);
        assert!(
            answered["answer"].get(*kind).is_some(),
            "{probe}: {answered}"
        );
    }
    let on_node = |words: &[&str]| {
        held.ask(&json!({ "on_node": { "node": node, "argv": words } }))
            .unwrap()
    };
    let cases: [(&[&str], i64, &str); 5] = [
        (
            &["sysctl", "-w", "net.ipv4.ip_forward=0"],
            0,
            "net.ipv4.ip_forward = 0",
        ),
        (&["sysctl", "-n", "net.ipv4.ip_forward"], 0, "0\n"),
        (&["ip", "link", "set", "no0", "up"], 1, ""),
        (&["cat", "/etc/resolv.conf"], 0, "nameserver"),
        (&["no-such-tool"], 127, ""),
    ];
    for (words, code, printed) in cases {
        let done = on_node(words);
        assert!(
            done["code"] == code && done["stdout"].as_str().unwrap().contains(printed),
            "{words:?}: {done}"
        );
    }
    let object = json!({ "kind": "Pod", "namespace": namespace, "name": name });
    let patch = json!({ "metadata": { "labels": { "seen": "yes" } } });
    let patched = held
        .ask(&json!({ "patch": { "object": object, "strategic": true, "patch": patch } }))
        .unwrap();
    assert_eq!(patched["object"]["metadata"]["labels"]["seen"], "yes");
    held.ask(&json!({ "delete": { "object": object } }))
        .unwrap();
    let missing = json!({ "kind": "Service", "namespace": "no", "name": "no" });
    assert!(
        held.ask(&json!({ "delete": { "object": missing } }))
            .is_err()
    );
}

/// Two nodes and a pod that does `does`; breaks in this way.
fn breaking(does: Value, faults: Value) -> World {
    let mut world = two_nodes();
    world.objects.extend([
        json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "shop" } }),
        json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": { "name": "cart", "namespace": "shop", "labels": { "app": "cart" } },
            "spec": { "nodeName": "node-1", "containers": [{ "name": "cart", "image": "cart:1" }] },
        }),
    ]);
    world.plan = serde_json::from_value(json!({
        "title": "t",
        "layer": "L3",
        "ask": { "namespace": "shop", "en": "x" },
        "client": { "kind": "Pod", "namespace": "shop", "name": "cart" },
        "server": { "kind": "Pod", "namespace": "shop", "name": "cart", "port": 8080 },
        "behaviour": [{ "namespace": "shop", "labels": { "app": "cart" }, "does": does }],
        "faults": faults,
    }))
    .unwrap();
    world
}

fn listens(port: u16) -> Value {
    json!({ "listen": [{ "port": port, "serve": "http" }] })
}

/// Runs a shell's words in the world until they succeed.
fn comes_true(held: &Held, place: &str, words: &str) {
    let command = ["sh", "-c", words].map(String::from);
    let end = Instant::now() + Duration::from_secs(10);
    while held.run(place, &command).unwrap() != 0 {
        assert!(Instant::now() < end, "{place}: {words}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn sysctls_routes_behaviour_and_commands_break_a_world() {
    let pods = json!({ "namespace": "shop", "labels": { "app": "cart" }, "does": listens(9090) });
    let ttl = "echo 77 > /proc/sys/net/ipv4/ip_default_ttl";
    let world = breaking(
        listens(8080),
        json!([
            { "do": { "sysctl": { "node": "node-1", "name": "net.ipv4.ip_forward", "value": "0" } } },
            { "do": { "route_gone": { "node": "node-1", "to_node": "node-2" } } },
            { "do": { "run": { "on": "node/node-2", "argv": ["sh", "-c", ttl] } } },
            { "do": { "behave": pods } },
        ]),
    );
    let mut held = hold(&world, 1, &Options::default()).unwrap();
    held.wait_ready(Duration::from_secs(60), &mut |_| {})
        .unwrap();
    let sysctl = |name: &str, value: u32| format!("grep -qx {value} /proc/sys/net/ipv4/{name}");
    comes_true(&held, "node/node-1", &sysctl("ip_forward", 0));
    comes_true(&held, "node/node-2", &sysctl("ip_forward", 1));
    comes_true(&held, "node/node-2", &sysctl("ip_default_ttl", 77));
    comes_true(&held, "node/node-1", &sysctl("ip_default_ttl", 64));
    // Destinations in /proc/net/route are hexadecimal and backwards: 10.244.1.0 and 10.244.2.0.
    comes_true(&held, "node/node-1", "! grep -q 0002F40A /proc/net/route");
    comes_true(&held, "node/node-2", "grep -q 0001F40A /proc/net/route");
    // 9090 and 8080, in the state LISTEN.
    let open = "grep -q ':2382 .* 0A ' /proc/net/tcp6 && ! grep -q ':1F90 .* 0A ' /proc/net/tcp6";
    comes_true(&held, "pod/shop/cart", open);
}

#[test]
fn a_fault_that_cannot_be_carried_out_is_told() {
    let fails = |at_ms: u64| json!([{ "at_ms": at_ms, "do": { "run": { "on": "node/node-2", "argv": ["sh", "-c", "echo no >&2; exit 3"] } } }]);
    // At the start there is no world without it.
    let mut held = hold(&breaking(listens(8080), fails(0)), 1, &Options::default()).unwrap();
    let said = held
        .wait_ready(Duration::from_secs(60), &mut |_| {})
        .unwrap_err()
        .to_string();
    assert!(said.contains("on node/node-2: code 3: no"), "{said}");
    // Later the world stands, and says so.
    let mut held = hold(&breaking(listens(8080), fails(20)), 1, &Options::default()).unwrap();
    held.wait_ready(Duration::from_secs(60), &mut |_| {})
        .unwrap();
    let heard = held.hear().unwrap();
    let said = heard.recv_timeout(Duration::from_secs(10)).unwrap();
    assert!(
        said.starts_with("at 20 ms: ") && said.contains("code 3: no"),
        "{said}"
    );
    drop(held);
    let over = heard.recv_timeout(Duration::from_secs(10));
    assert_eq!(over, Err(mpsc::RecvTimeoutError::Disconnected));
}
