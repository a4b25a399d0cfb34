//! The cluster DNS: answers as CoreDNS does for these objects. A stand-in until the real one runs
//! beside it, lean and alone here.
//!
//! Reading order: [`zone`] (a name and the objects give an answer; pure), then the servers below:
//! one in the containers of the cluster's DNS, one in the outside.

pub mod zone;

#[cfg(test)]
mod tests;

use crate::Error;
use crate::behave::resolve::Resolver;
use crate::behave::socket;
use netshoot_host::netns::NetNs;
use netshoot_wire::dns::{Data, Message, Record, rcode, rtype};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use zone::{Answered, Zone};

/// How often objects are read again. The real one watches; a lab may be this much late.
const REFRESH: Duration = Duration::from_millis(100);
/// How long an upstream may take (CoreDNS `forward`: 5 s for all, 2 s a read).
const UPSTREAM: Duration = Duration::from_secs(2);
/// Connections of slow TCP clients are dropped after this.
const TCP_IDLE: Duration = Duration::from_secs(5);

/// Answers a query, or says who should.
type Answer = dyn Fn(&Message) -> Message + Send + Sync;

/// Serves, in the container of the cluster's DNS. `world` is a connection to the world's socket,
/// made before the container got a root of its own.
pub(crate) fn start(world: UnixStream, end: std::sync::mpsc::Sender<i32>) -> Result<(), String> {
    let corefile = std::fs::read_to_string("/etc/coredns/Corefile").unwrap_or_default();
    let own = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let upstream = upstreams(&corefile, &own);
    let mut source = Source {
        stream: BufReader::new(world),
    };
    let zone = Arc::new(RwLock::new(Arc::new(source.read()?)));
    let shared = zone.clone();
    let refresh = move || {
        loop {
            std::thread::sleep(REFRESH);
            match source.read() {
                Ok(z) => *shared.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(z),
                // The world is gone, and so is its API.
                Err(_) => {
                    let _ = end.send(1);
                    return;
                }
            }
        }
    };
    thread("dns-refresh", refresh)?;
    let answer = move |query: &Message| {
        let zone = zone.read().unwrap_or_else(PoisonError::into_inner).clone();
        from_zone(&zone, &upstream, query)
    };
    serve(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 53, Arc::new(answer))
}

/// Serves in the outside: a fixed table of names, NXDOMAIN for all others.
pub fn start_outside(
    outside: &NetNs,
    addresses: &[IpAddr],
    names: &BTreeMap<String, String>,
) -> Result<(), Error> {
    let table: BTreeMap<String, IpAddr> = names
        .iter()
        .filter_map(|(n, a)| Some((n.trim_end_matches('.').to_lowercase(), a.parse().ok()?)))
        .collect();
    let answer: Arc<Answer> = Arc::new(move |query: &Message| from_table(&table, query));
    for address in addresses {
        let answer = answer.clone();
        outside
            .enter(|| serve(*address, 53, answer))?
            .map_err(|what| Error::Absent { what })?;
    }
    Ok(())
}

/// Objects, over and over again on one connection.
struct Source {
    stream: BufReader<UnixStream>,
}

impl Source {
    fn read(&mut self) -> Result<Zone, String> {
        let kinds = ["Service", "EndpointSlice", "Namespace"];
        let ask = json!({"snapshot": {"kinds": kinds}});
        let lost = |e: std::io::Error| format!("read objects: {e}");
        self.stream
            .get_mut()
            .write_all(format!("{ask}\n").as_bytes())
            .map_err(lost)?;
        let mut line = String::new();
        if self.stream.read_line(&mut line).map_err(lost)? == 0 {
            return Err("read objects: the API is gone".into());
        }
        let told: Value = serde_json::from_str(&line).map_err(|e| format!("read objects: {e}"))?;
        let objects = told
            .get("objects")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        Ok(Zone::new(&objects, netshoot_host::clock::now_ms() / 1000))
    }
}

/// The servers that `forward .` names: addresses, or those of a resolv.conf.
fn upstreams(corefile: &str, resolv_conf: &str) -> Vec<SocketAddr> {
    let words = corefile
        .lines()
        .map(str::trim)
        .find_map(|l| l.strip_prefix("forward . "))
        .unwrap_or("/etc/resolv.conf");
    let named: Vec<SocketAddr> = words
        .split_ascii_whitespace()
        .filter_map(|w| {
            w.parse::<IpAddr>()
                .map(|a| SocketAddr::new(a, 53))
                .or_else(|_| w.parse())
                .ok()
        })
        .collect();
    if named.is_empty() {
        Resolver::from_text(resolv_conf).servers
    } else {
        named
    }
}

