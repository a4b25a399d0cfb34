//! What a check is, and what it is given to look at.

use crate::evidence::EvidenceSet;
use crate::finding::{Finding, Seen, State};
use crate::object::{Object, ObjectRef};
use crate::observe::Observed;
use crate::path::{HopKind, Path};
use crate::probe::{Answer, Answered, Probe, Question, Vantage};
use crate::snapshot::Gap;
use crate::text;
use crate::text::Text;
use crate::topology::Topology;
use std::cell::{OnceCell, RefCell};
use std::collections::BTreeSet;

/// One way a network can be broken: how to recognise it, prove it and mend it. A `const` on the
/// shelf [`crate::checks::ALL`]; help, pages, rights and laws are computed from it.
#[derive(Debug)]
pub struct Check {
    /// File name with dashes; reads well after "because". For ever.
    pub id: &'static str,
    /// Title for people.
    pub title: &'static str,
    /// The same in Chinese.
    pub title_zh: &'static str,
    /// Catalogue numbers, `F21`.
    pub catalogue: &'static [&'static str],
    /// `L1` ... `L7`, `policy`, `host`.
    pub layer: &'static str,
    /// Kinds of objects it reads; also yields the rights and the collection plan.
    pub looks_at: &'static [&'static str],
    /// Ids that, when broken on the same path, already explain this.
    pub after: &'static [&'static str],
    /// Looks, asks, states.
    pub run: fn(&View<'_>, &mut Findings),
    /// Markdown: What it looks at / What proves it / What to do / Examples.
    pub page: &'static str,
    /// The first three sections in Chinese; the examples are the same.
    pub page_zh: &'static str,
}

/// What a check sees: the topology, one path, the answers so far. It asks by name and is run again
/// when the answer is there.
pub struct View<'a> {
    /// All objects.
    pub topology: &'a Topology<'a>,
    /// The conversation in question.
    pub path: &'a Path<'a>,
    evidence: &'a EvidenceSet,
    observed: OnceCell<Observed<'a>>,
    wants: RefCell<BTreeSet<Probe>>,
    gaps: RefCell<BTreeSet<Gap>>,
    may_ask: bool,
    passive: bool,
}

impl<'a> View<'a> {
    /// A view on one path. With `may_ask` false it answers from what is held and wants nothing.
    pub fn new(
        topology: &'a Topology<'a>,
        path: &'a Path<'a>,
        evidence: &'a EvidenceSet,
        may_ask: bool,
    ) -> Self {
        View {
            topology,
            path,
            evidence,
            observed: OnceCell::new(),
            wants: RefCell::default(),
            gaps: RefCell::default(),
            may_ask,
            passive: false,
        }
    }

    /// The name to ask for hangs on an answer that is still to come: the cluster's domain, where only a pod's resolv.conf
    /// tells it.
    pub fn awaits_domain(&self) -> bool {
        let inside = self.path.service.is_some() && !self.path.name.is_empty();
        if !inside || self.path.client.is_none() || !self.topology.guesses_domain() {
            return false;
        }
        let probe = Probe {
            from: self.path.vantage(),
            question: Question::ResolvConf,
        };
        self.ask(probe.from.clone(), probe.question.clone());
        self.may_ask && self.evidence.get(&probe).is_none()
    }

    /// Nothing may be sent.
    #[must_use]
    pub fn passive(self, passive: bool) -> Self {
        View { passive, ..self }
    }

    /// Nothing may be sent, so nobody knows whether packets are lost: what can be read is read as if they were.
    pub fn supposes_loss(&self) -> bool {
        self.passive && self.observed().untried()
    }

