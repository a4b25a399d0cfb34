//! Words: symptoms, names of things, and who of two is the client.

use crate::object::{Object, ObjectRef};
use crate::route;
use crate::topology::Topology;
use std::collections::BTreeSet;

/// Symptom words and what people say for them.
const SYMPTOMS: &[(&str, &[&str])] = &[
    (
        "timeout",
        &[
            "timeout",
            "time out",
            "times out",
            "timed out",
            "hang",
            "stuck",
            "超时",
            "卡住",
            "无响应",
            "没有响应",
            "no answer",
        ],
    ),
    ("refused", &["refused", "拒绝"]),
    ("reset", &["reset", "broken pipe", "重置", "断开"]),
    (
        "unreachable",
        &[
            "unreachable",
            "cannot reach",
            "can't reach",
            "can not reach",
            "cannot be reached",
            "can't be reached",
            "can not be reached",
            "nobody can reach",
            "nobody reaches",
            "不可达",
            "无法被",
            "no route",
            "not reachable",
            "访问不了",
            "无法访问",
            "不通",
            "连不上",
            "无法连接",
            "cannot connect",
            "can't connect",
        ],
    ),
    (
        "dns",
        &[
            "dns",
            "resolve",
            "resolution",
            "name or service not known",
            "no such host",
            "nxdomain",
            "域名",
            "解析",
        ],
    ),
    (
        "tls",
        &["tls", "ssl", "certificate", "x509", "cert ", "证书", "握手"],
    ),
    ("slow", &["slow", "latency", "慢", "延迟"]),
    ("loss", &["packet loss", "lost packets", "丢包"]),
    (
        "error",
        &[
            "502", "503", "504", "500", "error", "fails", "failing", "报错", "失败", "错误",
        ],
    ),
];

/// Symptoms a text speaks of, in the order of [`SYMPTOMS`].
pub fn symptoms(text: &str) -> Vec<String> {
    let lower = text.to_lowercase();
    SYMPTOMS
        .iter()
        .filter(|(_, says)| says.iter().any(|w| lower.contains(w)))
        .map(|(k, _)| k.to_string())
        .collect()
}

/// The part a name plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Asks.
    Client,
    /// Is asked.
    Server,
    /// Not told.
    Open,
}

/// A name in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// As written, without quotes: `svc/cart:80`, `cart.shop`.
    pub text: String,
    /// Byte offset.
    pub at: usize,
    /// Byte offset of what follows.
    pub end: usize,
    /// Its part.
    pub role: Role,
    /// It is a Service's name (a workload's only, otherwise).
    pub service: bool,
    /// It plays the part of the name before: `cart and api`.
    pub joined: bool,
    /// A verb right before it says that it is asked.
    pub sure: bool,
}

/// Words of a text that may be names, with their offsets.
pub(super) fn words(text: &str) -> Vec<(usize, &str)> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "-./:_@".contains(c);
    let mut out = Vec::new();
    let mut start = None;
    for (i, c) in text.char_indices().chain([(text.len(), ' ')]) {
        match (start, is_part(c)) {
            (None, true) => start = Some(i),
            (Some(s), false) => {
                if let Some(w) = text.get(s..i) {
                    let trimmed = w.trim_end_matches(['.', ':', '/', '-']);
                    if !trimmed.is_empty() {
                        out.push((s, trimmed));
                    }
                }
                start = None;
            }
            _ => {}
        }
    }
    out
}

/// Names of things that exist, found in a text.
pub fn tokens(topology: &Topology<'_>, text: &str, namespace: &str) -> Vec<Token> {
    let mut out: Vec<Token> = Vec::new();
    let missing = super::clients::missing_services(topology, namespace);
    for (at, written) in words(text) {
        let word = &with_namespace_behind(topology, as_named(written));
        let bare = bare_name(word);
        let named = bare.split('.').next().unwrap_or(bare);
        let service = service_named(topology, bare, namespace)
            .or_else(|| service_named(topology, bare, ""))
            .is_some()
            || missing.iter().any(|s| s.name == named);
        let (own, ns) = match bare.split_once('.') {
            Some((n, ns)) if topology.has_namespace(ns) => (n, ns),
            _ => (bare, ""),
        };
        let is_it = |o: &Object| o.name() == own && (ns.is_empty() || o.namespace() == ns);
        let exists = |kind: &str| topology.all(kind).iter().any(|o| is_it(o));
        let other = ["Deployment", "StatefulSet", "DaemonSet", "Pod"]
            .into_iter()
            .any(exists)
            || word.starts_with("node/");
        let host = !service && !other && (word.contains("://") || is_host_port(word));
        // A route is what is meant only where nothing that talks has its name.
        let route = !service && !other && super::routes::named(topology, "", bare, "").is_some();
        let routed = route || !route::serving(topology, bare).is_empty();
        let only_a_word = ENGLISH.contains(&word.as_str()) && !quoted(text, at);
        if (service || other || host || routed)
            && !only_a_word
            && !out.iter().any(|t| t.text == *word)
        {
            out.push(Token {
                text: word.to_string(),
                at,
                end: at + written.len(),
                role: Role::Open,
                service: service || host || routed,
                joined: false,
                sure: false,
            });
        }
    }
    // "An error when web calls cart" has its two ends without a Service called error; "client
    // cannot reach server" has not.
    let may_be_a_word = |t: &Token| SOMETIMES.contains(&t.text.as_str()) && !quoted(text, t.at);
    if out.iter().filter(|t| !may_be_a_word(t)).count() >= 2 {
        out.retain(|t| !may_be_a_word(t));
    }
    out
}

