//! The same investigation with ordinary tools, as a POSIX shell script: for people who want to see
//! with their own eyes, or must work where this program may not. Made from the probes that ran, in
//! the order of the walk; what they saw stands beside each command.

mod deeper;
mod tools;
mod words;

use super::safe;
use crate::io::Lang;
use netshoot_model::check::{place, source};
use netshoot_model::object::ObjectRef;
use netshoot_model::path::Destination;
use netshoot_model::probe::{Probe, Question, Vantage};
use netshoot_model::report::Report;
use serde_json::Value;
use std::fmt::Write;
use tools::{asked_of_the_api, tool};
use words::{comment, host_of, line, word};

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
        if step == Step::Inside && of_a_cluster(r) {
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
    let title = if of_a_cluster(r) {
        lang.pick(
            "The same investigation with ordinary tools. It changes nothing, but each in_pod adds an ephemeral container.",
            "用常用工具完成的同一排查。不做修改，但每次 in_pod 会增加一个临时容器。",
        )
    } else {
        lang.pick(
            "The same investigation with ordinary tools. It changes nothing.",
            "用常用工具完成的同一排查。不做修改。",
        )
    };
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
    if !of_a_cluster(r) {
        b.push_str("set -u\n\nstep() { printf '\\n==== %s. %s\\n' \"$1\" \"$2\"; }\n");
        return;
    }
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

/// A cluster is concerned: an object at one of the ends, or a place in one that was asked from.
fn of_a_cluster(r: &Report) -> bool {
    let ends = r
        .conversation
        .as_ref()
        .is_some_and(|c| c.from.is_some() || !matches!(c.to, Destination::Host(_)));
    ends || r.audit.iter().any(|a| a.probe.from != Vantage::Here)
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
        let seen = r
            .evidence
            .iter()
            .filter(|e| source.says(&e.source) && from.says(&e.seen_from));
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
