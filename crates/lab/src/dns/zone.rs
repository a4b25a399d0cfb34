//! The cluster's zone: names and records that follow from Services and EndpointSlices, as the
//! Kubernetes DNS specification (version 1.1.0) and CoreDNS's `kubernetes` plugin have them.

use super::corefile::Kubernetes;
use crate::shape::{self, at, int, text, texts};
use netshoot_wire::dns::{Data, Record, Soa, Srv, rcode, rtype};
use serde_json::Value;
use std::net::IpAddr;

/// ExternalNames followed one after the other.
const MOST_ALIASES: usize = 8;

/// What a zone says of a name.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Response code.
    pub rcode: u16,
    /// Answer section.
    pub answers: Vec<Record>,
    /// Authority section.
    pub authorities: Vec<Record>,
    /// Additional section.
    pub additional: Vec<Record>,
    /// A name outside the zone that a CNAME leads to.
    pub chase: Option<String>,
}

/// Whose name it is.
#[derive(Clone, Debug)]
pub enum Answered {
    /// Of this zone.
    Here(Found),
    /// Of another: to be forwarded.
    Elsewhere,
}

/// One endpoint address.
#[derive(Clone, Debug)]
struct Host {
    label: String,
    address: IpAddr,
    /// None of its own is counted as one without a name that nobody is told of.
    ports: Vec<Port>,
}

/// One port; of a Service, or of an endpoint.
#[derive(Clone, Debug)]
struct Port {
    name: String,
    protocol: String,
    number: u16,
}

/// One Service.
#[derive(Clone, Debug)]
struct Entry {
    namespace: String,
    name: String,
    cluster_ips: Vec<IpAddr>,
    external: String,
    headless: bool,
    ports: Vec<Port>,
    hosts: Vec<Host>,
}

/// The zone at one moment.
#[derive(Clone, Debug)]
pub struct Zone {
    settings: Kubernetes,
    /// The zone that Services are named in.
    origin: String,
    serial: u32,
    namespaces: Vec<String>,
    entries: Vec<Entry>,
    /// Addresses of pods by namespace, where `pods verified` asks for them.
    pods: Vec<(String, IpAddr)>,
}

impl Zone {
    /// From objects; `now` in seconds is the serial.
    pub fn new(objects: &[Value], settings: &Kubernetes, now: u64) -> Zone {
        let of = |kind: &'static str| objects.iter().filter(move |o| shape::kind(o) == kind);
        let origin = settings.zones.iter().find(|z| !z.ends_with(".arpa"));
        let addresses = |p: &Value| {
            let namespace = shape::namespace(p).to_string();
            let all: Vec<_> = shape::list(p, "status.podIPs")
                .iter()
                .filter_map(|i| text(i, "ip").parse().ok())
                .map(|a| (namespace.clone(), a))
                .collect();
            all
        };
        Zone {
            settings: settings.clone(),
            origin: origin.cloned().unwrap_or_default(),
            serial: now as u32,
            namespaces: of("Namespace")
                .map(|n| shape::name(n).to_string())
                .collect(),
            entries: of("Service")
                .map(|s| entry(s, of("EndpointSlice")))
                .collect(),
            pods: of("Pod").flat_map(addresses).collect(),
        }
    }

    /// The answer to one question.
    pub fn answer(&self, name: &str, asked: u16) -> Answered {
        let lower = name.trim_end_matches('.').to_lowercase();
        let inside = |zone: &String| {
            lower == *zone || zone.is_empty() || lower.ends_with(&format!(".{zone}"))
        };
        let Some(zone) = self.settings.zones.iter().find(|z| inside(z)) else {
            return Answered::Elsewhere;
        };
        // The zone is written as it was asked for.
        let zone = name
            .trim_end_matches('.')
            .get(lower.len() - zone.len()..)
            .unwrap_or(zone);
        let found = if lower.ends_with(".arpa") {
            reverse(&lower).and_then(|address| self.pointer(name, address, asked))
        } else {
            self.forward(name, &lower, asked)
        };
        match found {
            Some(found) => Answered::Here(self.with_soa(self.written_as(found, zone), zone)),
            // Whoever asks for the start of authority is told it, whatever the name.
            None if asked == rtype::SOA => Answered::Here(self.with_soa(Found::default(), zone)),
            None if self.settings.fallthrough.iter().any(inside) => Answered::Elsewhere,
            None => {
                let none = Found {
                    rcode: rcode::NXDOMAIN,
                    ..Found::default()
                };
                Answered::Here(self.with_soa(none, zone))
            }
        }
    }

