//! What the checks of conversations to plain hosts share.

use crate::check::{Findings, View, place};
use crate::finding::Seen;
use crate::object::ObjectRef;
use crate::path::{Destination, HopKind};
use crate::policy::Cidr;
use crate::probe::{Answer, Answered, Link, Outcome, Question, Route};
use crate::remedy::{Remedy, Step};
use crate::text;
use crate::text::Text;
use std::net::{IpAddr, SocketAddr};

/// The name or address of the host, if the conversation leads to one.
pub fn host<'v>(view: &'v View<'_>) -> Option<&'v str> {
    match &view.path.conversation.to {
        Destination::Host(h) => Some(h),
        Destination::Service(_) | Destination::Pod(_) => None,
    }
}

/// The host as a subject.
pub fn subject(host: &str) -> ObjectRef {
    ObjectRef::new("Host", "", host)
}

/// Where the client stands, in words.
pub fn here(view: &View<'_>) -> Text {
    place(&view.path.vantage())
}

/// The first front address whose handshakes all ended in this way, if those of every front did.
pub fn all_ended<'a>(view: &View<'a>, how: Outcome) -> Option<(SocketAddr, &'a Answered)> {
    let o = view.observed();
    (o.every_connect(how) && !o.connect.is_empty())
        .then(|| o.connect.first().copied())
        .flatten()
}

/// The route decision from the client for an address; inside it none means that none leads there.
pub fn route<'a>(view: &View<'a>, to: IpAddr) -> Option<(&'a Answered, Option<&'a Route>)> {
    let answered = view.ask(view.path.vantage(), Question::RouteTo { to })?;
    match &answered.answer {
        Answer::RouteTo(r) => Some((answered, r.as_ref())),
        _ => None,
    }
}

/// The client's links.
pub fn links<'a>(view: &View<'a>) -> Option<(&'a Answered, &'a [Link])> {
    let answered = view.ask(view.path.vantage(), Question::Links)?;
    match &answered.answer {
        Answer::Links(all) => Some((answered, all)),
        _ => None,
    }
}

/// States and addresses of links in a line.
pub fn states(links: &[Link]) -> Text {
    let each: Vec<Text> = links
        .iter()
        .take(12)
        .map(|l| {
            let state = match (l.up, l.carrier) {
                (false, _) => text!("down", "已关闭"),
                (true, false) => text!("no carrier", "无载波"),
                (true, true) => text!("up", "已启用"),
            };
            let addresses: String = l.addresses.iter().map(|a| format!(" {a}")).collect();
            text!("{} {state}{addresses}", "{} {state:#}{addresses}", l.name)
        })
        .collect();
    Text::row(&each)
}

/// The route's own outgoing link is down or has no carrier: why, and what was seen.
pub fn link_trouble(view: &View<'_>, r: &Route) -> Option<(Text, Seen)> {
    let (answered, all) = links(view)?;
    let link = all.iter().find(|l| l.name == r.interface)?;
    let why = match (link.up, link.carrier) {
        (false, _) => text!("link {} is down", "网络接口 {} 已关闭", link.name),
        (true, false) => text!("link {} has no carrier", "网络接口 {} 没有载波", link.name),
        (true, true) => return None,
    };
    let seen = view.saw(
        HopKind::ClientNode,
        answered,
        states(std::slice::from_ref(link)),
    );
    Some((why, seen))
}

/// Says that a route leads to the address: the client's own network is not the reason.
pub fn route_is_there(
    view: &View<'_>,
    out: &mut Findings,
    host: &str,
    to: IpAddr,
    decision: &Answered,
    r: &Route,
) {
    let way = way(r);
    let says = text!("a route leads to {to}: {way}", "有路由通往 {to}：{way:#}");
    let seen = view.saw(HopKind::ClientNode, decision, says.clone());
    out.fine(subject(host), HopKind::ClientNode, says, seen);
}

/// The block holds the address. `default` holds every address of its family, which is not written.
pub fn holds(block: &str, address: IpAddr) -> bool {
    block.parse::<Cidr>().is_ok_and(|c| c.contains(address))
}

/// `eth0 by way of 10.0.0.1`.
pub fn way(r: &Route) -> Text {
    match r.via {
        Some(via) => text!("{} by way of {via}", "{} 经由 {via}", r.interface),
        None => Text::same(&r.interface),
    }
}

/// A remedy that a person has to carry out.
pub fn ask(because: Text, questions: Vec<Text>) -> Remedy {
    Remedy {
        safe: false,
        because,
        steps: questions
            .into_iter()
            .map(|question| Step::Ask { question })
            .collect(),
    }
}
