//! `openssl s_client`: a handshake, what was presented, and a line through it.

mod line;
mod shown;

use shown::{as_json, explain, show};

use super::text::{self, NameStyle};
use super::{names, starttls, x509};
use crate::io::{Io, Lang};
use anyhow::Result;
use netshoot_host::names::{self as lookup, Hints};
use netshoot_host::secure::{self, Client, Own, Seen, Wish};
use netshoot_host::sockets::{self, Deadline};
use netshoot_host::tcp::{self, Connection};
use netshoot_wire::x509::Certificate;
use rustls::pki_types::CertificateDer;
use rustls::{CertificateError, ProtocolVersion, SignatureScheme};
use serde_json::json;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;
use std::sync::Arc;

/// Patience for the connection and the handshake, milliseconds.
const PATIENCE_MS: u32 = 60_000;

const ALONE: &[&str] = &[
    "showcerts",
    "brief",
    "quiet",
    "ign_eof",
    "no_ign_eof",
    "verify_return_error",
    "tls1_2",
    "tls1_3",
    "no_tls1_2",
    "no_tls1_3",
    "noservername",
    "crlf",
    "4",
    "6",
    "json",
    "explain",
    "help",
    "no-CApath",
    "no-CAfile",
    "no-CAstore",
    "prexit",
    "status",
    "verify_quiet",
    "nocommands",
];
const VALUED: &[&str] = &[
    "connect",
    "host",
    "port",
    "servername",
    "alpn",
    "CAfile",
    "cert",
    "key",
    "starttls",
    "xmpphost",
    "name",
    "verify_hostname",
    "verify_ip",
    "verify",
    "bind",
    "lang",
    "nameopt",
];
const REFUSED: &[&str] = &[
    "ssl3",
    "tls1",
    "tls1_1",
    "dtls",
    "dtls1_2",
    "cipher",
    "ciphersuites",
    "sess_in",
    "sess_out",
    "reconnect",
    "psk",
    "proxy",
    "msg",
    "debug",
    "state",
    "CApath",
    "keylogfile",
];

const HELP: &str = "\
Usage: openssl s_client -connect HOST:PORT [-servername NAME | -noservername] [-4 | -6]
  -CAfile FILE -cert FILE -key FILE -verify_return_error -verify_hostname NAME -verify_ip ADDRESS
  -tls1_2 -tls1_3 -alpn LIST -starttls smtp|lmtp|imap|pop3|ftp|nntp|sieve|postgres|mysql
  |xmpp|xmpp-server|irc|ldap [-name NAME]
  -showcerts -brief -quiet -ign_eof -crlf --json --explain
";

/// What was asked for.
struct Plan<'a> {
    options: Vec<(&'a str, &'a str)>,
}

impl Plan<'_> {
    fn value(&self, name: &str) -> Option<&str> {
        self.options.iter().rev().find(|o| o.0 == name).map(|o| o.1)
    }

    fn has(&self, name: &str) -> bool {
        self.value(name).is_some()
    }
}

