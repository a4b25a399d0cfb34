//! The incidents, as a user meets them: asked in words, answered with proof, mended, recorded, and
//! answered again from the recording alone.

#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::{Command, Output};

const PROGRAM: &str = env!("CARGO_BIN_EXE_netshoot");

struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Folder {
        let dir = std::env::temp_dir().join(format!("netshoot-{test}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        Folder(dir)
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Two worlds at a time are well, but a remedy that is verified by the silence of its world has the machine for itself.
static MACHINE: std::sync::RwLock<()> = std::sync::RwLock::new(());

fn run(words: &[&str]) -> Output {
    let _shared = MACHINE.read();
    start(words)
}

fn run_alone(words: &[&str]) -> Output {
    let _alone = MACHINE.write();
    start(words)
}

fn start(words: &[&str]) -> Output {
    Command::new(PROGRAM)
        .args(words)
        .env("LC_ALL", "C")
        .output()
        .unwrap()
}

fn json_of(out: &Output) -> Value {
    serde_json::from_slice(&out.stdout).unwrap_or_else(|e| {
        panic!(
            "{e}: {}{}",
            String::from_utf8_lossy(&out.stdout),
            String::from_utf8_lossy(&out.stderr)
        )
    })
}

/// The victim's question of a world, from its own file.
fn question(world: &str) -> (String, String) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../labs")
        .join(world)
        .join("world.yaml");
    let plan = std::fs::read_to_string(path).unwrap();
    let after = |key: &str| {
        plan.lines()
            .find_map(|l| l.strip_prefix(&format!("  {key}: ")))
            .unwrap()
            .trim()
            .to_string()
    };
    (after("en"), after("namespace"))
}

/// Asks in a world; more words go to `diagnose`.
fn ask(world: &str, more: &[&str]) -> Value {
    let (said, namespace) = question(world);
    let mut words = vec![
        "lab",
        "run",
        world,
        "--",
        "netshoot",
        "diagnose",
        "--symptom",
        &said,
        "-n",
        &namespace,
        "-o",
        "json",
    ];
    words.extend(more);
    if more.contains(&"--verify") {
        json_of(&run_alone(&words))
    } else {
        json_of(&run(&words))
    }
}

/// One of each layer; the bench runs all of them.
const WORLDS: &[(&str, &str)] = &[
    ("client-asks-wrong-resolver", "F11"),
    ("egress-policy-forgets-dns", "F13"),
    ("selector-matches-nothing", "F21"),
    ("service-sends-to-wrong-port", "F23"),
    ("listens-on-loopback", "F29"),
    ("listens-on-other-port", "F30"),
    ("stale-rules-on-a-node", "F43"),
    ("node-does-not-forward", "F56"),
    ("forward-chain-drops", "F57"),
    ("default-deny-without-allow", "F60"),
    ("namespace-lacks-label", "F61"),
    ("mtu-hole-at-the-switch", "F71"),
    ("bridge-down", "F75"),
    ("pod-link-down", "F75"),
    ("overlay-port-blocked", "F76"),
    ("certificate-expired", "F97"),
];

#[test]
fn remedies_work_and_recordings_tell_the_same() {
    let dir = Folder::new("incidents");
    for (world, number) in WORLDS {
        let file = dir.file(&format!("{world}.json"));
        let report = ask(world, &["--record", &file, "--verify"]);
        assert_eq!(
            (&report["verdict"], &report["cause"]["catalogue"]),
            (&json!("broken"), &json!(number)),
            "{world}: {}",
            report["summary"]
        );
        let verified = &report["verified"];
        assert_eq!(verified["worked"], json!(true), "{world}: {verified}");
        assert!(
            verified["requests"].as_u64().unwrap() >= 200,
            "{world}: {verified}"
        );
        same_from_the_recording(world, &file, report);
        undecided_without_its_evidence(world, &file);
    }
}

/// The report is a pure function of the file, in whatever order answers had arrived.
fn same_from_the_recording(world: &str, file: &str, mut live: Value) {
    live.as_object_mut().unwrap().remove("verified");
    let replay =
        |format: &str, file: &str| run(&["diagnose", "--snapshot", file, "-o", format]).stdout;
    let first = replay("json", file);
    assert_eq!(
        serde_json::from_slice::<Value>(&first).unwrap(),
        live,
        "{world}: the recording tells what the run told"
    );
    let mut recording: Value =
        serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    for (i, batch) in recording["batches"]
        .as_array_mut()
        .unwrap()
        .iter_mut()
        .enumerate()
    {
        let answers = batch["answers"].as_array_mut().unwrap();
        let n = answers.len().max(1);
        answers.rotate_left((i * 7 + 3) % n);
        answers.reverse();
    }
    let shuffled = format!("{file}.shuffled");
    std::fs::write(&shuffled, recording.to_string()).unwrap();
    assert!(
        replay("json", &shuffled) == first,
        "{world}: the order of answers must not matter"
    );
    assert!(
        replay("html", &shuffled) == replay("html", file),
        "{world}: nor in the page"
    );
}

/// Without what decided it the answer is "unknown", never a guess.
fn undecided_without_its_evidence(world: &str, file: &str) {
    let report = json_of(&run(&["diagnose", "--snapshot", file, "-o", "json"]));
    let cited: Vec<String> = report["cause"]["evidence"]
        .as_array()
        .unwrap()
        .iter()
        .map(|id| {
            let all = report["evidence"].as_array().unwrap();
            all.iter().find(|e| e["id"] == *id).unwrap()["source"]
                .as_str()
                .unwrap()
                .to_string()
        })
        .collect();
    let kinds: Vec<&str> = cited
        .iter()
        .filter_map(|s| s.strip_prefix("probe ")?.split(':').next())
        .collect();
    // The symptom itself (handshake, request, lookup) stays; what the check asked for goes.
    let symptom = ["tcp_connect", "http_get", "lookup_name"];
    let deciding: Vec<&str> = kinds
        .iter()
        .copied()
        .filter(|k| !symptom.contains(k))
        .collect();
    let mut recording: Value =
        serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    if deciding.is_empty() {
        // Proven by objects: then those are missing, and the gap is said.
        let policy = report["cause"]["catalogue"] == json!("F60")
            || report["cause"]["catalogue"] == json!("F61");
        let kind = if policy { "NetworkPolicy" } else { "Pod" };
        let objects = recording["snapshot"]["objects"].as_array_mut().unwrap();
        let client = report["understood"]["conversations"][0]
            .as_str()
            .unwrap()
            .to_string();
        objects.retain(|o| {
            o["kind"] != json!(kind) || client.contains(o["metadata"]["name"].as_str().unwrap())
        });
        let gap = json!({"what": format!("{kind} objects"), "missing": "the right to list them", "how_to_get": "ask for it"});
        recording["snapshot"]["gaps"]
            .as_array_mut()
            .unwrap()
            .push(gap);
        if !policy {
            // Without any pod nobody can say that a selector matches none.
            objects_of(&mut recording).retain(|o| o["kind"] != json!("Pod"));
        }
    } else {
        for batch in recording["batches"].as_array_mut().unwrap() {
            batch["answers"].as_array_mut().unwrap().retain(|a| {
                !deciding
                    .iter()
                    .any(|d| question_id(&a["probe"]["question"]) == *d)
            });
        }
    }
    let blind = format!("{file}.blind");
    std::fs::write(&blind, recording.to_string()).unwrap();
    let again = json_of(&run(&["diagnose", "--snapshot", &blind, "-o", "json"]));
    assert_eq!(
        again["verdict"],
        json!("unknown"),
        "{world} without {deciding:?}: {}",
        again["summary"]
    );
    assert!(
        !again["unknown"].as_array().unwrap().is_empty(),
        "{world}: what is missing is said"
    );
}

fn objects_of(recording: &mut Value) -> &mut Vec<Value> {
    recording["snapshot"]["objects"].as_array_mut().unwrap()
}

fn question_id(question: &Value) -> &'static str {
    let word = question
        .as_str()
        .map(str::to_string)
        .or_else(|| question.as_object().and_then(|o| o.keys().next().cloned()))
        .unwrap_or_default();
    match word.as_str() {
        "links" => "read_links",
        "sockets" => "read_sockets",
        "sysctls" => "read_sysctls",
        "rules" => "dump_rules",
        "resolv_conf" => "read_resolv_conf",
        "resolve" => "resolve_name",
        "path_mtu" => "path_mtu",
        "echo" => "icmp_echo",
        "tls_handshake" => "tls_handshake",
        _ => "",
    }
}

/// Worlds with two causes, or none of the ways above to withhold the evidence: only what a recording
/// tells is looked at.
const MORE_WORLDS: &[&str] = &[
    "dns-without-endpoints",
    "mtu-hole-under-the-tunnel",
    "no-dns-and-loopback",
    "no-dns-egress-and-wrong-selector",
    "wrong-resolver-and-forward-drop",
];

#[test]
fn more_recordings_tell_the_same() {
    assert!(WORLDS.len() + MORE_WORLDS.len() >= 20);
    let dir = Folder::new("more-incidents");
    for world in MORE_WORLDS {
        let file = dir.file(&format!("{world}.json"));
        let report = ask(world, &["--record", &file]);
        assert_eq!(
            report["verdict"],
            json!("broken"),
            "{world}: {}",
            report["summary"]
        );
        same_from_the_recording(world, &file, report);
    }
}

#[test]
fn another_kinds_remedy_leaves_the_symptom() {
    let dir = Folder::new("foreign");
    let file = dir.file("other.json");
    std::fs::write(&file, ask("forward-chain-drops", &[]).to_string()).unwrap();
    let report = ask(
        "node-does-not-forward",
        &["--verify", "--remedy", &file, "--patience", "4"],
    );
    assert_eq!(report["cause"]["catalogue"], json!("F56"));
    assert_eq!(
        report["verified"]["worked"],
        json!(false),
        "{}",
        report["verified"]
    );
}

#[test]
fn names_do_not_matter() {
    for world in [
        "listens-on-loopback",
        "namespace-lacks-label",
        "overlay-port-blocked",
    ] {
        let plain = ask(world, &[]);
        let hashed = json_of(&run(&["lab", "ask", world, "--hashed", "-o", "json"]));
        let what = |r: &Value| {
            (
                r["verdict"].clone(),
                r["cause"]["id"].clone(),
                r["cause"]["subject"]["kind"].clone(),
                r["cause"]["hop"].clone(),
            )
        };
        assert_eq!(what(&plain), what(&hashed), "{world}");
    }
}

#[test]
fn the_articles_case_is_proven_and_mended() {
    let report = ask("auth-service-out-of-memory", &["--verify"]);
    let cause = &report["cause"];
    assert_eq!(
        (&cause["catalogue"], &cause["subject"]["name"]),
        (&json!("F107"), &json!("auth-service")),
        "{}",
        report["summary"]
    );
    let chain = cause["chain"].to_string();
    for link in [
        "memory limit 64Mi",
        "OOMKilled",
        "accept queues overflowed",
        "go unanswered",
    ] {
        assert!(chain.contains(link), "{link}: {chain}");
    }
    assert!(
        report["ruled_out"]
            .to_string()
            .contains("not a lossy network"),
        "{}",
        report["ruled_out"]
    );
    let command = report["remedy"]["steps"][0]["command"].as_str().unwrap();
    assert!(
        command.starts_with("kubectl set resources deployment/auth-service -n production"),
        "{command}"
    );
    assert!(
        report["remedy"]["because"]
            .as_str()
            .unwrap()
            .contains("at least"),
        "{}",
        report["remedy"]
    );
    let verified = &report["verified"];
    assert_eq!(verified["worked"], json!(true), "{verified}");
    assert!(
        verified["held_ms"].as_u64().unwrap() > 7000,
        "two former lives: {verified}"
    );
}

#[test]
fn the_leak_is_told_from_the_tight_limit() {
    let report = ask("auth-service-leak", &[]);
    assert_eq!(
        report["cause"]["catalogue"],
        json!("F108"),
        "{}",
        report["summary"]
    );
    assert!(
        report["remedy"]["because"]
            .as_str()
            .unwrap()
            .contains("a delay, not a cure"),
        "{}",
        report["remedy"]
    );
}

#[test]
fn worlds_stand_without_root_too() {
    // SAFETY-free look: the effective user id is in /proc.
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let root = status
        .lines()
        .any(|l| l.starts_with("Uid:") && l.split_ascii_whitespace().nth(2) == Some("0"));
    if !root || Command::new("setpriv").arg("--version").output().is_err() {
        println!("SKIPPED: becoming nobody needs root and setpriv");
        return;
    }
    // The build folder may be closed to others: a copy that everybody may run.
    let dir = Folder::new("nobody");
    let copy = dir.file("netshoot");
    std::fs::copy(PROGRAM, &copy).unwrap();
    Command::new("chmod")
        .args(["-R", "a+rX", dir.0.to_str().unwrap()])
        .status()
        .unwrap();
    let _shared = MACHINE.read();
    let only = "listens-on-loopback,node-does-not-forward,default-deny-without-allow";
    let out = Command::new("setpriv")
        .args([
            "--reuid",
            "65534",
            "--regid",
            "65534",
            "--clear-groups",
            &copy,
            "lab",
            "bench",
            "--seeds",
            "1",
            "--first-seed",
            "0",
            "--only",
            only,
            "-o",
            "json",
        ])
        .current_dir("/")
        .output()
        .unwrap();
    let figures = json_of(&out);
    assert_eq!(figures["total"]["first_share"], json!(1.0), "{figures}");
    assert_eq!(figures["twins"]["false_alarms"], json!(0), "{figures}");
}

#[test]
fn this_host_without_kubernetes() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let open = listener.local_addr().unwrap().to_string();
    let report = json_of(&run(&["diagnose", "--to", &open, "-o", "json"]));
    assert_eq!(report["verdict"], json!("healthy"), "{report}");
    drop(listener);
    let report = json_of(&run(&["diagnose", "--to", &open, "-o", "json"]));
    assert_ne!(report["verdict"], json!("healthy"), "{report}");
    assert!(
        report["symptom"].to_string().contains("refused"),
        "{report}"
    );
}
