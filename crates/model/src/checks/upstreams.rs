//! What the two checks of DNS forwarding share: where the cluster DNS sends a name, and whether
//! anybody answers there.

use crate::check::View;
use crate::checks::places::dns_endpoints;
use crate::corefile::{self, Forward};
use crate::object::Object;
use crate::path::{Destination, HopKind};
use crate::probe::{Answer, Answered, Outcome, Question, Transport, Vantage};
use crate::text;
use std::net::SocketAddr;

/// The ConfigMap with the Corefile of the cluster DNS. Its absence becomes a gap.
pub fn settings<'a>(view: &View<'a>) -> Option<&'a Object> {
    let found = view.topology.find("ConfigMap", "kube-system", "coredns");
    if found.is_none() {
        view.gap(
            text!("the Corefile of the cluster DNS", "集群 DNS 的 Corefile"),
            text!(
                "ConfigMap kube-system/coredns, or leave to read it",
                "ConfigMap kube-system/coredns，或读取它的权限"
            ),
            text!(
                "kubectl auth can-i get configmaps/coredns -n kube-system",
                "kubectl auth can-i get configmaps/coredns -n kube-system"
            ),
        );
    }
    found
}

/// The name that the cluster DNS has to find out elsewhere: a host, or the target of an ExternalName.
pub fn outside_name(view: &View<'_>) -> Option<String> {
    let name = match (&view.path.conversation.to, view.path.service) {
        (Destination::Host(h), _) if h.parse::<std::net::IpAddr>().is_err() => h.clone(),
        (Destination::Service(_), Some(s)) if s.str("spec.type") == "ExternalName" => {
            s.str("spec.externalName").to_string()
        }
        _ => return None,
    };
    let name = corefile::plain(&name);
    let inside = corefile::within(&name, view.topology.domain());
    (name.contains('.') && !inside).then_some(name)
}

/// The lookup failed by the word of a DNS server (SERVFAIL), or by nobody's.
pub fn could_not_find_out(lookup: &Answered) -> bool {
    let Answer::Lookup { queries, addresses } = &lookup.answer else {
        return false;
    };
    let last = |q: &crate::probe::DnsReply| {
        q.outcome != Outcome::Answered || matches!(q.rcode.as_str(), "SERVFAIL" | "REFUSED")
    };
    addresses.is_empty() && queries.iter().any(last)
}

/// Upstreams that were asked from a pod of the cluster DNS.
pub struct Asked<'a> {
    /// Zone of the forwarding; the root is empty.
    pub zone: String,
    /// Each upstream with its answer.
    pub all: Vec<(SocketAddr, &'a Answered)>,
    /// The upstreams stand in the Corefile itself; else in resolv.conf of the DNS pods' node.
    pub written: bool,
}

impl Asked<'_> {
    /// None of them answers.
    pub fn nobody_answers(&self) -> bool {
        !self.all.is_empty()
            && self.all.iter().all(
                |(_, a)| matches!(&a.answer, Answer::Resolve(r) if r.outcome != Outcome::Answered),
            )
    }
}

/// Asks the upstreams of a name from a ready pod of the cluster DNS. None until all have answered.
pub fn ask<'a>(view: &View<'a>, settings: &Object, name: &str) -> Option<Asked<'a>> {
    let blocks = corefile::parse(settings.str("data.Corefile"));
    let (block, zone) = corefile::block_for(&blocks, name)?;
    let forward: Forward = block.forward(zone, name)?;
    let from = dns_pod(view)?;
    let mut to = forward.to.clone();
    if to.is_empty() && !forward.files.is_empty() {
        let conf = view.ask(from.clone(), Question::ResolvConf)?;
        let Answer::ResolvConf(c) = &conf.answer else {
            return None;
        };
        to.extend(c.nameservers.iter().map(|a| SocketAddr::new(*a, 53)));
    }
    let mut all = Vec::new();
    for server in to.into_iter().take(4) {
        let record = if server.is_ipv4() { "A" } else { "AAAA" };
        let question = Question::Resolve {
            name: name.into(),
            record: record.into(),
            server,
            over: Transport::Udp,
            timeout_ms: crate::observe::FAR_MS,
        };
        all.push((server, view.ask(from.clone(), question)?));
    }
    Some(Asked {
        zone: forward.zone,
        all,
        written: !forward.to.is_empty(),
    })
}

fn dns_pod(view: &View<'_>) -> Option<Vantage> {
    dns_endpoints(view)
        .into_iter()
        .filter(|e| e.ready)
        .find_map(|e| e.pod)
        .map(|p| view.pod(&p))
}

/// A name inside the cluster resolves for the same client: its way to the cluster DNS is good.
pub fn cluster_names_resolve<'a>(view: &View<'a>) -> Option<(&'a Answered, String)> {
    let name = format!("kubernetes.default.svc.{}", view.topology.domain());
    crate::checks::places::dns_addresses(view)
        .into_iter()
        .find_map(|server| {
            let record = if server.is_ipv4() { "A" } else { "AAAA" };
            let question = Question::Resolve {
                name: name.clone(),
                record: record.into(),
                server,
                over: Transport::Udp,
                timeout_ms: crate::observe::FAR_MS,
            };
            let answered = view.ask(view.path.vantage(), question)?;
            match &answered.answer {
                Answer::Resolve(r) if r.outcome == Outcome::Answered && r.rcode == "NOERROR" => {
                    Some((answered, name.clone()))
                }
                _ => None,
            }
        })
}

/// The hop of all this.
pub const HOP: HopKind = HopKind::Name;