/// What is wrong with a chain, in OpenSSL's numbers and words (x509_vfy.h), and at which depth.
type Verdict = Option<(u32, &'static str, usize)>;

/// Does it. Gives the exit code.
pub fn run(words: &[String], io: &mut Io<'_>) -> Result<i32> {
    let refused = |w: &&String| w.strip_prefix('-').is_some_and(|n| REFUSED.contains(&n));
    if let Some(word) = words.iter().find(refused) {
        writeln!(
            io.err,
            "s_client: {word} is not taken: handshakes here are rustls's, TLS 1.2 and 1.3 with its cipher suites"
        )?;
        return Ok(1);
    }
    let (words, target) = match words.split_last() {
        Some((last, before)) if line::is_target(before, last) => (before, Some(last.as_str())),
        _ => (words, None),
    };
    let plan = match super::options("s_client", words, ALONE, VALUED) {
        Ok(options) => Plan { options },
        Err(why) => {
            writeln!(io.err, "{why}")?;
            return Ok(1);
        }
    };
    if let Some(lang) = plan.value("lang") {
        io.lang = crate::io::choose_lang(Some(lang));
    }
    if plan.has("help") {
        write!(io.out, "{HELP}")?;
        return Ok(0);
    }
    if let Some(why) = line::wrong(&plan, target) {
        writeln!(io.err, "{why}")?;
        return Ok(1);
    }
    let done = talk(&plan, target, io)?;
    match done {
        Ok(code) => Ok(code),
        Err(why) => {
            if plan.has("json") {
                writeln!(io.out, "{:#}", json!({ "error": why }))?;
            }
            writeln!(io.err, "{why}")?;
            Ok(1)
        }
    }
}

fn talk(plan: &Plan<'_>, target: Option<&str>, io: &mut Io<'_>) -> Result<Result<i32, String>> {
    let asked = target.or(plan.value("connect")).unwrap_or("localhost:4433");
    let (host, port) = match (plan.value("host"), plan.value("port")) {
        (Some(host), port) => (host, port.unwrap_or("4433")),
        (None, Some(port)) => (line::place(asked).0, port),
        _ => line::place(asked),
    };
    let wish = match wish(plan) {
        Ok(wish) => wish,
        Err(why) => return Ok(Err(why)),
    };
    let mut connection = match connect(plan, host, port) {
        Ok(connection) => connection,
        Err(why) => {
            explain(plan, None, io)?;
            return Ok(Err(why));
        }
    };
    if !plan.has("brief") && !plan.has("quiet") && !plan.has("json") {
        // Where the original has it: in front of what the handshake brings to light.
        writeln!(io.out, "CONNECTED(00000003)")?;
        io.out.flush()?;
    }
    let mut last = String::new();
    if let Some(protocol) = plan.value("starttls") {
        let usual = match protocol.starts_with("xmpp") {
            true => host,
            false => "mail.example.com",
        };
        let name = plan.value("name").or(plan.value("xmpphost"));
        let name = name.unwrap_or(usual);
        match starttls::begin(protocol, name, &mut connection) {
            Err(why) => return Ok(Err(why)),
            Ok(begun) => {
                if !begun.offered {
                    let said = "Didn't find STARTTLS in server response, trying anyway...";
                    writeln!(io.err, "{said}")?;
                }
                last = begun.last;
            }
        }
    }
    let name = server_name(plan, host);
    let mut client = match Client::new(
        &Wish {
            nameless: name.is_none(),
            ..wish
        },
        name.unwrap_or(if host.is_empty() { "localhost" } else { host }),
    ) {
        Ok(client) => client,
        Err(why) => return Ok(Err(format!("s_client: {why}"))),
    };
    let shaken = client.shake(&mut connection);
    let seen = client.seen();
    let verdict = judged(plan, &seen);
    let strict = plan.has("verify_return_error");
    told_by_depth(plan, &seen, verdict, strict, io)?;
    if strict && verdict.is_some() {
        explain(plan, verdict, io)?;
        return Ok(Err("error:0A000086:SSL routines:tls_post_process_server_certificate:certificate verify failed:".into()));
    }
    if let Err(e) = shaken {
        explain(plan, Some((1, "", 0)), io)?;
        let why = secure::words(&e);
        return Ok(Err(format!(
            "error: TLS handshake with {host}:{port}: {}",
            crate::report::safe(&why)
        )));
    }
    if plan.has("json") {
        writeln!(io.out, "{:#}", as_json(&client, &seen, verdict))?;
        return Ok(Ok(0));
    }
    show(plan, &client, &seen, verdict, io)?;
    if !last.is_empty() {
        // Its line end is the server's own.
        write!(io.err, "{}\r\n", crate::report::safe(&last))?;
    }
    explain(plan, verdict, io)?;
    relay(plan, &mut client, &mut connection, io)?;
    Ok(Ok(0))
}

fn wish(plan: &Plan<'_>) -> Result<Wish, String> {
    let file = |name: &str| plan.value(name).map(Path::new);
    let roots = match plan.value("CAfile") {
        Some(name) => Some(authorities(name)?),
        None => None,
    };
    let own = match file("cert") {
        Some(cert) => Some(Arc::new(Own::read(cert, file("key").unwrap_or(cert))?)),
        None => None,
    };
    let mut versions = Vec::new();
    let only = plan.has("tls1_2") || plan.has("tls1_3");
    if (plan.has("tls1_2") || !only) && !plan.has("no_tls1_2") {
        versions.push(&rustls::version::TLS12);
    }
    if (plan.has("tls1_3") || !only) && !plan.has("no_tls1_3") {
        versions.push(&rustls::version::TLS13);
    }
    let alpn = plan
        .value("alpn")
        .unwrap_or_default()
        .split(',')
        .filter(|p| !p.is_empty());
    Ok(Wish {
        versions,
        alpn: alpn.map(|p| p.as_bytes().to_vec()).collect(),
        roots,
        own,
        ..Wish::default()
    })
}

fn authorities(name: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let file = crate::report::safe(name);
    if let Err(e) = std::fs::metadata(name) {
        let why = sockets::strerror(&e);
        return Err(format!(
            "error:80000002:system library:BIO_new_file:{why}:calling fopen({file}, r)\nerror:10000080:BIO routines:BIO_new_file:no such file:\nerror:05880002:x509 certificate routines:X509_load_cert_crl_file_ex:system lib:"
        ));
    }
    let found = secure::certificates(Path::new(name))
        .ok()
        .filter(|all| !all.is_empty());
    found.ok_or_else(|| {
        "error:05800088:x509 certificate routines:X509_load_cert_crl_file_ex:no certificate or crl found:".into()
    })
}

/// The name that is sent: as the original, none of a single label and none of figures unless it is given.
fn server_name<'a>(plan: &'a Plan<'_>, host: &'a str) -> Option<&'a str> {
    if plan.has("noservername") {
        return None;
    }
    let figures = host.parse::<std::net::IpAddr>().is_ok();
    let own = Some(host).filter(|h| !figures && h.trim_end_matches('.').contains('.'));
    plan.value("servername").or(own)
}

