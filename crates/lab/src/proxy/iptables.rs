//! kube-proxy's iptables mode, through Debian's iptables-restore: chains `KUBE-...` in tables
//! `nat` and `filter`, one transaction a family.

use super::names;
use super::services::{Backend, ServicePort, View};
use crate::Error;
use netshoot_host::netns::NetNs;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::net::IpAddr;
use std::process::{Command, Stdio};

/// The mark of packets to be masqueraded (`--iptables-masquerade-bit 14`), as value and mask.
const MASQUERADE: &str = "0x4000/0x4000";

/// Replaces the rules of both families.
pub fn apply(ns: &NetNs, views: &[View]) -> Result<(), Error> {
    for view in views {
        let six = if view.v6 { "6" } else { "" };
        let before = run(ns, &format!("ip{six}tables-save"), &[], "")?;
        let wanted = Ruleset::of(view);
        let restore = format!("ip{six}tables-restore");
        run(
            ns,
            &restore,
            &["--noflush", "-w", "5"],
            &wanted.script(&before),
        )?;
    }
    Ok(())
}

/// Runs a tool in a network namespace; gives what it prints.
fn run(ns: &NetNs, tool: &str, words: &[&str], input: &str) -> Result<String, Error> {
    let absent = |why: String| Error::Absent {
        what: format!("iptables mode needs {tool}: {why}"),
    };
    let work = || {
        let (input_pipe, output_pipe) = (Stdio::piped(), Stdio::piped());
        let command = Command::new(tool)
            .args(words)
            .stdin(input_pipe)
            .stdout(output_pipe)
            .stderr(Stdio::piped())
            .spawn();
        let mut child = command.map_err(|e| absent(e.to_string()))?;
        if let Some(mut stdin) = child.stdin.take() {
            // A tool that ends early says why on stderr.
            let _ = stdin.write_all(input.as_bytes());
        }
        child.wait_with_output().map_err(|e| absent(e.to_string()))
    };
    let output = ns.enter(work)??;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr)
        .trim()
        .replace('\n', "; ");
    Err(netshoot_host::Error::System {
        tried: "change iptables rules",
        on: tool.into(),
        source: std::io::Error::other(said),
    }
    .into())
}

/// Chains with their rules, by table.
#[derive(Debug, Default)]
struct Ruleset {
    tables: BTreeMap<&'static str, BTreeMap<String, Vec<String>>>,
    v6: bool,
}

/// Rules of the built-in chains, in the order in which they shall stand.
const FILTER_JUMPS: &[(&str, &str)] = &[
    (
        "INPUT",
        "-m conntrack --ctstate NEW -m comment --comment \"kubernetes load balancer firewall\" -j KUBE-PROXY-FIREWALL",
    ),
    (
        "INPUT",
        "-m comment --comment \"kubernetes health check service ports\" -j KUBE-NODEPORTS",
    ),
    (
        "INPUT",
        "-m conntrack --ctstate NEW -m comment --comment \"kubernetes externally-visible service portals\" -j KUBE-EXTERNAL-SERVICES",
    ),
    (
        "FORWARD",
        "-m conntrack --ctstate NEW -m comment --comment \"kubernetes load balancer firewall\" -j KUBE-PROXY-FIREWALL",
    ),
    (
        "FORWARD",
        "-m comment --comment \"kubernetes forwarding rules\" -j KUBE-FORWARD",
    ),
    (
        "FORWARD",
        "-m conntrack --ctstate NEW -m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES",
    ),
    (
        "FORWARD",
        "-m conntrack --ctstate NEW -m comment --comment \"kubernetes externally-visible service portals\" -j KUBE-EXTERNAL-SERVICES",
    ),
    (
        "OUTPUT",
        "-m conntrack --ctstate NEW -m comment --comment \"kubernetes load balancer firewall\" -j KUBE-PROXY-FIREWALL",
    ),
    (
        "OUTPUT",
        "-m conntrack --ctstate NEW -m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES",
    ),
];
const NAT_JUMPS: &[(&str, &str)] = &[
    (
        "PREROUTING",
        "-m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES",
    ),
    (
        "OUTPUT",
        "-m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES",
    ),
    (
        "POSTROUTING",
        "-m comment --comment \"kubernetes postrouting rules\" -j KUBE-POSTROUTING",
    ),
];