/// `shop/cart:80` as `cart.shop:80`, where `shop` is a namespace.
fn with_namespace_behind(topology: &Topology<'_>, word: String) -> String {
    match word.split_once('/') {
        Some((ns, rest))
            if kind_of(ns).is_none() && topology.has_namespace(ns) && !rest.contains('/') =>
        {
            let (name, port) = rest.split_once(':').unwrap_or((rest, ""));
            let colon = if port.is_empty() { "" } else { ":" };
            format!("{name}.{ns}{colon}{port}")
        }
        _ => word,
    }
}

/// The word with the capital of a sentence's first word taken back: names have none.
fn as_named(word: &str) -> String {
    let bare = bare_name(word);
    let mut chars = bare.chars();
    let title = chars.next().is_some_and(|c| c.is_ascii_uppercase())
        && chars.as_str().chars().any(|c| c.is_ascii_lowercase())
        && !chars.as_str().chars().any(|c| c.is_ascii_uppercase());
    if title {
        word.replacen(bare, &bare.to_ascii_lowercase(), 1)
    } else {
        word.to_string()
    }
}

/// A quotation mark stands right before.
pub(super) fn quoted(text: &str, at: usize) -> bool {
    at.checked_sub(1)
        .and_then(|i| text.as_bytes().get(i))
        .is_some_and(|c| matches!(c, b'`' | b'\'' | b'"'))
}

/// Words that people use as words even when an object has the name.
const ENGLISH: &[&str] = &[
    "service",
    "timeout",
    "in",
    "the",
    "dns",
    "from",
    "to",
    "pod",
    "production-like",
];

/// Words that are a name only where the sentence has no two others.
const SOMETIMES: &[&str] = &[
    "client",
    "cluster",
    "connection",
    "error",
    "errors",
    "network",
    "node",
    "request",
    "requests",
    "server",
];

/// Words right before the name of the one who is asked.
const ASKED: &[&str] = &[
    " to",
    "reach",
    "reaches",
    "reaching",
    "contact",
    "access",
    "resolve",
    "calling",
    "call",
    "calls",
    "connect",
    "访问",
    "调用",
    "连接",
    "到",
    "请求",
    "访问不了",
    "连不上",
    "解析",
];

/// Of these, what says so beyond doubt: a name behind "to" may also be the one who gets answers.
const SURELY_ASKED: &[&str] = &[
    "reach",
    "reaches",
    "reaching",
    "contact",
    "access",
    "calling",
    "call",
    "calls",
    "connect to",
    "connecting to",
    "talk to",
    "talking to",
    "访问",
    "调用",
    "连接",
    "请求",
    "访问不了",
    "连不上",
];

/// What the one who is asked does: the answer goes *to* the client.
const ANSWERS: &[&str] = &["returns", "answers", "replies", "responds"];
/// What the client does with answers: they come *from* the one who is asked.
const RECEIVES: &[&str] = &["gets", "get", "got", "receives", "received", "sees", "saw"];
/// ... unless these are what is got: they come from a client.
const ASKING: &[&str] = &["request", "call", "traffic", "connections"];

/// The name in `svc/cart.shop:80` or `http://cart:80/x`: `cart.shop`, `cart`.
pub(super) fn bare_name(word: &str) -> &str {
    let rest = word.split_once("://").map_or(word, |(_, r)| r);
    let rest = match rest.split_once('/') {
        Some((k, r)) if is_kind(k) => r,
        Some((a, _)) => a,
        None => rest,
    };
    host_port(rest).0
}

