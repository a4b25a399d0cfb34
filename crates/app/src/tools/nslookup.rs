//! `nslookup`: look up a name, once or in a conversation.

mod show;

use super::names::{self, Answer, Asking, Conf, Ended, Family, Server, Servfail};
use super::{Group, Tool};
use crate::io::Io;
use anyhow::Result;
use netshoot_host::dns::talk::Over;
use netshoot_wire::dns::{self, Message, rcode, rtype, type_number};
use std::ffi::{OsStr, OsString};
use std::io::{BufRead, IsTerminal};
use std::net::IpAddr;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

/// The tool.
pub const TOOL: Tool = Tool {
    name: "nslookup",
    stands_for: "BIND nslookup",
    group: Group::Names,
    tier: 1,
    about: "Look up a name or an address",
    about_zh: "查询域名或地址",
    page: include_str!("pages/nslookup.md"),
    cases: include_str!("cases/nslookup.txt"),
    run,
};

const USAGE: &str = "\
Usage:
   nslookup [-opt ...]             # interactive mode using default server
   nslookup [-opt ...] - server    # interactive mode using 'server'
   nslookup [-opt ...] host        # just look up 'host' using default server
   nslookup [-opt ...] host server # just look up 'host' using 'server'
";

/// What `set` sets.
struct State {
    conf: Conf,
    servers: Vec<Server>,
    named: bool,
    debug: bool,
    d2: bool,
    search: bool,
    recurse: bool,
    fail: bool,
    tcp: bool,
    timeout: u32,
    retry: u32,
    port: u16,
    ndots: u32,
    kind: String,
    kind_given: bool,
    class: String,
    domains: Vec<String>,
    json: bool,
    explain: bool,
    failed: bool,
    any_good: bool,
}

impl State {
    fn new() -> State {
        let conf = Conf::read();
        State {
            servers: conf.servers(Family::Any, 53),
            named: false,
            debug: false,
            d2: false,
            search: true,
            recurse: true,
            fail: false,
            tcp: false,
            timeout: 0,
            retry: conf.attempts.unwrap_or(3),
            port: 53,
            ndots: conf.base.ndots,
            kind: "A".into(),
            kind_given: false,
            class: "IN".into(),
            domains: conf.base.search.clone(),
            json: false,
            explain: false,
            failed: false,
            any_good: false,
            conf,
        }
    }

    fn code(&self) -> i32 {
        i32::from(self.failed || !self.any_good)
    }
}

/// A mistake after which the original goes no further: said already.
struct GivenUp;

/// What was set, and what is neither; else the exit code.
type Wanted = Result<std::result::Result<(State, Vec<String>), i32>>;

fn read(words: &[String], io: &mut Io<'_>) -> Wanted {
    let mut words = words.to_vec();
    let mut state = State::new();
    for (flag, on) in [
        ("--json", &mut state.json),
        ("--explain", &mut state.explain),
    ] {
        let before = words.len();
        words.retain(|w| w != flag);
        *on = words.len() != before;
    }
    super::take_lang(&mut words, io);
    let mut plain: Vec<String> = Vec::new();
    for word in words {
        match word.strip_prefix('-') {
            // Behind the name too; only its type is what it was when the name was read.
            Some(option) if !option.is_empty() => {
                if option.eq_ignore_ascii_case("version") {
                    writeln!(io.err, "nslookup {}", names::VERSION)?;
                    return Ok(Err(0));
                }
                let kind = state.kind.clone();
                set(&mut state, option, io)?;
                if plain.len() > 1 {
                    plain.push(word);
                } else if !plain.is_empty() {
                    state.kind = kind;
                }
            }
            Some(_) if plain.len() == 1 && plain != ["-"] => {}
            _ => plain.push(word),
        }
    }
    if plain.len() > 2 {
        io.err.write_all(USAGE.as_bytes())?;
        return Ok(Err(1));
    }
    Ok(Ok((state, plain)))
}

