//! A client that calls again and again and logs what fails, as a program does: no retries inside
//! a call, a new connection for each.

use super::resolve::{Resolver, in_words, left};
use super::{Call, Random, Shared, from_environment, hash, say};
use netshoot_wire::http::{Body, Chunks, Headers, Request, Response};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::io::{Error, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Patience when none is given, milliseconds.
const PATIENCE_MS: u64 = 5000;
/// Where a pod finds its cluster's authority.
const CLUSTER_CA: &str = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt";

/// Where a call goes.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Url {
    scheme: String,
    host: String,
    port: u16,
    path: String,
}

impl Url {
    fn parse(text: &str) -> Option<Url> {
        let (scheme, rest) = text.split_once("://")?;
        let (authority, path) = rest
            .find(['/', '?'])
            .map_or((rest, ""), |at| rest.split_at(at));
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
                (host, port.parse().ok()?)
            }
            _ => (
                authority,
                match scheme {
                    "http" => 80,
                    "https" => 443,
                    _ => return None,
                },
            ),
        };
        let known = matches!(scheme, "http" | "https" | "tcp" | "udp");
        let path = if path.starts_with('/') {
            path.to_string()
        } else {
            format!("/{path}")
        };
        let host = host.trim_matches(['[', ']']);
        (known && !host.is_empty()).then(|| Url {
            scheme: scheme.into(),
            host: host.into(),
            port,
            path,
        })
    }
}

/// Calls for as long as the process lives.
pub(super) fn again_and_again(call: &Call, shared: &Arc<Shared>) {
    let text = match from_environment(&call.url) {
        Ok(text) => text,
        Err(why) => return shared.fail(why),
    };
    let authority = std::env::var("SSL_CERT_FILE").unwrap_or_else(|_| CLUSTER_CA.into());
    let Some(url) = Url::parse(&text) else {
        return shared.fail(format_args!("call {text:?}: not a URL"));
    };
    let verb = match url.scheme.as_str() {
        "tcp" | "udp" => "call",
        _ if call.body_bytes > 0 => "POST",
        _ => "GET",
    };
    // Callers do not call in step: not at first, and not after they have all waited for the same answer.
    let mut random = Random::new(hash(&shared.name));
    let every = call.every_ms.max(1);
    std::thread::sleep(Duration::from_millis(random.below(every.min(1000))));
    let mut fine = None;
    loop {
        shared.gate.pass();
        let began = Instant::now();
        let now = once(call, &url, verb, &authority);
        match &now {
            Err(why) => say(format_args!("{verb} {text}: {why}")),
            // Success is worth a line only when it is news.
            Ok(what) if fine != Some(true) => say(format_args!(
                "{verb} {text}: {what} in {} ms",
                began.elapsed().as_millis()
            )),
            Ok(_) => {}
        }
        fine = Some(now.is_ok());
        std::thread::sleep(Duration::from_millis(every / 2 + random.below(every + 1)));
    }
}

/// One call: what came back, or what went wrong.
fn once(call: &Call, url: &Url, verb: &str, authority: &str) -> Result<String, String> {
    let patience = call.timeout_ms.unwrap_or(PATIENCE_MS);
    let deadline = Instant::now() + Duration::from_millis(patience);
    let over = |step: &str, e: &Error| match in_words(e).as_str() {
        "i/o timeout" => format!("timeout after {patience} ms ({step})"),
        why => format!("{step}: {why}"),
    };
    // Read each time: it is small, and the kubelet may have written it anew.
    let conf = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let addresses = Resolver::from_text(&conf).lookup(&url.host, deadline)?;
    if url.scheme == "udp" {
        let to = addresses
            .first()
            .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |a| *a);
        let to = SocketAddr::new(to, url.port);
        return datagram(to, call, deadline).map_err(|e| over(&format!("read udp {to}"), &e));
    }
    let (stream, to) = connect(&addresses, url.port, deadline)
        .map_err(|(to, e)| over(&format!("dial tcp {to}"), &e))?;
    let mut timed = Timed { stream, deadline };
    let talked = match url.scheme.as_str() {
        "tcp" => echo(&mut timed, call),
        "http" => request(&mut timed, call, url, verb),
        _ => secured(timed, call, url, verb, authority)?,
    };
    talked
        .map_err(|e| over(&format!("read tcp {to}"), &e))
        .and_then(|what| what)
}

