//! What the tools that ask name servers share: servers and resolv.conf, the tries, the words for what went wrong.

mod machine;

use crate::io::Io;
use anyhow::Result;
use netshoot_host::dns::talk::{Failed, Over, Reply, Route, Untrusted, exchange};
use netshoot_host::dns::tsig::Key;
use netshoot_host::resolv;
use netshoot_model::probe::ResolvConf;
use netshoot_wire::dns::{Message, rcode};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

pub use machine::{failure, json, told};

/// Where resolver libraries find their servers.
pub const RESOLV_CONF: &str = "/etc/resolv.conf";
/// What the originals call themselves; ours in its place.
pub const VERSION: &str = concat!("netshoot-", env!("CARGO_PKG_VERSION"));

/// resolv.conf, with the options that only some libraries heed.
#[derive(Clone, Debug, Default)]
pub struct Conf {
    /// Servers, search list, ndots.
    pub base: ResolvConf,
    /// `options timeout:`, seconds.
    pub timeout: Option<u32>,
    /// `options attempts:`.
    pub attempts: Option<u32>,
}

impl Conf {
    /// Of this machine; empty where there is none.
    pub fn read() -> Conf {
        Conf::parse(&std::fs::read_to_string(RESOLV_CONF).unwrap_or_default())
    }

    /// Of a text.
    pub fn parse(text: &str) -> Conf {
        let option = |name: &str| {
            let lines = text
                .lines()
                .filter(|l| l.trim_start().starts_with("options"));
            let words = lines.flat_map(str::split_ascii_whitespace);
            words
                .filter_map(|w| w.strip_prefix(name)?.parse().ok())
                .next_back()
        };
        Conf {
            base: resolv::parse(text),
            timeout: option("timeout:"),
            attempts: option("attempts:"),
        }
    }

    /// The servers of one family or of both; the machine itself where there is none.
    pub fn servers(&self, family: Family, port: u16) -> Vec<Server> {
        let own = self.base.nameservers.iter().filter(|a| family.takes(**a));
        let mut all: Vec<IpAddr> = own.copied().collect();
        if all.is_empty() {
            let local = [
                IpAddr::V4(Ipv4Addr::LOCALHOST),
                IpAddr::V6(Ipv6Addr::LOCALHOST),
            ];
            all.extend(local.iter().filter(|a| family.takes(**a)));
        }
        let shown = |a: IpAddr| Server {
            at: SocketAddr::new(a, port),
            shown: a.to_string(),
        };
        all.into_iter().map(shown).collect()
    }
}

/// Which transport addresses may be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Family {
    /// Both.
    #[default]
    Any,
    /// IPv4 only.
    V4,
    /// IPv6 only.
    V6,
}

impl Family {
    /// Whether this address is of it.
    pub fn takes(self, address: IpAddr) -> bool {
        match self {
            Family::Any => true,
            Family::V4 => address.is_ipv4(),
            Family::V6 => address.is_ipv6(),
        }
    }
}

/// A server as it was named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Where it is.
    pub at: SocketAddr,
    /// As it was typed.
    pub shown: String,
}

/// `ADDRESS#PORT`.
pub fn hash_port(at: SocketAddr) -> String {
    format!("{}#{}", at.ip(), at.port())
}

/// The addresses of a server by its name or address; the error in BIND's words.
pub fn find_server(name: &str, family: Family, port: u16) -> Result<Vec<Server>, String> {
    let shown = name.to_string();
    if let Ok(address) = name.parse::<IpAddr>() {
        if !family.takes(address) {
            return Err("address family not supported".into());
        }
        return Ok(vec![Server {
            at: SocketAddr::new(address, port),
            shown,
        }]);
    }
    let found = if name.is_empty() || name.contains('#') {
        vec![]
    } else {
        (name, port)
            .to_socket_addrs()
            .map(Iterator::collect)
            .unwrap_or_default()
    };
    let mut servers: Vec<Server> = Vec::new();
    for at in found {
        let server = Server {
            at,
            shown: shown.clone(),
        };
        if family.takes(at.ip()) && !servers.contains(&server) {
            servers.push(server);
        }
    }
    if servers.is_empty() {
        let zoned = name.contains('%');
        return Err(if zoned { "failure" } else { "not found" }.into());
    }
    Ok(servers)
}