/// The kind that a word of kubectl means, of those that name an end.
pub fn kind_of(word: &str) -> Option<&'static str> {
    Some(match word {
        "svc" | "service" | "services" => "Service",
        "pod" | "pods" | "po" => "Pod",
        "deploy" | "deployment" | "deployments" => "Deployment",
        "sts" | "statefulset" | "statefulsets" => "StatefulSet",
        "ds" | "daemonset" | "daemonsets" => "DaemonSet",
        "rs" | "replicaset" | "replicasets" => "ReplicaSet",
        "job" | "jobs" => "Job",
        "node" | "nodes" | "no" => "Node",
        "ing" | "ingress" | "ingresses" => "Ingress",
        "httproute" | "httproutes" => "HTTPRoute",
        _ => return None,
    })
}

/// Such a word.
pub fn is_kind(word: &str) -> bool {
    kind_of(word).is_some()
}

pub(super) fn is_host_port(word: &str) -> bool {
    let (host, port) = host_port(word);
    port.is_some_and(|p| p.parse::<u16>().is_ok())
        && host.contains(|c: char| c.is_ascii_alphabetic() || c == '.')
}

/// Splits `host:port`, `[v6]:port`, `v6`.
pub fn host_port(text: &str) -> (&str, Option<&str>) {
    if let Some(rest) = text.strip_prefix('[') {
        return match rest.split_once(']') {
            Some((host, tail)) => (host, tail.strip_prefix(':')),
            None => (rest, None),
        };
    }
    match text.rsplit_once(':') {
        Some((host, _)) if host.contains(':') => (text, None),
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    }
}

/// The Service that a DNS-like name means, seen from a namespace (empty: any).
pub fn service_named(topology: &Topology<'_>, host: &str, namespace: &str) -> Option<ObjectRef> {
    let host = host.trim_end_matches('.');
    let mut parts = host.splitn(3, '.');
    let name = parts.next()?;
    let ns = parts.next();
    let tail = parts.next();
    if tail.is_some_and(|t| t != "svc" && !t.starts_with("svc.")) {
        return None;
    }
    let found = match ns.unwrap_or(namespace) {
        "" => topology
            .all("Service")
            .iter()
            .find(|s| s.name() == name)
            .copied(),
        ns => topology.find("Service", ns, name),
    };
    found.map(|s| s.reference())
}

/// Who asks and who is asked. Words right before or after a name decide; else the first name that
/// can be a client asks the next that can be a server.
pub fn roles(text: &str, mut all: Vec<Token>) -> Vec<Token> {
    let lower = text.to_lowercase();
    let mut last = 0;
    for (i, t) in all.iter_mut().enumerate() {
        let between = lower.get(last..t.at).unwrap_or("");
        last = t.end;
        let verb = |all: &[&str]| {
            i > 0
                && between
                    .split(|c: char| !c.is_ascii_alphabetic())
                    .any(|w| all.contains(&w))
        };
        let answered = verb(ANSWERS);
        let received = verb(RECEIVES) && !ASKING.iter().any(|w| between.contains(w));
        let before = lower
            .get(..t.at)
            .unwrap_or("")
            .trim_end_matches(['`', '\'', '"', ' ']);
        let after = lower
            .get(t.end..)
            .unwrap_or("")
            .trim_start_matches(['`', '\'', '"', ' ']);
        let said = |w: &&str| before.ends_with(*w) && boundary(before, w);
        if (received && said(&" from")) || ANSWERS.iter().any(|w| after.starts_with(w)) {
            t.role = Role::Server;
        } else if (answered && said(&" to"))
            || [
                " from", " by", " for", "from", "从", "来自", "被", "由", "在",
            ]
            .iter()
            .any(said)
        {
            t.role = Role::Client;
        } else if ASKED.iter().any(said)
            || after.starts_with('被')
            || after.starts_with("is unreachable from")
            || after.starts_with("cannot be reached")
        {
            t.role = Role::Server;
            t.sure = SURELY_ASKED.iter().any(said);
        }
    }
    if undirected(&lower, &all) {
        return all;
    }
    let named = |all: &[Token], r: Role| all.iter().any(|t| t.role == r);
    let two = all.len() > 1;
    let has_server = named(&all, Role::Server);
    if two && !named(&all, Role::Client) {
        let mut open = all.iter_mut().filter(|t| t.role == Role::Open);
        if let Some(first) = open.next() {
            first.role = Role::Client;
        } else if has_server && let Some(first) = all.first_mut() {
            first.role = Role::Client;
        }
    }
    if has_server {
        join(&lower, &mut all);
    }
    if !has_server
        && let Some(t) = all
            .iter_mut()
            .find(|t| t.role == Role::Open && (t.service || two))
    {
        t.role = Role::Server;
    }
    // What has no Service cannot be asked: then it asks, unless the words plainly say otherwise.
    if let [a, b] = all.as_mut_slice()
        && a.service != b.service
        && ![&*a, &*b].iter().any(|t| t.sure && !t.service)
    {
        (a.role, b.role) = if b.service {
            (Role::Client, Role::Server)
        } else {
            (Role::Server, Role::Client)
        };
    }
    // A single workload without a Service is somebody who cannot reach something.
    if let [only] = all.as_mut_slice()
        && only.role == Role::Open
    {
        only.role = if only.service {
            Role::Server
        } else {
            Role::Client
        };
    }
    all
}

