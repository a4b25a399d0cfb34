//! Names as a program in a pod resolves them: `/etc/resolv.conf` with search list and ndots, A and
//! AAAA together, each server in turn, UDP and, when cut short, TCP.
//!
//! A resolver of its own, apart from the probe that later asks the same servers: the program that
//! hurts and the instrument that measures must not share their mistakes.

use super::Random;
use netshoot_wire::dns::{Message, rcode, rtype};
use std::io::{Error, ErrorKind, Read, Result as Io, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

/// Servers and search suffixes that are taken notice of, as in resolv.conf(5).
const MAX_SERVERS: usize = 3;

/// What `/etc/resolv.conf` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Resolver {
    pub(crate) servers: Vec<SocketAddr>,
    search: Vec<String>,
    ndots: usize,
    timeout: Duration,
    attempts: u32,
}

impl Resolver {
    /// Reads the text as resolv.conf(5) says; what is not understood is passed over.
    pub(crate) fn from_text(text: &str) -> Resolver {
        let mut conf = Resolver {
            servers: vec![],
            search: vec![],
            ndots: 1,
            timeout: Duration::from_secs(5),
            attempts: 2,
        };
        for line in text.lines().filter(|l| !l.starts_with(['#', ';'])) {
            let mut words = line.split_ascii_whitespace();
            match words.next() {
                Some("nameserver") => {
                    conf.servers.extend(
                        words
                            .next()
                            .and_then(|w| w.parse::<IpAddr>().ok())
                            .map(|a| SocketAddr::new(a, 53)),
                    );
                }
                Some("search" | "domain") => {
                    conf.search = words.map(|w| w.trim_matches('.').to_string()).collect()
                }
                Some("options") => words.for_each(|w| conf.option(w)),
                _ => {}
            }
        }
        conf.servers.truncate(MAX_SERVERS);
        conf.search.retain(|s| !s.is_empty());
        conf
    }

    fn option(&mut self, word: &str) {
        let Some((name, Ok(value))) = word.split_once(':').map(|(n, v)| (n, v.parse::<u32>()))
        else {
            return;
        };
        match name {
            "ndots" => self.ndots = value.min(15) as usize,
            "timeout" => self.timeout = Duration::from_secs(u64::from(value.clamp(1, 30))),
            "attempts" => self.attempts = value.clamp(1, 5),
            _ => {}
        }
    }

    /// The full names tried for a name, in order.
    pub(crate) fn candidates(&self, name: &str) -> Vec<String> {
        if let Some(whole) = name.strip_suffix('.') {
            return vec![whole.into()];
        }
        let mut all: Vec<String> = self.search.iter().map(|s| format!("{name}.{s}")).collect();
        let at = if name.matches('.').count() >= self.ndots {
            0
        } else {
            all.len()
        };
        all.insert(at, name.into());
        all
    }

    /// Addresses of a name, IPv4 first; an error in the words of a program's log.
    pub(crate) fn lookup(&self, name: &str, deadline: Instant) -> Result<Vec<IpAddr>, String> {
        if let Ok(address) = name.trim_matches(['[', ']']).parse() {
            return Ok(vec![address]);
        }
        if name == "localhost" {
            return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
        }
        let Some(first) = self.servers.first() else {
            return Err(format!("lookup {name}: no nameserver in /etc/resolv.conf"));
        };
        let mut why = format!("lookup {name} on {first}: no such host");
        for candidate in self.candidates(name) {
            match self.ask_in_turn(&candidate, deadline) {
                Ok(found) if !found.is_empty() => return Ok(found),
                Ok(_) => {}
                Err(Trouble::Misbehaving(server)) => {
                    why = format!("lookup {name} on {server}: server misbehaving")
                }
                Err(Trouble::Unheard(server, e)) => {
                    return Err(format!("lookup {name} on {server}: {e}"));
                }
            }
        }
        Err(why)
    }

    fn ask_in_turn(&self, name: &str, deadline: Instant) -> Result<Vec<IpAddr>, Trouble> {
        let mut trouble = None;
        for _ in 0..self.attempts {
            for server in &self.servers {
                let until = deadline.min(Instant::now() + self.timeout);
                match ask(*server, name, until) {
                    Ok(replies)
                        if replies
                            .iter()
                            .any(|r| r.rcode != rcode::NOERROR && r.rcode != rcode::NXDOMAIN) =>
                    {
                        trouble = Some(Trouble::Misbehaving(*server));
                    }
                    Ok(replies) => {
                        return Ok(replies
                            .iter()
                            .flat_map(|r| &r.answers)
                            .filter_map(|a| a.data.address())
                            .collect());
                    }
                    Err(e) => trouble = Some(Trouble::Unheard(*server, in_words(&e))),
                }
                if Instant::now() >= deadline {
                    return Err(trouble.unwrap_or(Trouble::Unheard(*server, "i/o timeout".into())));
                }
            }
        }
        trouble.map_or(Ok(vec![]), Err)
    }
}

