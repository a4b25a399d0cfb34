//! TLS over a pipe, and what is told of it.

use crate::secure::{hear, last_words};
use crate::sockets;
use crate::web::dial::Under;
use crate::web::dial::three::OUTRUN;
use crate::web::failure::{Failure, code};
use crate::web::order::Version;
use crate::web::pipe::{Pipe, Secured};
use crate::web::{local, secure};
use netshoot_wire::web::alternatives::Offer;
use rustls::ClientConnection;
use rustls::pki_types::ServerName;
use std::io;
use std::net::{IpAddr, Ipv4Addr};

/// Who is at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The host of a URL.
    Host,
    /// The same, for WebSocket, which needs HTTP/1.1.
    Socket,
    /// A proxy.
    Proxy,
}

/// TLS over a pipe, what was seen of the peer, and the protocol that was agreed on.
pub fn secured(
    under: &mut Under<'_>,
    pipe: Pipe,
    host: &str,
    port: u16,
    role: Role,
) -> Result<(Pipe, secure::Seen, Option<String>), Failure> {
    let order = under.order;
    let proxy = role == Role::Proxy;
    let tls = if proxy { &order.proxy_tls } else { &order.tls };
    // A proxy is offered nothing.
    let protocols: &[&str] = match (order.version, tls.alpn, proxy) {
        (_, false, _) | (_, _, true) => &[],
        (Version::V10, _, false) => &["http/1.0"],
        (Version::Any | Version::Upgrade | Version::V2 | Version::V3, _, _)
            if role == Role::Host =>
        {
            &["h2", "http/1.1"]
        }
        _ => &["http/1.1"],
    };
    // Who answers for a host is another place.
    let instead = under.alternative.as_ref().map(Offer::authority);
    let place = format!("{role:?} {host}:{port} {instead:?} {:?}", order.connect_to);
    let sessions = under.secured.clone();
    let (prepared, offering) = match sessions.prepare(tls, protocols, &place) {
        Ok(both) => both,
        Err(e) => {
            under.say(&e.said);
            return Err(e);
        }
    };
    if !protocols.is_empty() {
        under.say(&format!("ALPN: offers {}", protocols.join(",")));
    }
    let name = match host.parse::<IpAddr>() {
        Ok(ip) => ServerName::IpAddress(ip.into()),
        Err(_) => match ServerName::try_from(host.trim_end_matches('.').to_string()) {
            Ok(name) => name,
            // What is no name cannot be in a certificate either.
            Err(_) => ServerName::IpAddress(IpAddr::V4(Ipv4Addr::UNSPECIFIED).into()),
        },
    };
    let tls_connection = ClientConnection::new(prepared.config.clone(), name.clone())
        .map_err(|e| under.fail(code::TLS, format!("TLS: {e}")))?;
    if offering.is_some_and(|o| o.offered()) {
        under.say("SSL re-using session ID");
    }
    let newest = if tls.most >= 13 { "TLSv1.3" } else { "TLSv1.2" };
    under.say(&format!("{newest} (OUT), TLS handshake, Client hello (1):"));
    for line in &prepared.shown {
        under.say(line);
    }
    let mut secured = Secured {
        tls: tls_connection,
        under: pipe,
    };
    shake(under, &mut secured, &prepared.verifier, host, port)?;
    let chain = secured.tls.peer_certificates().unwrap_or_default();
    let seen = prepared.verifier.seen_of(&name, chain);
    let alpn = show_session(under, &secured, &seen, tls.verify, host, proxy)?;
    if let Some(pinned) = &tls.pinned {
        local::pinned(pinned, seen.chain.first().map_or(&[], Vec::as_slice))
            .map_err(|said| under.fail(code::PINNED, said))?;
    }
    Ok((Pipe::Tls(Box::new(secured)), seen, alpn))
}

fn shake(
    under: &mut Under<'_>,
    secured: &mut Secured,
    verifier: &secure::Verifier,
    host: &str,
    port: u16,
) -> Result<(), Failure> {
    while secured.tls.is_handshaking() {
        let done = match secured.tls.complete_io(&mut secured.under) {
            Ok((0, 0)) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => Ok(()),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                let left = under.left();
                if left.is_zero() {
                    return Err(under.fail(code::TIMEOUT, "SSL connection timeout"));
                }
                let write = secured.tls.wants_write();
                if under.outrun() {
                    return Err(Failure::new(OUTRUN, "the other way was quicker"));
                }
                let wait = under.turn(left);
                let waited = secured.under.wait(secured.tls.wants_read(), write, wait);
                under.watch.progress(under.info);
                waited.map(drop)
            }
            Err(e) => Err(e),
        };
        let Err(e) = done else { continue };
        let e = last_words(e, || hear(&mut secured.tls, &mut secured.under));
        return Err(handshake_failed(under, &e, verifier, host, port));
    }
    Ok(())
}

