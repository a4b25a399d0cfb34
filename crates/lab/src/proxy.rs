//! kube-proxy's part: Services and EndpointSlices to packet-filter rules. A stand-in until the
//! real one runs beside it, therefore lean and alone here.
//!
//! Reading order: [`services`] (what the objects say, seen from one node), [`nftables`] and
//! [`iptables`] (the same as rules), [`names`] (what chains are called).
//!
//! Deliberately absent: topology hints, health check ports, SCTP, load balancer source ranges.

mod iptables;
mod names;
mod nftables;
mod services;
#[cfg(test)]
pub(crate) mod tests;
#[cfg(test)]
pub(crate) mod town;

use crate::Error;
use netshoot_host::diag::conntrack;
use netshoot_host::netns::NetNs;
use serde_json::Value;

pub use services::{Backend, ServicePort, View};

/// Makes the rules of a node's network namespace those that kube-proxy would write for these
/// objects (Services, EndpointSlices, Nodes; others are passed over), each family in one
/// transaction. `mode` is `nftables` or `iptables`.
pub fn sync(ns: &NetNs, node: &str, mode: &str, objects: &[Value]) -> Result<(), Error> {
    let views = [false, true].map(|v6| View::of(node, v6, objects));
    match mode {
        "nftables" => ns.enter(|| nftables::apply(&views))??,
        "iptables" => iptables::apply(ns, &views)?,
        other => {
            return Err(Error::Format {
                file: "world.yaml".into(),
                why: format!("wiring.proxy is {other:?}, not nftables or iptables"),
            });
        }
    }
    ns.enter(|| forget_stale(&views))??;
    Ok(())
}

/// Most connections looked at when stale ones are sought.
const MOST: usize = 100_000;

/// UDP has no end of a connection: a client that keeps sending would be led to a backend that is
/// gone, or, where there was none, go on being led nowhere. Such connections are forgotten.
fn forget_stale(views: &[View]) -> Result<(), netshoot_host::Error> {
    let udp = |v: &View| v.services.iter().any(|s| s.protocol == "udp");
    if !views.iter().any(udp) {
        return Ok(());
    }
    for entry in conntrack::conntrack(None, MOST)?.entries {
        let (to, node_port) = (entry.destination, |v: &View| {
            v.node_addresses.contains(&entry.destination.ip())
        });
        let service = views
            .iter()
            .flat_map(|v| v.services.iter().map(move |s| (v, s)))
            .filter(|(_, s)| s.protocol == entry.protocol && s.protocol == "udp")
            .find(|(view, s)| {
                let own = s
                    .cluster_ip
                    .into_iter()
                    .chain(s.outside_ips())
                    .any(|a| a == to.ip());
                own && s.port == to.port() || node_port(view) && s.node_port == to.port()
            });
        let Some((_, service)) = service else {
            continue;
        };
        let alive = service
            .backends
            .iter()
            .any(|b| b.address == entry.reply_source.ip() && b.port == entry.reply_source.port());
        // Without a backend there is nothing better to be led to.
        if !alive && (entry.reply_source != to || !service.backends.is_empty()) {
            match conntrack::delete(&entry) {
                // It ended by itself meanwhile.
                Err(error) if error.errno() == Some(libc::ENOENT) => {}
                other => other?,
            }
        }
    }
    Ok(())
}
