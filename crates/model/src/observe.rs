//! The symptom as the client sees it: does the name resolve, does the port answer, does a request
//! come back? Asked before any theory, and again as a series when single tries all went well.

use crate::check::View;
use crate::path::Destination;
use crate::probe::{
    Answer, Answered, Attempt, Certificate, HttpAttempt, Outcome, Question, TlsHandshake, Transport,
};
use crate::route::Fault;
use crate::text;
use crate::text::Text;
use crate::topology::{Endpoint, addresses_of_service};
use std::net::{IpAddr, SocketAddr};

/// Patience for a handshake inside a cluster. Below the 1 s of the first SYN retransmission, so
/// that one lost SYN shows.
pub const CONNECT_MS: u32 = 700;
/// Patience for a request.
pub const HTTP_MS: u32 = 900;
/// Patience for a DNS query.
pub const DNS_MS: u32 = 700;
/// Request bytes that fill at least one segment of any usual MTU.
pub const PADDING: u32 = 4000;
/// Patience for each step with a host outside a cluster: across the world, and with name servers
/// that must ask others first.
pub const FAR_MS: u32 = 2000;
/// How many handshakes a share is measured with.
pub const SERIES: u32 = 24;
/// Endpoints asked one by one; more are sampled.
const BACKENDS: usize = 8;