/// What is in a table already, as `iptables-save` prints it: chains, and rules of built-in chains.
fn saved<'a>(text: &'a str, table: &str) -> (BTreeSet<&'a str>, BTreeSet<&'a str>) {
    let start = format!("*{table}");
    let lines = || {
        text.lines()
            .skip_while(|l| *l != start)
            .take_while(|l| *l != "COMMIT")
    };
    let chains = lines()
        .filter_map(|l| l.strip_prefix(':')?.split(' ').next())
        .collect();
    (chains, lines().filter(|l| l.starts_with("-A ")).collect())
}

impl Ruleset {
    fn of(view: &View) -> Ruleset {
        let mut rules = Ruleset {
            v6: view.v6,
            ..Ruleset::default()
        };
        for (table, chains) in [
            (
                "filter",
                [
                    "KUBE-SERVICES",
                    "KUBE-EXTERNAL-SERVICES",
                    "KUBE-FORWARD",
                    "KUBE-NODEPORTS",
                    "KUBE-PROXY-FIREWALL",
                    "KUBE-PROXY-CANARY",
                ]
                .as_slice(),
            ),
            (
                "nat",
                &[
                    "KUBE-SERVICES",
                    "KUBE-NODEPORTS",
                    "KUBE-POSTROUTING",
                    "KUBE-MARK-MASQ",
                    "KUBE-PROXY-CANARY",
                ],
            ),
            ("mangle", &["KUBE-PROXY-CANARY"]),
        ] {
            let empty = chains.iter().map(|c| ((*c).to_string(), Vec::new()));
            rules.tables.entry(table).or_default().extend(empty);
        }
        for (chain, rule) in [
            ("KUBE-MARK-MASQ", format!("-j MARK --set-xmark {MASQUERADE}")),
            ("KUBE-POSTROUTING", format!("-m mark ! --mark {MASQUERADE} -j RETURN")),
            // Taken off again, so that a tunnel's outer packet is not masqueraded too.
            ("KUBE-POSTROUTING", "-j MARK --set-xmark 0x4000/0x0".into()),
            ("KUBE-POSTROUTING", "-m comment --comment \"kubernetes service traffic requiring SNAT\" -j MASQUERADE --random-fully".into()),
        ] {
            rules.nat(chain, rule);
        }
        for rule in [
            "-m conntrack --ctstate INVALID -j DROP".into(),
            format!("-m comment --comment \"kubernetes forwarding rules\" -m mark --mark {MASQUERADE} -j ACCEPT"),
            "-m comment --comment \"kubernetes forwarding conntrack rule\" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT".into(),
        ] {
            rules.filter("KUBE-FORWARD", rule);
        }
        for service in &view.services {
            rules.service(view, service);
        }
        let not_loopback = if view.v6 { "! -d ::1/128 " } else { "" };
        rules.nat("KUBE-SERVICES", format!("{not_loopback}-m comment --comment \"kubernetes service nodeports; NOTE: this must be the last rule in this chain\" -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS"));
        rules
    }

    fn add(&mut self, table: &'static str, chain: &str, rule: String) {
        self.tables
            .entry(table)
            .or_default()
            .entry(chain.to_string())
            .or_default()
            .push(rule);
    }

    fn nat(&mut self, chain: &str, rule: String) {
        self.add("nat", chain, rule);
    }

    fn filter(&mut self, chain: &str, rule: String) {
        self.add("filter", chain, rule);
    }

    /// Input of iptables-restore that makes these rules of what `iptables-save` printed.
    fn script(&self, before: &str) -> String {
        let mut script = String::new();
        for (table, chains) in &self.tables {
            let (there, rules) = saved(before, table);
            let ours = |c: &&&str| {
                [
                    "KUBE-SVC-",
                    "KUBE-SVL-",
                    "KUBE-SEP-",
                    "KUBE-EXT-",
                    "KUBE-FW-",
                ]
                .iter()
                .any(|p| c.starts_with(p))
            };
            let gone: Vec<&&str> = there
                .iter()
                .filter(ours)
                .filter(|c| !chains.contains_key(**c))
                .collect();
            script.push_str(&format!("*{table}\n"));
            // Naming a chain empties it; one that nothing jumps to any more can then go.
            let names = chains
                .keys()
                .map(String::as_str)
                .chain(gone.iter().map(|c| **c));
            names.for_each(|name| script.push_str(&format!(":{name} - [0:0]\n")));
            let jumps = match *table {
                "filter" => FILTER_JUMPS,
                "nat" => NAT_JUMPS,
                _ => &[],
            };
            // Put in front of what is there, last one first.
            for (chain, rule) in jumps.iter().rev() {
                if !rules.contains(format!("-A {chain} {rule}").as_str()) {
                    script.push_str(&format!("-I {chain} 1 {rule}\n"));
                }
            }
            for (chain, rules) in chains {
                rules
                    .iter()
                    .for_each(|rule| script.push_str(&format!("-A {chain} {rule}\n")));
            }
            gone.iter()
                .for_each(|chain| script.push_str(&format!("-X {chain}\n")));
            script.push_str("COMMIT\n");
        }
        script
    }

