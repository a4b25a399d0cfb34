//! `drill`: ask a name server the way of ldns, with what DNSSEC needs.

mod chase;
mod descent;
mod page;
mod trace;

use super::getopt::{self, Order, Word};
use super::names::{self, Conf, Family, Server};
use super::{Group, Tool};
use crate::io::Io;
use anyhow::Result;
use netshoot_host::dns::talk::{Failed, Over, Reply, Route, exchange};
use netshoot_wire::dns::{self, Edns, Message, Record, rtype};
use page::{data, line, page};
use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// The tool.
pub const TOOL: Tool = Tool {
    name: "drill",
    stands_for: "ldns drill",
    group: Group::Names,
    tier: 1,
    about: "Ask a name server, with what DNSSEC needs",
    about_zh: "查询域名服务器，支持 DNSSEC",
    page: include_str!("pages/drill.md"),
    cases: include_str!("cases/drill.txt"),
    run,
};

const HELP: &str = include_str!("drill/help.txt");
/// Tries, and patience for each: those of ldns.
const TRIES: u32 = 3;
const PATIENCE: Duration = Duration::from_secs(5);

struct Wish {
    name: String,
    kind: Option<u16>,
    class: u16,
    server: Option<String>,
    conf: Conf,
    family: Family,
    port: u16,
    source: Option<SocketAddr>,
    tcp: bool,
    dnssec: bool,
    trace: bool,
    quiet: bool,
    verbose: i32,
    reverse: bool,
    fallback: bool,
    show_ds: bool,
    size: Option<u16>,
    nsid: bool,
    bits: Vec<String>,
    hints: Option<String>,
    chase: bool,
    keys: Option<String>,
    json: bool,
    explain: bool,
}

/// The exit code of a run that ends early; it has been said.
struct Stop(i32);
type Said<T> = Result<std::result::Result<T, Stop>>;

fn stop<T>(io: &mut Io<'_>, says: &str) -> Said<T> {
    io.out.flush()?;
    writeln!(io.err, "{says}")?;
    Ok(Err(Stop(1)))
}

fn run(args: &[OsString], io: &mut Io<'_>) -> Result<i32> {
    let mut words: Vec<String> = args
        .iter()
        .map(|a| a.to_string_lossy().into_owned())
        .collect();
    super::take_lang(&mut words, io);
    let wish = match read(&words, io)? {
        Ok(wish) => wish,
        Err(Stop(code)) => return Ok(code),
    };
    let ended = tell(&wish, io)?;
    Ok(match ended {
        Ok(()) => 0,
        Err(Stop(code)) => code,
    })
}

fn tell(w: &Wish, io: &mut Io<'_>) -> Said<()> {
    if w.trace && w.chase {
        return stop(io, "-T and -S cannot be used at the same time.");
    }
    if w.trace && w.dnssec {
        return match chase::trusted(w, io)? {
            Ok(keys) => descent::run(w, &keys, io),
            Err(e) => Ok(Err(e)),
        };
    }
    if w.trace {
        return trace::run(w, io);
    }
    if !w.chase && w.keys.is_none() {
        return once(w, &[], io);
    }
    let keys = match chase::trusted(w, io)? {
        Ok(keys) => keys,
        Err(e) => return Ok(Err(e)),
    };
    match keys.len() {
        0 => writeln!(
            io.out,
            ";; No trusted keys were given. Will not be able to verify authenticity!"
        )?,
        n => writeln!(io.out, ";; Number of trusted keys: {n}")?,
    }
    match w.chase {
        true => chase::run(w, &keys, io),
        false => once(w, &keys, io),
    }
}

fn read(words: &[String], io: &mut Io<'_>) -> Said<Wish> {
    let mut w = Wish {
        name: String::new(),
        kind: None,
        class: dns::CLASS_IN,
        server: None,
        conf: Conf::read(),
        family: Family::Any,
        port: 53,
        source: None,
        tcp: false,
        dnssec: false,
        trace: false,
        quiet: false,
        verbose: 2,
        reverse: false,
        fallback: false,
        show_ds: false,
        size: None,
        nsid: false,
        bits: vec![],
        hints: None,
        chase: false,
        keys: None,
        json: false,
        explain: false,
    };
    let mut rest = Vec::new();
    for word in words {
        match word.as_str() {
            "--json" => w.json = true,
            "--explain" => w.explain = true,
            _ => rest.push(OsString::from(word)),
        }
    }
    let mut named = false;
    for word in getopt::read(
        &rest,
        "46ab:c:d:DI:f:hi:k:o:p:q:Qr:sStTuvV:w:xy:z",
        &[],
        Order::Anywhere,
    ) {
        match word {
            Err(e) => {
                writeln!(io.err, "drill: {e}")?;
                return stop(io, "Unknown argument: -?, use -h to see usage");
            }
            Ok(Word::Option(letter, value)) => {
                let value = value
                    .map(|v| v.to_string_lossy().into_owned())
                    .unwrap_or_default();
                if let Err(e) = option(letter, value, &mut w, io)? {
                    return Ok(Err(e));
                }
            }
            Ok(Word::Operand(o)) => {
                let o = o.to_string_lossy().into_owned();
                if let Some(server) = o.strip_prefix('@') {
                    w.server = Some(server.to_string());
                } else if o == "+nsid" {
                    w.nsid = true;
                } else if let Some(kind) = dns::type_number(&o).filter(|_| w.kind.is_none()) {
                    w.kind = Some(kind);
                } else if let Some(class) = dns::class_number(&o) {
                    w.class = class;
                } else {
                    (w.name, named) = (o, true);
                }
            }
        }
    }
    if !named {
        w.kind = w.kind.or(Some(rtype::NS));
        w.name = ".".into();
    }
    Ok(Ok(w))
}

