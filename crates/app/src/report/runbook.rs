//! The same investigation with ordinary tools, as a POSIX shell script: for people who want to see
//! with their own eyes, or must work where this program may not. Made from the probes that ran, in
//! the order of the walk; what they saw stands beside each command.

mod deeper;

use super::safe;
use crate::io::Lang;
use netshoot_model::check::{place, source};
use netshoot_model::object::ObjectRef;
use netshoot_model::path::Destination;
use netshoot_model::probe::{Probe, Question, Transport, Vantage};
use netshoot_model::remedy::quote;
use netshoot_model::report::Report;
use serde_json::Value;
use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};

/// Which part of the script a question belongs to, in order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Name,
    Port,
    Request,
    Deeper,
    Inside,
    Node,
}

impl Step {
    const ALL: [Step; 6] = [
        Step::Name,
        Step::Port,
        Step::Request,
        Step::Deeper,
        Step::Inside,
        Step::Node,
    ];

    fn of(p: &Probe) -> Step {
        match (&p.question, &p.from) {
            (Question::Resolve { .. } | Question::Lookup { .. } | Question::ResolvConf, _) => {
                Step::Name
            }
            (Question::TcpConnect { .. } | Question::UdpExchange { .. }, _) => Step::Port,
            (Question::Http { .. } | Question::TlsHandshake { .. }, _) => Step::Request,
            (Question::Echo { .. } | Question::PathMtu { .. } | Question::Capture { .. }, _) => {
                Step::Deeper
            }
            (_, Vantage::Node { .. }) => Step::Node,
            _ => Step::Inside,
        }
    }

    fn title(self, lang: Lang) -> &'static str {
        match self {
            Step::Name => lang.pick("Does the name resolve?", "域名能否解析？"),
            Step::Port => lang.pick("Does the port answer?", "端口是否可达？"),
            Step::Request => lang.pick("Does a request work?", "请求是否成功？"),
            Step::Deeper => lang.pick(
                "Deeper: loss, size and what is on the wire",
                "深入：丢包、报文大小与抓包",
            ),
            Step::Inside => lang.pick("Inside the pods and this host", "Pod 与本机内部"),
            Step::Node => lang.pick("On the nodes", "节点上"),
        }
    }
}

/// Words of the cluster made harmless, as one shell word.
fn word(text: &str) -> String {
    quote(&safe(text))
}

fn line(words: &[&str]) -> String {
    words.iter().map(|w| word(w)).collect::<Vec<_>>().join(" ")
}

/// A comment of one line.
fn comment(text: &str) -> String {
    format!("# {}", safe(text))
}

fn seconds(ms: u32) -> String {
    ms.div_ceil(1000).max(1).to_string()
}

/// `sh -c` of a text, where one program is not enough.
fn shell(text: &str) -> String {
    format!("sh -c {}", word(text))
}

fn times(n: u32, command: &str) -> String {
    if n <= 1 {
        return command.to_string();
    }
    let rounds: Vec<String> = (1..=n.min(200)).map(|i| i.to_string()).collect();
    shell(&format!(
        "for i in {}; do {command}; done",
        rounds.join(" ")
    ))
}

fn host_of(to: SocketAddr) -> (String, String) {
    (to.ip().to_string(), to.port().to_string())
}

/// Packets that must not be fragmented, from large to small; sizes are of the whole IP packet.
fn ladder(to: IpAddr, largest: u32) -> String {
    let headers = if to.is_ipv4() { 28 } else { 48 };
    let sizes: Vec<String> = [largest, 1500, 1450, 1400, 1280, 576]
        .iter()
        .filter(|s| **s <= largest && **s > headers)
        .map(|s| (s - headers).to_string())
        .collect();
    shell(&format!(
        "for size in {}; do ping -M do -c 1 -W 1 -s \"$size\" {to}; done",
        sizes.join(" ")
    ))
}

