//! Listening at each port, a thread for each connection, and a clean end.

use super::plan::{Plan, Talk};
use super::{grpc, http};
use crate::io::{Io, Lang};
use anyhow::{Context, Result, anyhow};
use netshoot_host::listening::{self, Slots};
use netshoot_host::{interrupt, sockets};
use netshoot_lab::certs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::mpsc::{self, SyncSender};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Connections served at once; more wait in the kernel.
const CONNECTIONS: u32 = 256;
/// How long a connection may be idle.
const IDLE: Duration = Duration::from_secs(75);
/// How long what is being served may go on after the signal.
const LAST: Duration = Duration::from_secs(2);

/// A line about one connection or request.
pub type Line = Value;

/// What all threads share.
pub struct Shared {
    pub plan: Plan,
    tls: Option<Arc<ServerConfig>>,
    tell: SyncSender<Line>,
    busy: Slots,
    under_way: Mutex<u32>,
}

impl Shared {
    /// Waits as long as was asked for.
    pub fn delay(&self) {
        std::thread::sleep(self.plan.delay);
    }

    /// Leaves a line, unless nobody keeps up.
    pub fn tell(&self, line: Line) {
        if !self.plan.quiet {
            let _ = self.tell.try_send(line);
        }
    }
}

/// What is known of a connection.
#[derive(Clone, Debug)]
pub struct Ends {
    pub talk: Talk,
    pub from: SocketAddr,
    pub to: Option<SocketAddr>,
    /// Version, cipher suite, asked name, protocol agreed on.
    pub tls: Option<Value>,
}

/// Serves until SIGTERM or Ctrl-C.
pub fn serve(plan: Plan, io: &mut Io<'_>) -> Result<i32> {
    let heard = interrupt::hear(&[libc::SIGTERM, libc::SIGINT])?;
    let secured = plan
        .ports
        .iter()
        .any(|p| matches!(p.0, Talk::Https | Talk::Grpcs));
    let tls = match secured {
        true => Some(Arc::new(certificate(&plan)?)),
        false => None,
    };
    let (tell, told) = mpsc::sync_channel(1024);
    let shared = Arc::new(Shared {
        plan,
        tls,
        tell,
        busy: Slots::new(CONNECTIONS),
        under_way: Mutex::new(0),
    });
    let plan = &shared.plan;
    for (talk, port) in plan.ports.clone() {
        let at = SocketAddr::new(plan.bind, port);
        let bound = if talk == Talk::Udp {
            listening::udp(at.ip(), port).map(|socket| start_datagrams(socket, &shared))
        } else {
            listening::tcp(at.ip(), port, 128).map(|listener| start(listener, talk, &shared))
        };
        if let Err(e) = bound {
            let (word, why) = (talk.word(), sockets::strerror(&e));
            writeln!(io.err, "echo-server: listen on {at} ({word}): {why}")?;
            return Ok(1);
        }
        writeln!(io.err, "listening on {at} ({})", talk.word())?;
    }
    if plan.explain {
        explain(plan, io)?;
    }
    loop {
        match told.recv_timeout(Duration::from_millis(50)) {
            Ok(line) => say(plan, &line, io)?,
            Err(_) if heard.next().is_some() => break,
            Err(_) => {}
        }
        // While lines come without a pause, too.
        if ended(&heard) {
            break;
        }
    }
    finish(&shared);
    for line in told.try_iter() {
        say(&shared.plan, &line, io)?;
    }
    Ok(0)
}

fn ended(heard: &interrupt::Heard) -> bool {
    heard.next().is_some()
}

