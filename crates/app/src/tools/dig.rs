//! `dig`: ask name servers and show what they say.

mod key;
mod options;
mod show;
mod trace;
mod why;
mod yaml;

use super::names::{self, Answer, Asking, Conf, Ended, Family, Server, Servfail};
use super::{Group, Tool, master};
use crate::io::Io;
use anyhow::Result;
use netshoot_host::dns::talk::Over;
use netshoot_wire::dns::{self, Edns, Message, Question, rcode, rtype};
use options::Lookup;
pub use options::reverse;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::time::Duration;

/// The tool.
pub const TOOL: Tool = Tool {
    name: "dig",
    stands_for: "BIND dig",
    group: Group::Names,
    tier: 1,
    about: "Ask name servers and show their whole answers",
    about_zh: "查询域名服务器并显示完整应答",
    page: include_str!("pages/dig.md"),
    cases: include_str!("cases/dig.txt"),
    run,
};

const HELP: &str = include_str!("dig/help.txt");
const USAGE: &str = "\
Usage:  dig [@global-server] [domain] [q-type] [q-class] {q-opt}
            {global-d-opt} host [@local-server] {local-d-opt}
            [ host [@local-server] {local-d-opt} [...]]

Use \"dig -h\" (or \"dig -h | more\") for complete list of options
";
/// Nobody answered.
const NO_REPLY: i32 = 9;

/// What holds for the whole run.
pub struct Run {
    conf: Conf,
    family: Family,
    source: Option<SocketAddr>,
    micro: bool,
    printcmd: bool,
    /// The greeting of this command line, until it is printed.
    greeting: Option<String>,
    /// The line of global options has been printed.
    told: bool,
    cookie: [u8; 8],
    json: bool,
    explain: bool,
    /// Some lookup asks for short answers: then all are.
    short: bool,
    /// A `-t` or `-c` stood on the command line: bare words behind it are names.
    bare_names: bool,
    code: i32,
    signing: key::Signing,
}

impl Run {
    fn new() -> Run {
        let mut cookie = [0u8; 8];
        for pair in cookie.chunks_mut(2) {
            pair.copy_from_slice(&netshoot_host::sockets::random_u16().to_be_bytes());
        }
        Run {
            conf: Conf::read(),
            family: Family::Any,
            source: None,
            micro: false,
            printcmd: true,
            greeting: None,
            told: false,
            cookie,
            json: false,
            explain: false,
            short: false,
            bare_names: false,
            code: 0,
            signing: key::Signing::Not,
        }
    }

    /// The greeting, once for each command line.
    fn greet(&mut self, io: &mut Io<'_>) -> Result<()> {
        let Some(greeting) = self.greeting.take().filter(|_| self.printcmd) else {
            return Ok(());
        };
        write!(io.out, "{greeting}")?;
        if !self.told {
            writeln!(io.out, ";; global options: +cmd")?;
            self.told = true;
        }
        Ok(())
    }
}

/// Why the command line ends here: the exit code; what there was to say has been said.
pub struct Stop(i32);

fn run(args: &[OsString], io: &mut Io<'_>) -> Result<i32> {
    let mut words: Vec<String> = args.iter().map(|a| names::text(a)).collect();
    super::take_lang(&mut words, io);
    let mut run = Run::new();
    for (flag, on) in [("--json", &mut run.json), ("--explain", &mut run.explain)] {
        let before = words.len();
        words.retain(|w| w != flag);
        *on = words.len() != before;
    }
    if let Some(at) = words.iter().position(|w| w == "--why") {
        words.remove(at);
        return why::run(&run.conf, &words, io);
    }
    let mut default = Lookup::default();
    let own_rc = (!words.iter().any(|w| w == "-r"))
        .then(|| std::env::var_os("HOME"))
        .flatten()
        .and_then(|home| std::fs::read_to_string(std::path::Path::new(&home).join(".digrc")).ok());
    for line in own_rc.iter().flat_map(|t| t.lines()) {
        let words: Vec<String> = line.split_whitespace().map(String::from).collect();
        if let Err(Stop(code)) = options::read(&words, &mut default, &mut run, io, false)? {
            return Ok(code);
        }
    }
    let parsed = match options::read(&words, &mut default, &mut run, io, true)? {
        Ok(parsed) => parsed,
        Err(Stop(code)) => return Ok(code),
    };
    if let Some(file) = parsed.batch {
        // What else stands on the command line comes first.
        if !parsed.lookups.is_empty() {
            one_line(&words, parsed.lookups, &default, &mut run, io)?;
        }
        return batch(&file, &default, &mut run, io);
    }
    let lookups = or_root(parsed.lookups, &default);
    one_line(&words, lookups, &default, &mut run, io)
}