fn option(letter: char, value: String, w: &mut Wish, io: &mut Io<'_>) -> Said<()> {
    match letter {
        '4' => w.family = Family::V4,
        '6' => w.family = Family::V6,
        'a' => w.fallback = true,
        'b' => match value.parse() {
            Ok(n) => w.size = Some(n),
            Err(_) => return stop(io, "Error: <bufsize> could not be converted"),
        },
        'c' => {
            let Ok(text) = std::fs::read_to_string(&value) else {
                writeln!(
                    io.err,
                    "Warning: Could not create a resolver structure: Could not open the files ({value})"
                )?;
                return stop(
                    io,
                    "Try drill @localhost if you have a resolver running on your machine.",
                );
            };
            w.conf = Conf::parse(&text);
        }
        'D' => w.dnssec = true,
        'I' => match value.parse::<IpAddr>() {
            Ok(ip) => w.source = Some(SocketAddr::new(ip, 0)),
            Err(_) => return stop(io, "Error: -I must be a valid IP[v6] address."),
        },
        'h' => {
            io.out.write_all(HELP.as_bytes())?;
            return Ok(Err(Stop(0)));
        }
        'v' => {
            writeln!(io.out, "drill version {}", names::VERSION)?;
            return Ok(Err(Stop(0)));
        }
        'o' => w.bits.push(value),
        'p' => match value.parse::<u16>() {
            Ok(n) if n > 0 => w.port = n,
            _ => return stop(io, "Error: <port> could not be converted"),
        },
        'Q' => w.quiet = true,
        'r' => w.hints = Some(value),
        's' => w.show_ds = true,
        't' => w.tcp = true,
        'S' => (w.chase, w.dnssec) = (true, true),
        'k' => (w.keys, w.dnssec) = (Some(value), true),
        'T' => w.trace = true,
        'u' => w.tcp = false,
        'V' => match value.parse::<u8>() {
            Ok(n) => w.verbose = n.into(),
            Err(_) => return stop(io, "-V expects an number as an argument."),
        },
        'x' => w.reverse = true,
        'z' => {}
        _ => return stop(io, &format!("drill: -{letter} is not here yet")),
    }
    Ok(Ok(()))
}

fn query(w: &Wish, name: &str, kind: u16) -> Message {
    let mut q = Message::query(netshoot_host::sockets::random_u16(), name, kind);
    q.edns = (w.dnssec || w.nsid || w.size.is_some()).then(|| Edns {
        udp_size: w.size.unwrap_or(4096),
        dnssec_ok: w.dnssec,
        options: if w.nsid { vec![(3, vec![])] } else { vec![] },
        ..Edns::default()
    });
    q.checking_disabled = w.chase;
    if let Some(first) = q.questions.first_mut() {
        first.class = w.class;
    }
    for word in &w.bits {
        let on = word.chars().all(|c| c.is_ascii_uppercase());
        match word.to_ascii_uppercase().as_str() {
            "AA" => q.authoritative = on,
            "TC" => q.truncated = on,
            "RD" => q.recursion_desired = on,
            "CD" => q.checking_disabled = on,
            "RA" => q.recursion_available = on,
            "AD" => q.authentic = on,
            "QR" => q.response = on,
            _ => {}
        }
    }
    q
}

fn servers(w: &Wish, io: &mut Io<'_>) -> Said<Vec<Server>> {
    let Some(name) = &w.server else {
        let mut own = w.conf.servers(Family::Any, w.port);
        own.retain(|s| w.family.takes(s.at.ip()));
        return Ok(Ok(own));
    };
    match names::find_server(name, Family::Any, w.port) {
        Ok(mut found) => {
            found.retain(|s| w.family.takes(s.at.ip()));
            Ok(Ok(found))
        }
        Err(_) => stop(
            io,
            &format!("Error: could not find any address for the name: `{name}'"),
        ),
    }
}

