//! Words that name nothing that is there: they are asked back, never passed over.

use super::nearest;
use super::words::{bare_name, is_host_port, is_kind, quoted, words};
use std::collections::BTreeSet;

/// What stands right before the one who is asked, or who asks.
const BEFORE_A_NAME: &[&str] = &[
    "to",
    "reach",
    "reaches",
    "reaching",
    "call",
    "calls",
    "calling",
    "from",
    "contact",
    "contacting",
    "access",
    "accessing",
    "between",
    "resolve",
    "resolves",
    "resolving",
    "query",
    "querying",
    "ping",
    "curl",
    "by",
];
/// The same in Chinese.
const BEFORE_A_NAME_ZH: &[&str] = &[
    "访问",
    "调用",
    "连接",
    "到",
    "请求",
    "访问不了",
    "连不上",
    "解析",
    "解析不了",
    "从",
    "来自",
    "被",
];
/// What stands right after the one who asks, anywhere in a sentence.
const AFTER_A_NAME: &[&str] = &["cannot", "can't", "couldn't", "calls", "reaches"];
/// The same where the sentence begins with the name.
const AFTER_THE_FIRST: &[&str] = &[
    "can", "could", "fails", "fail", "failed", "gets", "get", "got", "times", "timed", "does",
    "doesn't", "to", "->", "calling", "call", "sees", "receives", "hangs", "returns", "answers",
    "unable", "loses", "is", "has",
];
/// The same in Chinese.
const AFTER_A_NAME_ZH: &[&str] = &[
    "访问",
    "调用",
    "连接",
    "到",
    "请求",
    "连不上",
    "解析",
    "无法",
    "不能",
];
/// Words between a verb and the name.
const FILLERS: &[&str] = &[
    "the",
    "a",
    "an",
    "our",
    "my",
    "your",
    "their",
    "its",
    "service",
    "svc",
    "pod",
    "pods",
    "deployment",
    "workload",
    "application",
    "app",
    "named",
    "called",
    "host",
    "namespace",
];
/// English words that stand where a name could.
const COMMON: &[&str] = &[
    "it",
    "its",
    "itself",
    "they",
    "them",
    "we",
    "us",
    "i",
    "me",
    "you",
    "he",
    "she",
    "this",
    "that",
    "these",
    "those",
    "there",
    "here",
    "what",
    "which",
    "who",
    "why",
    "when",
    "where",
    "how",
    "one",
    "some",
    "any",
    "all",
    "both",
    "each",
    "every",
    "most",
    "many",
    "few",
    "more",
    "other",
    "others",
    "another",
    "nobody",
    "everybody",
    "everyone",
    "somebody",
    "someone",
    "nothing",
    "something",
    "anything",
    "everything",
    "anyone",
    "none",
    "and",
    "or",
    "but",
    "not",
    "no",
    "so",
    "if",
    "then",
    "than",
    "as",
    "at",
    "in",
    "on",
    "of",
    "off",
    "out",
    "up",
    "down",
    "into",
    "over",
    "under",
    "with",
    "without",
    "within",
    "inside",
    "outside",
    "via",
    "through",
    "across",
    "to",
    "from",
    "by",
    "for",
    "between",
    "same",
    "different",
    "request",
    "requests",
    "response",
    "responses",
    "call",
    "calls",
    "connection",
    "connections",
    "connect",
    "traffic",
    "packet",
    "packets",
    "client",
    "clients",
    "server",
    "servers",
    "service",
    "services",
    "pod",
    "pods",
    "node",
    "nodes",
    "host",
    "hosts",
    "cluster",
    "network",
    "networking",
    "namespace",
    "database",
    "cache",
    "frontend",
    "backend",
    "upstream",
    "downstream",
    "application",
    "app",
    "user",
    "users",
    "customer",
    "customers",
    "people",
    "name",
    "names",
    "dns",
    "address",
    "addresses",
    "ip",
    "ips",
    "port",
    "ports",
    "url",
    "urls",
    "http",
    "https",
    "tcp",
    "udp",
    "tls",
    "ssl",
    "grpc",
    "api",
    "endpoint",
    "endpoints",
    "error",
    "errors",
    "timeout",
    "timeouts",
    "latency",
    "certificate",
    "certificates",
    "time",
    "times",
    "today",
    "yesterday",
    "now",
    "morning",
    "night",
    "evening",
    "noon",
    "last",
    "since",
    "after",
    "before",
    "until",
    "while",
    "during",
    "often",
    "always",
    "never",
    "sometimes",
    "again",
    "still",
    "already",
    "start",
    "be",
    "do",
    "does",
    "is",
    "are",
    "was",
    "were",
    "has",
    "have",
    "had",
    "can",
    "cannot",
    "could",
    "will",
    "would",
    "should",
    "may",
    "might",
    "must",
    "work",
    "works",
    "working",
    "fail",
    "fails",
    "failing",
    "failed",
    "get",
    "gets",
    "go",
    "goes",
    "come",
    "run",
    "runs",
    "talk",
    "talking",
    "speak",
    "connecting",
    "access",
    "accessing",
    "contact",
    "open",
    "close",
    "send",
    "receive",
    "read",
    "write",
    "load",
    "open",
    "reach",
    "reaching",
    "resolve",
    "resolving",
    "query",
    "curl",
    "wget",
    "ping",
    "nslookup",
    "dig",
    "internet",
    "web",
    "world",
    "internal",
    "external",
    "new",
    "old",
    "first",
    "second",
    "localhost",
    "kubernetes",
    "k8s",
    "production",
    "staging",
    "unreachable",
    "slow",
    "its",
    "own",
    "able",
    "unable",
    "only",
    "resolution",
    "lookup",
    "lookups",
    "handshake",
    "handshakes",
    "everywhere",
    "elsewhere",
];
/// Words with a dash that are none of a name.
const USUAL: &[&str] = &[
    "time-out",
    "time-outs",
    "end-to-end",
    "cross-node",
    "pod-to-pod",
    "node-to-node",
    "e-mail",
    "in-cluster",
    "on-call",
    "re-try",
    "half-open",
    "round-trip",
    "high-latency",
    "left-over",
    "up-to-date",
];