fn run(args: &[OsString], io: &mut Io<'_>) -> Result<i32> {
    let words = args.iter().map(|a| names::text(a));
    let (mut state, plain) = match read(&words.collect::<Vec<String>>(), io)? {
        Ok(read) => read,
        Err(code) => return Ok(code),
    };
    let plain: Vec<&str> = plain.iter().map(String::as_str).collect();
    let ended = match plain.as_slice() {
        [] => converse(&mut state, io)?,
        ["-"] => converse(&mut state, io)?,
        ["-", server] => match use_server(&mut state, server, io)? {
            Ok(()) => converse(&mut state, io)?,
            Err(GivenUp) => return Ok(1),
        },
        [name] => look_up(&mut state, name, io)?,
        [name, server] => match use_server(&mut state, server, io)? {
            Ok(()) => look_up(&mut state, name, io)?,
            Err(GivenUp) => return Ok(1),
        },
        // Said already.
        _ => return Ok(1),
    };
    if ended.is_err() {
        return Ok(1);
    }
    if !state.json {
        writeln!(io.out)?;
    }
    Ok(state.code())
}

fn use_server(state: &mut State, name: &str, io: &mut Io<'_>) -> Result<Result<(), GivenUp>> {
    match names::find_server(name, Family::Any, state.port) {
        Ok(servers) => {
            state.servers = servers;
            state.named = true;
            Ok(Ok(()))
        }
        Err(why) => {
            io.out.flush()?;
            writeln!(io.err, "nslookup: couldn't get address for '{name}': {why}")?;
            Ok(Err(GivenUp))
        }
    }
}

/// Reads commands until there are no more.
fn converse(state: &mut State, io: &mut Io<'_>) -> Result<Result<(), GivenUp>> {
    let stdin = std::io::stdin();
    let person = stdin.is_terminal();
    let mut lines = stdin.lock().split(b'\n');
    loop {
        if person {
            write!(io.out, "> ")?;
        }
        io.out.flush()?;
        let Some(line) = lines.next() else {
            break;
        };
        let line = line?;
        // As in C, a line ends at a NUL.
        let line = line.split(|b| *b == 0).next().unwrap_or_default();
        let line = names::text(OsStr::from_bytes(line));
        let mut words = line.split_ascii_whitespace();
        let Some(first) = words.next() else {
            continue;
        };
        let ended = match first.to_ascii_lowercase().as_str() {
            "exit" => break,
            "set" => match words.next() {
                Some(option) => {
                    set(state, option, io)?;
                    Ok(())
                }
                None => look_up(state, first, io)?,
            },
            "server" | "lserver" => {
                let ended = match words.next() {
                    Some(name) => use_server(state, name, io)?,
                    None => Ok(()),
                };
                if ended.is_ok() {
                    default_server(state, io)?;
                }
                ended
            }
            "help" | "?" => {
                writeln!(io.out, "The '{first}' command is not yet implemented.")?;
                Ok(())
            }
            "finger" | "ls" | "root" | "view" => {
                writeln!(io.out, "The '{first}' command is not implemented.")?;
                Ok(())
            }
            _ => look_up(state, first, io)?,
        };
        if ended.is_err() {
            return Ok(ended);
        }
    }
    Ok(Ok(()))
}

fn default_server(state: &State, io: &mut Io<'_>) -> Result<()> {
    for s in &state.servers {
        let at = std::net::SocketAddr::new(s.at.ip(), state.port);
        writeln!(
            io.out,
            "Default server: {}\nAddress: {}",
            s.shown,
            names::hash_port(at)
        )?;
    }
    Ok(())
}

/// The keyword with its abbreviations: all letters of `whole` up to a point, at least `least`.
fn keyword(given: &str, least: usize, whole: &str) -> bool {
    given.len() >= least && whole.starts_with(given)
}

fn set(state: &mut State, option: &str, io: &mut Io<'_>) -> Result<()> {
    let (word, value) = match option.split_once('=') {
        Some((word, value)) => (word.to_ascii_lowercase(), Some(value)),
        None => (option.to_ascii_lowercase(), None),
    };
    if let Some(value) = value {
        return assign(state, option, &word, value, io);
    }
    let (no, bare) = match word.strip_prefix("no") {
        Some(bare) => (true, bare),
        None => (false, word.as_str()),
    };
    let on = !no;
    match bare {
        "all" if on => all_options(state, io)?,
        b if keyword(b, 3, "debug") => state.debug = on,
        "d2" => state.d2 = on,
        b if keyword(b, 3, "search") => state.search = on,
        b if keyword(b, 3, "recurse") => state.recurse = on,
        "vc" => state.tcp = on,
        "fail" => state.fail = on,
        b if keyword(b, 3, "defname") => state.search = on,
        "aa" | "ignoretc" | "sil" => {}
        _ => writeln!(io.out, "*** Invalid option: {option}")?,
    }
    Ok(())
}

