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
    Ok(())
}
