//! Numbers of a plan that cannot be meant: a percentage above 100, a port 0, a pause of years.
//! Types refuse only what is no number at all.

use super::{Action, Cable, Pace, Plan, PodBehaviour, World};
use crate::Error;
use crate::behave::{Behaviour, Call, Listen, Memory, PortFrom};
use std::fmt::Display;

/// The longest wait of a world: whoever sits before it waits with it.
const TEN_MINUTES: u64 = 600_000;
/// The latest moment of a fault, and the longest pause between calls.
const HOUR: u64 = 3_600_000;
/// The largest body, bytes.
const BODY: u64 = 64 << 20;
/// The most callers of one entry: each is a thread.
const CALLERS: u64 = 64;
/// The most memory of one container, MiB.
const MEMORY_MIB: u64 = 16 * 1024;
/// The smallest MTU (RFC 791) and the largest of an Ethernet cable here.
const MTU: (u64, u64) = (68, 65_535);
/// A century, seconds: certificates live that long at most, before or after now.
const CENTURY: i64 = 100 * 365 * 86_400;

/// Where a fault may lie.
const LAYERS: &[&str] = &["L1", "L2", "L3", "L4", "L5", "L6", "L7", "policy", "host"];
/// What a listener may speak.
const SPOKEN: &[&str] = &["http", "https", "tcp", "udp", "grpc-health"];

/// What is out of range: where it stands in the file, what it is, what it may be.
type Wrong = Result<(), String>;

fn within<T: PartialOrd + Display>(place: &str, n: T, least: T, most: T) -> Wrong {
    if n >= least && n <= most {
        Ok(())
    } else {
        Err(format!("{place}: {n} is not between {least} and {most}"))
    }
}

fn one_of(place: &str, word: &str, known: &[&str]) -> Wrong {
    if known.contains(&word) {
        return Ok(());
    }
    Err(format!(
        "{place}: {word:?} is not one of {}",
        known.join(", ")
    ))
}

/// An MTU, or 0 for none.
fn mtu(place: &str, n: u32) -> Wrong {
    match n {
        0 => Ok(()),
        n => within(place, u64::from(n), MTU.0, MTU.1),
    }
}

/// Refuses the first number that is out of range, with the name of its file.
pub fn check(world: &World) -> Result<(), Error> {
    plan(&world.plan).map_err(|why| Error::Format {
        file: format!("{}/world.yaml", world.name),
        why,
    })
}

/// What is out of range in a plan, without the name of its file.
pub(super) fn plan(plan: &Plan) -> Result<(), String> {
    one_of("layer", &plan.layer, LAYERS)?;
    within("settle_ms", plan.settle_ms, 0, TEN_MINUTES)?;
    within("server.port", plan.server.port, 1, u16::MAX)?;
    pace(&plan.pace)?;
    within("wiring.mtu", u64::from(plan.wiring.mtu), MTU.0, MTU.1)?;
    for (i, c) in plan.wiring.cables.iter().enumerate() {
        cable(&format!("wiring.cables[{i}]"), c)?;
    }
    for (i, b) in plan.behaviour.iter().enumerate() {
        pods(&format!("behaviour[{i}]"), b)?;
    }
    for (i, p) in plan.past.iter().enumerate() {
        within(&format!("past[{i}].code"), p.code, 0, 255)?;
        within(&format!("past[{i}].ago_s"), p.ago_s, 0, CENTURY as u64)?;
    }
    for (i, f) in plan.faults.iter().enumerate() {
        within(&format!("faults[{i}].at_ms"), f.at_ms, 0, HOUR)?;
        action(&format!("faults[{i}].do"), &f.action)?;
    }
    Ok(())
}

fn pace(p: &Pace) -> Wrong {
    within("pace.probes_faster", p.probes_faster, 0.01, 1000.0)?;
    if p.restart_ms.is_empty() {
        return Err("pace.restart_ms: no pause is given".into());
    }
    for (i, pause) in p.restart_ms.iter().enumerate() {
        within(&format!("pace.restart_ms[{i}]"), *pause, 0, TEN_MINUTES)?;
    }
    within("pace.restart_forgets_ms", p.restart_forgets_ms, 0, HOUR)?;
    within("pace.node_grace_ms", p.node_grace_ms, 100, TEN_MINUTES)
}

fn cable(place: &str, c: &Cable) -> Wrong {
    mtu(&format!("{place}.mtu"), c.mtu)?;
    for (key, ms) in [("delay_ms", c.delay_ms), ("jitter_ms", c.jitter_ms)] {
        within(&format!("{place}.{key}"), ms, 0, 60_000)?;
    }
    for (key, percent) in [
        ("loss_percent", c.loss_percent),
        ("corrupt_percent", c.corrupt_percent),
        ("duplicate_percent", c.duplicate_percent),
    ] {
        within(&format!("{place}.{key}"), percent, 0, 100)?;
    }
    for (i, port) in c.blocked_udp.iter().enumerate() {
        within(&format!("{place}.blocked_udp[{i}]"), *port, 1, u16::MAX)?;
    }
    Ok(())
}