fn from_zone(zone: &Zone, upstream: &[SocketAddr], query: &Message) -> Message {
    let Some(question) = query.questions.first() else {
        return query.reply(rcode::FORMERR);
    };
    match zone.answer(&question.name, question.rtype) {
        Answered::Here(found) => {
            let mut reply = query.reply(found.rcode);
            reply.authoritative = true;
            reply.answers = found.answers;
            reply.authorities = found.authorities;
            reply.additional = found.additional;
            // A name of another zone behind a CNAME is looked up there, as CoreDNS does.
            if let Some(target) = found.chase {
                let more = forward(upstream, &Message::query(query.id, &target, question.rtype));
                reply.answers.extend(more.answers);
            }
            reply
        }
        Answered::Elsewhere => forward(upstream, query),
    }
}

fn forward(upstream: &[SocketAddr], query: &Message) -> Message {
    for server in upstream {
        if let Some(mut reply) = exchange(*server, query) {
            reply.id = query.id;
            return reply;
        }
    }
    query.reply(rcode::SERVFAIL)
}

fn exchange(server: SocketAddr, query: &Message) -> Option<Message> {
    let any: IpAddr = if server.is_ipv4() {
        [0, 0, 0, 0].into()
    } else {
        Ipv6Addr::UNSPECIFIED.into()
    };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect(server).ok()?;
    socket.set_read_timeout(Some(UPSTREAM)).ok()?;
    socket.send(&query.encode().ok()?).ok()?;
    let mut buffer = [0; 4096];
    let n = socket.recv(&mut buffer).ok()?;
    Message::decode(buffer.get(..n)?)
        .ok()
        .filter(|m| m.response && m.id == query.id)
}

fn from_table(table: &BTreeMap<String, IpAddr>, query: &Message) -> Message {
    let Some(question) = query.questions.first() else {
        return query.reply(rcode::FORMERR);
    };
    let found = table.get(&question.name.trim_end_matches('.').to_lowercase());
    let mut reply = query.reply(if found.is_some() {
        rcode::NOERROR
    } else {
        rcode::NXDOMAIN
    });
    reply.recursion_available = true;
    let data = match (found, question.rtype) {
        (Some(IpAddr::V4(a)), rtype::A) => Some(Data::A(*a)),
        (Some(IpAddr::V6(a)), rtype::AAAA) => Some(Data::Aaaa(*a)),
        _ => None,
    };
    reply
        .answers
        .extend(data.map(|d| Record::new(question.name.clone(), 300, d)));
    reply
}

/// Takes queries over UDP and TCP in the calling thread's namespace, on threads of its own.
fn serve(address: IpAddr, port: u16, answer: Arc<Answer>) -> Result<(), String> {
    let wrong = |e: std::io::Error| format!("listen on port {port}: {e}");
    let udp = Arc::new(socket::udp(address, port).map_err(wrong)?);
    let tcp = socket::tcp(address, port, 128).map_err(wrong)?;
    tcp.set_nonblocking(false).map_err(wrong)?;
    for _ in 0..4 {
        let (udp, answer) = (udp.clone(), answer.clone());
        thread("dns-udp", move || over_udp(&udp, answer.as_ref()))?;
    }
    thread("dns-tcp", move || over_tcp(&tcp, &answer))
}

fn thread(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), String> {
    let started = std::thread::Builder::new()
        .name(name.into())
        .stack_size(256 * 1024)
        .spawn(work);
    started
        .map(drop)
        .map_err(|e| format!("start thread {name}: {e}"))
}

fn over_udp(socket: &UdpSocket, answer: &Answer) {
    let mut buffer = [0; 4096];
    loop {
        let Ok((n, from)) = socket.recv_from(&mut buffer) else {
            continue;
        };
        let Some(Ok(query)) = buffer.get(..n).map(Message::decode) else {
            continue;
        };
        if query.response {
            continue;
        }
        if let Ok(bytes) = answer(&query).encode_within(query.udp_limit()) {
            drop(socket.send_to(&bytes, from));
        }
    }
}

fn over_tcp(listener: &TcpListener, answer: &Arc<Answer>) {
    for stream in listener.incoming().flatten() {
        let answer = answer.clone();
        drop(thread("dns-connection", move || {
            drop(converse(stream, answer.as_ref()))
        }));
    }
}

/// Messages with their length before them (RFC 1035, 4.2.2), until the client ends.
fn converse(mut stream: TcpStream, answer: &Answer) -> std::io::Result<()> {
    stream.set_read_timeout(Some(TCP_IDLE))?;
    loop {
        let mut length = [0; 2];
        stream.read_exact(&mut length)?;
        let mut bytes = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut bytes)?;
        let Ok(query) = Message::decode(&bytes) else {
            return Ok(());
        };
        let Ok(reply) = answer(&query).encode_within(usize::from(u16::MAX)) else {
            return Ok(());
        };
        let length = u16::try_from(reply.len()).unwrap_or(u16::MAX);
        stream.write_all(&[&length.to_be_bytes(), reply.as_slice()].concat())?;
    }
}
