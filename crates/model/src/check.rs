//! What a check is, and what it is given to look at.

use crate::evidence::EvidenceSet;
use crate::finding::{Finding, Seen, State};
use crate::object::{Object, ObjectRef};
use crate::observe::Observed;
use crate::path::{HopKind, Path};
use crate::probe::{Answer, Answered, Probe, Question, Vantage};
use crate::snapshot::Gap;
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
        }
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
                self.gap(
                    &format!("{} from {}", describe(&probe.question), place(&probe.from)),
                    if missing.is_empty() { why } else { missing },
                    how_to_get,
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
    pub fn fact(
        &self,
        hop: HopKind,
        object: &Object,
        field: &str,
        value: impl Into<String>,
    ) -> Seen {
        Seen {
            hop,
            source: format!("{} {field}", object.reference()),
            value: value.into(),
            at_ms: self.topology.snapshot().taken_at_ms,
            from: "api".into(),
            probed: false,
        }
    }

    /// An answer, as evidence.
    pub fn saw(&self, hop: HopKind, answered: &Answered, value: impl Into<String>) -> Seen {
        Seen {
            hop,
            source: format!(
                "probe {}: {}",
                answered.probe.question.id(),
                describe(&answered.probe.question)
            ),
            value: value.into(),
            at_ms: answered.at_ms,
            from: place(&answered.probe.from),
            probed: true,
        }
    }

    /// Notes something that would decide but could not be read.
    pub fn gap(&self, what: &str, missing: &str, how_to_get: &str) {
        self.gaps.borrow_mut().insert(Gap {
            what: what.into(),
            missing: missing.into(),
            how_to_get: how_to_get.into(),
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
        says: impl Into<String>,
        first: Seen,
    ) -> &mut Finding {
        self.push(State::Broken, subject, hop, says.into(), first)
    }

    /// Says that the subject will break or weighs on others.
    pub fn at_risk(
        &mut self,
        subject: ObjectRef,
        hop: HopKind,
        says: impl Into<String>,
        first: Seen,
    ) -> &mut Finding {
        self.push(State::AtRisk, subject, hop, says.into(), first)
    }

    /// Says that a suspicion was looked at and is ruled out.
    pub fn fine(
        &mut self,
        subject: ObjectRef,
        hop: HopKind,
        says: impl Into<String>,
        first: Seen,
    ) -> &mut Finding {
        self.push(State::Fine, subject, hop, says.into(), first)
    }

    fn push(
        &mut self,
        state: State,
        subject: ObjectRef,
        hop: HopKind,
        says: String,
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
        });
        &mut self.all[at]
    }

    /// All of them.
    pub fn into_vec(self) -> Vec<Finding> {
        self.all
    }
}

/// A vantage point in words: `pod production/web-1`.
pub fn place(v: &Vantage) -> String {
    match v {
        Vantage::Here => "this host".into(),
        Vantage::Pod { namespace, name } => format!("pod {namespace}/{name}"),
        Vantage::Node { name } => format!("node {name}"),
    }
}

/// A question in words: `TCP connect to 10.0.0.1:80, 3 times`.
pub fn describe(q: &Question) -> String {
    match q {
        Question::Links => "links".into(),
        Question::Neighbours => "neighbours".into(),
        Question::Routes => "routes".into(),
        Question::RouteTo { to } => format!("route to {to}"),
        Question::ResolvConf => "resolv.conf".into(),
        Question::Sockets => "sockets".into(),
        Question::Counters => "counters".into(),
        Question::Conntrack { to: Some(to) } => format!("conntrack entries to {to}"),
        Question::Conntrack { to: None } => "conntrack table".into(),
        Question::Rules => "packet-filter rules".into(),
        Question::Sysctls { names } => format!("sysctls {}", names.join(", ")),
        Question::Memory { namespace, pod, .. } => format!("memory of pod {namespace}/{pod}"),
        Question::Log {
            namespace,
            pod,
            previous,
            ..
        } => format!(
            "{}log of pod {namespace}/{pod}",
            if *previous { "previous " } else { "" }
        ),
        Question::Capture {
            interface, millis, ..
        } => {
            format!(
                "packets on {} for {millis} ms",
                if interface.is_empty() {
                    "all interfaces"
                } else {
                    interface
                }
            )
        }
        Question::Resolve {
            name,
            record,
            server,
            over,
            ..
        } => format!("{record} {name} at {server} over {over:?}"),
        Question::Lookup { name, .. } => format!("lookup of {name}"),
        Question::TcpConnect { to, tries, .. } => format!("TCP connect to {to}, {}", times(*tries)),
        Question::UdpExchange { to, .. } => format!("UDP datagram to {to}"),
        Question::Echo { to, count, .. } => format!("ICMP echo to {to}, {}", times(*count)),
        Question::PathMtu { to, .. } => format!("path MTU to {to}"),
        Question::TlsHandshake {
            to, server_name, ..
        } => format!("TLS handshake with {to} as {server_name}"),
        Question::Http {
            to,
            host,
            path,
            tries,
            padding,
            ..
        } => format!(
            "HTTP GET {host}{path} at {to}, {}{}",
            times(*tries),
            if *padding > 0 {
                format!(", requests of {padding} bytes")
            } else {
                String::new()
            }
        ),
    }
}

fn times(n: u32) -> String {
    if n == 1 {
        "once".into()
    } else {
        format!("{n} times")
    }
}
