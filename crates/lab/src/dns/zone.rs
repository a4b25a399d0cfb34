//! The cluster's zone: names and records that follow from Services and EndpointSlices, as the
//! Kubernetes DNS specification (version 1.1.0) and CoreDNS's `kubernetes` plugin have them.

use crate::shape::{self, at, int, text, texts};
use netshoot_wire::dns::{Data, Record, Soa, Srv, rcode, rtype};
use serde_json::Value;
use std::net::IpAddr;

/// The zone.
const ZONE: &str = "cluster.local";
/// `ttl` of the Corefile.
const TTL: u32 = 30;

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

/// One endpoint address of a headless Service.
#[derive(Clone, Debug)]
struct Host {
    label: String,
    address: IpAddr,
    ports: Vec<Port>,
}

/// One named port.
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
#[derive(Clone, Debug, Default)]
pub struct Zone {
    serial: u32,
    namespaces: Vec<String>,
    entries: Vec<Entry>,
}

impl Zone {
    /// From objects; `now` in seconds is the serial.
    pub fn new(objects: &[Value], now: u64) -> Zone {
        let of = |kind: &'static str| objects.iter().filter(move |o| shape::kind(o) == kind);
        Zone {
            serial: now as u32,
            namespaces: of("Namespace")
                .map(|n| shape::name(n).to_string())
                .collect(),
            entries: of("Service")
                .map(|s| entry(s, of("EndpointSlice")))
                .collect(),
        }
    }

    /// The answer to one question.
    pub fn answer(&self, name: &str, asked: u16) -> Answered {
        let lower = name.trim_end_matches('.').to_lowercase();
        if let Some(reverse) = reverse(&lower) {
            return self.pointer(name, reverse, asked);
        }
        let Some(rest) = lower.strip_suffix(ZONE) else {
            return Answered::Elsewhere;
        };
        let Some(rest) = (if rest.is_empty() {
            Some("")
        } else {
            rest.strip_suffix('.')
        }) else {
            return Answered::Elsewhere;
        };
        let labels: Vec<&str> = if rest.is_empty() {
            Vec::new()
        } else {
            rest.split('.').collect()
        };
        let mut found = match labels.as_slice() {
            [] => self.apex(name, asked),
            ["svc"] | ["pod"] => Some(Found::default()),
            [ns, "svc" | "pod"] if self.has_namespace(ns) => Some(Found::default()),
            ["dns-version"] if asked == rtype::TXT => Some(answers(vec![Record::new(
                name,
                TTL,
                Data::Txt(vec![b"1.1.0".to_vec()]),
            )])),
            ["ns", "dns"] => self.ns(name, asked),
            [ip, ns, "pod"] => self.pod(name, ip, ns, asked),
            [service, ns, "svc"] => self.service(name, service, ns, asked),
            [host, service, ns, "svc"] if !host.starts_with('_') => {
                self.host(name, host, service, ns, asked)
            }
            [port, protocol, service, ns, "svc"] => {
                self.port(name, port, protocol, service, ns, asked)
            }
            _ => None,
        };
        let found = found.take().unwrap_or(Found {
            rcode: rcode::NXDOMAIN,
            ..Found::default()
        });
        Answered::Here(self.with_soa(found))
    }

    fn has_namespace(&self, ns: &str) -> bool {
        self.namespaces.iter().any(|n| n == ns)
    }

    fn find(&self, service: &str, ns: &str) -> Option<&Entry> {
        self.entries
            .iter()
            .find(|e| e.name == service && e.namespace == ns)
    }

    fn soa(&self) -> Record {
        let soa = Soa {
            mname: format!("ns.dns.{ZONE}"),
            rname: format!("hostmaster.{ZONE}"),
            serial: self.serial,
            refresh: 7200,
            retry: 1800,
            expire: 86_400,
            minimum: 30,
        };
        Record::new(ZONE, TTL, Data::Soa(soa))
    }

    /// No answer has the SOA in the authority section (RFC 2308).
    fn with_soa(&self, mut found: Found) -> Found {
        if found.answers.is_empty() {
            found.authorities.push(self.soa());
        }
        found
    }

    fn dns_addresses(&self) -> Vec<IpAddr> {
        self.find("kube-dns", "kube-system")
            .map(|e| e.cluster_ips.clone())
            .unwrap_or_default()
    }