    /// Matches a protocol and port, with a comment between as iptables-save orders them.
    fn to_port(
        &self,
        to: Option<IpAddr>,
        service: &ServicePort,
        comment: &str,
        extra: &str,
        port: u16,
    ) -> String {
        let protocol = &service.protocol;
        let to = to
            .map(|a| format!("-d {a}/{} ", if self.v6 { 128 } else { 32 }))
            .unwrap_or_default();
        format!(
            "{to}-p {protocol} -m comment --comment \"{comment}\" {extra}-m {protocol} --dport {port}"
        )
    }

    fn service(&mut self, view: &View, service: &ServicePort) {
        let title = service.title();
        let hashed = format!("{title}{}", service.protocol);
        let chain = |prefix: &str| names::iptables(prefix, &hashed);
        let (svc, svl, ext) = (chain("KUBE-SVC"), chain("KUBE-SVL"), chain("KUBE-EXT"));
        self.refusals(service, &title);
        if service.health_port != 0 {
            let health = format!("{title} health check node port");
            let rule = self.to_port(None, service, &health, "", service.health_port);
            self.filter("KUBE-NODEPORTS", format!("{rule} -j ACCEPT"));
        }
        if service.backends.is_empty() {
            return;
        }
        let internal = if service.internal_local { &svl } else { &svc };
        if let Some(address) = service
            .cluster_ip
            .filter(|_| !service.internal().is_empty())
        {
            let rule = self.to_port(
                Some(address),
                service,
                &format!("{title} cluster IP"),
                "",
                service.port,
            );
            self.nat("KUBE-SERVICES", format!("{rule} -j {internal}"));
            if let Some(pods) = view.pod_network {
                let from = format!("! -s {}/{}", pods.address, pods.prefix);
                self.nat(internal, format!("{from} {rule} -j KUBE-MARK-MASQ"));
            }
        }
        if service.has_outside() {
            self.outside(view, service, &title, (&svc, &svl, &ext));
        }
        if !service.internal_local || service.has_outside() {
            self.backends(service, &svc, &service.backends);
        }
        if service.internal_local || (service.external_local && service.has_outside()) {
            self.backends(service, &svl, &service.local_backends);
        }
        let all = !service.internal_local || service.has_outside();
        let used = if all {
            &service.backends
        } else {
            &service.local_backends
        };
        for backend in used {
            self.backend(service, &title, backend);
        }
    }

    /// What callers of a Service without backends get, in table `filter`.
    fn refusals(&mut self, service: &ServicePort, title: &str) {
        let reject = if self.v6 {
            "icmp6-port-unreachable"
        } else {
            "icmp-port-unreachable"
        };
        let end = |none_here: bool| match service.backends.is_empty() {
            true => Some((
                format!("{title} has no endpoints"),
                format!("-j REJECT --reject-with {reject}"),
            )),
            false => none_here.then(|| {
                (
                    format!("{title} has no local endpoints"),
                    "-j DROP".to_string(),
                )
            }),
        };
        if let (Some(address), Some((why, end))) =
            (service.cluster_ip, end(service.internal().is_empty()))
        {
            let rule = self.to_port(Some(address), service, &why, "", service.port);
            self.filter("KUBE-SERVICES", format!("{rule} {end}"));
        }
        let Some((why, end)) = end(service.external().is_empty()) else {
            return;
        };
        for address in service.outside_ips() {
            let rule = self.to_port(Some(address), service, &why, "", service.port);
            self.filter("KUBE-EXTERNAL-SERVICES", format!("{rule} {end}"));
        }
        if service.node_port != 0 {
            let rule = self.to_port(
                None,
                service,
                &why,
                "-m addrtype --dst-type LOCAL ",
                service.node_port,
            );
            self.filter("KUBE-EXTERNAL-SERVICES", format!("{rule} {end}"));
        }
    }