enum Trouble {
    /// Every server answered, none usefully.
    Misbehaving(SocketAddr),
    /// No answer, or an ICMP error.
    Unheard(SocketAddr, String),
}

/// What an error of a socket is called in a log.
pub(crate) fn in_words(e: &Error) -> String {
    match e.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => "i/o timeout".into(),
        _ => e
            .to_string()
            .split(" (os error")
            .next()
            .unwrap_or_default()
            .to_ascii_lowercase(),
    }
}

/// What is left until then, as a timeout that a socket takes (zero would mean for ever).
pub(crate) fn left(until: Instant) -> Io<Duration> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() {
        Err(ErrorKind::TimedOut.into())
    } else {
        Ok(left)
    }
}

/// A and AAAA from one server, asked together.
fn ask(server: SocketAddr, name: &str, until: Instant) -> Io<Vec<Message>> {
    let id = Random::new(std::process::id().into()).below(0xffff) as u16;
    let queries = [
        Message::query(id, name, rtype::A),
        Message::query(id ^ 0xffff, name, rtype::AAAA),
    ];
    let replies = over_udp(server, &queries, until)?;
    replies
        .into_iter()
        .zip(&queries)
        .map(|(reply, query)| {
            if reply.truncated {
                over_tcp(server, query, until)
            } else {
                Ok(reply)
            }
        })
        .collect()
}

/// The replies to some queries over UDP, in their order.
pub(crate) fn over_udp(
    server: SocketAddr,
    queries: &[Message],
    until: Instant,
) -> Io<Vec<Message>> {
    let own: IpAddr = if server.is_ipv4() {
        Ipv4Addr::UNSPECIFIED.into()
    } else {
        Ipv6Addr::UNSPECIFIED.into()
    };
    let socket = UdpSocket::bind((own, 0))?;
    socket.connect(server)?;
    for query in queries {
        socket.send(&encoded(query)?)?;
    }
    let mut replies: Vec<Option<Message>> = vec![None; queries.len()];
    let mut bytes = [0; 4096];
    while replies.iter().any(Option::is_none) {
        socket.set_read_timeout(Some(left(until)?))?;
        let n = socket.recv(&mut bytes)?;
        let Ok(reply) = Message::decode(bytes.get(..n).unwrap_or_default()) else {
            continue;
        };
        for (query, place) in queries.iter().zip(&mut replies) {
            if reply.response && query.id == reply.id && same_question(query, &reply) {
                *place = Some(reply.clone());
            }
        }
    }
    Ok(replies.into_iter().flatten().collect())
}

/// The reply to a query over TCP (RFC 7766).
pub(crate) fn over_tcp(server: SocketAddr, query: &Message, until: Instant) -> Io<Message> {
    let mut stream = TcpStream::connect_timeout(&server, left(until)?)?;
    stream.set_read_timeout(Some(left(until)?))?;
    stream.set_write_timeout(Some(left(until)?))?;
    let bytes = encoded(query)?;
    let length = u16::try_from(bytes.len()).map_err(|_| Error::from(ErrorKind::InvalidInput))?;
    stream.write_all(&[&length.to_be_bytes(), bytes.as_slice()].concat())?;
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut bytes = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut bytes)?;
    let reply =
        Message::decode(&bytes).map_err(|e| Error::new(ErrorKind::InvalidData, e.to_string()))?;
    if reply.id == query.id && reply.response {
        Ok(reply)
    } else {
        Err(ErrorKind::InvalidData.into())
    }
}

fn encoded(query: &Message) -> Io<Vec<u8>> {
    query
        .encode()
        .map_err(|e| Error::new(ErrorKind::InvalidInput, e.to_string()))
}