fn handshake_failed(
    under: &mut Under<'_>,
    e: &io::Error,
    verifier: &secure::Verifier,
    host: &str,
    port: u16,
) -> Failure {
    let seen = verifier.seen();
    let at = format!("{host}:{port}");
    if let (Some((number, words)), Some(_)) = (seen.chain_fault, seen.chain.first()) {
        under.info.verify = number;
        for step in [
            "Server hello (2)",
            "Encrypted Extensions (8)",
            "Certificate (11)",
        ] {
            under.say(&format!("TLSv1.3 (IN), TLS handshake, {step}:"));
        }
        let alert = if number == 10 {
            "certificate expired (557)"
        } else {
            "unknown CA (560)"
        };
        under.say(&format!("TLSv1.3 (OUT), TLS alert, {alert}:"));
        return under.fail(code::UNTRUSTED, format!("SSL certificate problem: {words}"));
    }
    let said = match e.get_ref().and_then(|e| e.downcast_ref::<rustls::Error>()) {
        Some(tls) => secure::said(tls),
        None => match e.raw_os_error() {
            Some(_) => format!(
                "OpenSSL SSL_connect: {} in connection to {at} ",
                sockets::strerror(e)
            ),
            None => format!("OpenSSL SSL_connect: SSL_ERROR_SYSCALL in connection to {at} "),
        },
    };
    under.fail(code::TLS, said)
}

/// What follows the server's first word.
const WHOLE: [&str; 6] = [
    "(IN), TLS handshake, Encrypted Extensions (8)",
    "(IN), TLS handshake, Certificate (11)",
    "(IN), TLS handshake, CERT verify (15)",
    "(IN), TLS handshake, Finished (20)",
    "(OUT), TLS change cipher, Change cipher spec (1)",
    "(OUT), TLS handshake, Finished (20)",
];
const RESUMED: [&str; 4] = [
    "(IN), TLS handshake, Encrypted Extensions (8)",
    "(IN), TLS handshake, Finished (20)",
    "(OUT), TLS change cipher, Change cipher spec (1)",
    "(OUT), TLS handshake, Finished (20)",
];
const WHOLE_12: [&str; 7] = [
    "(IN), TLS handshake, Certificate (11)",
    "(IN), TLS handshake, Server key exchange (12)",
    "(IN), TLS handshake, Server finished (14)",
    "(OUT), TLS handshake, Client key exchange (16)",
    "(OUT), TLS change cipher, Change cipher spec (1)",
    "(OUT), TLS handshake, Finished (20)",
    "(IN), TLS handshake, Finished (20)",
];
const RESUMED_12: [&str; 3] = [
    "(IN), TLS handshake, Finished (20)",
    "(OUT), TLS change cipher, Change cipher spec (1)",
    "(OUT), TLS handshake, Finished (20)",
];

/// Tells what was agreed and presented; gives the protocol.
fn show_session(
    under: &mut Under<'_>,
    secured: &Secured,
    seen: &secure::Seen,
    verify: bool,
    host: &str,
    proxy: bool,
) -> Result<Option<String>, Failure> {
    let new = secured.tls.protocol_version() == Some(rustls::ProtocolVersion::TLSv1_3);
    let resumed = secured.tls.handshake_kind() == Some(rustls::HandshakeKind::Resumed);
    let (version, steps): (_, &[&str]) = match (new, resumed) {
        (true, true) => ("TLSv1.3", &RESUMED),
        (true, false) => ("TLSv1.3", &WHOLE),
        (false, true) => ("TLSv1.2", &RESUMED_12),
        (false, false) => ("TLSv1.2", &WHOLE_12),
    };
    let tls = match proxy {
        true => &under.order.proxy_tls,
        false => &under.order.tls,
    };
    // What version it will be stands in it: it is told by the newest that was offered.
    let first = if tls.most >= 13 { "TLSv1.3" } else { "TLSv1.2" };
    under.say(&format!("{first} (IN), TLS handshake, Server hello (2):"));
    for step in steps {
        under.say(&format!("{version} {step}:"));
    }
    let suite = secured
        .tls
        .negotiated_cipher_suite()
        .map_or(String::new(), secure::suite_name);
    under.say(&format!("SSL connection using {version} / {suite}"));
    let alpn = secured
        .tls
        .alpn_protocol()
        .map(|p| String::from_utf8_lossy(p).into_owned());
    let offered = !proxy && under.order.tls.alpn;
    match &alpn {
        Some(p) => under.say(&format!("ALPN: server accepted {p}")),
        None if offered => under.say("ALPN: server did not agree on a protocol. Uses default."),
        None => {}
    }
    if let Some(leaf) = seen.chain.first() {
        local::show_certificate(
            under,
            leaf,
            if proxy {
                "Proxy certificate:"
            } else {
                "Server certificate:"
            },
        );
        named(under, leaf, seen, verify, host)?;
        under.say(&format!(" issuer: {}", local::issuer(leaf)));
        match seen.chain_fault {
            Some((number, words)) => under.say(&format!(
                " SSL certificate verify result: {words} ({number}), continuing anyway."
            )),
            None => under.say(" SSL certificate verify ok."),
        }
    }
    Ok(alpn)
}

/// Whether the certificate is for the host, where that matters.
pub fn named(
    under: &mut Under<'_>,
    leaf: &[u8],
    seen: &secure::Seen,
    verify: bool,
    host: &str,
) -> Result<(), Failure> {
    if !verify {
        return Ok(());
    }
    let names = crate::tls::certificate(leaf).names;
    if seen.name_fault {
        if !names.is_empty() {
            under.say(&format!(" subjectAltName does not match {host}"));
        }
        let said = format!(
            "SSL: no alternative certificate subject name matches target host name '{host}'"
        );
        return Err(under.fail(code::UNTRUSTED, said));
    }
    match host.parse::<IpAddr>() {
        Ok(_) => under.say(&format!(
            " subjectAltName: host \"{host}\" matched cert's IP address!"
        )),
        Err(_) => {
            let name = local::matching(&names, host);
            under.say(&format!(
                " subjectAltName: host \"{host}\" matched cert's \"{name}\""
            ));
        }
    }
    Ok(())
}