/// Words that look like an object's name and are none: two parts joined by a dash, quoted, with a
/// kind before them (`svc/x`), or standing where one of the two ends stands. With `asked`, also what is
/// almost a name where the one who is asked stands.
pub fn strange_names(text: &str, known: &BTreeSet<String>, asked: bool) -> Vec<String> {
    let names: Vec<&str> = known.iter().map(String::as_str).collect();
    let all = words(text);
    let mut out: Vec<String> = Vec::new();
    for (i, (at, word)) in all.iter().enumerate() {
        let lower = word.to_ascii_lowercase();
        let bare = bare_name(&lower);
        let plain = bare.split('.').next().unwrap_or(bare);
        let explicit = word.split_once('/').is_some_and(|(k, _)| is_kind(k));
        let is_name =
            |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
        let named = bare.starts_with(|c: char| c.is_ascii_lowercase()) && bare.chars().all(is_name);
        let looks = named
            && !bare.contains('.')
            && bare.contains('-')
            && !bare.split('-').any(str::is_empty);
        let place = end_stands_here(text, &all, i);
        let common = COMMON.contains(&bare) || FILLERS.contains(&bare);
        let almost = asked
            && place.is_some_and(|p| p == Place::After)
            && word.len() > 3
            && !nearest(&lower, &names).is_empty();
        let stands = place.is_some() && named && bare.len() > 1 && !common;
        let plainly_none = !word.contains("://") && !is_host_port(word);
        let quoted = quoted(text, *at) && bare.len() > 2;
        let is_there = known.contains(plain) || known.contains(bare) || known.contains(*word);
        let suspicious =
            explicit || (plainly_none && (looks || (almost && !common) || quoted || stands));
        if suspicious && !USUAL.contains(&bare) && !is_there && !out.iter().any(|o| o == bare) {
            out.push(bare.to_string());
        }
    }
    out
}

#[derive(Clone, Copy, PartialEq)]
enum Place {
    /// After a verb or preposition: mostly the one who is asked.
    After,
    /// Before a verb: the one who asks.
    Before,
}