fn same_question(query: &Message, reply: &Message) -> bool {
    match (query.questions.first(), reply.questions.first()) {
        (Some(q), Some(r)) => q.rtype == r.rtype && q.name.eq_ignore_ascii_case(&r.name),
        (_, none) => none.is_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pods_resolv_conf() {
        let text = "# kubelet\nsearch shop.svc.cluster.local svc.cluster.local. cluster.local\nnameserver 10.96.0.10\n\
                    nameserver nonsense\nnameserver fd96::a\noptions ndots:5 timeout:1 attempts:9 rotate\n";
        let conf = Resolver::from_text(text);
        let servers: Vec<String> = conf.servers.iter().map(SocketAddr::to_string).collect();
        assert_eq!(servers, ["10.96.0.10:53", "[fd96::a]:53"]);
        assert_eq!(
            (conf.ndots, conf.timeout, conf.attempts),
            (5, Duration::from_secs(1), 5)
        );
        for (name, tried) in [
            (
                "web",
                &[
                    "web.shop.svc.cluster.local",
                    "web.svc.cluster.local",
                    "web.cluster.local",
                    "web",
                ][..],
            ),
            (
                "a.b.c.d.e.f",
                &[
                    "a.b.c.d.e.f",
                    "a.b.c.d.e.f.shop.svc.cluster.local",
                    "a.b.c.d.e.f.svc.cluster.local",
                    "a.b.c.d.e.f.cluster.local",
                ],
            ),
            ("www.example.test.", &["www.example.test"]),
        ] {
            assert_eq!(conf.candidates(name), tried, "{name}");
        }
        let none = Resolver::from_text("");
        let end = Instant::now() + Duration::from_secs(1);
        assert!(
            none.lookup("web", end)
                .unwrap_err()
                .contains("no nameserver")
        );
        assert_eq!(
            none.lookup("[fd00::1]", end),
            Ok(vec!["fd00::1".parse().unwrap()])
        );
    }

    /// A server that answers by name, in each of the ways that a program tells apart.
    #[test]
    fn what_a_program_says_of_its_resolver() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let at = server.local_addr().unwrap();
        std::thread::spawn(move || {
            let mut bytes = [0; 512];
            while let Ok((n, from)) = server.recv_from(&mut bytes) {
                let query = Message::decode(&bytes[..n]).unwrap();
                let question = &query.questions[0];
                let mut reply = query.reply(match question.name.as_str() {
                    "broken.test" => rcode::SERVFAIL,
                    "silent.test" => continue,
                    "web.shop.test" | "v6.test" => rcode::NOERROR,
                    _ => rcode::NXDOMAIN,
                });
                let data = match (question.name.as_str(), question.rtype) {
                    ("web.shop.test", rtype::A) => {
                        Some(netshoot_wire::dns::Data::A([10, 0, 0, 1].into()))
                    }
                    ("v6.test", rtype::AAAA) => {
                        Some(netshoot_wire::dns::Data::Aaaa("fd00::1".parse().unwrap()))
                    }
                    _ => None,
                };
                let record = |d| netshoot_wire::dns::Record::new(question.name.clone(), 5, d);
                reply.answers.extend(data.map(record));
                server.send_to(&reply.encode().unwrap(), from).unwrap();
            }
        });
        let mut conf = Resolver::from_text("search shop.test\noptions ndots:2 attempts:1\n");
        conf.servers = vec![at];
        let ask = |name: &str| {
            conf.lookup(name, Instant::now() + Duration::from_millis(300))
                .map(|a| a[0].to_string())
        };
        assert_eq!(ask("web"), Ok("10.0.0.1".into()));
        assert_eq!(ask("v6.test."), Ok("fd00::1".into()));
        assert_eq!(
            ask("nosuch"),
            Err(format!("lookup nosuch on {at}: no such host"))
        );
        assert_eq!(
            ask("broken.test."),
            Err(format!("lookup broken.test. on {at}: server misbehaving"))
        );
        assert_eq!(
            ask("silent.test."),
            Err(format!("lookup silent.test. on {at}: i/o timeout"))
        );
        let dead = UdpSocket::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        conf.servers = vec![dead];
        let refused = conf
            .lookup("web", Instant::now() + Duration::from_millis(300))
            .unwrap_err();
        assert!(refused.ends_with("connection refused"), "{refused}");
        conf.servers = vec![dead, at];
        assert!(
            conf.lookup("web", Instant::now() + Duration::from_millis(300))
                .is_ok(),
            "the next server is asked"
        );
    }

    #[test]
    fn a_damaged_file_is_read_as_far_as_it_goes() {
        let seeds = [
            "search shop.svc.cluster.local cluster.local\nnameserver 10.96.0.10\noptions ndots:5 timeout:1 attempts:9\n",
            "domain a\nnameserver fd96::a\n",
        ];
        netshoot_wire::fuzz::texts(&seeds, 20_000, |text| {
            let conf = Resolver::from_text(text);
            assert!(conf.servers.len() <= MAX_SERVERS && conf.ndots <= 15 && conf.attempts <= 5);
            assert_eq!(
                conf.candidates("a.b").len(),
                conf.search.len() + 1,
                "{text:?}"
            );
        });
    }
}
