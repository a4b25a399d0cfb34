//! The worlds' stand-ins meet the real thing: for the objects of this cluster, the worlds' kube-proxy writes the rules that the
//! real one wrote, in both modes, they do the same with real packets, and the worlds' DNS answers as the real CoreDNS does.
//! IPv6: `cluster_machine`, whose cluster has both families.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod ring5;
mod standins;

use ring5::shared;
use standins::{same_answers, same_rules, same_ways, town};

#[test]
fn stand_ins_do_as_the_real_ones() {
    let Some(cluster) = shared() else { return };
    let space = cluster.namespace("kinds");
    town(&space);
    for (node, mode) in [("node-a", "iptables"), ("node-b", "nftables")] {
        let rules = same_rules(&cluster, node, mode, false);
        let ways = same_ways(&space, node, mode, false);
        println!("{mode}: {rules} rules as the real kube-proxy's, {ways} ways of packets too");
        assert!(rules > 60 && ways > 60, "{rules} {ways}");
    }

    let compared = same_answers(&cluster, &space);
    println!("{compared} questions answered as the real CoreDNS does");
    assert!(compared > 200, "{compared}");
}