/// The ordinary tool's command for a question, to be run at its vantage point.
fn tool(q: &Question) -> Vec<String> {
    let one = |words: &[&str]| vec![line(words)];
    match q {
        Question::Links => one(&["ip", "-d", "-s", "address", "show"]),
        Question::Neighbours => {
            vec![
                line(&["ip", "neighbour", "show"]),
                line(&["bridge", "fdb", "show"]),
            ]
        }
        Question::Routes => vec![
            line(&["ip", "-4", "route", "show", "table", "all"]),
            line(&["ip", "-6", "route", "show", "table", "all"]),
        ],
        Question::RouteTo { to } => one(&["ip", "route", "get", &to.to_string()]),
        Question::ResolvConf => one(&["cat", "/etc/resolv.conf"]),
        Question::Sockets => one(&["ss", "-tuanp"]),
        Question::Counters => one(&["nstat", "-asz"]),
        Question::Conntrack { to } => {
            let list = match to {
                Some(to) => line(&["conntrack", "-L", "-d", &to.to_string()]),
                None => line(&["conntrack", "-L"]),
            };
            vec![list, line(&["conntrack", "-S"])]
        }
        Question::Rules => {
            vec![line(&["nft", "list", "ruleset"]), line(&["iptables-save"])]
        }
        Question::Sysctls { names } => {
            let mut words = vec!["sysctl"];
            words.extend(names.iter().map(String::as_str));
            one(&words)
        }
        // Asked of the API server, not at the vantage point: see `asked_of_the_api`.
        Question::Memory { .. } | Question::Log { .. } => Vec::new(),
        Question::Capture {
            interface,
            host,
            port,
            millis,
        } => {
            let name = if interface.is_empty() {
                "any"
            } else {
                interface
            };
            let filter: Vec<String> = host
                .map(|h| format!("host {h}"))
                .into_iter()
                .chain(port.map(|p| format!("port {p}")))
                .collect();
            let patience = seconds(*millis);
            let joined = filter.join(" and ");
            let mut words = vec!["timeout", &patience, "tcpdump", "-ni", name];
            if !joined.is_empty() {
                words.push(&joined);
            }
            one(&words)
        }
        _ => sends(q),
    }
}

/// The same for questions that send packets.
fn sends(q: &Question) -> Vec<String> {
    match q {
        Question::Resolve {
            name,
            record,
            server,
            over,
            timeout_ms,
        } => {
            let (ip, port) = host_of(*server);
            let (at, patience) = (format!("@{ip}"), format!("+time={}", seconds(*timeout_ms)));
            let mut words = vec!["dig", &at, "-p", &port, &patience, "+tries=1"];
            if *over == Transport::Tcp {
                words.push("+tcp");
            }
            words.extend([name.as_str(), record.as_str()]);
            vec![line(&words)]
        }
        Question::Lookup { name, .. } => vec![line(&["nslookup", name])],
        Question::TcpConnect {
            to,
            tries,
            timeout_ms,
        } => {
            let (ip, port) = host_of(*to);
            let once = line(&["nc", "-zv", "-w", &seconds(*timeout_ms), &ip, &port]);
            vec![times(*tries, &once)]
        }
        Question::UdpExchange {
            to,
            payload,
            timeout_ms,
        } => {
            let (ip, port) = host_of(*to);
            vec![shell(&format!(
                "printf %s {} | {}",
                word(payload),
                line(&["nc", "-u", "-w", &seconds(*timeout_ms), &ip, &port])
            ))]
        }
        Question::Echo {
            to,
            count,
            timeout_ms,
        } => vec![line(&[
            "ping",
            "-c",
            &count.to_string(),
            "-i",
            "0.2",
            "-W",
            &seconds(*timeout_ms),
            &to.to_string(),
        ])],
        Question::PathMtu { to, largest, .. } => vec![
            line(&["tracepath", "-n", "-m", "15", &to.to_string()]),
            ladder(*to, *largest),
        ],
        Question::TlsHandshake {
            to, server_name, ..
        } => {
            let mut connect = line(&["openssl", "s_client", "-connect", &to.to_string()]);
            if !server_name.is_empty() {
                let _ = write!(connect, " -servername {}", word(server_name));
            }
            vec![shell(&format!(
                "{connect} -showcerts </dev/null | openssl x509 -noout -subject -issuer -serial -dates -ext subjectAltName"
            ))]
        }
        Question::Http {
            to,
            host,
            path,
            tls,
            padding,
            tries,
            timeout_ms,
        } => vec![request(
            *to,
            host,
            path,
            *tls,
            *padding,
            *tries,
            *timeout_ms,
        )],
        _ => Vec::new(),
    }
}