    /// The ways in for callers from outside.
    fn outside(
        &mut self,
        view: &View,
        service: &ServicePort,
        title: &str,
        (svc, svl, ext): (&str, &str, &str),
    ) {
        for address in &service.external_ips {
            let rule = self.to_port(
                Some(*address),
                service,
                &format!("{title} external IP"),
                "",
                service.port,
            );
            self.nat("KUBE-SERVICES", format!("{rule} -j {ext}"));
        }
        let firewall = ext.replace("KUBE-EXT-", "KUBE-FW-");
        let limited = !service.source_ranges.is_empty();
        let comment = format!("{title} loadbalancer IP");
        for address in &service.balancer_ips {
            let rule = self.to_port(Some(*address), service, &comment, "", service.port);
            self.nat(
                "KUBE-SERVICES",
                format!("{rule} -j {}", if limited { &firewall } else { ext }),
            );
            if limited {
                let why = format!("{title} traffic not accepted by {firewall}");
                let rule = self.to_port(Some(*address), service, &why, "", service.port);
                self.filter("KUBE-PROXY-FIREWALL", format!("{rule} -j DROP"));
            }
        }
        if limited && !service.balancer_ips.is_empty() {
            for range in &service.source_ranges {
                let from = format!("-s {}/{}", range.network(), range.prefix);
                self.nat(
                    &firewall,
                    format!("{from} -m comment --comment \"{comment}\" -j {ext}"),
                );
            }
            self.nat(&firewall, format!("-m comment --comment \"other traffic to {title} will be dropped by KUBE-PROXY-FIREWALL\""));
        }
        if service.node_port != 0 {
            let rule = self.to_port(None, service, title, "", service.node_port);
            self.nat("KUBE-NODEPORTS", format!("{rule} -j {ext}"));
        }
        let about = |what: &str| {
            format!("-m comment --comment \"{what} for {title} external destinations\"")
        };
        if !service.external_local {
            self.nat(
                ext,
                format!("{} -j KUBE-MARK-MASQ", about("masquerade traffic")),
            );
            self.nat(ext, format!("-j {svc}"));
            return;
        }
        if let Some(pods) = view.pod_network {
            self.nat(
                ext,
                format!(
                    "-s {}/{} {} -j {svc}",
                    pods.address,
                    pods.prefix,
                    about("pod traffic")
                ),
            );
        }
        let local = "-m addrtype --src-type LOCAL";
        self.nat(
            ext,
            format!(
                "{} {local} -j KUBE-MARK-MASQ",
                about("masquerade LOCAL traffic")
            ),
        );
        self.nat(
            ext,
            format!("{} {local} -j {svc}", about("route LOCAL traffic")),
        );
        if !service.local_backends.is_empty() {
            self.nat(ext, format!("-j {svl}"));
        }
    }

    fn recent(&self) -> &'static str {
        if self.v6 {
            "--mask ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff --rsource"
        } else {
            "--mask 255.255.255.255 --rsource"
        }
    }

    /// The chain that picks a backend.
    fn backends(&mut self, service: &ServicePort, chain: &str, backends: &[Backend]) {
        let title = service.title();
        let about = |b: &Backend| format!("-m comment --comment \"{title} -> {}\"", b.text());
        if let Some(seconds) = service.affinity_seconds {
            for backend in backends {
                let sep = endpoint(service, backend);
                let seen = format!(
                    "-m recent --rcheck --seconds {seconds} --reap --name {sep} {}",
                    self.recent()
                );
                self.nat(chain, format!("{} {seen} -j {sep}", about(backend)));
            }
        }
        for (number, backend) in backends.iter().enumerate() {
            let left = backends.len() - number;
            // Each takes its share of what those before it left over.
            let share = match left {
                1 => String::new(),
                left => format!(
                    "-m statistic --mode random --probability {:.10} ",
                    1.0 / left as f64
                ),
            };
            self.nat(
                chain,
                format!(
                    "{} {share}-j {}",
                    about(backend),
                    endpoint(service, backend)
                ),
            );
        }
    }

    /// The chain of one backend.
    fn backend(&mut self, service: &ServicePort, title: &str, backend: &Backend) {
        let (sep, protocol) = (endpoint(service, backend), &service.protocol);
        let prefix = if self.v6 { 128 } else { 32 };
        // A pod that reaches itself must see another source, or it answers itself directly.
        self.nat(
            &sep,
            format!(
                "-s {}/{prefix} -m comment --comment \"{title}\" -j KUBE-MARK-MASQ",
                backend.address
            ),
        );
        let remember = match service.affinity_seconds {
            Some(_) => format!("-m recent --set --name {sep} {} ", self.recent()),
            None => String::new(),
        };
        self.nat(&sep, format!("-p {protocol} -m comment --comment \"{title}\" {remember}-m {protocol} -j DNAT --to-destination {}", backend.text()));
    }
}

fn endpoint(service: &ServicePort, backend: &Backend) -> String {
    let about = format!("{}{}{}", service.title(), service.protocol, backend.text());
    names::iptables("KUBE-SEP", &about)
}