/// Tries each address with its share of the time that is left.
fn connect(
    addresses: &[IpAddr],
    port: u16,
    deadline: Instant,
) -> Result<(TcpStream, SocketAddr), (SocketAddr, Error)> {
    let mut last = (
        SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port),
        ErrorKind::AddrNotAvailable.into(),
    );
    for (done, address) in addresses.iter().enumerate() {
        let to = SocketAddr::new(*address, port);
        let share = left(deadline).map(|l| l / (addresses.len() - done) as u32);
        match share
            .and_then(|share| TcpStream::connect_timeout(&to, share.max(Duration::from_millis(1))))
        {
            Ok(stream) => {
                drop(stream.set_nodelay(true));
                return Ok((stream, to));
            }
            Err(e) => last = (to, e),
        }
    }
    Err(last)
}

/// A stream whose every read and write ends at the call's deadline.
struct Timed {
    stream: TcpStream,
    deadline: Instant,
}

impl Read for Timed {
    fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        self.stream.set_read_timeout(Some(left(self.deadline)?))?;
        self.stream.read(bytes)
    }
}

impl Write for Timed {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.stream.set_write_timeout(Some(left(self.deadline)?))?;
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.stream.flush()
    }
}

fn payload(call: &Call) -> Vec<u8> {
    if call.body_bytes == 0 {
        b"ping\n".to_vec()
    } else {
        vec![b'x'; call.body_bytes as usize]
    }
}

fn datagram(to: SocketAddr, call: &Call, deadline: Instant) -> std::io::Result<String> {
    let own: IpAddr = if to.is_ipv4() {
        Ipv4Addr::UNSPECIFIED.into()
    } else {
        Ipv6Addr::UNSPECIFIED.into()
    };
    let socket = UdpSocket::bind((own, 0))?;
    socket.connect(to)?;
    socket.send(&payload(call))?;
    socket.set_read_timeout(Some(left(deadline)?))?;
    let n = socket.recv(&mut vec![0; 65_536])?;
    Ok(format!("{n} bytes"))
}

/// What a call on a stream gave: the outer error is the socket's, the inner one the answer's.
type Answer = std::io::Result<Result<String, String>>;

fn echo(stream: &mut (impl Read + Write), call: &Call) -> Answer {
    let sent = payload(call);
    stream.write_all(&sent)?;
    let mut piece = [0; 4096];
    let mut got = 0;
    while got < sent.len() {
        match stream.read(&mut piece)? {
            0 => return Ok(Err(format!("connection closed after {got} bytes"))),
            n => got += n,
        }
    }
    Ok(Ok(format!("{got} bytes")))
}

fn request(stream: &mut (impl Read + Write), call: &Call, url: &Url, verb: &str) -> Answer {
    let bracketed = if url.host.contains(':') {
        format!("[{}]", url.host)
    } else {
        url.host.clone()
    };
    let mut fields = vec![
        ("Host", format!("{bracketed}:{}", url.port)),
        ("User-Agent", "client".into()),
        ("Connection", "close".into()),
    ];
    if call.body_bytes > 0 {
        fields.push(("Content-Length", call.body_bytes.to_string()));
    }
    let headers = Headers(
        fields
            .into_iter()
            .map(|(n, v)| (n.to_string(), v))
            .collect(),
    );
    let head = Request {
        method: verb.into(),
        target: url.path.clone(),
        minor: 1,
        headers,
    };
    stream.write_all(&head.encode())?;
    stream.write_all(&vec![b'x'; call.body_bytes as usize])?;
    stream.flush()?;
    let mut bytes = Vec::new();
    let mut piece = [0; 16 * 1024];
    let response = loop {
        match Response::decode(&bytes) {
            Ok(Some((response, taken))) => {
                bytes.drain(..taken);
                if response.status != 100 {
                    break response;
                }
                continue;
            }
            Ok(None) => {}
            Err(e) => return Ok(Err(format!("malformed HTTP response: {e}"))),
        }
        match stream.read(&mut piece)? {
            0 => return Ok(Err("EOF".into())),
            n => bytes.extend_from_slice(piece.get(..n).unwrap_or_default()),
        }
    };
    if let Err(why) = rest_of_body(stream, &bytes, response.body(verb))? {
        return Ok(Err(why));
    }
    let said = format!("{} {}", response.status, response.reason);
    Ok(if response.status < 400 {
        Ok(said)
    } else {
        Err(said)
    })
}