fn assign(state: &mut State, option: &str, word: &str, value: &str, io: &mut Io<'_>) -> Result<()> {
    match word {
        w if keyword(w, 2, "class") => match dns::class_number(value) {
            Some(_) => state.class = value.into(),
            None => writeln!(io.out, "unknown query class: {value}")?,
        },
        w if keyword(w, 1, "querytype") || keyword(w, 1, "query") || keyword(w, 2, "type") => {
            match type_number(value) {
                Some(_) => (state.kind, state.kind_given) = (value.into(), true),
                None => writeln!(io.out, "unknown query type: {value}")?,
            }
        }
        w if keyword(w, 2, "domain") => state.domains = vec![value.trim_matches('.').into()],
        w if keyword(w, 2, "port") => {
            if let Some(n) = names::number(io, value, 65535, "port")? {
                state.port = u16::try_from(n).unwrap_or(53);
            }
        }
        w if keyword(w, 1, "timeout") => {
            if let Some(n) = names::number(io, value, u64::from(u32::MAX), "timeout")? {
                state.timeout = u32::try_from(n).unwrap_or(u32::MAX);
            }
        }
        w if keyword(w, 3, "retry") => {
            if let Some(n) = names::number(io, value, u64::from(u32::MAX), "tries")? {
                state.retry = u32::try_from(n).unwrap_or(u32::MAX);
            }
        }
        w if keyword(w, 2, "ndots") => {
            if let Some(n) = names::number(io, value, 128, "ndots")? {
                state.ndots = u32::try_from(n).unwrap_or(1);
            }
        }
        _ => writeln!(io.out, "*** Invalid option: {option}")?,
    }
    Ok(())
}

fn all_options(state: &State, io: &mut Io<'_>) -> Result<()> {
    default_server(state, io)?;
    let no = |on: bool, word: &str| format!("{}{word}", if on { "" } else { "no" });
    let (vc, debug, d2) = (
        no(state.tcp, "vc"),
        no(state.debug, "debug"),
        no(state.d2, "d2"),
    );
    let (search, recurse) = (no(state.search, "search"), no(state.recurse, "recurse"));
    writeln!(io.out, "\nSet options:\n  {vc}\t\t\t{debug}\t\t{d2}")?;
    writeln!(io.out, "  {search}\t\t{recurse}")?;
    let (timeout, retry) = (state.timeout, state.retry);
    writeln!(
        io.out,
        "  timeout = {timeout}\t\tretry = {retry}\tport = {}\tndots = {}",
        state.port, state.ndots
    )?;
    writeln!(
        io.out,
        "  querytype = {:<8}\tclass = {}",
        state.kind, state.class
    )?;
    writeln!(io.out, "  srchlist = {}", state.domains.join("/"))?;
    Ok(())
}

fn query(state: &State, name: &str, kind: u16) -> Message {
    let mut q = Message::query(netshoot_host::sockets::random_u16(), name, kind);
    q.edns = None;
    q.recursion_desired = state.recurse && kind != rtype::AXFR;
    if let (Some(first), Some(class)) = (q.questions.first_mut(), dns::class_number(&state.class)) {
        first.class = class;
    }
    q
}

fn asking(state: &State, kind: u16) -> Asking {
    let seconds = match (state.timeout, state.conf.timeout) {
        (0, Some(own)) => own,
        (0, None) => 5,
        (given, _) => given,
    };
    let streams = [rtype::ANY, rtype::AXFR, rtype::IXFR];
    Asking {
        tries: state.retry.max(1),
        timeout: Duration::from_secs(seconds.max(1).into()),
        over: if state.tcp || streams.contains(&kind) {
            Over::Tcp
        } else {
            Over::Udp
        },
        source: None,
        ignore_truncation: false,
        hush: false,
        key: None,
        servfail: if state.fail {
            Servfail::Keep
        } else {
            Servfail::SayNext
        },
    }
}