    fn apex(&self, name: &str, asked: u16) -> Option<Found> {
        let ns = format!("ns.dns.{ZONE}");
        Some(match asked {
            rtype::SOA => answers(vec![self.soa()]),
            rtype::NS => Found {
                answers: vec![Record::new(name, TTL, Data::Ns(ns.clone()))],
                additional: self
                    .dns_addresses()
                    .into_iter()
                    .map(|a| record(&ns, a))
                    .collect(),
                ..Found::default()
            },
            _ => Found::default(),
        })
    }

    fn ns(&self, name: &str, asked: u16) -> Option<Found> {
        Some(answers(of_family(name, &self.dns_addresses(), asked)))
    }

    /// `pods insecure`: an address in the name is the answer, whether a pod has it or not.
    fn pod(&self, name: &str, ip: &str, ns: &str, asked: u16) -> Option<Found> {
        let v4 = ip.replace('-', ".").parse::<IpAddr>();
        let address = v4
            .or_else(|_| ip.replace('-', ":").parse::<IpAddr>())
            .ok()?;
        self.has_namespace(ns)
            .then(|| answers(of_family(name, &[address], asked)))
    }

    fn service(&self, name: &str, service: &str, ns: &str, asked: u16) -> Option<Found> {
        let e = self.find(service, ns)?;
        if !e.external.is_empty() {
            return Some(self.external(name, e, asked));
        }
        match (asked, e.headless) {
            (rtype::SRV, false) => {
                Some(self.srv_of_service(name, e, &e.ports.iter().collect::<Vec<_>>()))
            }
            (rtype::SRV, true) => (!e.hosts.is_empty()).then(|| srv_of_hosts(name, e, |_| true)),
            (_, false) => Some(answers(of_family(name, &e.cluster_ips, asked))),
            // Without a ready endpoint the name is there all the same, with nothing behind it.
            (_, true) => Some(answers(of_family(name, &addresses(e), asked))),
        }
    }

    fn external(&self, name: &str, e: &Entry, asked: u16) -> Found {
        if ![rtype::A, rtype::AAAA, rtype::CNAME].contains(&asked) {
            return Found::default();
        }
        let mut found = answers(vec![Record::new(
            name,
            TTL,
            Data::Cname(e.external.clone()),
        )]);
        if asked == rtype::CNAME {
            return found;
        }
        match self.answer(&e.external, asked) {
            Answered::Here(more) => found.answers.extend(more.answers),
            Answered::Elsewhere => found.chase = Some(e.external.clone()),
        }
        found
    }

    fn host(&self, name: &str, host: &str, service: &str, ns: &str, asked: u16) -> Option<Found> {
        let e = self.find(service, ns).filter(|e| e.headless)?;
        let own: Vec<IpAddr> = e
            .hosts
            .iter()
            .filter(|h| h.label == host)
            .map(|h| h.address)
            .collect();
        (!own.is_empty()).then(|| answers(of_family(name, &own, asked)))
    }

    fn port(
        &self,
        name: &str,
        port: &str,
        protocol: &str,
        service: &str,
        ns: &str,
        asked: u16,
    ) -> Option<Found> {
        let (port, protocol) = (port.strip_prefix('_')?, protocol.strip_prefix('_')?);
        let e = self.find(service, ns)?;
        let same = |p: &Port| p.name == port && p.protocol.eq_ignore_ascii_case(protocol);
        if e.headless {
            let known = e.hosts.iter().any(|h| h.ports.iter().any(same));
            return known.then(|| {
                if asked == rtype::SRV {
                    srv_of_hosts(name, e, same)
                } else {
                    answers(of_family(name, &addresses(e), asked))
                }
            });
        }
        let ports: Vec<&Port> = e.ports.iter().filter(|p| same(p)).collect();
        (!ports.is_empty()).then(|| {
            if asked == rtype::SRV {
                self.srv_of_service(name, e, &ports)
            } else {
                answers(of_family(name, &e.cluster_ips, asked))
            }
        })
    }