/// One of the two ends stands at this word, as the words beside it tell.
fn end_stands_here(text: &str, all: &[(usize, &str)], i: usize) -> Option<Place> {
    let (at, word) = all.get(i)?;
    let lower = |w: &str| w.to_ascii_lowercase();
    let parted = |from: usize, to: usize| {
        text.get(from..to)
            .is_some_and(|t| t.contains([',', ';', '.', '，', '。', '；', ':', '：', '(', ')']))
    };
    // Backwards over fillers to the word that decides.
    let mut before = None;
    let mut next = *at;
    for (b, w) in all.get(..i)?.iter().rev() {
        if parted(b + w.len(), next) {
            break;
        }
        next = *b;
        if FILLERS.contains(&lower(w).as_str()) {
            continue;
        }
        before = Some(lower(w));
        break;
    }
    let ahead = text
        .get(..*at)
        .unwrap_or("")
        .trim_end_matches([' ', '`', '\'', '"', '「', '“']);
    let gap = text.get(at + word.len()..).unwrap_or("");
    let ends = gap.trim_start_matches([' ', '`', '\'', '"', '”']);
    if BEFORE_A_NAME_ZH.iter().any(|v| ahead.ends_with(v))
        || (before
            .as_deref()
            .is_some_and(|b| BEFORE_A_NAME.contains(&b))
            && ahead.is_ascii())
    {
        return Some(Place::After);
    }
    let after = all.get(i + 1).filter(|(a, _)| !parted(at + word.len(), *a));
    let after = after.map(|(_, w)| lower(w));
    let first = before.is_none() && ahead.chars().all(|c| c.is_ascii_alphabetic() || c == ' ');
    let verb = |w: &String| {
        AFTER_A_NAME.contains(&w.as_str()) || (first && AFTER_THE_FIRST.contains(&w.as_str()))
    };
    let apostrophe = ends.starts_with("can't") || ends.starts_with("couldn't");
    let arrow = ends.starts_with("->") || ends.starts_with('→');
    if after.as_ref().is_some_and(verb)
        || apostrophe
        || arrow
        || (first && AFTER_A_NAME_ZH.iter().any(|v| ends.starts_with(v)))
    {
        return Some(Place::Before);
    }
    None
}

/// The sentence says that something is wrong, though not what.
pub fn speaks_of_trouble(text: &str) -> bool {
    const TROUBLE: &[&str] = &[
        "work",
        "broken",
        "broke",
        "down",
        "problem",
        "wrong",
        "issue",
        "trouble",
        "bad",
        "outage",
        "unhealthy",
        "flaky",
        "intermittent",
        "reachable",
        "degraded",
        "health",
        "check",
        "ok",
        "fine",
        "故障",
        "异常",
        "问题",
        "坏",
        "不工作",
        "不可用",
        "不正常",
        "正常",
        "检查",
        "慢",
        "挂",
    ];
    let lower = text.to_lowercase();
    TROUBLE.iter().any(|w| lower.contains(w))
}

/// A port that the words give to the one who is asked: `on port 9201`, `9201 端口`, `port http`. The word
/// as it stands, a number or a name.
pub fn port_said(text: &str) -> Option<String> {
    let lower = text.to_lowercase();
    let part = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let mut all: Vec<String> = Vec::new();
    for c in lower.chars() {
        let kind = |c: char| (part(c), c.is_alphanumeric());
        match all.last_mut() {
            Some(last) if last.chars().next_back().is_some_and(|p| kind(p) == kind(c)) => {
                last.push(c)
            }
            _ => all.push(c.into()),
        }
    }
    all.retain(|w| !w.trim().is_empty());
    let number = |w: &str| !w.is_empty() && w.len() <= 6 && w.bytes().all(|b| b.is_ascii_digit());
    for (i, w) in all.iter().enumerate() {
        let before = i
            .checked_sub(1)
            .and_then(|b| all.get(b))
            .map_or("", String::as_str);
        let after = all.get(i + 1).map_or("", String::as_str);
        let led = before == "port" || before.ends_with("端口") || (before == "on" && w.len() > 1);
        if number(w) && (led || after.starts_with("端口")) {
            return Some(w.clone());
        }
        if before == "port"
            && w.bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        {
            return Some(w.clone());
        }
    }
    None
}