/// What the client sees.
#[derive(Debug, Default)]
pub struct Observed<'a> {
    /// Lookup of the Service's full name.
    pub lookup: Option<&'a Answered>,
    /// Addresses the name gave, or the known ones when there is no name.
    pub fronts: Vec<SocketAddr>,
    /// The conversation leads to a name or address that no object stands for.
    pub outside: bool,
    /// Handshakes with addresses of a host that cannot be reached at all while another can, so
    /// that a client takes the other (RFC 8305).
    pub passed_over: Vec<(SocketAddr, &'a Answered)>,
    /// The Ingress or HTTPRoute does not lead there: nobody who comes by it is served. None when that could not be told.
    pub astray: Option<bool>,
    /// The certificate is for none of the names that a client would use.
    pub wrong_name: bool,
    /// Handshakes with each front address: a few.
    pub connect: Vec<(SocketAddr, &'a Answered)>,
    /// A handshake with each endpoint itself.
    pub endpoints: Vec<(Endpoint, &'a Answered)>,
    /// Requests to the front addresses: a few.
    pub http: Vec<(SocketAddr, &'a Answered)>,
    /// TLS handshake with the first front address.
    pub tls: Option<&'a Answered>,
    /// The series, when single tries went well: handshakes or requests.
    pub series: Vec<(SocketAddr, &'a Answered)>,
    /// A UDP exchange, for UDP.
    pub udp: Option<&'a Answered>,
    /// All addresses of the Service, of families that the client lacks too.
    own: Vec<IpAddr>,
    /// The steps that belong to the conversation.
    wants: Wants,
}

/// Steps beyond the handshake that a conversation has.
#[derive(Debug, Default)]
struct Wants {
    name: bool,
    tls: bool,
    http: bool,
}

impl<'a> Observed<'a> {
    /// Asks, in order of the conversation; what is not answered yet stays out.
    pub fn of(view: &View<'a>) -> Self {
        let path = view.path;
        let from = path.vantage();
        let c = &path.conversation;
        let mut o = Observed {
            outside: matches!(path.conversation.to, Destination::Host(_)),
            own: path.service.map(addresses_of_service).unwrap_or_default(),
            astray: match &path.astray {
                None => Some(false),
                Some(Fault::Unread(..)) => None,
                Some(_) => Some(true),
            },
            wants: Wants {
                name: !path.name.is_empty(),
                tls: c.tls,
                http: c.http.is_some(),
            },
            ..Observed::default()
        };
        if !path.name.is_empty() && !view.awaits_domain() {
            // A host is looked up as it was said: its name may need a search suffix.
            let name = if o.outside {
                path.name.clone()
            } else {
                format!("{}.", path.name.trim_end_matches('.'))
            };
            o.lookup = view.ask(
                from.clone(),
                Question::Lookup {
                    name,
                    timeout_ms: o.patience(DNS_MS),
                },
            );
        }
        o.fronts = path.front.clone();
        if o.fronts.is_empty() && o.outside {
            o.fronts = o
                .addresses()
                .into_iter()
                .map(|a| SocketAddr::new(a, path.conversation.port))
                .collect();
        }
        if path.conversation.protocol == "UDP" {
            if let Some(to) = o.fronts.first() {
                o.udp = view.ask(from, by_udp(view, *to));
            }
            return o;
        }
        for to in o.fronts.clone() {
            let q = Question::TcpConnect {
                to,
                tries: 5,
                timeout_ms: o.patience(CONNECT_MS),
            };
            o.connect.extend(view.ask(from.clone(), q).map(|a| (to, a)));
        }
        o.pass_over();
        if path.service.is_some() {
            for e in path
                .backends
                .iter()
                .filter(|e| e.ready)
                .chain(path.backends.iter().filter(|e| !e.ready))
                .take(BACKENDS)
            {
                let q = Question::TcpConnect {
                    to: SocketAddr::new(e.address, e.port),
                    tries: 1,
                    timeout_ms: CONNECT_MS,
                };
                o.endpoints
                    .extend(view.ask(from.clone(), q).map(|a| (e.clone(), a)));
            }
        }
        o.requests(view);
        o
    }

    fn patience(&self, near: u32) -> u32 {
        if self.outside { FAR_MS } else { near }
    }

    /// Puts aside the addresses that cannot be reached at all, if another one can.
    fn pass_over(&mut self) {
        let cannot = |(_, a): &(SocketAddr, &Answered)| {
            let all = attempts(a);
            !all.is_empty() && all.iter().all(|t| t.outcome == Outcome::Unreachable)
        };
        if self.outside && !self.connect.iter().all(cannot) {
            (self.passed_over, self.connect) = std::mem::take(&mut self.connect)
                .into_iter()
                .partition(cannot);
        }
    }

    /// Nothing was sent towards the destination: there was no network to ask, or no leave.
    pub fn untried(&self) -> bool {
        self.lookup.is_none()
            && self.connect.is_empty()
            && self.endpoints.is_empty()
            && self.http.is_empty()
            && self.tls.is_none()
            && self.series.is_empty()
            && self.udp.is_none()
            && self.passed_over.is_empty()
    }

    /// TLS and HTTP, once a handshake has worked.
    fn requests(&mut self, view: &View<'a>) {
        let c = &view.path.conversation;
        let from = view.path.vantage();
        let open: Vec<SocketAddr> = self
            .connect
            .iter()
            .filter(|(_, a)| attempts(a).iter().any(|t| t.outcome == Outcome::Answered))
            .map(|(to, _)| *to)
            .collect();
        let host = if view.path.name.is_empty() {
            String::new()
        } else {
            view.path.name.clone()
        };
        if c.tls
            && let Some(to) = open.first()
        {
            let q = Question::TlsHandshake {
                to: *to,
                server_name: host.clone(),
                authorities: String::new(),
                timeout_ms: self.patience(HTTP_MS),
            };
            self.tls = view.ask(from.clone(), q);
            self.wrong_name = self
                .chain()
                .and_then(|(_, t)| t.chain.first())
                .is_some_and(|leaf| !host.is_empty() && !is_for(leaf, &host, self.outside));
        }
        let Some(path) = &c.http else {
            self.connects_in_series(view, &open);
            return;
        };
        let timeout_ms = self.patience(HTTP_MS);
        let request = |to: SocketAddr, tries: u32| Question::Http {
            to,
            host: if host.is_empty() {
                to.ip().to_string()
            } else {
                host.clone()
            },
            path: path.clone(),
            tls: c.tls,
            padding: PADDING,
            tries,
            timeout_ms,
        };
        for to in &open {
            self.http
                .extend(view.ask(from.clone(), request(*to, 3)).map(|a| (*to, a)));
        }
        let fine = !self.http.is_empty()
            && self
                .http
                .iter()
                .all(|(_, a)| requests(a).iter().all(answered));
        if fine {
            let front: Vec<SocketAddr> = self.http.iter().map(|(to, _)| *to).collect();
            for to in front {
                for more in 0..=patience(view) {
                    let Some(a) = view.ask(from.clone(), request(to, SERIES + more)) else {
                        break;
                    };
                    self.series.push((to, a));
                    if !requests(a).iter().all(answered) {
                        break;
                    }
                }
            }
        }
    }

    fn connects_in_series(&mut self, view: &View<'a>, open: &[SocketAddr]) {
        let fine = self
            .connect
            .iter()
            .all(|(_, a)| attempts(a).iter().all(|t| t.outcome == Outcome::Answered));
        for to in open.iter().filter(|_| fine) {
            let q = Question::TcpConnect {
                to: *to,
                tries: SERIES,
                timeout_ms: self.patience(CONNECT_MS),
            };
            self.series
                .extend(view.ask(view.path.vantage(), q).map(|a| (*to, a)));
        }
    }

    /// Addresses the lookup gave.
    pub fn addresses(&self) -> Vec<IpAddr> {
        match self.lookup.map(|a| &a.answer) {
            Some(Answer::Lookup { addresses, .. }) => addresses.clone(),
            _ => Vec::new(),
        }
    }

    /// The name did not resolve. None when it was not asked.
    pub fn name_fails(&self) -> Option<bool> {
        self.lookup.map(|_| self.addresses().is_empty())
    }

    /// The name gives other addresses than the Service has.
    pub fn name_lies(&self) -> bool {
        let given = self.addresses();
        !self.own.is_empty() && !given.is_empty() && !given.iter().any(|a| self.own.contains(a))
    }

    /// Handshakes with the front, all together.
    pub fn connects(&self) -> Vec<&'a Attempt> {
        let all = self.connect.iter().chain(&self.series);
        all.flat_map(|(_, a)| attempts(a)).collect()
    }

    /// Requests, all together.
    pub fn requests_made(&self) -> Vec<&'a HttpAttempt> {
        let all = self.http.iter().chain(&self.series);
        all.flat_map(|(_, a)| requests(a)).collect()
    }

    /// All handshakes with the front ended in this way, and there were some.
    pub fn every_connect(&self, outcome: Outcome) -> bool {
        let all = self.connects();
        !all.is_empty() && all.iter().all(|t| t.outcome == outcome)
    }

    /// At least one handshake with the front ended in this way.
    pub fn some_connect(&self, outcome: Outcome) -> bool {
        self.connects().iter().any(|t| t.outcome == outcome)
    }

    /// Endpoints whose own handshake ended in this way.
    pub fn endpoints_that(&self, outcome: Outcome) -> Vec<(&Endpoint, &'a Answered)> {
        self.endpoints
            .iter()
            .filter(|(_, a)| attempts(a).iter().any(|t| t.outcome == outcome))
            .map(|(e, a)| (e, *a))
            .collect()
    }

    /// The presented chain.
    pub fn chain(&self) -> Option<(&'a Answered, &'a TlsHandshake)> {
        match self.tls.map(|a| (a, &a.answer)) {
            Some((a, Answer::TlsHandshake(t))) => Some((a, t)),
            _ => None,
        }
    }

    /// Something the client does fails now. None while nothing was asked, or nothing could be.
    pub fn hurts(&self) -> Option<bool> {
        if self.astray == Some(true) {
            return Some(true);
        }
        let name = self.name_fails();
        let connects = self.connects();
        let requests = self.requests_made();
        let tls_bad = self.chain().map(|(_, t)| {
            let distrusted = self.outside && !t.problem.is_empty();
            t.outcome != Outcome::Answered
                || names_real_trouble(&t.problem)
                || distrusted
                || self.wrong_name
        });
        let udp = match self.udp.map(|a| &a.answer) {
            Some(Answer::UdpExchange { attempt, .. }) => match attempt.outcome {
                // Who does not understand a datagram need not answer it.
                Outcome::Silent => None,
                outcome => Some(outcome != Outcome::Answered),
            },
            Some(Answer::Resolve(r)) => {
                Some(r.outcome != Outcome::Answered || r.rcode == "SERVFAIL")
            }
            _ => None,
        };
        if name.is_none()
            && connects.is_empty()
            && requests.is_empty()
            && tls_bad.is_none()
            && udp.is_none()
        {
            return None;
        }
        // 4xx and 5xx are answers of the application; only the gateway's own failures hurt here.
        let broken = name == Some(true)
            || self.name_lies()
            || connects.iter().any(|t| t.outcome != Outcome::Answered)
            || requests.iter().any(|r| !answered(r))
            || tls_bad == Some(true)
            || udp == Some(true);
        // Nothing is fine that was not looked at: a step that belongs to the conversation and could not
        // be asked leaves the answer open.
        (broken || !self.blind()).then_some(broken)
    }

    /// A step of the conversation has no answer.
    fn blind(&self) -> bool {
        let came_through = self.some_connect(Outcome::Answered);
        self.astray.is_none()
            || (self.wants.name && self.lookup.is_none())
            || (self.wants.tls && came_through && self.tls.is_none())
            || (self.wants.http && came_through && self.http.is_empty())
    }

    /// Failed and all tries of the last step that was tried.
    pub fn share(&self) -> (usize, usize) {
        let requests = self.requests_made();
        if !requests.is_empty() {
            return (
                requests.iter().filter(|r| !answered(r)).count(),
                requests.len(),
            );
        }
        let connects = self.connects();
        (
            connects
                .iter()
                .filter(|t| t.outcome != Outcome::Answered)
                .count(),
            connects.len(),
        )
    }
}

/// What is asked of a UDP port: of the cluster's DNS the name that is in every cluster, of others whatever comes back.
fn by_udp(view: &View<'_>, to: SocketAddr) -> Question {
    let dns = view.topology.dns().map(|d| d.reference());
    match (&view.path.conversation.to, dns) {
        (Destination::Service(s), Some(dns)) if *s == dns && to.port() == 53 => Question::Resolve {
            name: format!("kubernetes.default.svc.{}", view.topology.domain()),
            record: if to.is_ipv4() { "A" } else { "AAAA" }.into(),
            server: to,
            over: Transport::Udp,
            timeout_ms: DNS_MS,
        },
        _ => Question::UdpExchange {
            to,
            payload: "netshoot".into(),
            timeout_ms: CONNECT_MS,
        },
    }
}

/// How many more series are worth it: some where pods behind the Service came and went lately or
/// some are not ready, for such a symptom comes and goes; none else.
fn patience(view: &View<'_>) -> u32 {
    let now = view.topology.snapshot().taken_at_ms as i64;
    let lately = |b: &Endpoint| {
        let pod = b.pod.as_ref().and_then(|p| view.topology.get(p));
        pod.is_some_and(|p| {
            p.list("status.containerStatuses").iter().any(|s| {
                let ended = crate::object::at(s, "lastState.terminated.finishedAt")
                    .as_str()
                    .and_then(crate::time::parse);
                ended.is_some_and(|t| now - t < 60_000)
            })
        })
    };
    let restless = view.path.backends.iter().any(|b| !b.ready || lately(b));
    if restless { 6 } else { 0 }
}

/// An unknown authority is what every cluster-internal certificate shows to a client without the
/// cluster's own bundle: not a failure of the conversation.
fn names_real_trouble(problem: &str) -> bool {
    !problem.is_empty() && !problem.contains("unknown issuer")
}

/// The certificate names the host (RFC 6125, section 6.4). A Service may be called by any of its
/// names: `cart`, `cart.shop`, `cart.shop.svc`, the full one.
pub fn is_for(leaf: &Certificate, host: &str, outside: bool) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let labels: Vec<&str> = host.split('.').collect();
    let shortest = if outside { labels.len() } else { 1 };
    let called: Vec<String> = (shortest..=labels.len())
        .filter_map(|n| Some(labels.get(..n)?.join(".")))
        .collect();
    leaf.names.iter().any(|n| {
        let n = n.trim_end_matches('.').to_ascii_lowercase();
        called.iter().any(|c| match n.strip_prefix("*.") {
            Some(domain) => c.split_once('.').is_some_and(|(_, rest)| rest == domain),
            None => *c == n,
        })
    })
}

/// The request came back.
pub fn answered(r: &HttpAttempt) -> bool {
    r.outcome == Outcome::Answered
}

/// Attempts of a TCP connect answer.
pub fn attempts(a: &Answered) -> &[Attempt] {
    match &a.answer {
        Answer::TcpConnect(all) | Answer::Echo(all) => all,
        _ => &[],
    }
}

/// Attempts of an HTTP answer.
pub fn requests(a: &Answered) -> &[HttpAttempt] {
    match &a.answer {
        Answer::Http(all) => all,
        _ => &[],
    }
}

/// `4 of 5 answered, 1 silent` for a list of outcomes.
pub fn tally(outcomes: impl Iterator<Item = Outcome>) -> Text {
    let mut counts: Vec<(Outcome, usize)> = Vec::new();
    for o in outcomes {
        match counts.iter_mut().find(|(k, _)| *k == o) {
            Some((_, n)) => *n += 1,
            None => counts.push((o, 1)),
        }
    }
    counts.sort();
    let total: usize = counts.iter().map(|(_, n)| n).sum();
    match counts.as_slice() {
        [] => text!("nothing tried", "未尝试"),
        [(o, 1)] => word(*o),
        [(o, n)] => {
            let how = word(*o);
            text!("{n} of {total} {how}", "{total} 次中 {n} 次{how:#}")
        }
        _ => {
            let parts: Vec<Text> = counts
                .iter()
                .map(|(o, n)| {
                    let how = word(*o);
                    text!("{n} {how}", "{n} 次{how:#}")
                })
                .collect();
            let parts = Text::list(&parts);
            text!("of {total}: {parts}", "共 {total} 次：{parts:#}")
        }
    }
}

/// The word for an outcome.
pub fn word(o: Outcome) -> Text {
    match o {
        Outcome::Answered => text!("answered", "有应答"),
        Outcome::Refused => text!("refused", "被拒绝"),
        Outcome::Reset => text!("reset", "被重置"),
        Outcome::Silent => text!("silent", "无应答"),
        Outcome::Unreachable => text!("unreachable", "不可达"),
        Outcome::Garbled => text!("garbled", "应答无法解析"),
    }
}