/// Asks until somebody answers; the error in ldns's words.
fn ask(
    w: &Wish,
    servers: &[Server],
    q: &Message,
    tcp: bool,
) -> Result<(Reply, Message, Server), &'static str> {
    if servers.is_empty() {
        return Err("No (valid) nameservers defined in the resolver");
    }
    let mut why = "Could not send or receive, because of network error";
    for _ in 0..TRIES {
        for server in servers {
            let route = Route {
                server: server.at,
                source: w.source,
                timeout: PATIENCE,
            };
            let over = if tcp { Over::Tcp } else { Over::Udp };
            match exchange(&route, &over, q) {
                Ok(reply) => match Message::decode(&reply.bytes) {
                    Ok(message) => return Ok((reply, message, server.clone())),
                    Err(_) => return Err("General LDNS error"),
                },
                Err(Failed::Setup(_)) if tcp => why = "General LDNS error",
                Err(Failed::Setup(_)) => return Err("Error creating socket"),
                // ldns waits for its timeouts here; a closed port says all there is to say.
                Err(Failed::Reply(e)) if e.kind() == std::io::ErrorKind::ConnectionRefused => {
                    return Err(why);
                }
                Err(Failed::Reply(_)) => {}
            }
        }
    }
    Err(why)
}

fn once(w: &Wish, keys: &[Record], io: &mut Io<'_>) -> Said<()> {
    let servers = match servers(w, io)? {
        Ok(servers) => servers,
        Err(e) => return Ok(Err(e)),
    };
    let mut name = w.name.clone();
    let mut kind = w.kind.unwrap_or(rtype::A);
    if w.reverse {
        let Ok(address) = name.parse::<IpAddr>() else {
            let what = if name.contains(':') { "IPv6" } else { "IPv4" };
            return stop(
                io,
                &format!("Error: Syntax error: cannot parse {what} address\n"),
            );
        };
        name = names::reverse(address);
        kind = w.kind.unwrap_or(rtype::PTR);
    }
    if names::name_is_wrong(&name).is_some() {
        return stop(io, "Error: error in making qname");
    }
    let q = query(w, &name, kind);
    if kind == rtype::AXFR {
        return transfer(w, &servers, &q, io);
    }
    if w.verbose >= 5 && !w.quiet {
        let shown = Message { id: 0, ..q.clone() };
        page(w, &shown, None, io)?;
    }
    let mut ended = ask(w, &servers, &q, w.tcp);
    if w.fallback && ended.as_ref().is_ok_and(|(_, m, _)| m.truncated) {
        let mut larger = q.clone();
        larger.edns = Some(Edns {
            udp_size: 4096,
            dnssec_ok: w.dnssec,
            ..Edns::default()
        });
        ended = ask(w, &servers, &larger, w.tcp);
        if ended.as_ref().is_ok_and(|(_, m, _)| m.truncated) {
            ended = ask(w, &servers, &q, true);
        }
    }
    let (reply, message, server) = match ended {
        Ok(found) => found,
        Err(why) => {
            if w.json {
                writeln!(io.out, "{:#}", names::failure(&q, why, &[]))?;
            }
            return stop(io, &format!("Error: error sending query: {why}"));
        }
    };
    if w.json || w.explain {
        let over = if w.tcp { Over::Tcp } else { Over::Udp };
        let a = names::Answer {
            query: q,
            message: message.clone(),
            reply: reply.clone(),
            server: server.clone(),
            over,
            messages: 1,
            unsigned: false,
        };
        if w.json {
            writeln!(io.out, "{:#}", names::json(&a))?;
            return Ok(Ok(()));
        }
        page(w, &message, Some((&reply, &server)), io)?;
        names::explain(io, &name, Some(&a))?;
        return Ok(Ok(()));
    }
    if w.quiet {
        for r in &message.answers {
            writeln!(io.out, "{}", data(r, false))?;
        }
        return Ok(Ok(()));
    }
    page(w, &message, Some((&reply, &server)), io)?;
    if !keys.is_empty() {
        return chase::check(w, keys, &message, io);
    }
    Ok(Ok(()))
}

fn transfer(w: &Wish, servers: &[Server], q: &Message, io: &mut Io<'_>) -> Said<()> {
    let how = names::Asking {
        tries: 1,
        timeout: PATIENCE,
        over: Over::Tcp,
        source: w.source,
        ignore_truncation: true,
        hush: false,
        key: None,
        servfail: names::Servfail::Keep,
    };
    let mut plain = q.clone();
    plain.recursion_desired = false;
    match super::zone::transfer(io, &how, servers, &plain, &w.name)? {
        names::Ended::Answered(a) if a.message.rcode == 0 => {
            for r in &a.message.answers {
                writeln!(io.out, "{}", line(r))?;
            }
            Ok(Ok(()))
        }
        _ => {
            writeln!(io.err, "AXFR failed.")?;
            Ok(Ok(()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_command_lines_are_refused_or_read() {
        let seeds = [
            "-D -V 5 -p 53 -b 4096 web.shop.test mx in @127.0.0.1 +nsid",
            "-x -o RD -I 127.0.0.1 192.0.2.1",
        ];
        crate::fuzz::command_lines(&seeds, 3_000, read);
    }
}