fn connect(plan: &Plan<'_>, host: &str, port: &str) -> Result<Connection, String> {
    let hints = Hints {
        family: match (plan.has("4"), plan.has("6")) {
            (true, _) => libc::AF_INET,
            (_, true) => libc::AF_INET6,
            _ => 0,
        },
        kind: libc::SOCK_STREAM,
        flags: 0,
    };
    let whom = Some(host).filter(|h| !h.is_empty() || plan.has("host"));
    let found = lookup::resolve(whom, Some(port), hints).map_err(|why| {
        // What the resolver left behind when it gave up for now.
        let number = if why.starts_with("Temporary") {
            libc::EAGAIN
        } else {
            0
        };
        format!(
            "error:10080002:BIO routines:BIO_lookup_ex:system lib:{why}\nconnect:errno={number}"
        )
    })?;
    let (mut all, mut number) = (String::new(), 0);
    for to in found.addresses {
        match tcp::reach(to, None, Deadline::after_ms(PATIENCE_MS)) {
            Ok(connection) => return Ok(connection),
            Err(e) => {
                let why = sockets::strerror(&e);
                number = e.raw_os_error().unwrap_or(libc::ETIMEDOUT);
                all += &format!(
                    "error:8000006F:system library:BIO_connect:{why}:calling connect()\nerror:10000067:BIO routines:BIO_connect:connect error:\n"
                );
            }
        }
    }
    Err(format!("{all}connect:errno={number}"))
}

fn decoded<'a>(der: &'a CertificateDer<'_>) -> Option<Certificate<'a>> {
    Certificate::decode(der.as_ref()).ok()
}

fn subject(der: &CertificateDer<'_>) -> String {
    decoded(der)
        .map(|c| text::name(&c.subject, NameStyle::OneLine))
        .unwrap_or_default()
}

fn own_issuer(der: &CertificateDer<'_>) -> bool {
    decoded(der).is_some_and(|c| c.subject.whole == c.issuer.whole)
}