/// Waits for what is under way, but not for ever.
fn finish(shared: &Shared) {
    let until = Instant::now() + LAST;
    while Instant::now() < until && shared.under_way.lock().is_ok_and(|n| *n > 0) {
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn say(plan: &Plan, line: &Line, io: &mut Io<'_>) -> Result<()> {
    if plan.json {
        writeln!(io.out, "{line}")?;
    } else {
        let word = |key: &str| match &line[key] {
            Value::Null => String::new(),
            Value::String(s) => format!(" {s}"),
            other => format!(" {other}"),
        };
        let all: String = [
            "talk", "from", "method", "path", "status", "bytes", "problem",
        ]
        .iter()
        .map(|k| word(k))
        .collect();
        writeln!(io.out, "{}", crate::report::safe(all.trim_start()))?;
    }
    io.out.flush()?;
    Ok(())
}

fn certificate(plan: &Plan) -> Result<ServerConfig> {
    let now = i64::try_from(netshoot_host::clock::now_ms()).unwrap_or(0);
    let (early, late) = (now - 3_600_000, now + 365 * 86_400_000);
    let wrong = |e: netshoot_lab::Error| anyhow!("{e}");
    let authority = certs::Authority::new("netshoot echo-server", early, late).map_err(wrong)?;
    let mut names = vec![
        plan.name.clone(),
        "localhost".into(),
        "127.0.0.1".into(),
        "::1".into(),
    ];
    if !plan.bind.is_unspecified() {
        names.push(plan.bind.to_string());
    }
    let (chain, key) = certs::issue(&authority, &names, early, late).map_err(wrong)?;
    if let Some(file) = &plan.write_ca {
        std::fs::write(file, authority.pem())
            .with_context(|| format!("write the authority to {}", file.display()))?;
    }
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain.as_bytes()).collect();
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes())?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain?, key)?;
    Ok(config)
}

fn start(listener: TcpListener, talk: Talk, shared: &Arc<Shared>) {
    let shared = shared.clone();
    std::thread::spawn(move || {
        loop {
            shared.busy.take();
            listening::wait_readable(&listener, -1);
            let Ok((stream, from)) = listener.accept() else {
                shared.busy.give();
                // No descriptor is left: those that are served end some time.
                std::thread::sleep(Duration::from_millis(10));
                continue;
            };
            let from = SocketAddr::new(from.ip().to_canonical(), from.port());
            let theirs = shared.clone();
            let begun = std::thread::Builder::new().spawn(move || {
                count(&theirs, 1);
                if let Err(e) = converse(stream, talk, from, &theirs) {
                    let problem = e.to_string();
                    theirs.tell(
                        json!({"talk": talk.word(), "from": from.to_string(), "problem": problem}),
                    );
                }
                count(&theirs, -1);
                theirs.busy.give();
            });
            if begun.is_err() {
                shared.busy.give();
            }
        }
    });
}

fn count(shared: &Shared, by: i32) {
    if let Ok(mut n) = shared.under_way.lock() {
        *n = n.saturating_add_signed(by);
    }
}

fn converse(
    mut stream: TcpStream,
    talk: Talk,
    from: SocketAddr,
    shared: &Arc<Shared>,
) -> std::io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(IDLE))?;
    stream.set_write_timeout(Some(IDLE))?;
    stream.set_nodelay(true)?;
    let mut ends = Ends {
        talk,
        from,
        to: stream
            .local_addr()
            .ok()
            .map(|a| SocketAddr::new(a.ip().to_canonical(), a.port())),
        tls: None,
    };
    match (talk, &shared.tls) {
        (Talk::Tcp | Talk::Udp, _) => bytes(&mut stream, &ends, shared),
        (Talk::Https | Talk::Grpcs, Some(config)) => {
            let mut secured = shaken(stream, config, &mut ends)?;
            let done = spoken(&mut secured, &ends, shared);
            secured.conn.send_close_notify();
            let _ = secured.conn.complete_io(&mut secured.sock);
            done
        }
        _ => spoken(&mut stream, &ends, shared),
    }
}

fn spoken(
    stream: &mut (impl Read + Write),
    ends: &Ends,
    shared: &Arc<Shared>,
) -> std::io::Result<()> {
    match ends.talk {
        Talk::Grpc | Talk::Grpcs => grpc::serve(stream, ends, shared),
        _ => http::serve(stream, ends, shared),
    }
}

