//! The cluster DNS: answers as CoreDNS does for these objects. A stand-in until the real one runs
//! beside it, lean and alone here.
//!
//! Reading order: [`corefile`] (what it is told), [`zone`] (a name and the objects give an answer;
//! pure), [`chain`] (a query passes the plugins), then the servers below: one in the containers of
//! the cluster's DNS, one in the outside.

pub mod chain;
pub mod corefile;
#[cfg(test)]
mod fuzz;
pub mod zone;

#[cfg(test)]
mod tests;

use crate::Error;
use crate::behave::say;
use crate::shape;
use chain::{Chain, Kept, Over};
use netshoot_host::listening as socket;
use netshoot_host::netns::NetNs;
use netshoot_wire::dns::{Data, Message, Record, rcode, rtype};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv6Addr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use zone::Zone;

/// How often objects are read again. The real one watches; a lab may be this much late.
const REFRESH: Duration = Duration::from_millis(100);
/// Connections of slow TCP clients are dropped after this.
const TCP_IDLE: Duration = Duration::from_secs(5);

/// Answers a query that came over UDP or TCP.
type Answer = dyn Fn(&Message, Over) -> Message + Send + Sync;

/// Serves, in the container of the cluster's DNS. `world` is a connection to the world's socket,
/// made before the container got a root of its own.
pub(crate) fn start(world: UnixStream, end: std::sync::mpsc::Sender<i32>) -> Result<(), String> {
    let mut source = Source {
        stream: BufReader::new(world),
        corefile: std::fs::read_to_string("/etc/coredns/Corefile")
            .map_err(|e| format!("open /etc/coredns/Corefile: {e}"))?,
        config_map: None,
        resolv_conf: std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default(),
        refused: String::new(),
    };
    let first = source.read()?;
    let ports: BTreeSet<u16> = first.blocks.iter().map(|(b, _)| b.port).collect();
    for (block, _) in &first.blocks {
        for zone in &block.zones {
            say(format_args!("{zone}.:{}", block.port));
        }
    }
    say("CoreDNS-1.15.0");
    let (chain, kept) = (
        Arc::new(RwLock::new(Arc::new(first))),
        Arc::new(Kept::default()),
    );
    for port in ports {
        let (chain, kept) = (chain.clone(), kept.clone());
        let answer = move |query: &Message, over: Over| {
            let now = chain.read().unwrap_or_else(PoisonError::into_inner).clone();
            now.answer(query, over, port, &kept)
        };
        serve(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port, Arc::new(answer))?;
    }
    let (of_loop, ending) = (chain.clone(), end.clone());
    thread("dns-loop", move || {
        let now = of_loop
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if now.look_for_loop(&kept) {
            say("[FATAL] plugin/loop: Loop detected for zone \".\"");
            let _ = ending.send(1);
        }
    })?;
    thread("dns-refresh", move || {
        loop {
            std::thread::sleep(REFRESH);
            match source.read() {
                Ok(read) => {
                    *chain.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(read);
                }
                // The world is gone, and so is its API.
                Err(_) => {
                    let _ = end.send(1);
                    return;
                }
            }
        }
    })
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
    let answer: Arc<Answer> = Arc::new(move |query: &Message, _| from_table(&table, query));
    for address in addresses {
        let answer = answer.clone();
        outside
            .enter(|| serve(*address, 53, answer))?
            .map_err(|what| Error::Absent { what })?;
    }
    Ok(())
}

/// Objects, over and over again on one connection, and what the Corefile makes of them.
struct Source {
    stream: BufReader<UnixStream>,
    corefile: String,
    /// The ConfigMap that the Corefile came from: namespace and name.
    config_map: Option<(String, String)>,
    resolv_conf: String,
    /// A changed Corefile that did not parse, so that it is complained about once.
    refused: String,
}

impl Source {
    fn read(&mut self) -> Result<Chain, String> {
        let objects = self.objects()?;
        self.reload(&objects);
        let blocks = corefile::parse(&self.corefile, &self.resolv_conf)?;
        let now = netshoot_host::clock::now_ms() / 1000;
        let with_zone = |block: corefile::Block| {
            let zone = block
                .kubernetes
                .as_ref()
                .map(|k| Zone::new(&objects, k, now));
            (block, zone)
        };
        Ok(Chain {
            blocks: blocks.into_iter().map(with_zone).collect(),
        })
    }

    fn objects(&mut self) -> Result<Vec<Value>, String> {
        let mut kinds = vec!["Service", "EndpointSlice", "Namespace", "ConfigMap"];
        if self.corefile.contains("verified") {
            kinds.push("Pod");
        }
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
        let objects = told.get("objects").and_then(Value::as_array);
        Ok(objects.cloned().unwrap_or_default())
    }

    /// Takes over a changed Corefile, as the `reload` plugin does once the kubelet has written the
    /// volume anew; one that does not parse is refused, and the old one goes on.
    fn reload(&mut self, objects: &[Value]) {
        let file = |o: &Value| shape::text(o, "data.Corefile").to_string();
        let maps = || objects.iter().filter(|o| shape::kind(o) == "ConfigMap");
        let named = |o: &Value| (shape::namespace(o).to_string(), shape::name(o).to_string());
        if self.config_map.is_none() {
            self.config_map = maps().find(|o| file(o) == self.corefile).map(named);
        }
        let own = maps().find(|o| Some(named(o)) == self.config_map);
        let Some(changed) = own.map(file).filter(|f| *f != self.corefile) else {
            return;
        };
        let reloads = corefile::parse(&self.corefile, &self.resolv_conf)
            .is_ok_and(|blocks| blocks.iter().any(|b| b.reload));
        if !reloads || changed == self.refused {
            return;
        }
        match corefile::parse(&changed, &self.resolv_conf) {
            Ok(_) => {
                say("[INFO] Reloading complete");
                self.corefile = changed;
            }
            Err(why) => {
                say(format_args!("[ERROR] Restart failed: {why}"));
                say("[ERROR] plugin/reload: Corefile changed but reload failed");
                self.refused = changed;
            }
        }
    }
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

/// Queries over UDP that are answered at the same time. One for a silent upstream keeps its thread for
/// seconds, and must keep nobody else waiting.
const AT_ONCE: usize = 48;

/// Takes queries over UDP and TCP in the calling thread's namespace, on threads of its own.
fn serve(address: IpAddr, port: u16, answer: Arc<Answer>) -> Result<(), String> {
    let wrong = |e: std::io::Error| format!("listen on port {port}: {e}");
    let udp = Arc::new(socket::udp(address, port).map_err(wrong)?);
    let tcp = socket::tcp(address, port, 128).map_err(wrong)?;
    tcp.set_nonblocking(false).map_err(wrong)?;
    for _ in 0..AT_ONCE {
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
        let bytes = chain::fit(&answer(&query, Over::Udp), query.udp_limit());
        drop(socket.send_to(&bytes, from));
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
        let reply = chain::fit(&answer(&query, Over::Tcp), usize::from(u16::MAX));
        let length = u16::try_from(reply.len()).unwrap_or(u16::MAX);
        stream.write_all(&[&length.to_be_bytes(), reply.as_slice()].concat())?;
    }
}