fn look_up(state: &mut State, typed: &str, io: &mut Io<'_>) -> Result<Result<(), GivenUp>> {
    let address = typed.parse::<IpAddr>().ok();
    let both = !state.kind_given && address.is_none();
    let kind = match address {
        Some(_) => rtype::PTR,
        None => type_number(&state.kind).unwrap_or(rtype::A),
    };
    let name = address.map_or_else(|| typed.to_string(), |a| format!("{}.", names::reverse(a)));
    if let Some(why) = names::name_is_wrong(&name) {
        io.out.flush()?;
        writeln!(
            io.err,
            "nslookup: '{typed}' is not in legal name syntax ({why})"
        )?;
        return Ok(Err(GivenUp));
    }
    let search: &[String] = if state.search { &state.domains } else { &[] };
    let tried = names::candidates(&name, search, state.ndots);
    for (n, candidate) in tried.iter().enumerate() {
        let last = n + 1 == tried.len();
        let Some(answer) = one(state, candidate, kind, typed, io)? else {
            return Ok(Ok(()));
        };
        let missing = answer.message.rcode == rcode::NXDOMAIN;
        if missing && !last && !state.debug {
            continue;
        }
        if state.json {
            state.any_good |= answer.message.rcode == 0;
            state.failed |= answer.message.rcode != 0;
            writeln!(io.out, "{:#}", names::json(&answer))?;
        } else {
            let short = address.is_some() && !state.kind_given;
            show::answer(state, &answer, typed, short, both, io)?;
        }
        if missing && !last {
            continue;
        }
        let mut good = answer;
        if both && good.message.rcode == rcode::NOERROR {
            good = second(state, good, typed, io)?;
        }
        if state.explain {
            names::explain(io, typed, Some(&good))?;
        }
        return Ok(Ok(()));
    }
    Ok(Ok(()))
}

/// Asks one name; nothing where nobody answered, which has been said.
fn one(
    state: &mut State,
    name: &str,
    kind: u16,
    typed: &str,
    io: &mut Io<'_>,
) -> Result<Option<Box<Answer>>> {
    let how = asking(state, kind);
    let mut servers = state.servers.clone();
    servers.iter_mut().for_each(|s| s.at.set_port(state.port));
    let q = query(state, name, kind);
    let (ended, told) = names::told(state.json, &q, io, |io| {
        if kind == rtype::AXFR || kind == rtype::IXFR {
            super::zone::transfer(io, &how, &servers, &q, typed)
        } else {
            names::ask(io, &how, &servers, &q, typed)
        }
    })?;
    match ended {
        Ended::Answered(answer) => {
            let own = !state.named && servers.len() > 1 && !state.fail;
            if own && state.recurse && !state.json && !answer.message.recursion_available {
                let from = answer.server.at.ip();
                writeln!(io.out, ";; Got recursion not available from {from}")?;
            }
            return Ok(Some(answer));
        }
        Ended::Silent if !told => writeln!(io.out, ";; no servers could be reached")?,
        Ended::Silent | Ended::Unsent | Ended::Untrusted => {}
    }
    if state.explain {
        names::explain(io, typed, None)?;
    }
    Ok(None)
}

/// IPv6 addresses of the name at the end of the aliases.
fn second(
    state: &mut State,
    first: Box<Answer>,
    typed: &str,
    io: &mut Io<'_>,
) -> Result<Box<Answer>> {
    let asked = first
        .message
        .questions
        .first()
        .map(|q| q.name.clone())
        .unwrap_or_default();
    let name = show::end_of_aliases(&first.message, &asked);
    let nothing = !first.message.answers.iter().any(|r| r.rtype == rtype::A);
    let answer = one(state, &name, rtype::AAAA, typed, io)?;
    let Some(answer) = answer else {
        return Ok(first);
    };
    if state.json {
        writeln!(io.out, "{:#}", names::json(&answer))?;
    } else {
        show::further(state, &answer, typed, nothing, io)?;
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_command_lines_are_refused_or_read() {
        let seeds = [
            "-type=mx -port=53 -timeout=1 -retry=2 -nodebug web.shop.test 127.0.0.1",
            "-class=ch -domain=shop.test -srchlist=a/b/c -novc -norecurse -q=any - ::1",
        ];
        crate::fuzz::command_lines(&seeds, 1_000, read);
    }
}
