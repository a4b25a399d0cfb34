//! Words: symptoms, names of things, and who of two is the client.

use crate::object::ObjectRef;
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
    /// Its part.
    pub role: Role,
    /// It is a Service's name (a workload's only, otherwise).
    pub service: bool,
    /// It plays the part of the name before: `cart and api`.
    pub joined: bool,
}

/// Words of a text that may be names, with their offsets.
fn words(text: &str) -> Vec<(usize, &str)> {
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
        let word = &as_named(written);
        let bare = bare_name(word);
        let named = bare.split('.').next().unwrap_or(bare);
        let service = service_named(topology, bare, namespace)
            .or_else(|| service_named(topology, bare, ""))
            .is_some()
            || missing.iter().any(|s| s.name == named);
        let exists = |kind: &str| topology.all(kind).iter().any(|o| o.name() == bare);
        let other = ["Deployment", "StatefulSet", "DaemonSet", "Pod"]
            .into_iter()
            .any(exists)
            || word.starts_with("node/");
        let host = !service && !other && (word.contains("://") || is_host_port(word));
        let only_a_word = ENGLISH.contains(&word.as_str()) && !quoted(text, at);
        if (service || other || host) && !only_a_word && !out.iter().any(|t| t.text == *word) {
            out.push(Token {
                text: word.to_string(),
                at,
                role: Role::Open,
                service: service || host,
                joined: false,
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
fn quoted(text: &str, at: usize) -> bool {
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
    "reaching",
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

/// What the one who is asked does: the answer goes *to* the client.
const ANSWERS: &[&str] = &["returns", "answers", "replies", "responds"];
/// What the client does with answers: they come *from* the one who is asked.
const RECEIVES: &[&str] = &["gets", "get", "got", "receives", "received", "sees", "saw"];
/// ... unless these are what is got: they come from a client.
const ASKING: &[&str] = &["request", "call", "traffic", "connections"];

/// The name in `svc/cart.shop:80` or `http://cart:80/x`: `cart.shop`, `cart`.
fn bare_name(word: &str) -> &str {
    let rest = word.split_once("://").map_or(word, |(_, r)| r);
    let rest = match rest.split_once('/') {
        Some((k, r)) if is_kind(k) => r,
        Some((a, _)) => a,
        None => rest,
    };
    host_port(rest).0
}

/// Kind words of kubectl that name an end.
pub fn is_kind(word: &str) -> bool {
    const KINDS: &[&str] = &[
        "svc",
        "service",
        "services",
        "pod",
        "pods",
        "po",
        "deploy",
        "deployment",
        "deployments",
        "sts",
        "statefulset",
        "ds",
        "daemonset",
        "node",
        "no",
    ];
    KINDS.contains(&word)
}

fn is_host_port(word: &str) -> bool {
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
    let found = topology.all("Service").iter().find(|s| {
        s.name() == name
            && match ns {
                Some(ns) => s.namespace() == ns,
                None => namespace.is_empty() || s.namespace() == namespace,
            }
    });
    found.map(|s| s.reference())
}

/// Who asks and who is asked. Words right before or after a name decide; else the first name that
/// can be a client asks the next that can be a server.
pub fn roles(text: &str, mut all: Vec<Token>) -> Vec<Token> {
    let lower = text.to_lowercase();
    let mut last = 0;
    for (i, t) in all.iter_mut().enumerate() {
        let between = lower.get(last..t.at).unwrap_or("");
        last = t.at + t.text.len();
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
            .get(t.at + t.text.len()..)
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
        }
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
    // What has no Service cannot be asked: then it asks, whatever the words around it say.
    if let [a, b] = all.as_mut_slice()
        && a.service != b.service
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
            && ["and", "or", "和", "与", "及", "或", "、", "&"]
                .contains(&between.trim_matches([' ', '`', '\'', '"']))
        {
            t.role = role;
            t.joined = true;
        }
        before = Some((t.at + t.text.len(), t.role));
    }
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

/// Words that look like an object's name and are none: two parts joined by a dash, quoted, with a
/// kind before them (`svc/x`), or, with `asked`, almost a name where the one who is asked stands.
pub fn strange_names(text: &str, known: &BTreeSet<String>, asked: bool) -> Vec<String> {
    let names: Vec<&str> = known.iter().map(String::as_str).collect();
    let mut out = Vec::new();
    for (at, word) in words(text) {
        let quoted = quoted(text, at);
        let explicit = word.split_once('/').is_some_and(|(k, _)| is_kind(k));
        let before = text.get(..at).unwrap_or("").to_lowercase();
        let before = before.trim_end();
        let almost = asked
            && ASKED
                .iter()
                .any(|w| before.ends_with(w) && boundary(before, w))
            && word.len() > 3
            && word
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
            && !nearest(word, &names).is_empty();
        let bare = bare_name(word);
        let looks = bare.contains('-')
            && bare.split('-').all(|p| !p.is_empty())
            && bare
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        let plain = bare.split('.').next().unwrap_or(bare);
        let usual = [
            "time-out",
            "end-to-end",
            "cross-node",
            "pod-to-pod",
            "e-mail",
            "in-cluster",
        ]
        .contains(&bare);
        let plainly_none = !word.contains("://") && !is_host_port(word);
        let suspicious =
            explicit || (plainly_none && (looks || almost || quoted && bare.len() > 2));
        if suspicious && !usual && !known.contains(plain) && !known.contains(bare) {
            out.push(bare.to_string());
        }
    }
    out
}

/// The names nearest to a word: at most two, within a third of its length (Levenshtein distance,
/// two neighbours swapped counting as one).
pub fn nearest(word: &str, names: &[&str]) -> Vec<String> {
    let mut scored: Vec<(usize, &str)> = names
        .iter()
        .map(|n| (distance(word, n), *n))
        .filter(|(d, n)| {
            *d <= (word.len().max(n.len()) / 3).max(1) || (word.len() > 2 && n.starts_with(word))
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
