//! The article's case as a person meets it by hand: what Debian's own `mtr`, `tcpdump`, `ping` and
//! `nc` show in the world, which `docs/worlds.md` promises.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

const PROGRAM: &str = env!("CARGO_BIN_EXE_netshoot");

/// Runs in the first pod of user-service. Two of five pods are unwell at any time, so each share is
/// taken over three lives of a pod.
const BY_HAND: &str = r#"
service=$(getent hosts auth-service | cut -d' ' -f1)
tcpdump -Z root -nn -S -l -i any 'tcp port 8080' >"$DIR/packets" 2>"$DIR/tcpdump" &
capture=$!
while ! grep -q listening "$DIR/tcpdump"; do kill -0 $capture || exit 3; sleep 0.1; done
netshoot diagnose --symptom 'user-service calls to auth-service time out' -n production -o json >"$DIR/report"
pods=$(grep -oE '"to": "10\.244\.[0-9.]+"' "$DIR/report" | cut -d'"' -f4 | sort -u)
for pod in $pods; do ping -q -c 40 -i 0.5 -W 2 "$pod" & done >"$DIR/icmp"
mtr --tcp --port 8080 -f 10 --report -n -c 20 "$service" >"$DIR/patient" &
patient=$!
mtr --tcp --port 8080 -f 10 -Z 1 --report -n -c 80 -i 0.25 -G 1 "$service" >"$DIR/mtr"
wait $patient
tries() { for try in 1 2 3 4 5 6 7 8 9 10; do nc -z -w 5 "$service" 8080 && echo connected; done >"$DIR/$1"; }
tries nc1 & others=$!
tries nc2
wait $others
sleep 1
kill $capture
wait
"#;

struct Folder(PathBuf);

impl Folder {
    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.join(name)).unwrap_or_default()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn installed(tool: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|d| d.join(tool).exists())
}

/// `Loss%`, average and worst milliseconds of the last line of a report.
fn last_hop(report: &str) -> (f64, f64) {
    let line = report.lines().last().unwrap_or_default();
    let words: Vec<&str> = line.split_whitespace().collect();
    // "10.|-- ADDRESS LOSS% SENT LAST AVG BEST WORST STDEV"
    let number = |at: usize| {
        let word = words.get(at).unwrap_or_else(|| panic!("{report}"));
        let word = word.trim_end_matches(['%', '.']);
        word.parse()
            .unwrap_or_else(|e| panic!("{word}: {e}: {report}"))
    };
    (number(2), number(7))
}

/// SYNs, and segments with data, that `tcpdump` saw more than once: a person compares the numbers.
fn retransmissions(packets: &str) -> usize {
    let mut seen = BTreeSet::new();
    let mut again = 0;
    for line in packets.lines() {
        let Some((_, rest)) = line.split_once(" IP ") else {
            continue;
        };
        let Some((ends, rest)) = rest.split_once(": Flags [") else {
            continue;
        };
        let Some((flags, rest)) = rest.split_once("], seq ") else {
            continue;
        };
        let (number, _) = rest.split_once(',').unwrap_or((rest, ""));
        let carries = flags.contains('S') || number.contains(':');
        if carries && !flags.contains('R') && !seen.insert((ends, flags.contains('S'), number)) {
            again += 1;
        }
    }
    again
}

#[test]
fn the_articles_case_looks_like_a_bad_network() {
    for tool in ["mtr", "tcpdump", "ping", "nc"] {
        if !installed(tool) {
            println!("SKIPPED: {tool} is not installed");
            return;
        }
    }
    let name = format!("netshoot-by-hand-{}", std::process::id());
    let dir = Folder(std::env::temp_dir().join(name));
    std::fs::create_dir_all(&dir.0).unwrap();
    let words = [
        "lab",
        "run",
        "auth-service-out-of-memory",
        "--",
        "sh",
        "-c",
        BY_HAND,
    ];
    let out = Command::new(PROGRAM)
        .args(words)
        .env("DIR", &dir.0)
        .env("LC_ALL", "C")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stderr);
    if said.contains("CAP_SYS_ADMIN or user namespaces") {
        println!("SKIPPED: no right to make the namespaces of a world");
        return;
    }
    // Without root there is no other user to become, and Debian's tcpdump gives up.
    if dir.read("tcpdump").contains("not permitted") {
        println!("SKIPPED: tcpdump may not capture in a user namespace");
        return;
    }
    assert_eq!(out.status.code(), Some(0), "{said}{}", dir.read("tcpdump"));

    let impatient = dir.read("mtr");
    let (loss, _) = last_hop(&impatient);
    assert!((15.0..=50.0).contains(&loss), "{impatient}");
    // Without -Z a SYN that is answered once it was sent again counts as received, seconds late.
    let patient = dir.read("patient");
    let (loss, worst) = last_hop(&patient);
    assert!(loss <= 15.0 && worst >= 1000.0, "{patient}");

    let again = retransmissions(&dir.read("packets"));
    assert!(again >= 100, "{again} retransmissions in about 25 s");

    let icmp = dir.read("icmp");
    let pods = icmp
        .matches("40 packets transmitted, 40 received, 0% packet loss")
        .count();
    assert_eq!(pods, 5, "ICMP to all five pods is clean: {icmp}");

    let connected = ["nc1", "nc2"].map(|file| dir.read(file).matches("connected").count());
    let connected: usize = connected.iter().sum();
    assert!(connected >= 12, "nc -z mostly connects: {connected} of 20");
}

#[test]
fn retransmissions_are_counted_as_a_person_does() {
    let packets = "\
10:00:00.1 eth0  Out IP 10.244.1.2.40000 > 10.96.0.9.8080: Flags [S], seq 7, win 64240, length 0
10:00:01.1 eth0  Out IP 10.244.1.2.40000 > 10.96.0.9.8080: Flags [S], seq 7, win 64240, length 0
10:00:01.1 eth0  In  IP 10.96.0.9.8080 > 10.244.1.2.40000: Flags [S.], seq 9, ack 8, win 65160, length 0
10:00:01.1 eth0  Out IP 10.244.1.2.40000 > 10.96.0.9.8080: Flags [.], ack 10, win 502, length 0
10:00:01.1 eth0  Out IP 10.244.1.2.40000 > 10.96.0.9.8080: Flags [P.], seq 8:28, ack 10, win 502, length 20
10:00:01.3 eth0  Out IP 10.244.1.2.40000 > 10.96.0.9.8080: Flags [P.], seq 8:28, ack 10, win 502, length 20
10:00:01.4 eth0  In  IP 10.96.0.9.8080 > 10.244.1.2.40000: Flags [R], seq 10, win 0, length 0
10:00:01.4 eth0  In  IP 10.96.0.9.8080 > 10.244.1.2.40000: Flags [R], seq 10, win 0, length 0
";
    assert_eq!(retransmissions(packets), 2);
    let report = "HOST: x  Loss%   Snt   Last   Avg  Best  Wrst StDev\n 10.|-- 10.96.0.9  25.0%    20    0.2   1.0   0.2  2050. 2.7\n";
    assert_eq!(last_hop(report), (25.0, 2050.0));
}