    /// With the zone in its targets as it was asked for: names of Services are ours, the zone's letters are the client's.
    fn written_as(&self, mut found: Found, zone: &str) -> Found {
        let write = |name: &mut String| {
            if let Some(own) = name.strip_suffix(&self.origin) {
                *name = format!("{own}{zone}");
            }
        };
        for record in &mut found.answers {
            if let Data::Srv(srv) = &mut record.data {
                write(&mut srv.target);
            }
        }
        found.additional.iter_mut().for_each(|r| write(&mut r.name));
        found
    }

    fn forward(&self, name: &str, lower: &str, asked: u16) -> Option<Found> {
        let rest = lower.strip_suffix(&self.origin)?.trim_end_matches('.');
        let labels: Vec<&str> = rest.split('.').filter(|l| !l.is_empty()).collect();
        match labels.as_slice() {
            // Names that no Service or pod has, only the schema: there is no text of them.
            [] | ["svc" | "pod"] | [_, "svc" | "pod"] | ["ns", "dns"] if asked == rtype::TXT => {
                None
            }
            [] => self.apex(name, asked),
            ["svc"] | ["pod"] => Some(Found::default()),
            [ns, "svc" | "pod"] => self.has_namespace(ns).then(Found::default),
            ["dns-version"] => (asked == rtype::TXT).then(|| self.version(name)),
            ["ns", "dns"] => Some(answers(self.of_family(name, &self.dns_addresses(), asked))),
            [ip, ns, "pod"] => self.pod(name, ip, ns, asked),
            [service, ns, "svc"] => self.service(name, self.find(service, ns)?, asked),
            [host, service, ns, "svc"] => self.host(name, host, self.find(service, ns)?, asked),
            [port, protocol, service, ns, "svc"] => {
                let (port, protocol) = (port.strip_prefix('_')?, protocol.strip_prefix('_')?);
                self.port(name, port, protocol, self.find(service, ns)?, asked)
            }
            _ => None,
        }
    }

    fn has_namespace(&self, ns: &str) -> bool {
        self.namespaces.iter().any(|n| n == ns)
    }

    fn find(&self, service: &str, ns: &str) -> Option<&Entry> {
        self.entries
            .iter()
            .find(|e| e.name == service && e.namespace == ns)
    }

    fn soa(&self, zone: &str) -> Record {
        let soa = Soa {
            mname: format!("ns.dns.{zone}"),
            rname: format!("hostmaster.{zone}"),
            serial: self.serial,
            refresh: 7200,
            retry: 1800,
            expire: 86_400,
            minimum: self.settings.ttl,
        };
        Record::new(zone, self.settings.ttl, Data::Soa(soa))
    }

    /// No answer has the SOA in the authority section (RFC 2308).
    fn with_soa(&self, mut found: Found, zone: &str) -> Found {
        if found.answers.is_empty() {
            found.authorities.push(self.soa(zone));
        }
        found
    }

    fn full_name(&self, e: &Entry) -> String {
        format!("{}.{}.svc.{}", e.name, e.namespace, self.origin)
    }

    /// The Service in front of this very server.
    fn dns_service(&self) -> Option<&Entry> {
        self.find("kube-dns", "kube-system")
    }

