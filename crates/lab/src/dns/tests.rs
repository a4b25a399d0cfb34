//! Against what the real CoreDNS 1.15 answered for the same objects (recorded in a cluster; serials and
//! times to live that its cache had counted down are written as at the start), and
//! against dig over the network.

use super::chain::fit;
use super::corefile::{self, Kubernetes};
use super::*;
use netshoot_wire::dns::{Edns, rcode_word, type_number, type_word};
use std::net::SocketAddr;
use std::process::Command;

const SINGLE: (&str, &str) = (
    include_str!("real/single.objects.json"),
    include_str!("real/single.answers.txt"),
);
const DUAL: (&str, &str) = (
    include_str!("real/dual.objects.json"),
    include_str!("real/dual.answers.txt"),
);

fn objects(text: &str) -> Vec<Value> {
    serde_json::from_str(text).unwrap()
}

fn settings() -> Kubernetes {
    let blocks =
        corefile::parse(crate::controllers::system::COREFILE, "nameserver 127.0.0.1").unwrap();
    blocks[0].kubernetes.clone().unwrap()
}

/// The outside as it was when the answers were recorded: a server that knows two names.
fn outside() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let table = BTreeMap::from([(
        "www.example.test".to_string(),
        "198.51.100.80".parse().unwrap(),
    )]);
    std::thread::spawn(move || {
        over_udp(&socket, &move |q: &Message, _| Message {
            authoritative: true,
            recursion_available: false,
            ..from_table(&table, q)
        })
    });
    address
}

fn chain(objects_text: &str, upstream: SocketAddr) -> Chain {
    let text =
        crate::controllers::system::COREFILE.replace("/etc/resolv.conf", &upstream.to_string());
    let blocks = corefile::parse(&text, "").unwrap();
    let zone = Zone::new(&objects(objects_text), &settings(), 7);
    Chain {
        blocks: blocks
            .into_iter()
            .map(|b| (b, Some(zone.clone())))
            .collect(),
    }
}

fn text_of(r: &Record) -> String {
    let data = r.data.to_string().replace(" 7 7200", " SERIAL 7200");
    format!("{} {} {} {data}", r.name, r.ttl, type_word(r.rtype))
}