/// How patiently to ask.
#[derive(Clone, Debug)]
pub struct Asking {
    /// Tries at the first server; the others get one.
    pub tries: u32,
    /// Patience for each.
    pub timeout: Duration,
    /// How.
    pub over: Over,
    /// Own address.
    pub source: Option<SocketAddr>,
    /// A truncated reply is good enough.
    pub ignore_truncation: bool,
    /// What to do with SERVFAIL.
    pub servfail: Servfail,
    /// Nothing is said of tries that failed.
    pub hush: bool,
    /// What signed the query, and the signature: the answer must be signed as well.
    pub key: Option<(Key, Vec<u8>)>,
}

/// What to do with SERVFAIL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Servfail {
    /// It is an answer.
    Keep,
    /// Go to the next server.
    Next,
    /// Go to the next server and say so.
    SayNext,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// What was asked.
    pub query: Message,
    /// What came back.
    pub message: Message,
    /// As it came, and when.
    pub reply: Reply,
    /// Who answered.
    pub server: Server,
    /// How it came.
    pub over: Over,
    /// In how many messages.
    pub messages: usize,
    /// It should have been signed and is not, or not well.
    pub unsigned: bool,
}

/// How the asking ended.
pub enum Ended {
    /// With an answer.
    Answered(Box<Answer>),
    /// Nothing could be sent; it has been said.
    Unsent,
    /// Nobody answered.
    Silent,
    /// The server's certificate did not verify; it has been said.
    Untrusted,
}

/// Says that a server's certificate did not verify, where that is what went wrong.
pub fn untrusted(io: &mut Io<'_>, server: &Server, e: &io::Error) -> Result<bool> {
    let Some(why) = e.get_ref().and_then(|e| e.downcast_ref::<Untrusted>()) else {
        return Ok(false);
    };
    let at = hash_port(server.at);
    writeln!(
        io.out,
        ";; TLS peer certificate verification for {at} failed: {why}"
    )?;
    Ok(true)
}

/// The error in BIND's words.
pub fn words(e: &io::Error) -> String {
    let text = match (e.raw_os_error(), e.kind()) {
        (Some(libc::ECONNREFUSED), _) => "connection refused",
        (Some(libc::ENETUNREACH), _) => "network unreachable",
        (Some(libc::EHOSTUNREACH), _) => "host unreachable",
        (Some(libc::EADDRNOTAVAIL), _) => "address not available",
        (Some(libc::EADDRINUSE), _) => "address in use",
        (Some(libc::ECONNRESET), _) => "connection reset",
        (Some(libc::EPERM | libc::EACCES), _) => "permission denied",
        (Some(libc::ETIMEDOUT), _) | (None, io::ErrorKind::TimedOut) => "timed out",
        (None, io::ErrorKind::UnexpectedEof) => "end of file",
        (Some(libc::EAFNOSUPPORT), _) => "address family not supported",
        (Some(libc::EINVAL), _) => "invalid file",
        _ if e.get_ref().is_some_and(|e| e.is::<rustls::Error>()) => "TLS error",
        _ => return e.to_string(),
    };
    text.into()
}