    fn dns_addresses(&self) -> Vec<IpAddr> {
        self.dns_service()
            .map(|e| e.cluster_ips.clone())
            .unwrap_or_default()
    }

    fn apex(&self, name: &str, asked: u16) -> Option<Found> {
        Some(match (asked, self.dns_service()) {
            (rtype::SOA, _) => answers(vec![self.soa(name.trim_end_matches('.'))]),
            (rtype::NS, Some(e)) => {
                let target = self.full_name(e);
                Found {
                    answers: vec![Record::new(
                        name,
                        self.settings.ttl,
                        Data::Ns(target.clone()),
                    )],
                    additional: e
                        .cluster_ips
                        .iter()
                        .map(|a| self.record(&target, *a))
                        .collect(),
                    ..Found::default()
                }
            }
            _ => Found::default(),
        })
    }

    fn version(&self, name: &str) -> Found {
        let text = Data::Txt(vec![b"1.1.0".to_vec()]);
        answers(vec![Record::new(name, self.settings.ttl, text)])
    }

    /// `pods insecure`: an address in the name is the answer, whether a pod has it or not.
    fn pod(&self, name: &str, ip: &str, ns: &str, asked: u16) -> Option<Found> {
        let v4 = ip.replace('-', ".").parse::<IpAddr>();
        let address = v4
            .or_else(|_| ip.replace('-', ":").parse::<IpAddr>())
            .ok()?;
        let known = match self.settings.pods.as_str() {
            "insecure" => self.has_namespace(ns),
            "verified" => self.pods.iter().any(|(n, a)| n == ns && *a == address),
            _ => false,
        };
        known.then(|| match asked {
            rtype::SRV => Found {
                answers: vec![Record::new(
                    name,
                    self.settings.ttl,
                    Data::Srv(Srv {
                        priority: 0,
                        weight: 100,
                        port: 0,
                        target: name.trim_end_matches('.').to_string(),
                    }),
                )],
                additional: vec![self.record(name, address)],
                ..Found::default()
            },
            _ => answers(self.of_family(name, &[address], asked)),
        })
    }

    fn service(&self, name: &str, e: &Entry, asked: u16) -> Option<Found> {
        if !e.external.is_empty() {
            return Some(self.external(name, e, asked));
        }
        // Kubernetes DNS specification 2.4.1: a headless Service without a ready endpoint has no name.
        if e.headless && e.hosts.is_empty() {
            return None;
        }
        Some(match asked {
            rtype::SRV => self.srv(name, e, |_| true),
            _ => answers(self.of_family(name, &addresses(e), asked)),
        })
    }

    fn external(&self, name: &str, e: &Entry, asked: u16) -> Found {
        if ![rtype::A, rtype::AAAA, rtype::CNAME].contains(&asked) {
            return Found::default();
        }
        let cname = Data::Cname(e.external.clone());
        let mut found = answers(vec![Record::new(name, self.settings.ttl, cname)]);
        if asked == rtype::CNAME {
            return found;
        }
        let mut next = e.external.clone();
        for _ in 0..MOST_ALIASES {
            let lower = next.to_lowercase();
            if !lower.ends_with(&format!(".{}", self.origin)) {
                found.chase = Some(next);
                break;
            }
            let Some(further) = self.alias(&lower) else {
                let more = self.forward(&next, &lower, asked).unwrap_or_default();
                found.answers.extend(more.answers);
                break;
            };
            let cname = Data::Cname(further.clone());
            found
                .answers
                .push(Record::new(next, self.settings.ttl, cname));
            next = further;
        }
        found
    }

    /// Where an ExternalName of this zone leads.
    fn alias(&self, lower: &str) -> Option<String> {
        let rest = lower.strip_suffix(&format!(".svc.{}", self.origin))?;
        let (service, ns) = rest.split_once('.')?;
        let external = &self.find(service, ns)?.external;
        (!external.is_empty()).then(|| external.clone())
    }