type Secured = StreamOwned<ServerConnection, TcpStream>;

fn shaken(
    mut stream: TcpStream,
    config: &Arc<ServerConfig>,
    ends: &mut Ends,
) -> std::io::Result<Secured> {
    let mut config = ServerConfig::clone(config);
    config.alpn_protocols = match ends.talk {
        Talk::Grpcs => vec![b"h2".to_vec()],
        _ => vec![b"http/1.1".to_vec()],
    };
    let mut tls = ServerConnection::new(Arc::new(config)).map_err(std::io::Error::other)?;
    while tls.is_handshaking() {
        if tls.complete_io(&mut stream)? == (0, 0) {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    let text = |v: Option<String>| v.map_or(Value::Null, Value::String);
    ends.tls = Some(json!({
        "version": text(tls.protocol_version().map(|v| format!("{v:?}").replace('_', "."))),
        "cipher_suite": text(tls.negotiated_cipher_suite().map(|s| format!("{:?}", s.suite()))),
        "server_name": text(tls.server_name().map(str::to_string)),
        "alpn": text(tls.alpn_protocol().map(|p| String::from_utf8_lossy(p).into_owned())),
    }));
    Ok(StreamOwned::new(tls, stream))
}

/// TCP: bytes back as they are.
fn bytes(stream: &mut TcpStream, ends: &Ends, shared: &Shared) -> std::io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    let mut total = 0u64;
    loop {
        let n = match stream.read(&mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(n) => n,
        };
        shared.delay();
        stream.write_all(buffer.get(..n).unwrap_or_default())?;
        total += n as u64;
    }
    shared.tell(json!({"talk": "tcp", "from": ends.from.to_string(), "bytes": total}));
    Ok(())
}

fn start_datagrams(socket: UdpSocket, shared: &Arc<Shared>) {
    let shared = shared.clone();
    std::thread::spawn(move || {
        let mut buffer = vec![0; 65_536];
        loop {
            // An error is an ICMP message about an earlier answer.
            let Ok((n, from)) = socket.recv_from(&mut buffer) else {
                continue;
            };
            shared.delay();
            let _ = socket.send_to(buffer.get(..n).unwrap_or_default(), from);
            let from = SocketAddr::new(from.ip().to_canonical(), from.port());
            shared.tell(json!({"talk": "udp", "from": from.to_string(), "bytes": n}));
        }
    });
}

/// For tests of the parts: nothing is told to anybody.
#[cfg(test)]
pub fn silent(plan: Plan) -> Arc<Shared> {
    let (tell, _) = mpsc::sync_channel(1);
    Arc::new(Shared {
        plan,
        tls: None,
        tell,
        busy: Slots::new(1),
        under_way: Mutex::new(0),
    })
}

fn explain(plan: &Plan, io: &mut Io<'_>) -> Result<()> {
    for (talk, port) in &plan.ports {
        let line = match talk {
            Talk::Http => format!("curl http://POD-IP:{port}/"),
            Talk::Https => format!("curl -k https://POD-IP:{port}/"),
            Talk::Tcp => format!("echo hello | nc -N POD-IP {port}"),
            Talk::Udp => format!("echo hello | nc -u -w 1 POD-IP {port}"),
            Talk::Grpc => format!("grpcurl -plaintext POD-IP:{port} list"),
            Talk::Grpcs => format!("grpcurl -insecure POD-IP:{port} list"),
        };
        match io.lang {
            Lang::En => writeln!(io.err, "From another pod: {line}")?,
            Lang::Zh => writeln!(io.err, "在另一个 Pod 中执行：{line}")?,
        }
    }
    writeln!(
        io.err,
        "{}",
        io.lang.pick(
            "An answer proves the whole path; refused means another pod or port was met; silence means a drop on the way (a NetworkPolicy, a route)",
            "有应答即证明整条路径畅通；被拒绝说明到达的是其他 Pod 或端口；无响应说明途中被丢弃（NetworkPolicy 或路由）",
        )
    )?;
    Ok(())
}