/// The way from the leaf up, as far as it was presented.
fn path(chain: &[CertificateDer<'static>]) -> Vec<CertificateDer<'static>> {
    let mut way: Vec<CertificateDer<'static>> = chain.first().cloned().into_iter().collect();
    while let Some(last) = way.last().filter(|l| !own_issuer(l)) {
        let issuer = decoded(last)
            .map(|c| c.issuer.whole.to_vec())
            .unwrap_or_default();
        let next = chain
            .iter()
            .find(|c| decoded(c).is_some_and(|d| d.subject.whole == issuer));
        match next.filter(|n| !way.contains(n)) {
            Some(next) => way.push(next.clone()),
            None => break,
        }
    }
    way
}

fn judged(plan: &Plan<'_>, seen: &Seen) -> Verdict {
    use CertificateError as C;
    let way = path(&seen.chain);
    let top = way.len().saturating_sub(1);
    let unknown = || match way.last() {
        Some(last) if own_issuer(last) && top == 0 => (18, "self-signed certificate", 0),
        Some(last) if own_issuer(last) => (19, "self-signed certificate in certificate chain", top),
        _ => (20, "unable to get local issuer certificate", top),
    };
    let wrong = match &seen.problem {
        Some(rustls::Error::InvalidCertificate(e)) => match e {
            C::Expired | C::ExpiredContext { .. } => Some((10, "certificate has expired", 0)),
            C::NotValidYet | C::NotValidYetContext { .. } => {
                Some((9, "certificate is not yet valid", 0))
            }
            C::UnknownIssuer => Some(unknown()),
            // The name is asked for below, where it is asked for at all.
            C::NotValidForName | C::NotValidForNameContext { .. } => None,
            C::BadSignature => Some((7, "certificate signature failure", 0)),
            C::Revoked => Some((23, "certificate revoked", 0)),
            // What `openssl req -x509` makes is an authority of its own.
            C::Other(_) if way.first().is_some_and(own_issuer) => Some(unknown()),
            C::InvalidPurpose | C::InvalidPurposeContext { .. } => {
                Some((26, "unsuitable certificate purpose", 0))
            }
            _ => Some((1, "unspecified certificate verification error", 0)),
        },
        Some(_) => Some((1, "unspecified certificate verification error", 0)),
        None => None,
    };
    let leaf = seen.chain.first().and_then(decoded)?;
    let (named, addresses) = text::hosts(&leaf);
    if let Some(host) = plan.value("verify_hostname")
        && !named.iter().any(|own| text::fits(own, host))
    {
        return wrong.or(Some((62, "hostname mismatch", 0)));
    }
    if let Some(Ok(ip)) = plan.value("verify_ip").map(str::parse::<std::net::IpAddr>) {
        let bytes = match ip {
            std::net::IpAddr::V4(ip) => ip.octets().to_vec(),
            std::net::IpAddr::V6(ip) => ip.octets().to_vec(),
        };
        if !addresses.contains(&bytes) {
            return wrong.or(Some((64, "IP address mismatch", 0)));
        }
    }
    wrong
}

/// `depth=1 CN = x` and what is said there.
fn told_by_depth(
    plan: &Plan<'_>,
    seen: &Seen,
    verdict: Verdict,
    strict: bool,
    io: &mut Io<'_>,
) -> Result<()> {
    let brief = plan.has("brief");
    if plan.has("json") || seen.chain.is_empty() {
        return Ok(());
    }
    if seen.nameless {
        writeln!(io.err, "Can't use SSL_get_servername")?;
    }
    let mut way: Vec<String> = path(&seen.chain).iter().map(subject).collect();
    if matches!(verdict, None | Some((9 | 10, ..))) {
        let last = path(&seen.chain).last().cloned();
        if let Some(last) = last.filter(|l| !own_issuer(l)) {
            let issuer = decoded(&last).map(|c| text::name(&c.issuer, NameStyle::OneLine));
            way.extend(issuer);
        }
    }
    let end = if brief || strict {
        ""
    } else {
        "verify return:1\n"
    };
    let at = |depth: usize| {
        format!(
            "depth={depth} {}\n",
            way.get(depth).map_or("", String::as_str)
        )
    };
    let leaf = seen.chain.first().and_then(decoded);
    let after = match (verdict, &leaf) {
        (Some((10, ..)), Some(c)) => format!("notAfter={}\n", text::time(&c.not_after)),
        (Some((9, ..)), Some(c)) => format!("notBefore={}\n", text::time(&c.not_before)),
        _ => String::new(),
    };
    let mut said = String::new();
    let timely = matches!(verdict, Some((9 | 10, ..)));
    if timely && !brief && !strict {
        for depth in (1..way.len()).rev() {
            said += &format!("{}verify return:1\n", at(depth));
        }
    }
    if let Some((number, words, depth)) = verdict {
        said += &format!(
            "{}verify error:num={number}:{words}\n{after}{end}",
            at(depth)
        );
        if timely && brief && !strict {
            said += &after;
        }
        if number == 20 && depth == 0 && !strict {
            said += &format!(
                "{}verify error:num=21:unable to verify the first certificate\n{end}",
                at(0)
            );
        }
    }
    if !brief && (!strict || verdict.is_none()) {
        let top = if timely { 1 } else { way.len() };
        for depth in (0..top).rev() {
            said += &format!("{}{after}verify return:1\n", at(depth));
        }
    }
    write!(io.err, "{said}")?;
    Ok(())
}

/// What is typed goes to the server, what it says is shown. `Q` at the beginning of a line ends it.
fn relay(
    plan: &Plan<'_>,
    client: &mut Client,
    connection: &mut Connection,
    io: &mut Io<'_>,
) -> Result<()> {
    let quiet = plan.has("quiet");
    let ignore_end = (quiet || plan.has("ign_eof")) && !plan.has("no_ign_eof");
    let commands = !quiet && !plan.has("ign_eof") && !plan.has("nocommands");
    let stdin = std::io::stdin();
    let (mut typing, mut buffer) = (true, vec![0; 16 * 1024]);
    // One that waits no more: what poll says is ready is there.
    connection.patience(Deadline::after_ms(PATIENCE_MS));
    loop {
        // What came with the handshake.
        loop {
            match client.tls.reader().read(&mut buffer) {
                Ok(0) => return closed(plan, io),
                Ok(n) => {
                    io.out.write_all(buffer.get(..n).unwrap_or_default())?;
                    io.out.flush()?;
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(_) => return closed(plan, io),
            }
        }
        let entry = |fd, events| libc::pollfd {
            fd,
            events,
            revents: 0,
        };
        let mut fds = [
            entry(if typing { stdin.as_raw_fd() } else { -1 }, libc::POLLIN),
            entry(connection.as_raw_fd(), libc::POLLIN),
        ];
        sockets::poll(&mut fds, netshoot_host::streams::FOR_EVER)?;
        connection.patience(Deadline::after_ms(PATIENCE_MS));
        if fds[1].revents != 0 {
            match client.tls.read_tls(connection) {
                Ok(0) | Err(_) => return closed(plan, io),
                Ok(_) => {}
            }
            if client.tls.process_new_packets().is_err() {
                return closed(plan, io);
            }
        }
        if fds[0].revents != 0 {
            let n = rustix::io::read(stdin.as_fd(), &mut buffer).unwrap_or(0);
            let typed = buffer.get(..n).unwrap_or_default();
            let quits = commands && matches!(typed, [b'Q', b'\n', ..] | [b'Q', b'\r', ..]);
            if quits || n == 0 && !ignore_end {
                return done(client, connection, io);
            }
            typing = n > 0;
            let bytes = match plan.has("crlf") {
                true => String::from_utf8_lossy(typed)
                    .replace('\n', "\r\n")
                    .into_bytes(),
                false => typed.to_vec(),
            };
            client.tls.writer().write_all(&bytes)?;
        }
        while client.tls.wants_write() {
            if client.tls.write_tls(connection).is_err() {
                return closed(plan, io);
            }
        }
    }
}

fn done(client: &mut Client, connection: &mut Connection, io: &mut Io<'_>) -> Result<()> {
    io.out.flush()?;
    writeln!(io.err, "DONE")?;
    client.tls.send_close_notify();
    let _ = client.tls.write_tls(connection);
    Ok(())
}

fn closed(plan: &Plan<'_>, io: &mut Io<'_>) -> Result<()> {
    io.out.flush()?;
    if !plan.has("quiet") {
        writeln!(io.err, "closed")?;
    }
    Ok(())
}