/// Asks the servers in turn and says on standard output what went wrong on the way, as BIND's tools do.
pub fn ask(
    io: &mut Io<'_>,
    how: &Asking,
    servers: &[Server],
    query: &Message,
    typed: &str,
) -> Result<Ended> {
    let mut ended = Ended::Silent;
    'servers: for (n, server) in servers.iter().enumerate() {
        let last = n + 1 == servers.len();
        let mut left = if n == 0 { how.tries.max(1) } else { 1 };
        let mut over = how.over.clone();
        while left > 0 {
            left -= 1;
            let route = Route {
                server: server.at,
                source: how.source,
                timeout: how.timeout,
            };
            let reply = match exchange(&route, &over, query) {
                Ok(reply) => reply,
                Err(Failed::Setup(e)) if untrusted(io, server, &e)? => {
                    return Ok(Ended::Untrusted);
                }
                Err(Failed::Setup(e)) => {
                    let what = if over == Over::Udp {
                        "UDP setup with"
                    } else {
                        "Connection to"
                    };
                    let (at, why) = (hash_port(server.at), words(&e));
                    let shown = &server.shown;
                    writeln!(io.out, ";; {what} {at}({shown}) for {typed} failed: {why}.")?;
                    writeln!(io.out, ";; no servers could be reached")?;
                    ended = Ended::Unsent;
                    continue;
                }
                Err(Failed::Reply(e)) => {
                    if !how.hush {
                        let at = hash_port(server.at);
                        writeln!(io.out, ";; communications error to {at}: {}", words(&e))?;
                        io.out.flush()?;
                    }
                    ended = Ended::Silent;
                    continue;
                }
            };
            let message = match Message::decode(&reply.bytes) {
                Ok(message) => message,
                Err(_) => {
                    writeln!(io.out, ";; Got bad packet: FORMERR")?;
                    dump(io, &reply.bytes)?;
                    ended = Ended::Unsent;
                    continue 'servers;
                }
            };
            let fault = how.key.as_ref().and_then(|(key, mac)| {
                let verified = key.verify(&reply.bytes, mac, false);
                verified.err()
            });
            if let Some(fault) = fault {
                let why = fault.words();
                writeln!(io.out, ";; Couldn't verify signature: {why}")?;
            }
            if message.truncated && over == Over::Udp && !how.ignore_truncation {
                writeln!(io.out, ";; Truncated, retrying in TCP mode.")?;
                over = Over::Tcp;
                left = left.max(1);
                continue;
            }
            if message.rcode == rcode::SERVFAIL && how.servfail != Servfail::Keep {
                let next = if last { "" } else { ", trying next server" };
                if how.servfail == Servfail::SayNext {
                    let from = server.at.ip();
                    writeln!(io.out, ";; Got SERVFAIL reply from {from}{next}")?;
                }
                if !last {
                    continue 'servers;
                }
            }
            return Ok(Ended::Answered(Box::new(Answer {
                query: query.clone(),
                message,
                reply,
                server: server.clone(),
                over,
                messages: 1,
                unsigned: fault.is_some(),
            })));
        }
    }
    Ok(ended)
}

/// Why a server gave no message.
pub enum Step {
    /// Nothing came, or could be sent.
    Io(io::Error),
    /// What came is no answer to this.
    Garbled,
}

/// Whether a message answers this question.
pub fn answers(query: &Message, message: &Message) -> bool {
    let same = query.questions.iter().zip(&message.questions);
    let mut same = same.map(|(a, b)| a.rtype == b.rtype && a.name.eq_ignore_ascii_case(&b.name));
    message.response && same.all(|s| s)
}

/// Bytes that are no message, as dig shows them.
pub fn dump(io: &mut Io<'_>, bytes: &[u8]) -> Result<()> {
    writeln!(io.out, "{} bytes", bytes.len())?;
    for line in bytes.chunks(16) {
        let hex: Vec<String> = line.iter().map(|b| format!("{b:02x}")).collect();
        let text: String = line
            .iter()
            .map(|b| {
                if (0x20..0x7f).contains(b) {
                    char::from(*b)
                } else {
                    '.'
                }
            })
            .collect();
        writeln!(io.out, "{:<48} {text}", hex.join(" "))?;
    }
    Ok(())
}

/// The names that BIND's tools try: a name with enough dots only as it stands, else with each of
/// the search list behind it and as it stands at the end.
pub fn candidates(name: &str, search: &[String], ndots: u32) -> Vec<String> {
    if let Some(whole) = name.strip_suffix('.') {
        return vec![whole.to_string()];
    }
    let dots = name.matches('.').count();
    let mut all = Vec::new();
    if dots < ndots as usize {
        all.extend(search.iter().map(|s| format!("{name}.{s}")));
    }
    all.push(name.to_string());
    all
}