fn pods(place: &str, b: &PodBehaviour) -> Wrong {
    let Behaviour {
        listen: listeners,
        call: calls,
        memory: held,
        crash,
        ..
    } = &b.does;
    let place = format!("{place}.does");
    for (i, l) in listeners.iter().enumerate() {
        listen(&format!("{place}.listen[{i}]"), l)?;
    }
    for (i, c) in calls.iter().enumerate() {
        call(&format!("{place}.call[{i}]"), c)?;
    }
    if let Some(m) = held {
        memory(&format!("{place}.memory"), m)?;
    }
    if let Some(c) = crash {
        within(&format!("{place}.crash.after_ms"), c.after_ms, 0, HOUR)?;
        within(&format!("{place}.crash.code"), c.code, 0, 255)?;
    }
    Ok(())
}

fn listen(place: &str, l: &Listen) -> Wrong {
    match &l.port {
        PortFrom::Number(port) => within(&format!("{place}.port"), *port, 1, u16::MAX)?,
        PortFrom::Named(name) if name.starts_with("env:") => {}
        PortFrom::Named(text) => {
            return Err(format!(
                "{place}.port: {text:?} is neither a port from 1 to 65535 nor env:NAME"
            ));
        }
    }
    one_of(&format!("{place}.serve"), &l.serve, SPOKEN)?;
    within(&format!("{place}.slow_ms"), l.slow_ms, 0, TEN_MINUTES)?;
    if let Some(status) = l.status {
        within(&format!("{place}.status"), status, 100, 599)?;
    }
    within(
        &format!("{place}.body_bytes"),
        u64::from(l.body_bytes),
        0,
        BODY,
    )?;
    if let Some(backlog) = l.backlog {
        within(&format!("{place}.backlog"), backlog, 0, 65_535)?;
    }
    within(&format!("{place}.reset_percent"), l.reset_percent, 0, 100)
}

fn call(place: &str, c: &Call) -> Wrong {
    within(&format!("{place}.every_ms"), c.every_ms, 1, HOUR)?;
    if let Some(patience) = c.timeout_ms {
        within(&format!("{place}.timeout_ms"), patience, 1, TEN_MINUTES)?;
    }
    within(
        &format!("{place}.body_bytes"),
        u64::from(c.body_bytes),
        0,
        BODY,
    )?;
    within(
        &format!("{place}.callers"),
        u64::from(c.callers),
        1,
        CALLERS,
    )
}

fn memory(place: &str, m: &Memory) -> Wrong {
    let at = |key: &str| format!("{place}.{key}");
    within(&at("base_mib"), u64::from(m.base_mib), 0, MEMORY_MIB)?;
    within(&at("item_kib"), u64::from(m.item_kib), 1, MEMORY_MIB * 1024)?;
    within(&at("per_second"), m.per_second, 0, 100_000)?;
    let least = u32::from(!m.leak);
    within(&at("items"), m.items, least, 10_000_000)?;
    within(&at("stall_percent"), m.stall_percent, 0, 100)?;
    within(&at("stall_ms"), m.stall_ms, 0, TEN_MINUTES)
}

