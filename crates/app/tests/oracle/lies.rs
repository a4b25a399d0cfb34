//! Servers that lie to tools over HTTP/1.1, HTTP/2 and TLS (`lies.py`, `h2.py`): each line ends with one of its codes, in
//! time, and never holds more than so much memory.

use super::ground::{self, Ground};
use std::time::{Duration, Instant};

/// What a tool may hold in its data, KiB: a bomb is far larger.
const MEMORY: &str = "300000";
/// What a line may take besides the patience it is given; the machine may be busy.
const TIME: Duration = Duration::from_secs(10);

/// How the server lies over HTTP/1.1, and the exit codes that are right.
const HTTP: [(&str, &[i32]); 24] = [
    ("fields", &[56]),
    ("field/1", &[27]),
    ("field/50", &[27]),
    ("line", &[27]),
    ("status", &[27]),
    ("hundreds", &[28]),
    ("cookies/5000", &[56]),
    ("digits", &[56]),
    ("overflow", &[56]),
    ("huge", &[18]),
    ("negative", &[56]),
    ("extension", &[56]),
    ("trailers", &[56]),
    ("short", &[18]),
    ("long", &[0]),
    ("lengths", &[0]),
    ("minus", &[8]),
    ("numbers", &[0]),
    ("both", &[0]),
    ("bomb/50", &[0]),
    ("bombs", &[0, 28]),
    ("codings", &[61]),
    ("elsewhere", &[47]),
    ("nul", &[8]),
];

/// The same over HTTP/2.
const TWO: [(&str, &[i32]); 14] = [
    ("contflood", &[52]),
    ("emptycont", &[52]),
    ("hpackbomb", &[52]),
    ("pingflood", &[52]),
    ("settingsflood", &[52]),
    ("emptyflood", &[16]),
    ("hintflood", &[92]),
    ("windowflood", &[52]),
    ("overflow", &[52]),
    ("streamoverflow", &[92]),
    ("after", &[0]),
    ("rude", &[28]),
    ("bomb/50", &[0]),
    ("latehuge", &[16]),
];

/// Over TLS that ends without a good-bye.
const SECURED: [(&str, &[i32]); 2] = [("short", &[18]), ("endless", &[28])];

/// WebSockets: one that says good-bye, one that only asks, one that proves nothing, one frame without end, one that nobody
/// knows, one that is cut, and none at all.
const SOCKET: [(&str, &[i32]); 7] = [
    ("ws/1", &[0]),
    ("ws/2", &[28]),
    ("ws/3", &[56]),
    ("ws/4", &[56]),
    ("ws/5", &[56]),
    ("ws/6", &[0]),
    ("hello", &[22]),
];

/// What stands where a TLS server should, by port from 8100 on: that of `lies.py`.
const TLS: u16 = 14;

/// What frames hold is shown, and nothing else of them.
#[test]
fn web_sockets_are_read_by_curl() {
    if let Some(missing) = ground::missing("curl").or_else(|| ground::missing("nghttpd")) {
        println!("SKIPPED: curl against WebSockets: {missing}");
        return;
    }
    let ground = Ground::of("h2", "curl");
    let said = ground.ours("curl -sS -m 5 ws://127.0.0.1:8090/ws/1");
    let expected = format!("one two{}\npong hi", "b".repeat(128));
    assert_eq!(
        (said.out, said.err, said.code),
        (expected, String::new(), 0)
    );
}

#[test]
fn servers_that_lie_cost_neither_time_nor_memory() {
    if let Some(missing) = ground::missing("curl").or_else(|| ground::missing("nghttpd")) {
        println!("SKIPPED: tools against servers that lie: {missing}");
        return;
    }
    let ground = Ground::of("h2", "curl");
    let mut lines = Vec::new();
    for (how, codes) in HTTP {
        // Fifty megabytes are worked through, by a program that was built without optimisation.
        let patience = if how.starts_with("bomb/") { 8 } else { 2 };
        let line = format!("curl -sSL --compressed -m {patience} http://127.0.0.1:8090/{how}");
        lines.push((line, codes));
    }
    for (how, codes) in TWO {
        let patience = if how.starts_with("bomb/") { 8 } else { 2 };
        let flags = format!("-sSL --compressed -m {patience} --http2-prior-knowledge");
        lines.push((format!("curl {flags} http://127.0.0.1:8082/{how}"), codes));
    }
    for (how, codes) in SECURED {
        let line = format!("curl -sSk -m 1 https://127.0.0.1:8091/{how}");
        lines.push((line, codes));
    }
    for port in 8100..8100 + TLS {
        let at = format!("127.0.0.1:{port}");
        lines.push((format!("curl -sSk -m 2 https://{at}/"), &[35]));
        lines.push((format!("$OURS openssl s_client -connect {at}"), &[1]));
        lines.push((format!("$OURS socat - OPENSSL:{at},verify=0"), &[1]));
    }
    for (how, codes) in SOCKET {
        lines.push((format!("curl -sS -m 1 ws://127.0.0.1:8090/{how}"), codes));
    }
    let mut wrong = Vec::new();
    for (line, codes) in &lines {
        let began = Instant::now();
        let said = ground.ours(&format!(
            "ulimit -d {MEMORY}; {line} | wc -c; exit ${{PIPESTATUS[0]}}"
        ));
        let took = began.elapsed();
        let fine = codes.contains(&said.code) && took < TIME && !said.err.contains("panicked");
        if !fine {
            wrong.push(format!("{line}: {took:?}: {said:?}"));
        }
    }
    println!("oracle: {} lies were borne", lines.len() - wrong.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