    fn host(&self, name: &str, host: &str, e: &Entry, asked: u16) -> Option<Found> {
        let own: Vec<IpAddr> = e
            .hosts
            .iter()
            .filter(|h| h.label == host)
            .map(|h| h.address)
            .collect();
        (!own.is_empty()).then(|| answers(self.of_family(name, &own, asked)))
    }

    fn port(&self, name: &str, port: &str, protocol: &str, e: &Entry, asked: u16) -> Option<Found> {
        let same = |p: &Port| p.name == port && p.protocol.eq_ignore_ascii_case(protocol);
        let known = if e.headless {
            e.hosts.iter().any(|h| h.ports.iter().any(same))
        } else {
            e.ports.iter().any(same)
        };
        known.then(|| match asked {
            rtype::SRV => self.srv(name, e, same),
            _ => answers(self.of_family(name, &addresses(e), asked)),
        })
    }

    /// Each target and port once. The weight shares 100 among all pairs of address and port, also
    /// those that show only once because their names are equal.
    fn srv(&self, name: &str, e: &Entry, wanted: impl Fn(&Port) -> bool) -> Found {
        let full = self.full_name(e);
        let mut pairs: Vec<(String, IpAddr, Option<u16>)> = Vec::new();
        if e.headless {
            for h in &e.hosts {
                let target = format!("{}.{full}", h.label);
                let fitting = h.ports.iter().filter(|p| wanted(p));
                pairs.extend(fitting.map(|p| (target.clone(), h.address, Some(p.number))));
                // An endpoint without any port counts where no port is named.
                let nameless = Port {
                    name: String::new(),
                    protocol: String::new(),
                    number: 0,
                };
                if h.ports.is_empty() && wanted(&nameless) {
                    pairs.push((target, h.address, None));
                }
            }
        } else {
            for p in e.ports.iter().filter(|p| wanted(p)) {
                pairs.extend(
                    e.cluster_ips
                        .iter()
                        .map(|a| (full.clone(), *a, Some(p.number))),
                );
            }
        }
        let weight = (100 / pairs.len().max(1)).max(1) as u16;
        let mut found = Found::default();
        for (target, address, number) in pairs {
            let Some(number) = number else { continue };
            let srv = Srv {
                priority: 0,
                weight,
                port: number,
                target: target.clone(),
            };
            let record = Record::new(name, self.settings.ttl, Data::Srv(srv));
            if !found.answers.contains(&record) {
                found.answers.push(record);
            }
            let record = self.record(&target, address);
            if !found.additional.contains(&record) {
                found.additional.push(record);
            }
        }
        found
    }

    /// A Service's own address names the Service; an endpoint's names it in every Service.
    fn pointer(&self, name: &str, address: IpAddr, asked: u16) -> Option<Found> {
        let service = self
            .entries
            .iter()
            .find(|e| e.cluster_ips.contains(&address));
        let targets: Vec<String> = match service {
            Some(e) => vec![self.full_name(e)],
            None => {
                let own = |e: &Entry| {
                    let h = e.hosts.iter().find(|h| h.address == address)?;
                    Some(format!("{}.{}", h.label, self.full_name(e)))
                };
                self.entries.iter().filter_map(own).collect()
            }
        };
        if targets.is_empty() {
            return None;
        }
        if asked != rtype::PTR {
            return Some(Found::default());
        }
        let record = |t: String| Record::new(name, self.settings.ttl, Data::Ptr(t));
        Some(answers(targets.into_iter().map(record).collect()))
    }

    fn record(&self, name: &str, address: IpAddr) -> Record {
        let data = match address {
            IpAddr::V4(a) => Data::A(a),
            IpAddr::V6(a) => Data::Aaaa(a),
        };
        Record::new(name, self.settings.ttl, data)
    }

    fn of_family(&self, name: &str, all: &[IpAddr], asked: u16) -> Vec<Record> {
        let fits = |a: &&IpAddr| {
            (asked == rtype::A && a.is_ipv4()) || (asked == rtype::AAAA && a.is_ipv6())
        };
        all.iter()
            .filter(fits)
            .map(|a| self.record(name, *a))
            .collect()
    }
}

