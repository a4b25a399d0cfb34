//! No parser without damaged inputs. A parser is what takes text or bytes that somebody else wrote
//! and is named like one; a new one is red here until its line says where its target stands.

use crate::golden::root;
use std::collections::BTreeSet;
use std::path::Path;

/// Where a parser is (below `crates/`), its name, where its target is. The target damages valid
/// inputs with `netshoot_wire::fuzz` and calls the parser, or what calls it.
const TARGETS: &[(&str, &str, &str)] = &[
    (
        "app/src/faces/plugin/target.rs",
        "parse",
        "app/src/faces/plugin/target.rs",
    ),
    (
        "app/src/faces/plugin/jsonpath.rs",
        "parse",
        "app/src/faces/plugin/jsonpath.rs",
    ),
    ("lab/src/scenario.rs", "parse", "lab/src/scenario.rs"),
    ("shell/src/archive.rs", "parse", "shell/src/archive.rs"),
    ("shell/src/awk/parse.rs", "parse", "shell/src/awk/parse.rs"),
    ("shell/src/proc/ps.rs", "parse", "shell/src/proc/ps.rs"),
    ("shell/src/gzip.rs", "parse", "shell/src/gzip.rs"),
    ("shell/src/less.rs", "parse", "shell/src/less.rs"),
    (
        "shell/src/grep/options.rs",
        "parse",
        "shell/src/grep/options.rs",
    ),
    ("api/src/dump.rs", "parse", "api/src/fuzz.rs"),
    ("api/src/redact.rs", "text", "api/src/fuzz.rs"),
    (
        "app/src/access/recording.rs",
        "from_text",
        "app/src/fuzz.rs",
    ),
    ("app/src/faces/verify.rs", "remedy_in", "app/src/fuzz.rs"),
    ("app/src/main.rs", "command", "app/src/fuzz.rs"),
    ("app/src/tools/getopt.rs", "read", "app/src/fuzz.rs"),
    (
        "app/src/tools/dig/options.rs",
        "read",
        "app/src/tools/dig/options.rs",
    ),
    ("app/src/tools/drill.rs", "read", "app/src/tools/drill.rs"),
    (
        "app/src/tools/drill/chase.rs",
        "parse",
        "app/src/tools/drill/chase.rs",
    ),
    (
        "app/src/tools/tcptraceroute.rs",
        "read",
        "app/src/tools/tcptraceroute.rs",
    ),
    (
        "app/src/tools/delv/plan.rs",
        "read",
        "app/src/tools/delv/plan.rs",
    ),
    ("host/src/dns/tsig.rs", "parse", "host/src/dns/tsig.rs"),
    ("wire/src/h3.rs", "decode", "wire/src/h3/tests.rs"),
    ("wire/src/h3/qpack.rs", "decode", "wire/src/h3/qpack.rs"),
    (
        "wire/src/dns/dnssec/anchors.rs",
        "parse",
        "wire/src/dns/dnssec/anchors.rs",
    ),
    ("app/src/tools/host.rs", "read", "app/src/tools/host.rs"),
    (
        "app/src/tools/nslookup.rs",
        "read",
        "app/src/tools/nslookup.rs",
    ),
    ("app/src/tools/whois.rs", "read", "app/src/tools/whois.rs"),
    (
        "app/src/tools/echo_server/plan.rs",
        "read",
        "app/src/tools/echo_server/plan.rs",
    ),
    ("app/src/tools/httpd.rs", "read", "app/src/tools/httpd.rs"),
    (
        "app/src/tools/socat/address.rs",
        "parse",
        "app/src/tools/socat/address.rs",
    ),
    (
        "app/src/tools/socat/options.rs",
        "read",
        "app/src/tools/socat/options.rs",
    ),
    ("app/src/tools/socat.rs", "read", "app/src/tools/socat.rs"),
    (
        "app/src/tools/httpd/conf.rs",
        "read",
        "app/src/tools/httpd/conf.rs",
    ),
    (
        "app/src/tools/httpd/request.rs",
        "parse",
        "app/src/tools/httpd/request.rs",
    ),
    ("app/src/tools/names.rs", "parse", "app/src/tools/names.rs"),
    (
        "app/src/tools/fping/plan.rs",
        "read",
        "app/src/tools/fping/plan.rs",
    ),
    (
        "app/src/tools/fping/targets.rs",
        "parse_line",
        "app/src/tools/fping/targets.rs",
    ),
    (
        "app/src/tools/http/words.rs",
        "read",
        "app/src/tools/http/words.rs",
    ),
    (
        "app/src/tools/http/plan.rs",
        "read",
        "app/src/tools/http/plan.rs",
    ),
    (
        "app/src/tools/http/items.rs",
        "parse",
        "app/src/tools/http/items.rs",
    ),
    (
        "app/src/tools/http/nested.rs",
        "parse_key",
        "app/src/tools/http/nested.rs",
    ),
    (
        "app/src/tools/http/kept.rs",
        "parse",
        "app/src/tools/http/kept.rs",
    ),
    (
        "app/src/tools/wget/options.rs",
        "read",
        "app/src/tools/wget/options.rs",
    ),
    ("app/src/tools/wget.rs", "read_url", "app/src/tools/wget.rs"),
    ("wire/src/json.rs", "parse", "wire/src/json.rs"),
    ("wire/src/web/links.rs", "parse", "wire/src/web/links.rs"),
    ("wire/src/web/robots.rs", "parse", "wire/src/web/robots.rs"),
    ("app/src/tools/arping.rs", "read", "app/src/tools/arping.rs"),
    (
        "app/src/tools/mtr/trip.rs",
        "read",
        "app/src/tools/mtr/trip.rs",
    ),
    (
        "wire/src/inet/labels.rs",
        "decode",
        "wire/src/inet/labels.rs",
    ),
    (
        "app/src/tools/mtr/plan.rs",
        "read",
        "app/src/tools/mtr/plan.rs",
    ),
    (
        "app/src/tools/nc/plan.rs",
        "read",
        "app/src/tools/nc/plan.rs",
    ),
    (
        "app/src/tools/ping/course.rs",
        "decode",
        "app/src/tools/ping/course.rs",
    ),
    (
        "app/src/tools/ping/plan.rs",
        "read",
        "app/src/tools/ping/plan.rs",
    ),
    (
        "app/src/tools/ss/filter/typed.rs",
        "read",
        "app/src/tools/ss/filter.rs",
    ),
    (
        "app/src/tools/ss/plan.rs",
        "read",
        "app/src/tools/ss/plan.rs",
    ),
    (
        "app/src/tools/ss/socket.rs",
        "parse_line",
        "app/src/tools/ss/socket.rs",
    ),
    (
        "app/src/tools/ss/socket.rs",
        "parse_end",
        "app/src/tools/ss/socket.rs",
    ),
    (
        "app/src/tools/tracepath.rs",
        "read",
        "app/src/tools/tracepath.rs",
    ),
    (
        "app/src/tools/traceroute/plan.rs",
        "read",
        "app/src/tools/traceroute/plan.rs",
    ),
    (
        "app/src/tools/curl/config.rs",
        "read",
        "app/src/tools/curl/config.rs",
    ),
    (
        "app/src/tools/curl/config.rs",
        "parse",
        "app/src/tools/curl/config.rs",
    ),
    (
        "app/src/tools/curl/glob.rs",
        "parse",
        "app/src/tools/curl/glob.rs",
    ),
    (
        "app/src/tools/curl/options.rs",
        "read",
        "app/src/tools/curl/options.rs",
    ),
    ("host/src/web/auth.rs", "parse", "host/src/web/auth.rs"),
    ("host/src/web/proxy.rs", "parse", "host/src/web/proxy.rs"),
    (
        "wire/src/web/alternatives.rs",
        "parse",
        "wire/src/web/alternatives.rs",
    ),
    ("wire/src/web/cookie.rs", "parse", "wire/src/web/cookie.rs"),
    (
        "wire/src/web/cookie.rs",
        "from_line",
        "wire/src/web/cookie.rs",
    ),
    ("wire/src/web/date.rs", "parse", "wire/src/web/date.rs"),
    ("wire/src/web/url.rs", "parse", "wire/src/web/url.rs"),
    (
        "host/src/authorities.rs",
        "given",
        "host/src/authorities.rs",
    ),
    (
        "host/src/capture/flows.rs",
        "see",
        "host/src/capture/flows.rs",
    ),
    (
        "host/src/diag/counters.rs",
        "add_pairs",
        "host/src/diag/counters.rs",
    ),
    (
        "host/src/diag/memory.rs",
        "read_memory",
        "host/src/diag/memory.rs",
    ),
    ("host/src/diag/sysctl.rs", "path", "host/src/diag/sysctl.rs"),
    ("host/src/dns.rs", "understand", "host/src/dns.rs"),
    (
        "host/src/probes/lookup_name.rs",
        "in_hosts",
        "host/src/probes/lookup_name.rs",
    ),
    ("host/src/resolv.rs", "parse", "host/src/resolv.rs"),
    ("host/src/tls.rs", "certificate", "host/src/tls.rs"),
    ("lab/src/behave/call.rs", "parse", "lab/src/behave/call.rs"),
    ("host/src/requests.rs", "read_head", "host/src/requests.rs"),
    (
        "lab/src/behave/memory.rs",
        "turn",
        "lab/src/behave/memory.rs",
    ),
    (
        "lab/src/behave/resolve.rs",
        "from_text",
        "lab/src/behave/resolve.rs",
    ),
    (
        "lab/src/controllers/certificates.rs",
        "seconds",
        "lab/src/controllers/certificates.rs",
    ),
    ("lab/src/dns/corefile.rs", "parse", "lab/src/dns/fuzz.rs"),
    ("lab/src/dns/zone.rs", "answer", "lab/src/dns/fuzz.rs"),
    ("lab/src/fault/rules.rs", "pairs", "lab/src/fault/rules.rs"),
    (
        "lab/src/ground/address.rs",
        "parse",
        "lab/src/ground/address.rs",
    ),
    ("lab/src/hold/cgroup.rs", "find", "lab/src/hold/cgroup.rs"),
    (
        "lab/src/kubelet/launch.rs",
        "bytes",
        "lab/src/kubelet/launch.rs",
    ),
    (
        "lab/src/relay/frame.rs",
        "flip_a_bit",
        "lab/src/relay/frame.rs",
    ),
    ("lab/src/serve.rs", "answer", "lab/src/serve.rs"),
    (
        "lab/src/apiserver/select.rs",
        "read",
        "lab/src/apiserver/select.rs",
    ),
    (
        "lab/src/serve/command/words.rs",
        "parse",
        "lab/src/serve/command/words.rs",
    ),
    ("lab/src/store.rs", "patch", "lab/src/store/fuzz.rs"),
    (
        "lab/src/store/defaults.rs",
        "parse_cidr",
        "lab/src/store/fuzz.rs",
    ),
    (
        "lab/src/store/defaults.rs",
        "unbase64",
        "lab/src/store/fuzz.rs",
    ),
    (
        "lab/src/store/merge.rs",
        "strategic",
        "lab/src/store/fuzz.rs",
    ),
    (
        "lab/src/world/load.rs",
        "from_texts",
        "lab/src/world/fuzz.rs",
    ),
    ("model/src/corefile.rs", "parse", "model/src/corefile.rs"),
    ("model/src/growth.rs", "parse_quantity", "model/src/fuzz.rs"),
    ("model/src/policy/cidr.rs", "from_str", "model/src/fuzz.rs"),
    ("model/src/remedy.rs", "quote", "model/src/fuzz.rs"),
    (
        "model/src/symptom/mod.rs",
        "understand",
        "model/src/symptom/fuzz.rs",
    ),
    (
        "model/src/symptom/words.rs",
        "host_port",
        "model/src/symptom/fuzz.rs",
    ),
    ("model/src/time.rs", "parse", "model/src/fuzz.rs"),
    (
        "shell/src/bash/options.rs",
        "parse",
        "shell/src/bash/options.rs",
    ),
    (
        "shell/src/jq/options.rs",
        "parse",
        "shell/src/jq/options.rs",
    ),
    ("wire/src/arp.rs", "decode", "wire/src/arp.rs"),
    ("wire/src/conntrack.rs", "read", "wire/src/conntrack.rs"),
    (
        "host/src/web/telnet.rs",
        "understand",
        "host/src/web/telnet.rs",
    ),
    (
        "wire/src/conntrack.rs",
        "read_cpu_stats",
        "wire/src/conntrack.rs",
    ),
    (
        "wire/src/conntrack.rs",
        "read_table_size",
        "wire/src/conntrack.rs",
    ),
    ("wire/src/dns.rs", "decode", "wire/src/dns/tests.rs"),
    (
        "wire/src/dns/name.rs",
        "decode_name",
        "wire/src/dns/tests.rs",
    ),
    ("wire/src/http.rs", "decode", "wire/src/http.rs"),
    ("wire/src/inet.rs", "decode", "wire/src/inet/tests.rs"),
    ("wire/src/inet/icmp.rs", "decode", "wire/src/inet/tests.rs"),
    ("wire/src/inet/ip.rs", "decode", "wire/src/inet/tests.rs"),
    (
        "wire/src/inet/transport.rs",
        "decode",
        "wire/src/inet/tests.rs",
    ),
    ("wire/src/inet_diag.rs", "read", "wire/src/inet_diag.rs"),
    ("wire/src/netlink.rs", "new", "wire/src/netlink.rs"),
    ("wire/src/nft/read.rs", "rule", "wire/src/nft/tests.rs"),
    ("wire/src/rtnl.rs", "read", "wire/src/rtnl.rs"),
    ("wire/src/rtnl/route.rs", "read", "wire/src/rtnl.rs"),
    ("wire/src/rtnl/rule.rs", "read", "wire/src/rtnl/rule.rs"),
    (
        "app/src/tools/grpcurl/plan.rs",
        "read",
        "app/src/tools/grpcurl/plan.rs",
    ),
    (
        "app/src/tools/grpcurl/json.rs",
        "decode",
        "app/src/tools/grpcurl/json.rs",
    ),
    (
        "wire/src/protobuf.rs",
        "read_varint",
        "wire/src/protobuf.rs",
    ),
    (
        "wire/src/protobuf.rs",
        "read_fields",
        "wire/src/protobuf.rs",
    ),
    (
        "app/src/tools/websocat/plan.rs",
        "read",
        "app/src/tools/websocat/plan.rs",
    ),
    (
        "app/src/tools/websocat/plan.rs",
        "parse_url",
        "app/src/tools/websocat/plan.rs",
    ),
    ("wire/src/der.rs", "read", "wire/src/der.rs"),
    ("wire/src/h2.rs", "decode", "wire/src/h2/tests.rs"),
    ("wire/src/hpack.rs", "decode", "wire/src/hpack.rs"),
    ("wire/src/x509.rs", "decode", "wire/src/x509.rs"),
    ("wire/src/x509.rs", "read_name", "wire/src/x509.rs"),
    ("wire/src/websocket.rs", "decode", "wire/src/websocket.rs"),
    ("wire/src/sock_diag.rs", "read", "wire/src/sock_diag.rs"),
    ("wire/src/tcp_info.rs", "read", "wire/src/tcp_info.rs"),
];