    /// The answer, if it is there; else it will be asked for. A question that could not be asked
    /// becomes a gap.
    pub fn ask(&self, from: Vantage, question: Question) -> Option<&'a Answered> {
        let probe = Probe { from, question };
        match self.evidence.get(&probe) {
            Some(Answered {
                answer:
                    Answer::CouldNotAsk {
                        why,
                        missing,
                        how_to_get,
                    },
                ..
            }) => {
                let (what, from) = (describe(&probe.question), place(&probe.from));
                self.gap(
                    text!("{what} from {from}", "{what:#}（自 {from:#}）"),
                    if missing.is_empty() {
                        Text::same(why)
                    } else {
                        missing.clone()
                    },
                    how_to_get.clone(),
                );
                None
            }
            Some(answered) => Some(answered),
            None => {
                if self.may_ask {
                    self.wants.borrow_mut().insert(probe);
                }
                None
            }
        }
    }

    /// What the client itself sees of the symptom.
    pub fn observed(&self) -> &Observed<'a> {
        if let Some(o) = self.observed.get() {
            return o;
        }
        let made = Observed::of(self);
        self.observed.get_or_init(|| made)
    }

    /// A field of an object, as evidence.
    pub fn fact(&self, hop: HopKind, object: &Object, field: &str, value: Text) -> Seen {
        Seen {
            hop,
            source: Text::same(format!("{} {field}", object.reference())),
            value,
            at_ms: self.topology.snapshot().taken_at_ms,
            from: Text::same("api"),
            probed: false,
        }
    }

    /// An answer, as evidence.
    pub fn saw(&self, hop: HopKind, answered: &Answered, value: Text) -> Seen {
        Seen {
            hop,
            source: source(&answered.probe.question),
            value,
            at_ms: answered.at_ms,
            from: place(&answered.probe.from),
            probed: true,
        }
    }

    /// Notes something that would decide but could not be read.
    pub fn gap(&self, what: Text, missing: Text, how_to_get: Text) {
        self.gaps.borrow_mut().insert(Gap {
            what,
            missing,
            how_to_get,
        });
    }

    /// What was wanted and is not there yet.
    pub fn take_wants(&self) -> BTreeSet<Probe> {
        self.wants.take()
    }

    /// Gaps met so far.
    pub fn take_gaps(&self) -> BTreeSet<Gap> {
        self.gaps.take()
    }

    /// Now, as the evidence tells: the latest answer, else the snapshot.
    pub fn now_ms(&self) -> u64 {
        self.evidence
            .iter()
            .map(|a| a.at_ms + a.took_ms)
            .max()
            .unwrap_or(0)
            .max(self.topology.snapshot().taken_at_ms)
    }

    /// A node as a vantage point.
    pub fn node(&self, name: &str) -> Vantage {
        Vantage::Node { name: name.into() }
    }

    /// A pod as a vantage point.
    pub fn pod(&self, pod: &ObjectRef) -> Vantage {
        Vantage::Pod {
            namespace: pod.namespace.clone(),
            name: pod.name.clone(),
        }
    }
}

/// The statements of one check.
#[derive(Debug, Default)]
pub struct Findings {
    check: &'static str,
    all: Vec<Finding>,
}

impl Findings {
    /// Statements of the named check.
    pub fn of(check: &'static str) -> Self {
        Findings {
            check,
            all: Vec::new(),
        }
    }

    /// Says that the subject is broken. `first` is the observation that proves it.
    pub fn broken(
        &mut self,
        subject: ObjectRef,
        hop: HopKind,
        says: Text,
        first: Seen,
    ) -> &mut Finding {
        self.push(State::Broken, subject, hop, says, first)
    }

    /// Says that the subject will break or weighs on others.
    pub fn at_risk(
        &mut self,
        subject: ObjectRef,
        hop: HopKind,
        says: Text,
        first: Seen,
    ) -> &mut Finding {
        self.push(State::AtRisk, subject, hop, says, first)
    }

    /// Says that a suspicion was looked at and is ruled out.
    pub fn fine(
        &mut self,
        subject: ObjectRef,
        hop: HopKind,
        says: Text,
        first: Seen,
    ) -> &mut Finding {
        self.push(State::Fine, subject, hop, says, first)
    }

    fn push(
        &mut self,
        state: State,
        subject: ObjectRef,
        hop: HopKind,
        says: Text,
        first: Seen,
    ) -> &mut Finding {
        let at = self.all.len();
        self.all.push(Finding {
            check: self.check,
            state,
            subject,
            hop,
            says,
            evidence: vec![first],
            remedy: None,
            verify: Vec::new(),
            chain: Vec::new(),
            number: None,
        });
        &mut self.all[at]
    }

    /// All of them.
    pub fn into_vec(self) -> Vec<Finding> {
        self.all
    }
}