fn action(place: &str, action: &Action) -> Wrong {
    match action {
        Action::Link { mtu: n, .. } => mtu(&format!("{place}.link.mtu"), *n),
        Action::Cable(c) => cable(&format!("{place}.cable"), c),
        Action::Behave(b) => pods(&format!("{place}.behave"), b),
        Action::Certificate { expires_in_s, .. } => within(
            &format!("{place}.certificate.expires_in_s"),
            *expires_in_s,
            -CENTURY,
            CENTURY,
        ),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use crate::world::load::from_texts;

    const OBJECTS: &str = "
apiVersion: v1
kind: Node
metadata: {name: a}
---
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: Pod
metadata: {name: c, namespace: shop}
spec: {containers: [{name: c}]}
";
    const PLAN: &str = "
title: t
layer: L4
ask: {namespace: shop, en: x}
client: {kind: Pod, namespace: shop, name: c}
server: {kind: Pod, namespace: shop, name: c, port: 80}
settle_ms: 300
pace: {probes_faster: 10, restart_ms: [300], node_grace_ms: 3000}
wiring: {mtu: 1500, cables: [{node: a, loss_percent: 5, mtu: 1400, delay_ms: 20, blocked_udp: [8472]}]}
behaviour:
- namespace: shop
  labels: {}
  does:
    listen: [{port: 81, serve: http, reset_percent: 10, status: 200, body_bytes: 9}]
    call: [{url: 'env:URL', every_ms: 50, timeout_ms: 60, callers: 2}]
    memory: {base_mib: 8, items: 7, item_kib: 128, per_second: 200, stall_percent: 92, stall_ms: 2000}
    crash: {after_ms: 70, code: 3}
past: [{namespace: shop, labels: {}, reason: Error, code: 1, ago_s: 90, restarts: 1}]
faults:
- at_ms: 1000
  do: {link: {interface: cni0, node: a, mtu: 1300}}
- do: {certificate: {namespace: shop, name: c, expires_in_s: -5}}
- do: {behave: {namespace: shop, labels: {}, does: {listen: [{port: 82, serve: tcp}]}}}
twins:
  near-miss: {settle_ms: 400}
";

    #[test]
    fn a_number_out_of_range_is_told_with_its_place() {
        from_texts("w", OBJECTS, PLAN).unwrap();
        for (good, bad, says) in [
            (
                "settle_ms: 300",
                "settle_ms: 9000000",
                "settle_ms: 9000000 is not between 0 and 600000",
            ),
            (
                "port: 80}",
                "port: 0}",
                "server.port: 0 is not between 1 and 65535",
            ),
            (
                "probes_faster: 10",
                "probes_faster: -1",
                "pace.probes_faster: -1 is not between 0.01 and 1000",
            ),
            (
                "probes_faster: 10",
                "probes_faster: .nan",
                "pace.probes_faster: NaN is not",
            ),
            (
                "restart_ms: [300]",
                "restart_ms: []",
                "pace.restart_ms: no pause is given",
            ),
            (
                "restart_ms: [300]",
                "restart_ms: [1, 700000]",
                "pace.restart_ms[1]: 700000 is not",
            ),
            (
                "node_grace_ms: 3000",
                "node_grace_ms: 3",
                "pace.node_grace_ms: 3 is not",
            ),
            (
                "{mtu: 1500",
                "{mtu: 20",
                "wiring.mtu: 20 is not between 68 and 65535",
            ),
            ("mtu: 1400", "mtu: 1", "wiring.cables[0].mtu: 1 is not"),
            (
                "layer: L4",
                "layer: L9",
                "layer: \"L9\" is not one of L1, L2",
            ),
            (
                "serve: http",
                "serve: gopher",
                "behaviour[0].does.listen[0].serve: \"gopher\" is not one of http",
            ),
            (
                "loss_percent: 5",
                "loss_percent: 101",
                "wiring.cables[0].loss_percent: 101 is not between 0 and 100",
            ),
            (
                "delay_ms: 20",
                "delay_ms: 99999",
                "wiring.cables[0].delay_ms: 99999 is not",
            ),
            (
                "[8472]",
                "[8472, 0]",
                "wiring.cables[0].blocked_udp[1]: 0 is not",
            ),
            (
                "port: 81",
                "port: 0",
                "behaviour[0].does.listen[0].port: 0 is not",
            ),
            (
                "port: 81",
                "port: http",
                "behaviour[0].does.listen[0].port: \"http\" is neither a port",
            ),
            (
                "reset_percent: 10",
                "reset_percent: 200",
                "listen[0].reset_percent: 200 is not",
            ),
            ("status: 200", "status: 42", "listen[0].status: 42 is not"),
            (
                "every_ms: 50",
                "every_ms: 0",
                "behaviour[0].does.call[0].every_ms: 0 is not",
            ),
            (
                "timeout_ms: 60",
                "timeout_ms: 0",
                "call[0].timeout_ms: 0 is not",
            ),
            (
                "callers: 2",
                "callers: 1000",
                "call[0].callers: 1000 is not between 1 and 64",
            ),
            (
                "items: 7",
                "items: 0",
                "behaviour[0].does.memory.items: 0 is not",
            ),
            ("item_kib: 128", "item_kib: 0", "memory.item_kib: 0 is not"),
            (
                "stall_percent: 92",
                "stall_percent: 920",
                "memory.stall_percent: 920 is not between 0 and 100",
            ),
            (
                "code: 3",
                "code: 300",
                "behaviour[0].does.crash.code: 300 is not",
            ),
            ("code: 1,", "code: -1,", "past[0].code: -1 is not"),
            (
                "at_ms: 1000",
                "at_ms: 99999999",
                "faults[0].at_ms: 99999999 is not",
            ),
            ("mtu: 1300", "mtu: 3", "faults[0].do.link.mtu: 3 is not"),
            (
                "expires_in_s: -5",
                "expires_in_s: 99999999999999",
                "faults[1].do.certificate.expires_in_s",
            ),
            (
                "port: 82",
                "port: 0",
                "faults[2].do.behave.does.listen[0].port: 0 is not",
            ),
            (
                "{settle_ms: 400}",
                "{settle_ms: 700000}",
                "twin \"near-miss\": settle_ms: 700000 is not",
            ),
        ] {
            assert!(PLAN.contains(good), "{good}");
            let said = from_texts("w", OBJECTS, &PLAN.replacen(good, bad, 1))
                .err()
                .unwrap_or_else(|| panic!("{bad} was taken"))
                .to_string();
            assert!(
                said.starts_with("w/world.yaml: ") && said.contains(says),
                "{said}"
            );
        }
    }

    #[test]
    fn the_built_in_worlds_are_within_them() {
        for world in crate::labs::labs().unwrap() {
            super::check(&world).unwrap();
        }
    }
}