/// What is named like a parser and reads nothing from outside, and why.
const NONE: &[(&str, &str, &str)] = &[
    ("app/src/faces/here.rs", "read", "gives a file as it is"),
    (
        "host/src/web/local.rs",
        "read_file",
        "gives a file as it is",
    ),
    ("lab/src/ground/sysctl.rs", "read", "gives a file as it is"),
    (
        "shell/src/awk/streams.rs",
        "read",
        "reads records; there is no wrong one",
    ),
    ("lab/src/kinds.rs", "parse", "reads a text of its own"),
    (
        "lab/src/proxy/services.rs",
        "read_service",
        "reads an object of the store",
    ),
];

const NAMES: &[&str] = &[
    "parse",
    "decode",
    "read_",
    "from_text",
    "from_str",
    "from_words",
    "understand",
];
const GIVEN: &[&str] = &["&str", "[u8]", "[String]", "[&str]", "OsString"];

/// Names of the functions of a source that look like parsers.
fn parsers(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, _) in text.match_indices("fn ") {
        let Some((head, behind)) = text[at + 3..].split_once('(') else {
            continue;
        };
        let name = head.split('<').next().unwrap_or_default();
        let mut depth = 1;
        let end = behind.find(|c| {
            depth += i32::from(c == '(') - i32::from(c == ')');
            depth == 0
        });
        let given = &behind[..end.unwrap_or(0)];
        let named = name == "read" || NAMES.iter().any(|n| name.starts_with(n));
        // A buffer to be filled is no text to be read.
        let filled = given.contains("&mut [u8]");
        if named && !filled && GIVEN.iter().any(|g| given.contains(g)) {
            found.insert(name.to_string());
        }
    }
    found
}