/// A vantage point in words: `pod production/web-1`.
pub fn place(v: &Vantage) -> Text {
    match v {
        Vantage::Here => text!("this host", "本机"),
        Vantage::Pod { namespace, name } => Text::same(format!("pod {namespace}/{name}")),
        Vantage::Node { name } => text!("node {name}", "节点 {name}"),
    }
}

/// An answer as a source of evidence: `probe tcp_connect: TCP connect to 10.0.0.1:80, once`.
pub fn source(q: &Question) -> Text {
    let what = describe(q);
    text!("probe {}: {what}", "探测 {}：{what:#}", q.id())
}

/// A question in words: `TCP connect to 10.0.0.1:80, 3 times`.
pub fn describe(q: &Question) -> Text {
    match q {
        Question::Links => text!("links", "网络接口"),
        Question::Neighbours => text!("neighbours", "邻居表"),
        Question::Routes => text!("routes", "路由表"),
        Question::RouteTo { to } => text!("route to {to}", "到 {to} 的路由"),
        Question::ResolvConf => Text::same("resolv.conf"),
        Question::Sockets => text!("sockets", "套接字"),
        Question::Counters => text!("counters", "内核计数器"),
        Question::Conntrack { to: Some(to) } => {
            text!("conntrack entries to {to}", "到 {to} 的 conntrack 条目")
        }
        Question::Conntrack { to: None } => text!("conntrack table", "conntrack 表"),
        Question::Rules => text!("packet-filter rules", "包过滤规则"),
        Question::Sysctls { names } => {
            let names = names.join(", ");
            text!("sysctls {names}", "内核参数 {names}")
        }
        Question::Memory { namespace, pod, .. } => {
            text!(
                "memory of pod {namespace}/{pod}",
                "pod {namespace}/{pod} 的内存"
            )
        }
        Question::Log {
            namespace,
            pod,
            previous: false,
            ..
        } => text!(
            "log of pod {namespace}/{pod}",
            "pod {namespace}/{pod} 的日志"
        ),
        Question::Log { namespace, pod, .. } => text!(
            "previous log of pod {namespace}/{pod}",
            "pod {namespace}/{pod} 上一个容器的日志"
        ),
        Question::Capture {
            interface, millis, ..
        } => {
            let on = if interface.is_empty() {
                text!("all interfaces", "所有接口")
            } else {
                Text::same(interface)
            };
            text!(
                "packets on {on} for {millis} ms",
                "在{on:#}上抓包 {millis} 毫秒"
            )
        }
        other => describe_sent(other),
    }
}

/// The same for questions that send packets.
fn describe_sent(q: &Question) -> Text {
    match q {
        Question::Resolve {
            name,
            record,
            server,
            over,
            ..
        } => text!(
            "{record} {name} at {server} over {}",
            "向 {server} 查询 {record} {name}（{}）",
            over.word()
        ),
        Question::Lookup { name, .. } => text!("lookup of {name}", "解析 {name}"),
        Question::TcpConnect { to, tries, .. } => {
            let n = times(*tries);
            text!("TCP connect to {to}, {n}", "TCP 连接 {to}，{n:#}")
        }
        Question::UdpExchange { to, .. } => text!("UDP datagram to {to}", "向 {to} 发送 UDP 报文"),
        Question::Echo { to, count, .. } => {
            let n = times(*count);
            text!("ICMP echo to {to}, {n}", "ICMP echo 到 {to}，{n:#}")
        }
        Question::PathMtu { to, .. } => text!("path MTU to {to}", "到 {to} 的路径 MTU"),
        Question::TlsHandshake {
            to, server_name, ..
        } => text!(
            "TLS handshake with {to} as {server_name}",
            "与 {to} 的 TLS 握手（名称 {server_name}）"
        ),
        Question::Http {
            to,
            host,
            path,
            tries,
            padding,
            ..
        } => {
            let n = times(*tries);
            let large = if *padding > 0 {
                text!(", requests of {padding} bytes", "，请求大小 {padding} 字节")
            } else {
                Text::default()
            };
            text!(
                "HTTP GET {host}{path} at {to}, {n}{large}",
                "HTTP GET {host}{path}（{to}），{n:#}{large:#}"
            )
        }
        _ => Text::same(q.id()),
    }
}

fn times(n: u32) -> Text {
    if n == 1 {
        text!("once", "1 次")
    } else {
        text!("{n} times", "{n} 次")
    }
}
