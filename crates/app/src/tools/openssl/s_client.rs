//! `openssl s_client`: a handshake, what was presented, and a line through it.

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
  -tls1_2 -tls1_3 -alpn LIST -starttls smtp|lmtp|imap|pop3|ftp|postgres [-name NAME]
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
    let done = talk(&plan, io)?;
    match done {
        Ok(code) => Ok(code),
        Err(why) => {
            writeln!(io.err, "{why}")?;
            Ok(1)
        }
    }
}

/// Host and port of `-connect`.
fn place(text: &str) -> (&str, &str) {
    match text.rsplit_once(':') {
        Some((host, port)) if !host.ends_with(':') => (host.trim_matches(['[', ']']), port),
        _ => (text.trim_matches(['[', ']']), "4433"),
    }
}

fn talk(plan: &Plan<'_>, io: &mut Io<'_>) -> Result<Result<i32, String>> {
    let asked = plan.value("connect").unwrap_or("localhost:4433");
    let (host, port) = match (plan.value("host"), plan.value("port")) {
        (Some(host), port) => (host, port.unwrap_or("4433")),
        (None, Some(port)) => (place(asked).0, port),
        _ => place(asked),
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
    if let Some(protocol) = plan.value("starttls") {
        if !starttls::KNOWN.contains(&protocol) {
            return Ok(Err(format!(
                "s_client: Value must be one of:\n\t{}",
                starttls::KNOWN.join("\n\t")
            )));
        }
        let name = plan.value("name").unwrap_or("mail.example.com");
        if let Err(why) = starttls::begin(protocol, name, &mut connection) {
            return Ok(Err(why));
        }
    }
    let name = server_name(plan, host);
    let mut client = match Client::new(
        &Wish {
            nameless: name.is_none(),
            ..wish
        },
        name.unwrap_or(host),
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
    let found = lookup::resolve(Some(host), Some(port), hints).map_err(|why| {
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
    let mut last = String::from("connect:errno=0");
    for to in found.addresses {
        match tcp::reach(to, None, Deadline::after_ms(PATIENCE_MS)) {
            Ok(connection) => return Ok(connection),
            Err(e) => {
                let (why, number) = (
                    sockets::strerror(&e),
                    e.raw_os_error().unwrap_or(libc::ETIMEDOUT),
                );
                last = format!(
                    "error:8000006F:system library:BIO_connect:{why}:calling connect()\nerror:10000067:BIO routines:BIO_connect:connect error:\nconnect:errno={number}"
                );
            }
        }
    }
    Err(last)
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

/// OpenSSL's name of a version.
fn version(client: &Client) -> &'static str {
    match client.tls.protocol_version() {
        Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
        Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
        _ => "unknown",
    }
}

/// OpenSSL's name of a cipher suite: of TLS 1.3 as in the RFC, of 1.2 without what all have.
fn suite(client: &Client) -> String {
    let name = client.tls.negotiated_cipher_suite();
    let name = name.map(|s| format!("{:?}", s.suite())).unwrap_or_default();
    if let Some(rest) = name.strip_prefix("TLS13_") {
        return format!("TLS_{rest}");
    }
    let short = name.trim_start_matches("TLS_").replace("_WITH_", "_");
    let short = short.replace("AES_", "AES").replace('_', "-");
    // Its hash is not named there.
    match short.strip_suffix("-POLY1305-SHA256") {
        Some(chacha) => format!("{chacha}-POLY1305"),
        None => short,
    }
}

/// `SHA256`, `ECDSA`.
fn signing(scheme: Option<SignatureScheme>) -> (&'static str, &'static str) {
    use SignatureScheme as S;
    match scheme {
        Some(S::ECDSA_NISTP256_SHA256) => ("SHA256", "ECDSA"),
        Some(S::ECDSA_NISTP384_SHA384) => ("SHA384", "ECDSA"),
        Some(S::ECDSA_NISTP521_SHA512) => ("SHA512", "ECDSA"),
        Some(S::RSA_PSS_SHA256) => ("SHA256", "RSA-PSS"),
        Some(S::RSA_PSS_SHA384) => ("SHA384", "RSA-PSS"),
        Some(S::RSA_PSS_SHA512) => ("SHA512", "RSA-PSS"),
        Some(S::RSA_PKCS1_SHA256) => ("SHA256", "RSA"),
        Some(S::RSA_PKCS1_SHA384) => ("SHA384", "RSA"),
        Some(S::RSA_PKCS1_SHA512) => ("SHA512", "RSA"),
        Some(S::ED25519) => ("", "Ed25519"),
        _ => ("", ""),
    }
}

fn group(client: &Client) -> &'static str {
    use rustls::NamedGroup as G;
    match client.tls.negotiated_key_exchange_group().map(|g| g.name()) {
        Some(G::X25519) => "X25519, 253 bits",
        Some(G::secp256r1) => "ECDH, prime256v1, 256 bits",
        Some(G::secp384r1) => "ECDH, secp384r1, 384 bits",
        _ => "",
    }
}

fn show(
    plan: &Plan<'_>,
    client: &Client,
    seen: &Seen,
    verdict: Verdict,
    io: &mut Io<'_>,
) -> Result<()> {
    let leaf = seen.chain.first();
    let (hash, kind) = signing(seen.scheme);
    let verified = match (verdict, plan.value("verify_hostname")) {
        (Some((20, ..)), _) => "Verification error: unable to verify the first certificate".into(),
        (Some((_, words, _)), _) => format!("Verification error: {words}"),
        (None, Some(host)) => format!(
            "Verification: OK\nVerified peername: {}",
            peername(leaf, host)
        ),
        (None, None) => "Verification: OK".into(),
    };
    if plan.has("brief") {
        let peer = leaf.map(subject).unwrap_or_default();
        writeln!(
            io.err,
            "CONNECTION ESTABLISHED\nProtocol version: {}\nCiphersuite: {}",
            version(client),
            suite(client)
        )?;
        writeln!(io.err, "Peer certificate: {peer}")?;
        if !hash.is_empty() {
            writeln!(io.err, "Hash used: {hash}")?;
        }
        writeln!(
            io.err,
            "Signature type: {kind}\n{verified}\nServer Temp Key: {}",
            group(client)
        )?;
        if let Some(p) = client.tls.alpn_protocol() {
            writeln!(io.err, "ALPN protocol: {}", String::from_utf8_lossy(p))?;
        }
        return Ok(());
    }
    if plan.has("quiet") {
        return Ok(());
    }
    let mut out = String::from("---\nCertificate chain\n");
    for (i, der) in seen.chain.iter().enumerate() {
        out += &chain_entry(i, der);
        if plan.has("showcerts") {
            out += &x509::armoured(der, "CERTIFICATE");
        }
    }
    out += "---\n";
    if let Some(der) = leaf {
        out += "Server certificate\n";
        if !plan.has("showcerts") {
            out += &x509::armoured(der, "CERTIFICATE");
        }
        let issuer = decoded(der)
            .map(|c| text::name(&c.issuer, NameStyle::OneLine))
            .unwrap_or_default();
        out += &format!("subject={}\nissuer={issuer}\n---\n", subject(der));
    }
    out += "No client certificate CA names sent\n";
    if !hash.is_empty() {
        out += &format!("Peer signing digest: {hash}\n");
    }
    out += &format!(
        "Peer signature type: {kind}\nServer Temp Key: {}\n---\n",
        group(client)
    );
    out += &format!(
        "SSL handshake has read {} bytes and written {} bytes\n{verified}\n---\n",
        client.read, client.written
    );
    let bits = leaf
        .and_then(decoded)
        .and_then(|c| text::key_bits(&c))
        .unwrap_or(0);
    let modern = client.tls.protocol_version() == Some(ProtocolVersion::TLSv1_3);
    out += &format!(
        "New, {}, Cipher is {}\nServer public key is {bits} bit\n",
        version(client),
        suite(client)
    );
    out += &format!(
        "Secure Renegotiation IS{} supported\nCompression: NONE\nExpansion: NONE\n",
        if modern { " NOT" } else { "" }
    );
    out += &match client.tls.alpn_protocol() {
        Some(p) => format!(
            "ALPN protocol: {}\n",
            crate::report::safe(&String::from_utf8_lossy(p))
        ),
        None => "No ALPN negotiated\n".into(),
    };
    let (code, words) = match verdict {
        Some((20, ..)) => (21, "unable to verify the first certificate"),
        Some((number, words, _)) => (number, words),
        None => (0, "ok"),
    };
    out += &match modern {
        true => format!("Early data was not sent\nVerify return code: {code} ({words})\n---\n"),
        false => format!(
            "SSL-Session:\n    Protocol  : TLSv1.2\n    Cipher    : {}\n    Verify return code: {code} ({words})\n    Extended master secret: yes\n---\n",
            suite(client)
        ),
    };
    write!(io.out, "{out}")?;
    io.out.flush()?;
    Ok(())
}

fn peername(leaf: Option<&CertificateDer<'static>>, host: &str) -> String {
    let names = leaf
        .and_then(decoded)
        .map(|c| text::hosts(&c).0)
        .unwrap_or_default();
    names
        .into_iter()
        .find(|n| text::fits(n, host))
        .unwrap_or_default()
}

fn chain_entry(i: usize, der: &CertificateDer<'_>) -> String {
    let Some(c) = decoded(der) else {
        return format!(" {i} (no certificate that can be read)\n");
    };
    let (own, issuer) = (
        text::name(&c.subject, NameStyle::OneLine),
        text::name(&c.issuer, NameStyle::OneLine),
    );
    let bits = text::key_bits(&c).unwrap_or(0);
    format!(
        "{i:2} s:{own}\n   i:{issuer}\n   a:PKEY: {}, {bits} (bit); sigalg: {}\n   v:NotBefore: {}; NotAfter: {}\n",
        names::short(&c.key_kind),
        names::short(&c.signed_with),
        text::time(&c.not_before),
        text::time(&c.not_after)
    )
}

fn as_json(client: &Client, seen: &Seen, verdict: Verdict) -> serde_json::Value {
    let one = |der: &CertificateDer<'static>| {
        decoded(der).map(|c| {
            json!({
                "subject": text::name(&c.subject, NameStyle::Rfc2253),
                "issuer": text::name(&c.issuer, NameStyle::Rfc2253),
                "not_before": text::time(&c.not_before),
                "not_after": text::time(&c.not_after),
                "hosts": text::hosts(&c).0,
            })
        })
    };
    json!({
        "version": version(client),
        "cipher": suite(client),
        "group": group(client),
        "alpn": client.tls.alpn_protocol().map(|p| String::from_utf8_lossy(p).into_owned()),
        "chain": seen.chain.iter().map(one).collect::<Vec<_>>(),
        "verify": { "code": verdict.map_or(0, |v| v.0), "says": verdict.map_or("ok", |v| v.1) },
    })
}

fn explain(plan: &Plan<'_>, verdict: Verdict, io: &mut Io<'_>) -> Result<()> {
    if !plan.has("explain") {
        return Ok(());
    }
    let text = match verdict {
        None => io.lang.pick(
            "TLS: the handshake decides; without one the port was refused or silent: try nc -zv",
            "TLS：以握手结果为准；若未握手，则端口被拒绝或无响应：请尝试 nc -zv",
        ),
        Some((10 | 9, ..)) => io.lang.pick(
            "The certificate is out of its time: renew its Secret, and restart what read it at its start",
            "证书不在有效期内：请更新对应的 Secret，并重启启动时读取它的程序",
        ),
        Some((18..=21, ..)) => io.lang.pick(
            "Signed by an authority that is not trusted here: give its certificate with -CAfile (in a cluster often ca.crt of the Secret)",
            "签发机构在此不受信任：请用 -CAfile 指定其证书（集群中通常是 Secret 里的 ca.crt）",
        ),
        Some((62 | 64, ..)) => io.lang.pick(
            "The certificate is for other names than the one that was asked for: a Service is called NAME.NAMESPACE.svc",
            "证书中的名称与所请求的不符：Service 的名称是 NAME.NAMESPACE.svc",
        ),
        Some(_) => io.lang.pick(
            "The port answered but not with a handshake that both sides take: it may speak plain HTTP, or older TLS",
            "端口有应答，但握手未被双方接受：可能是明文 HTTP 或过旧的 TLS",
        ),
    };
    writeln!(io.err, "{text}")?;
    let _ = Lang::En;
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