fn flags(m: &Message) -> String {
    let all = [
        (m.response, "qr"),
        (m.authoritative, "aa"),
        (m.truncated, "tc"),
        (m.recursion_desired, "rd"),
        (m.recursion_available, "ra"),
    ];
    all.iter()
        .filter(|(on, _)| *on)
        .map(|(_, w)| *w)
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn every_answer_is_that_of_the_real_one() {
    let upstream = outside();
    let mut compared = 0;
    for (objects, answers) in [SINGLE, DUAL] {
        let (chain, kept) = (chain(objects, upstream), Kept::default());
        let mut blocks: Vec<Vec<&str>> = Vec::new();
        for line in answers.lines() {
            match line.strip_prefix("  ") {
                Some(inner) => blocks.last_mut().unwrap().push(inner),
                None => blocks.push(vec![line]),
            }
        }
        for block in blocks {
            let words: Vec<&str> = block[0].split(' ').collect();
            let has = |option: &str| words.contains(&option);
            let mut query = Message::query(9, words[0], type_number(words[2]).unwrap());
            query.questions[0].class = if words[1] == "CH" { 3 } else { 1 };
            query.recursion_desired = !has("+norecurse");
            let size = words
                .iter()
                .find_map(|w| w.strip_prefix("+bufsize=")?.parse().ok())
                .unwrap_or(1232);
            query.edns = (!has("+noedns")).then(|| Edns {
                udp_size: size,
                dnssec_ok: has("+dnssec"),
                ..Edns::default()
            });
            let over = if has("+tcp") { Over::Tcp } else { Over::Udp };
            let reply = chain.answer(&query, over, 53, &kept);
            assert_eq!(
                reply.edns.as_ref().map(|e| (e.udp_size, e.dnssec_ok)),
                query.edns.as_ref().map(|e| (e.udp_size, e.dnssec_ok))
            );
            let limit = if over == Over::Tcp {
                65_535
            } else {
                query.udp_limit()
            };
            let bytes = fit(&reply, limit);
            assert!(bytes.len() <= limit);
            let got = Message::decode(&bytes).unwrap();
            let mut lines = vec![format!("{} {}", rcode_word(got.rcode), flags(&got))];
            for (section, records) in [
                ("answer", &got.answers),
                ("authority", &got.authorities),
                ("additional", &got.additional),
            ] {
                if got.answers.len() > 10 {
                    lines.push(format!("{section} {}", records.len()));
                    continue;
                }
                let mut all: Vec<String> = records
                    .iter()
                    .map(|r| format!("{section} {}", text_of(r)))
                    .collect();
                all.sort();
                lines.extend(all);
            }
            assert_eq!(lines, block[1..], "{}", block[0]);
            compared += 1;
        }
    }
    assert!(compared > 80, "{compared}");
}

fn ask(chain: &Chain, kept: &Kept, name: &str, kind: &str) -> Message {
    let query = Message::query(9, name, type_number(kind).unwrap());
    chain.answer(&query, Over::Udp, 53, kept)
}

fn of(corefile: &str, objects: &[Value]) -> Chain {
    let blocks = corefile::parse(corefile, "").unwrap();
    let with_zone = |b: corefile::Block| {
        let zone = b.kubernetes.as_ref().map(|k| Zone::new(objects, k, 7));
        (b, zone)
    };
    Chain {
        blocks: blocks.into_iter().map(with_zone).collect(),
    }
}

fn short(m: &Message) -> Vec<String> {
    m.answers.iter().map(|r| r.data.to_string()).collect()
}

#[test]
fn a_headless_service_without_ready_endpoints_has_no_name() {
    let objects = [
        json!({"kind": "Namespace", "metadata": {"name": "shop"}}),
        json!({"kind": "Service", "metadata": {"name": "db", "namespace": "shop"}, "spec": {"clusterIP": "None"}}),
        json!({"kind": "EndpointSlice", "metadata": {"name": "db-1", "namespace": "shop", "labels": {"kubernetes.io/service-name": "db"}},
               "endpoints": [{"addresses": ["10.244.1.3"], "conditions": {"ready": false}}]}),
    ];
    let chain = of(
        crate::controllers::system::COREFILE
            .replace("/etc/resolv.conf", "127.0.0.1")
            .as_str(),
        &objects,
    );
    let reply = ask(&chain, &Kept::default(), "db.shop.svc.cluster.local", "A");
    assert_eq!((reply.rcode, reply.authorities.len()), (rcode::NXDOMAIN, 1));
}

#[test]
fn names_that_lead_in_a_circle_end() {
    let external = |name: &str, to: &str| json!({"kind": "Service", "metadata": {"name": name, "namespace": "shop"}, "spec": {"type": "ExternalName", "externalName": to}});
    let objects = [
        json!({"kind": "Namespace", "metadata": {"name": "shop"}}),
        external("a", "b.shop.svc.cluster.local"),
        external("b", "a.shop.svc.cluster.local"),
        external("c", "c.shop.svc.cluster.local."),
    ];
    let chain = of(". {\n kubernetes cluster.local\n}", &objects);
    for name in ["a", "c"] {
        let reply = ask(
            &chain,
            &Kept::default(),
            &format!("{name}.shop.svc.cluster.local"),
            "A",
        );
        assert!(
            (1..=10).contains(&reply.answers.len()),
            "{:?}",
            short(&reply)
        );
    }
}

#[test]
fn blocks_templates_hosts_and_pods_of_a_corefile() {
    let upstream = outside();
    let text = format!(
        "corp.test {{\n forward . {upstream}\n}}\n\
         . {{\n kubernetes k8s.test {{\n pods verified\n ttl 9\n }}\n template IN A bad.test {{\n rcode REFUSED\n }}\n\
         hosts {{\n 192.0.2.9 db.test\n fallthrough\n }}\n forward example.test {upstream}\n}}"
    );
    let pods = [
        json!({"kind": "Pod", "metadata": {"name": "p", "namespace": "shop"}, "status": {"podIPs": [{"ip": "10.1.2.3"}]}}),
    ];
    let (chain, kept) = (of(&text, &pods), Kept::default());
    for (name, code, want) in [
        ("www.example.test", rcode::NOERROR, &["198.51.100.80"][..]),
        ("www.corp.test", rcode::NXDOMAIN, &[]),
        ("x.bad.test", rcode::REFUSED, &[]),
        ("db.test", rcode::NOERROR, &["192.0.2.9"]),
        ("10-1-2-3.shop.pod.k8s.test", rcode::NOERROR, &["10.1.2.3"]),
        ("10-1-2-4.shop.pod.k8s.test", rcode::NXDOMAIN, &[]),
        ("web.shop.svc.cluster.local", rcode::SERVFAIL, &[]),
    ] {
        let reply = ask(&chain, &kept, name, "A");
        assert_eq!(
            (reply.rcode, short(&reply)),
            (code, want.iter().map(|w| w.to_string()).collect()),
            "{name}"
        );
    }
    let only = of("cluster.local {\n kubernetes\n}", &[]);
    assert_eq!(
        ask(&only, &kept, "www.example.test", "A").rcode,
        rcode::REFUSED
    );
}

#[test]
fn a_dead_upstream_fails_and_the_cache_hides_it_for_a_while() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let upstream = socket.local_addr().unwrap();
    let chain = of(
        &format!(". {{\n errors\n cache 30\n forward . {upstream}\n}}"),
        &[],
    );
    let kept = Kept::default();
    socket
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    let serving = std::thread::spawn(move || {
        let mut bytes = [0; 512];
        let (n, from) = socket.recv_from(&mut bytes).unwrap();
        let query = Message::decode(&bytes[..n]).unwrap();
        let table = BTreeMap::from([(
            "www.example.test".to_string(),
            "198.51.100.80".parse().unwrap(),
        )]);
        socket
            .send_to(&from_table(&table, &query).encode().unwrap(), from)
            .unwrap();
    });
    let first = ask(&chain, &kept, "www.example.test", "A");
    serving.join().unwrap();
    assert_eq!(
        (first.rcode, first.answers[0].ttl),
        (rcode::NOERROR, 30),
        "300 s of the upstream, 30 of the cache"
    );
    assert_eq!(
        ask(&chain, &kept, "WWW.example.test", "A").rcode,
        rcode::NOERROR
    );
    let other = ask(&chain, &kept, "api.example.test", "A");
    assert_eq!(
        (other.rcode, flags(&other).as_str()),
        (rcode::SERVFAIL, "qr rd")
    );
}