fn rest_of_body(
    stream: &mut impl Read,
    first: &[u8],
    body: Body,
) -> std::io::Result<Result<(), String>> {
    let mut chunks = Chunks::default();
    let mut have = first.len() as u64;
    let mut piece = [0; 16 * 1024];
    let mut ended = matches!(chunks.feed(first, |_| {}), Ok(true));
    loop {
        match body {
            Body::Length(length) if have >= length => return Ok(Ok(())),
            Body::Chunked if ended => return Ok(Ok(())),
            _ => {}
        }
        match stream.read(&mut piece)? {
            0 if body == Body::Close => return Ok(Ok(())),
            0 => return Ok(Err("unexpected EOF".into())),
            n => {
                have += n as u64;
                if body == Body::Chunked {
                    ended = matches!(
                        chunks.feed(piece.get(..n).unwrap_or_default(), |_| {}),
                        Ok(true)
                    );
                }
            }
        }
    }
}

/// The same over TLS. What is not trusted is an error, as it is for a program.
fn secured(
    timed: Timed,
    call: &Call,
    url: &Url,
    verb: &str,
    authority: &str,
) -> Result<Answer, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(authority)
        .into_iter()
        .flatten()
        .flatten()
    {
        drop(roots.add(certificate));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?;
    let config = builder.with_root_certificates(roots).with_no_client_auth();
    let name =
        ServerName::try_from(url.host.clone()).map_err(|e| format!("tls: {}: {e}", url.host))?;
    let connection =
        ClientConnection::new(Arc::new(config), name).map_err(|e| format!("tls: {e}"))?;
    let mut stream = StreamOwned::new(connection, timed);
    while stream.conn.is_handshaking() {
        if let Err(e) = stream.conn.complete_io(&mut stream.sock) {
            // The alert that tells the server why.
            while stream.conn.wants_write() && stream.conn.write_tls(&mut stream.sock).is_ok() {}
            // The socket's own trouble is told by the caller; what rustls says is the answer's.
            return if e.kind() == ErrorKind::InvalidData {
                Err(format!("tls: {e}"))
            } else {
                Ok(Err(e))
            };
        }
    }
    Ok(request(&mut stream, call, url, verb))
}

#[cfg(test)]
pub(super) fn once_for_test(
    url: &str,
    timeout_ms: u64,
    body_bytes: u32,
    authority: &str,
) -> Result<String, String> {
    let call = Call {
        url: url.into(),
        every_ms: 1,
        callers: 1,
        timeout_ms: Some(timeout_ms),
        body_bytes,
    };
    once(
        &call,
        &Url::parse(url).expect("a URL"),
        if body_bytes > 0 { "POST" } else { "GET" },
        authority,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let url = |scheme: &str, host: &str, port, path: &str| {
            Some(Url {
                scheme: scheme.into(),
                host: host.into(),
                port,
                path: path.into(),
            })
        };
        for (text, expected) in [
            (
                "http://auth-service:8080/health",
                url("http", "auth-service", 8080, "/health"),
            ),
            ("http://auth-service", url("http", "auth-service", 80, "/")),
            (
                "https://shop.svc?x=1",
                url("https", "shop.svc", 443, "/?x=1"),
            ),
            ("http://[fd00::1]:8080", url("http", "fd00::1", 8080, "/")),
            ("http://[fd00::1]", url("http", "fd00::1", 80, "/")),
            ("tcp://db:5432", url("tcp", "db", 5432, "/")),
            ("tcp://db", None),
            ("ftp://db:21", None),
            ("http://:80", None),
            ("http://a:99999", None),
            ("auth-service:8080", None),
            ("", None),
        ] {
            assert_eq!(Url::parse(text), expected, "{text}");
        }
    }

    #[test]
    fn a_damaged_url_is_none_or_written_the_same() {
        let seeds = [
            "http://cart.shop:8080/x?y=1",
            "https://[fd00::1]/",
            "tcp://10.0.0.1:5432",
            "udp://[::1]:53",
            "http://cart?x",
        ];
        let mut read = 0;
        netshoot_wire::fuzz::texts(&seeds, 20_000, |text| {
            let Some(url) = Url::parse(text) else { return };
            read += 1;
            let Url {
                scheme,
                host,
                port,
                path,
            } = &url;
            let host = if host.contains(':') {
                format!("[{host}]")
            } else {
                host.clone()
            };
            let written = format!("{scheme}://{host}:{port}{path}");
            assert_eq!(Url::parse(&written), Some(url), "{text:?}");
        });
        assert!(read > 1000, "{read}");
    }
}
