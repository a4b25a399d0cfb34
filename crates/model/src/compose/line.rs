//! The path as a line of hops: what each is called, and how it stands.

use super::*;

/// The hops of the path with a mark at the broken one. A hop is `ok` only if something that went
/// through it, or a look at it, said so.
pub(super) fn hops(w: &Walked<'_>, root: Option<&Cause>, book: &Book) -> Vec<HopReport> {
    let broken = root.map(|c| c.root.hop);
    HopKind::ALL
        .iter()
        .filter(|k| applies(w, **k))
        .map(|k| {
            let evidence: Vec<&Evidence> =
                book.evidence.iter().filter(|e| e.hop == k.word()).collect();
            let looked = w.fine.iter().any(|f| f.hop == *k)
                || w.seen.iter().any(|s| s.hop == *k && went_well(s))
                || passed(w, *k);
            let weak = w.causes.iter().any(|c| c.root.hop == *k);
            // The Service's own tries fail with whatever is behind it; these hops were seen to fail themselves.
            let echoes = w.causes.iter().flat_map(|c| &c.echoes);
            let hurt = (*k != HopKind::Service
                && w.seen.iter().any(|s| s.hop == *k && !went_well(s)))
                || echoes.into_iter().any(|e| e.hop == *k);
            let state = if broken == Some(*k) {
                "broken"
            } else if weak {
                "at_risk"
            } else if hurt && w.hurts != Some(false) {
                "fails"
            } else if w.hurts == Some(false) || looked {
                "ok"
            } else {
                "not_looked_at"
            };
            HopReport {
                hop: k.word().into(),
                label: label(w, *k).in_lang(book.lang).into(),
                state: state.into(),
                notes: evidence.iter().map(|e| e.value.clone()).take(4).collect(),
                evidence: evidence.iter().map(|e| e.id.clone()).collect(),
            }
        })
        .collect()
}

/// What came through to the listener passed every hop before it. A cache of names is passed by names, not by packets.
fn passed(w: &Walked<'_>, k: HopKind) -> bool {
    let named = |s: &Seen| s.hop == HopKind::Name && went_well(s);
    match k {
        HopKind::NameCache => w.seen.iter().any(named),
        _ => w.got_through && k <= HopKind::Listener,
    }
}

fn went_well(s: &Seen) -> bool {
    ![
        "silent",
        "refused",
        "reset",
        "unreachable",
        "garbled",
        "does not resolve",
        "expired",
        "unknown issuer",
        "not valid for",
    ]
    .iter()
    .any(|bad| s.value.in_lang(Lang::En).contains(bad))
}

fn applies(w: &Walked<'_>, k: HopKind) -> bool {
    let c = &w.path.conversation;
    match k {
        HopKind::NameCache => !w.path.name.is_empty() && w.path.cache.is_some(),
        HopKind::Name => !w.path.name.is_empty(),
        HopKind::Service => w.path.service.is_some() || w.path.through.is_some(),
        HopKind::IngressPolicy if matches!(c.to, Destination::Host(_)) => false,
        HopKind::EgressPolicy | HopKind::IngressPolicy => w.path.client.is_some(),
        HopKind::Tls => c.tls,
        HopKind::Http => c.http.is_some(),
        HopKind::Path if matches!(c.to, Destination::Host(_)) => true,
        HopKind::Path | HopKind::ServerNode | HopKind::Backend => !w.path.backends.is_empty(),
        _ => true,
    }
}

fn label(w: &Walked<'_>, k: HopKind) -> Text {
    let p = &w.path;
    let c = &p.conversation;
    let mut nodes: Vec<&str> = p
        .backends
        .iter()
        .map(|b| b.node.as_str())
        .filter(|n| !n.is_empty())
        .collect();
    nodes.sort_unstable();
    nodes.dedup();
    match k {
        HopKind::Client => match &c.from {
            Some(r) => Text::same(format!("{} {}", r.kind.to_lowercase(), r.name)),
            None => text!("this host", "本机"),
        },
        HopKind::NameCache => p.cache.as_ref().map_or_else(Text::default, |cache| {
            let (address, node) = (cache.address, &p.client_node);
            match cache.upstream {
                Some(s) => text!(
                    "DNS cache {address} on node {node} -> Service {}",
                    "节点 {node} 上的 DNS 缓存 {address} -> Service {}",
                    s.name()
                ),
                None => text!(
                    "DNS cache {address} on node {node}",
                    "节点 {node} 上的 DNS 缓存 {address}"
                ),
            }
        }),
        HopKind::Name => Text::same(&p.name),
        HopKind::Service => {
            let service = p.service.map(|s| match c.port {
                0 => format!("Service {}", s.name()),
                port => format!("Service {}:{port}", s.name()),
            });
            let route = p.through.map(|r| format!("{} {}", r.kind(), r.name()));
            let both: Vec<String> = route.into_iter().chain(service).collect();
            Text::same(both.join(" -> "))
        }
        HopKind::EgressPolicy => text!("policies on sending", "出站策略"),
        HopKind::ClientNode if p.client_node.is_empty() => text!("this host", "本机"),
        HopKind::ClientNode => text!("node {}", "节点 {}", p.client_node),
        HopKind::Path if matches!(c.to, Destination::Host(_)) => text!("the way there", "途中"),
        HopKind::Path => text!("between nodes", "节点之间"),
        HopKind::ServerNode => text!("node {}", "节点 {}", nodes.join(", ")),
        HopKind::IngressPolicy => text!("policies on receiving", "入站策略"),
        HopKind::Listener => match p.backends.first() {
            Some(b) => text!(
                "port {} of {} endpoints",
                "端口 {}（{} 个端点）",
                b.port,
                p.backends.len()
            ),
            None => text!("port {}", "端口 {}", c.port),
        },
        HopKind::Tls => Text::same("TLS"),
        HopKind::Http => Text::same("HTTP"),
        HopKind::Backend => text!("{} pods", "{} 个 Pod", p.backends.len()),
    }
}