#[test]
fn an_upstream_that_is_this_very_server_is_found() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let own = socket.local_addr().unwrap();
    let chain = Arc::new(of(&format!(". {{\n loop\n forward . {own}\n}}"), &[]));
    let kept = Arc::new(Kept::default());
    let (again, same) = (chain.clone(), kept.clone());
    for socket in [
        socket.try_clone().unwrap(),
        socket.try_clone().unwrap(),
        socket.try_clone().unwrap(),
        socket,
    ] {
        let (again, same) = (again.clone(), same.clone());
        std::thread::spawn(move || {
            over_udp(&socket, &move |q: &Message, over| {
                again.answer(q, over, 53, &same)
            })
        });
    }
    assert!(chain.look_for_loop(&kept));
    let fine = of(&format!(". {{\n loop\n forward . {}\n}}", outside()), &[]);
    assert!(!fine.look_for_loop(&Kept::default()));
}

/// A world's socket as the server sees it: answers every request with the objects of the moment.
fn world(objects: Arc<RwLock<Vec<Value>>>) -> UnixStream {
    let (ours, theirs) = UnixStream::pair().unwrap();
    std::thread::spawn(move || {
        let mut reader = BufReader::new(ours.try_clone().unwrap());
        let mut line = String::new();
        while reader.read_line(&mut line).is_ok_and(|n| n > 0) {
            let all = objects.read().unwrap().clone();
            if writeln!(&ours, "{}", json!({"objects": all})).is_err() {
                return;
            }
            line.clear();
        }
    });
    theirs
}