#[test]
fn every_parser_has_damaged_inputs() {
    let crates = root().join("crates");
    let mut files = Vec::new();
    super::sources(&crates, &mut files);
    let mut wrong = Vec::new();
    for path in files {
        let place = path
            .strip_prefix(&crates)
            .unwrap()
            .to_string_lossy()
            .into_owned();
        let of_tests = |p: &Path| p.components().any(|c| c.as_os_str() == "tests");
        let this = place.ends_with("laws/parsers.rs");
        if this || of_tests(&path) || place.ends_with("tests.rs") || place.ends_with("fuzz.rs") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let listed = |name: &String| {
            let mut all = TARGETS.iter().chain(NONE);
            all.any(|t| t.0 == place && t.1 == name)
        };
        wrong.extend(
            parsers(super::own(&text))
                .into_iter()
                .filter(|name| !listed(name))
                .map(|name| format!("{place}: {name} has no target")),
        );
    }
    for (place, name, target) in TARGETS {
        let read = |file: &str| std::fs::read_to_string(crates.join(file)).unwrap_or_default();
        if !read(place).contains(&format!("fn {name}")) {
            wrong.push(format!("{place}: there is no {name}"));
        }
        let text = read(target);
        let damages = ["fuzz::texts(", "fuzz::mutations(", "fuzz::command_lines("];
        if !damages.iter().any(|c| text.contains(c)) {
            wrong.push(format!("{target}: damages nothing, for {name}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_law_knows_a_parser() {
    let text = "pub fn parse(\n    text: &str,\n) -> X {}\nfn read_it(b: &'a [u8]) {}\nfn parse_n(n: u8) {}\nfn own(t: &str) {}";
    let found: Vec<String> = parsers(text).into_iter().collect();
    assert_eq!(found, ["parse", "read_it"]);
}