fn answers(records: Vec<Record>) -> Found {
    Found {
        answers: records,
        ..Found::default()
    }
}

fn addresses(e: &Entry) -> Vec<IpAddr> {
    if !e.headless {
        return e.cluster_ips.clone();
    }
    let mut all: Vec<IpAddr> = e.hosts.iter().map(|h| h.address).collect();
    all.sort();
    all.dedup();
    all
}

/// The address of `4.3.2.1.in-addr.arpa` or an `ip6.arpa` name.
fn reverse(name: &str) -> Option<IpAddr> {
    if let Some(labels) = name.strip_suffix(".in-addr.arpa") {
        let parts: Vec<&str> = labels.rsplit('.').collect();
        return parts.join(".").parse().ok();
    }
    let labels = name.strip_suffix(".ip6.arpa")?;
    let digits: String = labels.rsplit('.').collect();
    if digits.len() != 32 || !labels.split('.').all(|l| l.len() == 1) {
        return None;
    }
    let groups: Vec<&str> = (0..8)
        .filter_map(|i| digits.get(i * 4..i * 4 + 4))
        .collect();
    groups.join(":").parse().ok()
}

fn port(p: &Value) -> Option<Port> {
    let number = u16::try_from(int(p, "port")?).ok()?;
    let protocol = Some(text(p, "protocol"))
        .filter(|p| !p.is_empty())
        .unwrap_or("TCP");
    Some(Port {
        name: text(p, "name").to_lowercase(),
        protocol: protocol.into(),
        number,
    })
}

fn entry<'a>(service: &Value, slices: impl Iterator<Item = &'a Value>) -> Entry {
    let (namespace, name) = (shape::namespace(service), shape::name(service));
    let headless = text(service, "spec.clusterIP") == "None";
    let unready = at(service, "spec.publishNotReadyAddresses").as_bool() == Some(true);
    let own = |s: &&Value| {
        shape::namespace(s) == namespace && shape::label(s, "kubernetes.io/service-name") == name
    };
    let hosts = slices.filter(own).flat_map(|s| hosts(s, unready)).collect();
    let external = if text(service, "spec.type") == "ExternalName" {
        text(service, "spec.externalName")
            .trim_end_matches('.')
            .to_string()
    } else {
        String::new()
    };
    let mut cluster_ips: Vec<IpAddr> = texts(service, "spec.clusterIPs")
        .iter()
        .filter_map(|a| a.parse().ok())
        .collect();
    if cluster_ips.is_empty() {
        cluster_ips.extend(text(service, "spec.clusterIP").parse::<IpAddr>().ok());
    }
    Entry {
        namespace: namespace.into(),
        name: name.into(),
        cluster_ips,
        external,
        headless,
        ports: shape::list(service, "spec.ports")
            .iter()
            .filter_map(port)
            .collect(),
        hosts,
    }
}

/// The ready endpoints of a slice.
fn hosts(slice: &Value, unready_too: bool) -> Vec<Host> {
    let ports: Vec<Port> = shape::list(slice, "ports")
        .iter()
        .filter_map(port)
        .collect();
    let mut all = Vec::new();
    for e in shape::list(slice, "endpoints") {
        // Not known counts as ready (EndpointConditions).
        if !unready_too && at(e, "conditions.ready").as_bool() == Some(false) {
            continue;
        }
        for address in texts(e, "addresses")
            .iter()
            .filter_map(|a| a.parse::<IpAddr>().ok())
        {
            let hostname = text(e, "hostname");
            let label = if hostname.is_empty() {
                address.to_string().replace(['.', ':'], "-")
            } else {
                hostname.to_lowercase()
            };
            all.push(Host {
                label,
                address,
                ports: ports.clone(),
            });
        }
    }
    all
}