#[test]
fn a_changed_corefile_counts_when_it_can_be_read() {
    let map = |text: &str| json!({"kind": "ConfigMap", "metadata": {"name": "coredns", "namespace": "kube-system"}, "data": {"Corefile": text}});
    let first = ". {\n reload\n forward . 192.0.2.1\n}\n";
    let objects = Arc::new(RwLock::new(vec![map(first)]));
    let mut source = Source {
        stream: BufReader::new(world(objects.clone())),
        corefile: first.into(),
        config_map: None,
        resolv_conf: String::new(),
        refused: String::new(),
    };
    let to = |c: &Chain| c.blocks[0].0.forwards[0].to[0].to_string();
    assert_eq!(to(&source.read().unwrap()), "192.0.2.1:53");
    *objects.write().unwrap() = vec![map(". {\n relaod\n}\n")];
    assert_eq!(
        to(&source.read().unwrap()),
        "192.0.2.1:53",
        "refused, the old one goes on"
    );
    *objects.write().unwrap() = vec![map(". {\n forward . 192.0.2.2\n}\n")];
    assert_eq!(to(&source.read().unwrap()), "192.0.2.2:53");
    *objects.write().unwrap() = vec![map(first)];
    assert_eq!(
        to(&source.read().unwrap()),
        "192.0.2.2:53",
        "no reload any more"
    );
}

#[test]
fn dig_understands_it() {
    if Command::new("dig").arg("-v").output().is_err() {
        return println!("SKIPPED: dig is not installed");
    }
    let ns = NetNs::new().unwrap();
    ns.enter(|| {
        netshoot_host::link::set_up("lo").unwrap();
        let (chain, kept) = (chain(SINGLE.0, outside()), Kept::default());
        let answer = move |q: &Message, over| chain.answer(q, over, 53, &kept);
        serve(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 53, Arc::new(answer)).unwrap();
        let dig = |words: &str| {
            let output = Command::new("dig")
                .args(["+time=2", "+tries=1"])
                .args(words.split(' '))
                .output()
                .unwrap();
            String::from_utf8_lossy(&output.stdout).into_owned()
        };
        for server in ["@127.0.0.1", "@::1"] {
            let short = |words: &str| dig(&format!("{server} +short {words}"));
            assert_eq!(short("web.shop.svc.cluster.local"), "10.96.145.179\n");
            assert_eq!(
                short("-x 10.96.0.10"),
                "kube-dns.kube-system.svc.cluster.local.\n"
            );
            assert_eq!(short("www.example.test"), "198.51.100.80\n");
            // Too large for UDP: dig sees TC and asks again over TCP.
            assert_eq!(short("many.shop.svc.cluster.local").lines().count(), 100);
            let cut = dig(&format!(
                "{server} +noedns +ignore many.shop.svc.cluster.local"
            ));
            assert!(
                cut.contains("flags: qr aa tc rd;") && cut.contains("ANSWER: 29,"),
                "{cut}"
            );
            let none = dig(&format!("{server} nosuch.shop.svc.cluster.local"));
            assert!(
                none.contains("status: NXDOMAIN") && none.contains("SOA\tns.dns.cluster.local."),
                "{none}"
            );
        }
    })
    .unwrap();
}