fn request(
    to: SocketAddr,
    host: &str,
    path: &str,
    tls: bool,
    padding: u32,
    tries: u32,
    timeout_ms: u32,
) -> String {
    let (ip, port) = host_of(to);
    let ip = if to.is_ipv6() { format!("[{ip}]") } else { ip };
    let host = if host.is_empty() { ip.as_str() } else { host };
    // A host with a port in it, or none: the name alone goes into --resolve.
    let name = match host.rsplit_once(':') {
        Some((name, p)) if p.chars().all(|c| c.is_ascii_digit()) && !host.ends_with(']') => name,
        _ => host,
    };
    let url = format!(
        "{}://{name}:{port}{path}",
        if tls { "https" } else { "http" }
    );
    let resolve = format!("{name}:{port}:{ip}");
    let shown = "%{http_code} connect %{time_connect}s first byte %{time_starttransfer}s total %{time_total}s\\n";
    let patience = seconds(timeout_ms);
    let mut words = vec!["curl", "-v", "-o", "/dev/null", "--max-time", &patience];
    if tls {
        words.push("-k");
    }
    words.extend(["--resolve", &resolve, "-w", shown]);
    let mut command = line(&words);
    if padding > 0 {
        // A request of whole segments: small ones pass where large ones vanish.
        let filled = format!(
            "{command} -H \"X-Padding: $(head -c {padding} /dev/zero | tr '\\0' x)\" {}",
            word(&url)
        );
        return if tries > 1 {
            times(tries, &filled)
        } else {
            shell(&filled)
        };
    }
    let _ = write!(command, " {}", word(&url));
    times(tries, &command)
}

/// Questions that kubectl answers by itself.
fn asked_of_the_api(q: &Question) -> Vec<String> {
    match q {
        Question::Memory { namespace, pod, .. } => vec![
            line(&[
                "kubectl",
                "top",
                "pod",
                pod,
                "-n",
                namespace,
                "--containers",
            ]),
            line(&["kubectl", "describe", "pod", pod, "-n", namespace]),
        ],
        Question::Log {
            namespace,
            pod,
            container,
            previous,
        } => {
            let mut words = vec!["kubectl", "logs", "--tail=50", "-n", namespace, pod];
            if !container.is_empty() {
                words.extend(["-c", container]);
            }
            if *previous {
                words.push("--previous");
            }
            vec![line(&words)]
        }
        _ => Vec::new(),
    }
}

fn at(from: &Vantage, command: &str) -> String {
    match from {
        Vantage::Here => command.to_string(),
        Vantage::Pod { namespace, name } => {
            format!("in_pod {} {} {command}", word(namespace), word(name))
        }
        Vantage::Node { name } => format!("on_node {} {command}", word(name)),
    }
}

/// The script.
pub fn script(r: &Report, lang: Lang) -> String {
    let mut b = String::new();
    head(&mut b, r, lang);
    let mut number = 0;
    for step in Step::ALL {
        let mut body = String::new();
        if step == Step::Deeper {
            deeper::commands(&mut body, r, lang);
        }
        if step == Step::Inside {
            number += 1;
            let _ = writeln!(b, "\nstep {number} {}", word(objects_title(lang)));
            b.push_str(&objects(r));
        }
        asked(&mut body, r, step, lang);
        if !body.is_empty() {
            number += 1;
            let _ = writeln!(b, "\nstep {number} {}", word(step.title(lang)));
            b.push_str(&body);
        }
    }
    end(&mut b, r, lang);
    b
}

fn head(b: &mut String, r: &Report, lang: Lang) {
    let _ = writeln!(b, "#!/bin/sh");
    let title = lang.pick(
        "The same investigation with ordinary tools. It changes nothing, but each in_pod adds an ephemeral container.",
        "用常用工具完成的同一排查。不做修改，但每次 in_pod 会增加一个临时容器。",
    );
    let _ = writeln!(b, "{}", comment(title));
    if !r.understood.said.is_empty() {
        let _ = writeln!(b, "{}", comment(&format!("\"{}\"", r.understood.said)));
    }
    if let Some(c) = r.understood.conversations.first() {
        let _ = writeln!(b, "{}", comment(c.as_str()));
    }
    let when = format!(
        "netshoot {}, {}, {}",
        crate::version::SHORT,
        r.source,
        r.taken_at
    );
    let _ = writeln!(b, "{}", comment(&when));
    b.push_str(
        r#"set -u
IMAGE=${IMAGE:-nicolaka/netshoot}

step() { printf '\n==== %s. %s\n' "$1" "$2"; }
in_pod() {
  namespace=$1 pod=$2
  shift 2
  kubectl debug -q -i -n "$namespace" "$pod" --image="$IMAGE" --profile=netadmin -- "$@"
}
on_node() {
  node=$1
  shift
  kubectl debug -q -i "node/$node" --image="$IMAGE" --profile=sysadmin -- "$@"
}
"#,
    );
}