/// Nothing asked for: the servers of the root.
fn or_root(mut lookups: Vec<Lookup>, default: &Lookup) -> Vec<Lookup> {
    if lookups.is_empty() {
        lookups.push(Lookup {
            name: ".".into(),
            kind: rtype::NS,
            ..default.clone()
        });
    }
    lookups
}

fn batch(file: &str, default: &Lookup, run: &mut Run, io: &mut Io<'_>) -> Result<i32> {
    let text = if file == "-" {
        std::io::read_to_string(std::io::stdin())
    } else {
        std::fs::read_to_string(file)
    };
    let text = match text {
        Ok(text) => text,
        Err(e) => {
            let why = e.to_string();
            let why = why.split(" (os error").next().unwrap_or_default();
            writeln!(
                io.err,
                "{file}: {why}\ndig: couldn't open specified batch file"
            )?;
            return Ok(8);
        }
    };
    for line in text.lines() {
        let words: Vec<String> = line.split_whitespace().map(String::from).collect();
        let mut own = default.clone();
        match options::read(&words, &mut own, run, io, true)? {
            Ok(parsed) => {
                one_line(&words, or_root(parsed.lookups, &own), &own, run, io)?;
            }
            Err(Stop(code)) => return Ok(code),
        }
    }
    Ok(run.code)
}

/// All lookups of a command line.
fn one_line(
    words: &[String],
    lookups: Vec<Lookup>,
    default: &Lookup,
    run: &mut Run,
    io: &mut Io<'_>,
) -> Result<i32> {
    let typed: String = words.iter().map(|w| format!(" {w}")).collect();
    let found = match default.servers.as_ref().map(Vec::len) {
        Some(1) => "; (1 server found)\n".to_string(),
        Some(n) => format!("; ({n} servers found)\n"),
        None => String::new(),
    };
    if let Err(Stop(code)) = key::make(run, io)? {
        return Ok(code);
    }
    run.greeting = Some(format!(
        "\n; <<>> DiG {} <<>>{typed}\n{found}",
        names::VERSION
    ));
    for lookup in &lookups {
        if let Some(why) = names::name_is_wrong(&lookup.name) {
            io.out.flush()?;
            writeln!(io.err, "dig: '{}' is not a legal name ({why})", lookup.name)?;
            return Ok(10);
        }
        if let Some(why) = lookup.guard_fault() {
            writeln!(io.out, ";; {why}")?;
            continue;
        }
        if lookup.trace {
            trace::run(lookup, run, io)?;
        } else if lookup.nssearch {
            trace::servers_of_zone(lookup, run, io)?;
        } else {
            look_up(lookup, run, io)?;
        }
        io.out.flush()?;
    }
    Ok(run.code)
}

/// The query of a lookup for one name.
pub fn query(l: &Lookup, name: &str, run: &Run) -> Message {
    let id = l.qid.unwrap_or_else(netshoot_host::sockets::random_u16);
    let question = Question {
        name: name.trim_end_matches('.').to_string(),
        rtype: l.kind,
        class: l.class,
    };
    let transfer = l.kind == rtype::AXFR || l.kind == rtype::IXFR;
    let mut m = Message {
        id,
        opcode: l.opcode,
        recursion_desired: l.recurse && !transfer && l.opcode == 0,
        authentic: l.ad && !transfer,
        checking_disabled: l.cd,
        authoritative: l.aa,
        truncated: l.tc,
        recursion_available: l.ra,
        reserved: l.z,
        ..Message::default()
    };
    if !l.header_only {
        m.questions.push(question);
    }
    if let (rtype::IXFR, Some(serial)) = (l.kind, l.serial) {
        let soa = dns::Soa {
            serial,
            ..dns::Soa::default()
        };
        m.authorities.push(dns::Record::new(
            name.trim_end_matches('.'),
            0,
            dns::Data::Soa(soa),
        ));
    }
    if let Some(version) = l.edns {
        let mut options = Vec::new();
        if l.nsid {
            options.push((3, vec![]));
        }
        if let Some(subnet) = &l.subnet {
            options.push((8, subnet.clone()));
        }
        match &l.cookie {
            Some(own) if own.is_empty() => options.push((10, run.cookie.to_vec())),
            Some(own) => options.push((10, own.clone())),
            None => {}
        }
        if l.keepalive {
            options.push((11, vec![]));
        }
        if l.expire {
            options.push((9, vec![]));
        }
        options.extend(l.more.iter().cloned());
        m.edns = Some(Edns {
            udp_size: l.bufsize,
            version,
            dnssec_ok: l.dnssec,
            flags: l.ednsflags & 0x7fff,
            options,
        });
        pad(&mut m, usize::from(l.padding));
    }
    m
}