/// Names joined by "and" play the same part: `web cannot reach cart and api`. A comma may begin
/// another clause and joins nothing.
fn join(text: &str, all: &mut [Token]) {
    let mut before: Option<(usize, Role)> = None;
    for t in all {
        if let Some((end, role)) = before
            && t.role == Role::Open
            && role != Role::Open
            && let Some(between) = text.get(end..t.at)
            && is_and(between)
        {
            t.role = role;
            t.joined = true;
        }
        before = Some((t.end, t.role));
    }
}

fn is_and(between: &str) -> bool {
    let word = between.trim_matches([' ', '`', '\'', '"']);
    ["and", "or", "和", "与", "及", "或", "、", "&"].contains(&word)
}

/// Names in a row and nothing that says who asks whom: `alpha and beta`. "Between" says it well enough.
fn undirected(text: &str, all: &[Token]) -> bool {
    let (Some(first), Some(last)) = (all.first(), all.last()) else {
        return false;
    };
    let in_a_row = all.windows(2).all(|w| match w {
        [a, b] => text
            .get(a.end..b.at)
            .is_some_and(|t| is_and(t) || t.trim() == ","),
        _ => true,
    });
    let between = text.get(..first.at).unwrap_or("").contains("between")
        || text
            .get(last.end..)
            .unwrap_or("")
            .trim_start()
            .starts_with("之间");
    all.len() > 1 && in_a_row && !between && all.iter().all(|t| t.role == Role::Open)
}

/// An ASCII word must not be the tail of a longer word.
fn boundary(before: &str, word: &str) -> bool {
    let word = word.trim_start();
    if !word.is_ascii() {
        return true;
    }
    let head = before
        .get(..before.len().saturating_sub(word.len()))
        .unwrap_or("");
    !head
        .chars()
        .next_back()
        .is_some_and(|c| c.is_ascii_alphanumeric())
}

/// All names a person may mean.
pub fn known_names(topology: &Topology<'_>) -> BTreeSet<String> {
    [
        "Service",
        "Deployment",
        "StatefulSet",
        "DaemonSet",
        "Pod",
        "Node",
        "Namespace",
        "Ingress",
        "HTTPRoute",
    ]
    .into_iter()
    .flat_map(|k| topology.all(k).iter().map(|o| o.name().to_string()))
    .chain(
        super::clients::missing_services(topology, "")
            .into_iter()
            .map(|s| s.name),
    )
    .collect()
}

/// The names nearest to a word: at most two, within a third of its length (Levenshtein distance,
/// two neighbours swapped counting as one).
pub fn nearest(word: &str, names: &[&str]) -> Vec<String> {
    let mut scored: Vec<(usize, &str)> = names
        .iter()
        .map(|n| (distance(word, n), *n))
        .filter(|(d, n)| {
            *d <= (word.len().max(n.len()) / 3).max(1)
                || (word.len() > 2
                    && (n.starts_with(word) || n.split('-').any(|part| part == word)))
        })
        .collect();
    scored.sort();
    scored.dedup();
    scored
        .into_iter()
        .take(2)
        .map(|(_, n)| n.to_string())
        .collect()
}

fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    let mut earlier: (char, Vec<usize>) = ('\0', Vec::new());
    for (i, ca) in a.chars().take(64).enumerate() {
        let mut next = vec![i + 1];
        for (j, cb) in b.iter().enumerate() {
            let cost = usize::from(ca != *cb);
            let keep = row.get(j).copied().unwrap_or(0) + cost;
            let up = row.get(j + 1).copied().unwrap_or(0) + 1;
            let left = next.last().copied().unwrap_or(0) + 1;
            let swapped = match j.checked_sub(1) {
                Some(k) if b.get(k) == Some(&ca) && earlier.0 == *cb => {
                    earlier.1.get(k).map_or(usize::MAX, |d| d + 1)
                }
                _ => usize::MAX,
            };
            next.push(keep.min(up).min(left).min(swapped));
        }
        earlier = (ca, std::mem::replace(&mut row, next));
    }
    row.last().copied().unwrap_or(0)
}