/// The commands of one step, each with what was seen.
fn asked(b: &mut String, r: &Report, step: Step, lang: Lang) {
    let mut printed: Vec<String> = Vec::new();
    for a in r.audit.iter().filter(|a| Step::of(&a.probe) == step) {
        let mut commands = asked_of_the_api(&a.probe.question);
        let tools = tool(&a.probe.question);
        commands.extend(tools.iter().map(|c| at(&a.probe.from, c)));
        commands.retain(|c| !printed.contains(c));
        if commands.is_empty() {
            continue;
        }
        let (source, from) = (source(&a.probe.question), place(&a.probe.from));
        let (source, from) = (source.in_lang(lang), from.in_lang(lang));
        let seen = r
            .evidence
            .iter()
            .filter(|e| e.source == source && e.seen_from == from);
        let mut any = false;
        for e in seen {
            any = true;
            let _ = writeln!(
                b,
                "{} {}",
                comment(lang.pick("seen:", "所见：")),
                safe(&e.value)
            );
        }
        if !any && a.outcome != "answered" {
            let _ = writeln!(
                b,
                "{} {}",
                comment(lang.pick("could not be asked:", "未能探测：")),
                safe(&a.outcome)
            );
        }
        for c in commands {
            let _ = writeln!(b, "{c}");
            printed.push(c);
        }
    }
}

fn objects_title(lang: Lang) -> &'static str {
    lang.pick(
        "What the API server says about the objects",
        "API Server 中的对象",
    )
}

fn get(kind: &str, o: &ObjectRef, rest: &[&str]) -> String {
    let mut words = vec!["kubectl", "get", kind];
    if !o.namespace.is_empty() {
        words.extend(["-n", &o.namespace]);
    }
    words.extend(rest);
    line(&words)
}

fn describe_object(o: &ObjectRef) -> String {
    let kind = o.kind.to_lowercase();
    let mut words = vec!["kubectl", "describe", &kind, &o.name];
    if !o.namespace.is_empty() {
        words.extend(["-n", &o.namespace]);
    }
    line(&words)
}

fn objects(r: &Report) -> String {
    let mut lines: Vec<String> = Vec::new();
    let ends = r.conversation.iter().flat_map(|c| {
        let to = match &c.to {
            Destination::Service(o) | Destination::Pod(o) => Some(o),
            Destination::Host(_) => None,
        };
        c.from.iter().chain(to)
    });
    for o in ends {
        if o.kind == "Service" {
            let label = format!("kubernetes.io/service-name={}", o.name);
            lines.push(get("endpointslices", o, &["-l", &label, "-o", "yaml"]));
        }
        lines.push(describe_object(o));
        if !o.namespace.is_empty() {
            lines.push(get("pods", o, &["-o", "wide"]));
            lines.push(get("networkpolicies", o, &[]));
            lines.push(get("events", o, &["--sort-by=.lastTimestamp"]));
        }
    }
    if let Some(c) = &r.cause {
        lines.push(describe_object(&c.subject));
        let kind = c.subject.kind.to_lowercase();
        if ["deployment", "statefulset", "daemonset", "pod"].contains(&kind.as_str()) {
            let (owner, namespace) = (format!("{kind}/{}", c.subject.name), &c.subject.namespace);
            let logs = ["kubectl", "logs", &owner, "-n", namespace, "--tail=50"];
            lines.push(line(&logs));
            lines.push(format!("{} --previous", line(&logs)));
        }
    }
    if r.conversation.is_some() {
        lines.push("kubectl get pods -n kube-system -l k8s-app=kube-dns -o wide".into());
    }
    let mut seen: Vec<String> = Vec::new();
    for l in lines {
        if !seen.contains(&l) {
            seen.push(l);
        }
    }
    seen.iter().map(|l| format!("{l}\n")).collect()
}

fn end(b: &mut String, r: &Report, lang: Lang) {
    let said = |b: &mut String, title: &str, text: &str| {
        let _ = writeln!(b, "{} {}", comment(title), safe(text));
    };
    b.push('\n');
    match &r.cause {
        Some(c) => {
            said(b, lang.pick("Cause:", "根因："), &c.says);
            for link in &c.chain {
                said(b, "  ->", link);
            }
        }
        None => said(b, lang.pick("Answer:", "结论："), &r.summary),
    }
    for u in &r.unknown {
        let text = format!("{}: {}", u.what, u.missing);
        said(b, lang.pick("Could not be checked:", "未能检查："), &text);
    }
    let Some(m) = &r.remedy else { return };
    said(
        b,
        lang.pick(
            "Remedy, not run by this script:",
            "修复（本脚本不会执行）：",
        ),
        &m.because,
    );
    for s in &m.steps {
        let text = |k: &str| s.get(k).and_then(Value::as_str);
        for l in text("command").unwrap_or_default().lines() {
            let _ = writeln!(b, "#   {}", safe(l));
        }
        if let Some(q) = text("ask") {
            said(b, "  ?", q);
        }
    }
    said(b, lang.pick("Then:", "然后："), &m.verify.command);
}