/// Fills the query up to a multiple of so many bytes (RFC 7830).
fn pad(m: &mut Message, block: usize) {
    let now = m.encode().map_or(0, |b| b.len());
    if block == 0 || now == 0 {
        return;
    }
    let fill = (block - (now + 4) % block) % block;
    if let Some(e) = &mut m.edns {
        e.options.push((12, vec![0; fill]));
    }
}

/// How a lookup asks.
pub fn asking(l: &Lookup, run: &Run) -> Asking {
    let streams = [rtype::ANY, rtype::AXFR, rtype::IXFR];
    let tcp = l.tcp.unwrap_or(streams.contains(&l.kind));
    Asking {
        tries: l.tries.or(run.conf.attempts).unwrap_or(3),
        timeout: Duration::from_secs(l.timeout.or(run.conf.timeout).unwrap_or(5).max(1).into()),
        over: l.over(tcp),
        source: run.source,
        ignore_truncation: l.ignore,
        hush: l.yaml,
        key: None,
        servfail: if l.fail {
            Servfail::Keep
        } else {
            Servfail::SayNext
        },
    }
}

/// Whom a lookup asks.
pub fn servers(l: &Lookup, run: &Run) -> Vec<Server> {
    let port = l.port.unwrap_or(match l.over(false) {
        Over::Tls(_) => 853,
        Over::Https(..) => 443,
        Over::Http(_) => 80,
        Over::Udp | Over::Tcp => 53,
    });
    let mut all = match &l.servers {
        Some(own) => own.clone(),
        None => run.conf.servers(run.family, port),
    };
    all.iter_mut().for_each(|s| s.at.set_port(port));
    all
}

fn look_up(l: &Lookup, run: &mut Run, io: &mut Io<'_>) -> Result<()> {
    let search: Vec<String> = match (&l.domain, l.search) {
        (Some(own), _) => vec![own.clone()],
        (None, true) => run.conf.base.search.clone(),
        (None, false) => vec![],
    };
    let ndots = l.ndots.unwrap_or(run.conf.base.ndots);
    let tried = names::candidates(&l.name, &search, ndots);
    let greeting = run.greeting.clone();
    for (n, name) in tried.iter().enumerate() {
        let Some(answer) = ask(l, name, run, io)? else {
            return Ok(());
        };
        if answer.message.rcode == rcode::NXDOMAIN && n + 1 < tried.len() {
            if l.showsearch {
                show::answer(l, &answer, run, io)?;
                run.greeting.clone_from(&greeting);
                run.told = false;
            }
            continue;
        }
        return show::answer(l, &answer, run, io);
    }
    Ok(())
}

/// Asks one name; nothing where nobody answered, which has been said.
fn ask(l: &Lookup, name: &str, run: &mut Run, io: &mut Io<'_>) -> Result<Option<Box<Answer>>> {
    let (mut how, servers) = (asking(l, run), servers(l, run));
    let mut plain = query(l, name, run);
    let streams = !matches!(how.over, Over::Http(_) | Over::Https(..));
    for _ in 0..2 {
        let mut q = plain.clone();
        how.key = key::sign(run, &mut q)?;
        if l.qr && !run.json {
            show::sending(l, &q, &servers, run, io)?;
        }
        let (ended, told) = names::told(run.json, &q, io, |io| {
            if l.transfers() && streams {
                super::zone::transfer(io, &how, &servers, &q, &l.name)
            } else {
                names::ask(io, &how, &servers, &q, &l.name)
            }
        })?;
        let answer = match ended {
            Ended::Answered(answer) => answer,
            Ended::Untrusted => return Ok(None),
            ended => {
                run.code = run.code.max(NO_REPLY);
                if matches!(ended, Ended::Silent) && !told {
                    if l.yaml {
                        writeln!(
                            io.out,
                            "- type: DIG_ERROR\n  message: |\n    no servers could be reached"
                        )?;
                    } else {
                        run.greet(io)?;
                        writeln!(io.out, ";; no servers could be reached")?;
                    }
                }
                if run.explain {
                    names::explain(io, name, None)?;
                }
                return Ok(None);
            }
        };
        let offered = answer.message.edns.as_ref().map(|e| e.version);
        if let (16, Some(version), Some(own)) = (answer.message.rcode, offered, &mut plain.edns)
            && l.negotiate
            && version < own.version
        {
            writeln!(io.out, ";; BADVERS, retrying with EDNS version {version}.")?;
            own.version = version;
            continue;
        }
        return Ok(Some(answer));
    }
    Ok(None)
}