/// The name under which the name of an address stands: `1.2.0.192.in-addr.arpa`.
pub fn reverse(address: IpAddr) -> String {
    match address {
        IpAddr::V4(a) => {
            let [a, b, c, d] = a.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        IpAddr::V6(a) => {
            let nibbles = a.octets().into_iter().rev();
            let text: String = nibbles
                .map(|b| format!("{:x}.{:x}.", b & 0xf, b >> 4))
                .collect();
            format!("{text}ip6.arpa")
        }
    }
}

/// What is wrong with a name, in BIND's words; nothing for a good one.
pub fn name_is_wrong(name: &str) -> Option<&'static str> {
    let bare = name.strip_suffix('.').unwrap_or(name);
    if name.is_empty() || ends_in_an_escape(name) {
        return Some("unexpected end of input");
    }
    if !bare.is_empty() && bare.split('.').any(str::is_empty) {
        return Some("empty label");
    }
    if netshoot_wire::dns::encode_name(name, &mut Vec::new()).is_ok() {
        return None;
    }
    Some(if bare.split('.').any(|l| l.len() > 63) {
        "label too long"
    } else if bare.len() > 253 {
        "ran out of space"
    } else {
        "bad escape"
    })
}

/// A backslash at its end lacks its character, or some of its three digits.
fn ends_in_an_escape(name: &str) -> bool {
    let mut rest = name.chars();
    while let Some(c) = rest.next() {
        let first = match c {
            '\\' => rest.next(),
            _ => continue,
        };
        if first.is_none_or(|c| c.is_ascii_digit() && (rest.next(), rest.next()).1.is_none()) {
            return true;
        }
    }
    false
}

/// An argument as text: of bytes that are none, the escapes that stand for them in names.
pub fn text(argument: &std::ffi::OsStr) -> String {
    let chunks = argument.as_bytes().utf8_chunks();
    let each = chunks.map(|c| {
        let odd: String = c.invalid().iter().map(|b| format!("\\{b:03}")).collect();
        c.valid().to_string() + &odd
    });
    each.collect()
}

/// A number of an option; the error in BIND's words, which go to standard output.
pub fn number(io: &mut Io<'_>, text: &str, max: u64, what: &str) -> Result<Option<u64>> {
    let why = match text.parse::<u64>() {
        Ok(n) if n <= max => return Ok(Some(n)),
        Ok(_) => "out of range",
        Err(_) => "not a valid number",
    };
    writeln!(io.out, "invalid {what} '{text}': {why}")?;
    Ok(None)
}

/// `UDP`, `TCP`, `TLS`, `HTTPS`.
pub fn over_word(over: &Over) -> &'static str {
    match over {
        Over::Udp => "UDP",
        Over::Tcp => "TCP",
        Over::Tls(_) => "TLS",
        Over::Https(_, http) if http.get => "HTTPS-GET",
        Over::Https(..) => "HTTPS",
        Over::Http(http) if http.get => "HTTP-GET",
        Over::Http(_) => "HTTP",
    }
}

/// The flags of a message that are set, in their order on the wire.
pub fn flags(m: &Message) -> Vec<&'static str> {
    let all = [
        (m.response, "qr"),
        (m.authoritative, "aa"),
        (m.truncated, "tc"),
        (m.recursion_desired, "rd"),
        (m.recursion_available, "ra"),
        (m.authentic, "ad"),
        (m.checking_disabled, "cd"),
    ];
    all.into_iter()
        .filter(|(set, _)| *set)
        .map(|(_, word)| word)
        .collect()
}