    fn srv_of_service(&self, name: &str, e: &Entry, ports: &[&Port]) -> Found {
        let target = format!("{}.{}.svc.{ZONE}", e.name, e.namespace);
        let weight = (100 / ports.len().max(1)) as u16;
        Found {
            answers: ports
                .iter()
                .map(|p| srv(name, weight, p.number, &target))
                .collect(),
            additional: e.cluster_ips.iter().map(|a| record(&target, *a)).collect(),
            ..Found::default()
        }
    }

    fn pointer(&self, name: &str, address: IpAddr, asked: u16) -> Answered {
        let service = self
            .entries
            .iter()
            .find(|e| e.cluster_ips.contains(&address))
            .map(|e| format!("{}.{}.svc.{ZONE}", e.name, e.namespace));
        let host = || {
            self.entries.iter().filter(|e| e.headless).find_map(|e| {
                let h = e.hosts.iter().find(|h| h.address == address)?;
                Some(format!("{}.{}.{}.svc.{ZONE}", h.label, e.name, e.namespace))
            })
        };
        match service.or_else(host) {
            Some(target) if asked == rtype::PTR => {
                Answered::Here(answers(vec![Record::new(name, TTL, Data::Ptr(target))]))
            }
            Some(_) => Answered::Here(self.with_soa(Found::default())),
            // `fallthrough in-addr.arpa ip6.arpa`
            None => Answered::Elsewhere,
        }
    }
}

fn answers(records: Vec<Record>) -> Found {
    Found {
        answers: records,
        ..Found::default()
    }
}

fn record(name: &str, address: IpAddr) -> Record {
    let data = match address {
        IpAddr::V4(a) => Data::A(a),
        IpAddr::V6(a) => Data::Aaaa(a),
    };
    Record::new(name, TTL, data)
}

fn of_family(name: &str, all: &[IpAddr], asked: u16) -> Vec<Record> {
    let fits =
        |a: &&IpAddr| (asked == rtype::A && a.is_ipv4()) || (asked == rtype::AAAA && a.is_ipv6());
    all.iter().filter(fits).map(|a| record(name, *a)).collect()
}

fn addresses(e: &Entry) -> Vec<IpAddr> {
    let mut all: Vec<IpAddr> = e.hosts.iter().map(|h| h.address).collect();
    all.sort();
    all.dedup();
    all
}

fn srv(name: &str, weight: u16, port: u16, target: &str) -> Record {
    Record::new(
        name,
        TTL,
        Data::Srv(Srv {
            priority: 0,
            weight,
            port,
            target: target.into(),
        }),
    )
}

fn srv_of_hosts(name: &str, e: &Entry, wanted: impl Fn(&Port) -> bool) -> Found {
    let all: Vec<(&Host, &Port)> = e
        .hosts
        .iter()
        .flat_map(|h| h.ports.iter().filter(|p| wanted(p)).map(move |p| (h, p)))
        .collect();
    let weight = (100 / all.len().max(1)) as u16;
    let target = |h: &Host| format!("{}.{}.{}.svc.{ZONE}", h.label, e.name, e.namespace);
    Found {
        answers: all
            .iter()
            .map(|(h, p)| srv(name, weight, p.number, &target(h)))
            .collect(),
        additional: all
            .iter()
            .map(|(h, _)| record(&target(h), h.address))
            .collect(),
        ..Found::default()
    }
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
    let mut hosts = Vec::new();
    if headless {
        let own = |s: &&Value| {
            shape::namespace(s) == namespace
                && shape::label(s, "kubernetes.io/service-name") == name
        };
        for slice in slices.filter(own) {
            let ports: Vec<Port> = shape::list(slice, "ports")
                .iter()
                .filter_map(port)
                .collect();
            for e in shape::list(slice, "endpoints") {
                let ready = unready || at(e, "conditions.ready").as_bool().unwrap_or(true);
                for address in texts(e, "addresses")
                    .iter()
                    .filter(|_| ready)
                    .filter_map(|a| a.parse::<IpAddr>().ok())
                {
                    let dashed = address.to_string().replace(['.', ':'], "-");
                    let label = Some(text(e, "hostname").to_string())
                        .filter(|h| !h.is_empty())
                        .unwrap_or(dashed);
                    hosts.push(Host {
                        label,
                        address,
                        ports: ports.clone(),
                    });
                }
            }
        }
    }
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
