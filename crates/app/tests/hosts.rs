//! A plain host without any cluster: each reason why another host cannot be reached is made in a
//! network namespace of its own, and has to be named with proof.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::{Command, Stdio};

const PROGRAM: &str = env!("CARGO_BIN_EXE_netshoot");

struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Folder {
        let dir = std::env::temp_dir().join(format!("netshoot-{test}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        Folder(dir)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// All of these are there.
fn have(tools: &[&str]) -> bool {
    let absent = tools.iter().find(|t| {
        let found = Command::new("sh")
            .args(["-c", &format!("command -v {t}")])
            .stdout(Stdio::null())
            .status();
        !found.is_ok_and(|s| s.success())
    });
    if let Some(t) = absent {
        eprintln!("SKIPPED: needs {t}");
    }
    absent.is_none()
}

/// A link `near` of this network to `far` of another one, both families, and what filters there.
/// The other network lives as long as its standard input.
const NEIGHBOUR: &str = "
ip link set dev lo up
ip link add near type veth peer name far
ip addr add 198.51.100.1/24 dev near
ip addr add 2001:db8::1/64 dev near nodad
ip link set dev near up
mkfifo $DIR/alive
unshare -n cat $DIR/alive & other=$!
exec 9>$DIR/alive
for i in $(seq 200); do
  [ $(readlink /proc/$other/ns/net) != $(readlink /proc/self/ns/net) ] && break; sleep 0.01
done
ip link set dev far netns $other
nsenter -t $other -n sh -ec '
ip link set dev lo up
ip link set dev far up
ip addr add 198.51.100.2/24 dev far
ip addr add 2001:db8::2/64 dev far nodad
ip route add default via 198.51.100.1
nft add table inet f
nft add chain inet f i \"{ type filter hook input priority 0; }\"
nft add rule inet f i tcp dport 81 drop
nft add rule inet f i tcp dport 82 reject with icmpx admin-prohibited
'
";

/// Makes a network with `script` and asks for `to` in it.
fn diagnose(test: &str, script: &str, to: &str) -> Value {
    let dir = Folder::new(test);
    let script = format!("{script}\nexec \"$PROGRAM\" diagnose --to '{to}' -o json");
    let out = Command::new("unshare")
        .args(["-r", "-n", "-m", "sh", "-ec", &script])
        .env("LC_ALL", "C")
        .env("PROGRAM", PROGRAM)
        .env("DIR", &dir.0)
        .env_remove("NETSHOOT_WORLD")
        .output()
        .unwrap();
    serde_json::from_slice(&out.stdout).unwrap_or_else(|e| {
        panic!(
            "{test}: {e}: {}{}",
            String::from_utf8_lossy(&out.stdout),
            String::from_utf8_lossy(&out.stderr)
        )
    })
}

/// The cause, its hop, and words of its sentence.
fn proves(report: &Value, id: &str, hop: &str, words: &str) {
    let cause = &report["cause"];
    assert_eq!(
        (&report["verdict"], &cause["id"], &cause["hop"]),
        (&json!("broken"), &json!(id), &json!(hop)),
        "{}: {report:#}",
        report["summary"]
    );
    let says = cause["says"].as_str().unwrap();
    assert!(says.contains(words), "{says}");
    assert_eq!(cause["subject"]["kind"], "Host");
    assert!(
        cause["evidence"].as_array().is_some_and(|e| !e.is_empty()),
        "{cause}"
    );
    let asks = report["remedy"]["steps"][0]["ask"].as_str();
    assert!(
        asks.is_some_and(|a| a.contains('?')),
        "{}",
        report["remedy"]
    );
}

#[test]
fn a_refused_port_is_named() {
    if !have(&["unshare", "ip", "nft", "nsenter"]) {
        return;
    }
    let up = "ip link set dev lo up; ip addr add 192.0.2.5/32 dev lo";
    for (i, (script, to, words)) in [
        (
            up,
            "127.0.0.1:443",
            "nothing listens on port 443 on this host",
        ),
        (
            up,
            "[::1]:443",
            "[::1]:443 refuses: nothing listens on port 443",
        ),
        (NEIGHBOUR, "198.51.100.2:80", "the host is there"),
        (NEIGHBOUR, "[2001:db8::2]:80", "the host is there"),
    ]
    .into_iter()
    .enumerate()
    {
        let report = diagnose(&format!("refused-{i}"), script, to);
        proves(&report, "port-refuses", "listener", words);
    }
    if have(&["python3"]) {
        let listen = "python3 -c 'import socket,time
s=socket.socket(); s.bind((\"127.0.0.1\",443)); s.listen(); time.sleep(8)' &
for i in $(seq 300); do grep -q ':01BB .* 0A ' /proc/net/tcp && break; sleep 0.01; done";
        let report = diagnose("refused-own", &format!("{up}\n{listen}"), "192.0.2.5:443");
        let words = "port 443 is listened on only at 127.0.0.1:443";
        proves(&report, "port-refuses", "listener", words);
    }
}

#[test]
fn silence_is_told_from_absence() {
    if !have(&["unshare", "ip", "nft", "nsenter"]) {
        return;
    }
    let deaf = format!(
        "{NEIGHBOUR}\nnsenter -t $other -n nft add rule inet f i meta l4proto '{{ icmp }}' drop"
    );
    let dead = format!("{NEIGHBOUR}\nnsenter -t $other -n ip link set dev far down");
    for (i, (script, to, hop, words)) in [
        (
            NEIGHBOUR,
            "198.51.100.2:81",
            "path",
            "though 198.51.100.2 answers ICMP",
        ),
        (
            NEIGHBOUR,
            "[2001:db8::2]:81",
            "path",
            "though 2001:db8::2 answers ICMP",
        ),
        (&deaf, "198.51.100.2:81", "path", "answers no ICMP either"),
        (
            NEIGHBOUR,
            "198.51.100.9:81",
            "path",
            "host 198.51.100.9 does not answer on near",
        ),
        (
            &dead,
            "198.51.100.2:80",
            "client-node",
            "link near has no carrier",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let report = diagnose(&format!("silent-{i}"), script, to);
        proves(&report, "port-is-silent", hop, words);
    }
}

#[test]
fn a_missing_way_is_named() {
    if !have(&["unshare", "ip", "nft", "nsenter"]) {
        return;
    }
    let throws = "ip link set dev lo up; ip route add blackhole 203.0.113.0/24; ip -6 route add unreachable 2001:db8:1::/48";
    let down = format!("{NEIGHBOUR}\nip link set dev near down");
    for (i, (script, to, hop, words)) in [
        (
            ":",
            "192.0.2.1:443",
            "client-node",
            "there is no link but lo",
        ),
        (
            ":",
            "[2001:db8::1]:443",
            "client-node",
            "there is no link but lo",
        ),
        (
            throws,
            "203.0.113.1:80",
            "client-node",
            "the route blackhole 203.0.113.0/24 takes it",
        ),
        (
            throws,
            "[2001:db8:1::1]:80",
            "client-node",
            "the route unreachable 2001:db8:1::/48 takes it",
        ),
        (&down, "198.51.100.2:80", "client-node", "link near is down"),
        (
            NEIGHBOUR,
            "203.0.113.1:80",
            "client-node",
            "no route leads from this host",
        ),
        (
            NEIGHBOUR,
            "198.51.100.2:82",
            "path",
            "said to be unreachable",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let report = diagnose(&format!("no-route-{i}"), script, to);
        proves(&report, "no-route-to-destination", hop, words);
    }
}

#[test]
fn a_name_without_address_is_told_by_its_servers() {
    if !have(&["unshare", "ip", "nft", "nsenter", "mount"]) {
        return;
    }
    let conf = |server: &str| {
        format!(
            "{NEIGHBOUR}\necho nameserver {server} > $DIR/conf; mount --bind $DIR/conf /etc/resolv.conf"
        )
    };
    for (i, (server, words)) in [
        ("198.51.100.2", "name server 198.51.100.2 refuses"),
        ("203.0.113.53", "name server 203.0.113.53 cannot be reached"),
        ("198.51.100.9", "name server 198.51.100.9 gives no answer"),
    ]
    .into_iter()
    .enumerate()
    {
        let report = diagnose(&format!("name-{i}"), &conf(server), "x.example.test:443");
        proves(&report, "name-does-not-resolve", "name", words);
    }
}

#[test]
fn certificates_are_read_as_strict_clients_do() {
    if !have(&["unshare", "ip", "mount", "openssl"]) {
        return;
    }
    let server = "ip link set dev lo up
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout $DIR/k -out $DIR/c -days 2 -subj /CN=box -addext subjectAltName=DNS:box.test 2> $DIR/log
printf '127.0.0.1 box.test\\n127.0.0.1 other.test\\n' > $DIR/hosts; mount --bind $DIR/hosts /etc/hosts
timeout 10 openssl s_server -accept 443 -key $DIR/k -cert $DIR/c -www > $DIR/log 2>&1 &
for i in $(seq 300); do grep -q ':01BB .* 0A ' /proc/net/tcp /proc/net/tcp6 && break; sleep 0.01; done";
    let report = diagnose("tls-box", server, "box.test:443");
    proves(&report, "certificate-not-trusted", "tls", "signed itself");
    assert_eq!(report["cause"]["catalogue"], "F99");
    let report = diagnose("tls-other", server, "other.test:443");
    proves(
        &report,
        "certificate-name-wrong",
        "tls",
        "it is for box.test",
    );
    assert_eq!(report["cause"]["catalogue"], "F98");
    assert_eq!(report["also"][0]["id"], "certificate-not-trusted");
}

#[test]
fn an_authority_of_the_machine_counts_and_is_named() {
    if !have(&["unshare", "ip", "mount", "openssl"]) {
        return;
    }
    let server = "ip link set dev lo up
key='-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes'
openssl req -x509 $key -keyout $DIR/cak -out $DIR/ca -days 2 -subj '/CN=our authority' 2> $DIR/log
openssl req $key -keyout $DIR/k -out $DIR/r -subj /CN=box 2>> $DIR/log
printf 'subjectAltName=DNS:box.test' > $DIR/names
openssl x509 -req -in $DIR/r -CA $DIR/ca -CAkey $DIR/cak -CAcreateserial -days 2 -extfile $DIR/names -out $DIR/c 2>> $DIR/log
openssl req -x509 $key -keyout $DIR/k2 -out $DIR/other -days 2 -subj '/CN=another authority' 2>> $DIR/log
printf '127.0.0.1 box.test\\n' > $DIR/hosts; mount --bind $DIR/hosts /etc/hosts
timeout 10 openssl s_server -accept 443 -key $DIR/k -cert $DIR/c -www >> $DIR/log 2>&1 &
for i in $(seq 300); do grep -q ':01BB .* 0A ' /proc/net/tcp /proc/net/tcp6 && break; sleep 0.01; done";
    let report = diagnose(
        "tls-ours",
        &format!("{server}\nexport SSL_CERT_FILE=$DIR/ca"),
        "https://box.test/",
    );
    assert_eq!(report["verdict"], "healthy", "{report:#}");
    let seen = report["symptom"].to_string();
    assert!(
        seen.contains("authority known to /") && seen.contains("/ca"),
        "{seen}"
    );
    let report = diagnose(
        "tls-others",
        &format!("{server}\nexport SSL_CERT_FILE=$DIR/other"),
        "https://box.test/",
    );
    proves(&report, "certificate-not-trusted", "tls", "and not in /");
    let evidence = report["evidence"].to_string();
    assert!(
        evidence.contains("looked for in: built-in, /"),
        "{evidence}"
    );
}

#[test]
fn a_pod_of_a_world_asks_from_where_it_is() {
    let out = Command::new(PROGRAM)
        .args([
            "lab",
            "run",
            "selector-matches-nothing",
            "--twin",
            "healthy",
            "--",
        ])
        .args(["netshoot", "diagnose", "--to", "127.0.0.1:81", "-o", "json"])
        .env("LC_ALL", "C")
        .output()
        .unwrap();
    let report: Value = serde_json::from_slice(&out.stdout)
        .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&out.stderr)));
    proves(
        &report,
        "port-refuses",
        "listener",
        "nothing listens on port 81",
    );
}

#[test]
fn a_policy_that_stops_a_pod_is_named_before_the_silence() {
    let out = Command::new(PROGRAM)
        .args(["lab", "run", "egress-policy-forgets-dns", "--"])
        .args([
            "netshoot", "diagnose", "-n", "payments", "--from", "billing",
        ])
        .args(["--to", "10.90.0.1:81", "-o", "json"])
        .env("LC_ALL", "C")
        .output()
        .unwrap();
    let report: Value = serde_json::from_slice(&out.stdout)
        .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&out.stderr)));
    let cause = &report["cause"];
    assert_eq!(
        (&cause["id"], &cause["subject"]["name"]),
        (&json!("policy-denies-by-default"), &json!("billing-egress")),
        "{report:#}"
    );
    let echo = cause["echoes"][0].as_str().unwrap();
    assert!(echo.starts_with("10.90.0.1:81 gives no answer"), "{echo}");
}