/// What a result means for names in a cluster, two or three lines.
pub fn explain(io: &mut Io<'_>, name: &str, answer: Option<&Answer>) -> Result<()> {
    let inside =
        name.trim_end_matches('.').contains("svc") || !name.trim_end_matches('.').contains('.');
    let p = |en: &'static str, zh: &'static str| io.lang.pick(en, zh);
    let lines: Vec<&str> = match answer.map(|a| (&a.message, a.message.rcode)) {
        None => vec![
            p(
                "No server answered: in a pod that is the address of the kube-dns Service, so look at its endpoints, at policies that block port 53, and at kube-proxy",
                "没有服务器应答：在 Pod 中这是 kube-dns Service 的地址，请检查其端点、封锁 53 端口的网络策略以及 kube-proxy",
            ),
            p(
                "Next: dig --why NAME shows each server of resolv.conf; nc -zv ADDRESS 53 tries TCP",
                "下一步：dig --why NAME 逐个显示 resolv.conf 中的服务器；nc -zv ADDRESS 53 尝试 TCP",
            ),
        ],
        Some((_, rcode::NXDOMAIN)) if inside => vec![
            p(
                "NXDOMAIN for a name of the cluster: there is no Service of that name in that namespace",
                "集群内名称返回 NXDOMAIN：该命名空间中没有这个名称的 Service",
            ),
            p(
                "A short name is looked for in the pod's own namespace only: write NAME.NAMESPACE",
                "短名称只在 Pod 自己的命名空间中查找：请写成 NAME.NAMESPACE",
            ),
        ],
        Some((_, rcode::NXDOMAIN)) => vec![p(
            "NXDOMAIN: the servers work, the name does not exist",
            "NXDOMAIN：服务器正常，但名称不存在",
        )],
        Some((_, rcode::SERVFAIL)) => vec![p(
            "SERVFAIL: the server got no usable answer itself: look at CoreDNS's log and at its upstream servers",
            "SERVFAIL：服务器自身未得到可用的应答：请查看 CoreDNS 日志及其上游服务器",
        )],
        Some((_, rcode::REFUSED)) => vec![p(
            "REFUSED: the server is there and does not serve this name to you",
            "REFUSED：服务器存在，但不为您提供该名称的解析",
        )],
        Some((m, _)) if m.answers.is_empty() => vec![p(
            "The name exists and has no record of this type; a headless Service without ready pods looks like this too",
            "名称存在但没有该类型的记录；没有就绪 Pod 的 headless Service 也是如此",
        )],
        Some(_) => vec![p(
            "The name resolves: if connections fail, it is not DNS; try nc -zv with the address and the port",
            "名称解析正常：若连接失败，问题不在 DNS；请用 nc -zv 测试该地址与端口",
        )],
    };
    for line in lines {
        writeln!(io.out, ";; {line}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_tried_as_bind_tries_them() {
        let search = ["a.b".to_string(), "b".to_string()];
        for (name, ndots, wanted) in [
            ("web", 1, "web.a.b web.b web"),
            ("web.x", 1, "web.x"),
            ("web.x", 5, "web.x.a.b web.x.b web.x"),
            ("web.", 5, "web"),
        ] {
            assert_eq!(candidates(name, &search, ndots).join(" "), wanted);
        }
    }

    #[test]
    fn reverse_names_and_bad_names() {
        assert_eq!(reverse([192, 0, 2, 1].into()), "1.2.0.192.in-addr.arpa");
        let six = reverse("2001:db8::80".parse().unwrap());
        assert!(
            six.starts_with("0.8.0.0.") && six.ends_with(".8.b.d.0.1.0.0.2.ip6.arpa"),
            "{six}"
        );
        assert_eq!(name_is_wrong("a..b"), Some("empty label"));
        assert_eq!(name_is_wrong(&"x".repeat(64)), Some("label too long"));
        assert_eq!(name_is_wrong("a.b."), None);
    }

    #[test]
    fn damaged_settings_are_read_as_far_as_they_go() {
        let seed = "search a.b\nnameserver 10.0.0.1\noptions ndots:5 timeout:2 attempts:4\n";
        netshoot_wire::fuzz::texts(&[seed], 5_000, |text| {
            let conf = Conf::parse(text);
            assert!(!conf.servers(Family::Any, 53).is_empty(), "{text:?}");
        });
    }

    #[test]
    fn options_of_resolv_conf() {
        let conf = Conf::parse("nameserver 10.0.0.1\noptions ndots:5 timeout:2 attempts:4\n");
        assert_eq!(
            (conf.timeout, conf.attempts, conf.base.ndots),
            (Some(2), Some(4), 5)
        );
        let six = conf.servers(Family::V6, 53);
        assert_eq!(six.first().map(|s| s.shown.as_str()), Some("::1"));
    }
}
