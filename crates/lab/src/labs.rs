//! The worlds compiled into the binary. To add one: a folder under `labs/`, one line here.

use crate::Error;
use crate::world::{World, load};

macro_rules! lab {
    ($name:literal) => {
        (
            $name,
            include_str!(concat!("../../../labs/", $name, "/objects.yaml")),
            include_str!(concat!("../../../labs/", $name, "/world.yaml")),
        )
    };
}

/// Name, `objects.yaml`, `world.yaml`.
pub const LABS: &[(&str, &str, &str)] = &[
    lab!("auth-service-leak"),
    lab!("auth-service-out-of-memory"),
    lab!("bridge-down"),
    lab!("bridge-skips-filter"),
    lab!("cable-loses-packets"),
    lab!("certificate-expired"),
    lab!("client-asks-wrong-resolver"),
    lab!("corefile-denies-names"),
    lab!("default-deny-without-allow"),
    lab!("dns-without-endpoints"),
    lab!("egress-policy-forgets-dns"),
    lab!("external-name-to-nowhere"),
    lab!("forward-chain-drops"),
    lab!("hairpin-off"),
    lab!("headless-without-ready-pods"),
    lab!("listens-on-loopback"),
    lab!("listens-on-other-port"),
    lab!("mtu-hole-at-the-switch"),
    lab!("mtu-hole-under-the-tunnel"),
    lab!("named-port-renamed"),
    lab!("namespace-lacks-label"),
    lab!("network-plugin-gone"),
    lab!("no-dns-and-loopback"),
    lab!("no-dns-egress-and-wrong-selector"),
    lab!("node-does-not-forward"),
    lab!("node-down"),
    lab!("overlay-port-blocked"),
    lab!("pod-addresses-used-up"),
    lab!("pod-link-down"),
    lab!("pod-route-gone"),
    lab!("readiness-probe-on-wrong-port"),
    lab!("selector-matches-nothing"),
    lab!("service-deleted"),
    lab!("service-sends-to-wrong-port"),
    lab!("stale-rules-in-iptables"),
    lab!("stale-rules-on-a-node"),
    lab!("traffic-policy-local"),
    lab!("upstream-resolver-gone"),
    lab!("webhook-without-pods"),
    lab!("wrong-resolver-and-forward-drop"),
];

/// All built-in worlds.
pub fn labs() -> Result<Vec<World>, Error> {
    LABS.iter()
        .map(|(name, objects, plan)| load::from_texts(name, objects, plan))
        .collect()
}

/// One built-in world.
pub fn lab(name: &str) -> Result<Option<World>, Error> {
    LABS.iter()
        .find(|l| l.0 == name)
        .map(|(name, objects, plan)| load::from_texts(name, objects, plan))
        .transpose()
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_world_has_a_title_in_both_languages() {
        for w in super::labs().unwrap() {
            let chinese = |t: &str| t.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c));
            let (en, zh) = (&w.plan.title, &w.plan.title_zh);
            assert!(!en.is_empty() && !chinese(en), "{}: {en}", w.name);
            assert!(chinese(zh), "{}: {zh}", w.name);
        }
    }
}
