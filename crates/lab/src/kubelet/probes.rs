//! Probes, really performed from the node's network: readiness, liveness, startup.
//!
//! `httpGet` and `tcpSocket` as they say; `grpc` as a TCP connection; `https` up to the first
//! byte of the server's handshake (a kubelet does not look at the certificate either); `exec`
//! holds for as long as the container runs, since there is no program to run in it.

use super::container::part;
use super::{Round, Sandbox};
use crate::ground::Ground;
use crate::shape::{self, at, int, list, text};
use crate::world::Pace;
use netshoot_host::netns::NetNs;
use serde_json::Value;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

/// Which of the three.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    Startup,
    Readiness,
    Liveness,
}

/// What a probe found.
pub(crate) struct Answer {
    pub pod: String,
    container: String,
    /// The container's life it speaks of: an answer about an earlier one is nothing.
    life: u32,
    which: Which,
    found: Result<(), String>,
}

/// The probes of one container.
pub(crate) struct Watched {
    probes: Vec<Probe>,
    life: u32,
    /// Spreads the probes of many pods over the period.
    offset: f64,
}

struct Probe {
    which: Which,
    spec: Value,
    due_ms: u64,
    running: bool,
    failed: i64,
    succeeded: i64,
    holds: bool,
}

impl Watched {
    pub fn new(container: &Value, pod_uid: &str) -> Watched {
        let one = |which, key: &str| {
            container.get(key).map(|spec| Probe {
                which,
                spec: spec.clone(),
                due_ms: 0,
                running: false,
                failed: 0,
                succeeded: 0,
                holds: false,
            })
        };
        let probes = [
            one(Which::Startup, "startupProbe"),
            one(Which::Readiness, "readinessProbe"),
            one(Which::Liveness, "livenessProbe"),
        ];
        Watched {
            probes: probes.into_iter().flatten().collect(),
            life: 0,
            offset: (shape::fnv(pod_uid.as_bytes()) % 100) as f64 / 100.0,
        }
    }

    /// A new life begins.
    pub fn started(&mut self, now_ms: u64, pace: &Pace) {
        self.life += 1;
        for probe in &mut self.probes {
            let delay = int(&probe.spec, "initialDelaySeconds").unwrap_or(0).max(0) as f64 * 1000.0
                / pace.probes_faster.max(0.01);
            // The first look comes soon; a process needs a moment to listen.
            *probe = Probe {
                which: probe.which,
                spec: probe.spec.take(),
                due_ms: now_ms + 60 + delay as u64,
                running: false,
                failed: 0,
                succeeded: 0,
                holds: probe.which == Which::Liveness,
            };
        }
    }

    /// The life is over.
    pub fn stopped(&mut self) {
        for probe in &mut self.probes {
            probe.holds = false;
        }
    }

    fn holds(&self, which: Which) -> bool {
        self.probes
            .iter()
            .filter(|p| p.which == which)
            .all(|p| p.holds)
    }

    /// Startup over, as far as there is such a probe.
    pub fn has_started(&self) -> bool {
        self.life > 0 && self.holds(Which::Startup)
    }

    pub fn is_ready(&self) -> bool {
        self.has_started() && self.holds(Which::Readiness)
    }

    /// Its readiness or startup probe has failed as often as it may.
    pub fn keeps_failing(&self) -> bool {
        self.probes.iter().any(|p| {
            p.which != Which::Liveness
                && !p.holds
                && p.failed >= int(&p.spec, "failureThreshold").unwrap_or(3)
        })
    }
}

/// Asks what is due, each probe on a thread of its own inside the node's network.
pub(super) fn ask_due(
    pod: &mut Sandbox,
    object: &Value,
    node: &Arc<NetNs>,
    answers: &Sender<Answer>,
    pace: &Pace,
    now_ms: u64,
) {
    let Some(address) = pod.addresses.first().copied() else {
        return;
    };
    for container in pod.containers.iter_mut().filter(|c| c.pid().is_some()) {
        let (life, started, offset, name) = (
            container.watched.life,
            container.watched.has_started(),
            container.watched.offset,
            container.name.clone(),
        );
        let spec = list(object, "spec.containers")
            .iter()
            .find(|c| text(c, "name") == name);
        for probe in &mut container.watched.probes {
            let waits = (probe.which != Which::Startup && !started)
                || (probe.which == Which::Startup && probe.holds);
            if probe.running || waits || now_ms < probe.due_ms {
                continue;
            }
            let period = int(&probe.spec, "periodSeconds").unwrap_or(10).max(1) as f64 * 1000.0
                / pace.probes_faster.max(0.01);
            // Until it holds for the first time it is asked more often, as a kubelet does for readiness.
            let pause = if probe.holds {
                period * (0.9 + 0.2 * offset)
            } else {
                period.min(200.0)
            };
            probe.due_ms = now_ms + pause as u64;
            probe.running = true;
            let asked = Asked::new(&probe.spec, spec, address);
            let answer = Answer {
                pod: pod.uid.clone(),
                container: name.clone(),
                life,
                which: probe.which,
                found: Ok(()),
            };
            let (node, answers) = (node.clone(), answers.clone());
            let body = move || {
                let found = node
                    .set_current()
                    .map_err(|e| e.to_string())
                    .and_then(|()| asked.run());
                // Nobody listens any more when the world ends.
                let _ = answers.send(Answer { found, ..answer });
            };
            let thread = std::thread::Builder::new()
                .name("probe".into())
                .stack_size(128 * 1024);
            probe.running = thread.spawn(body).is_ok();
        }
    }
}

/// Takes an answer in: counts, says, restarts.
pub(super) fn take(
    pod: &mut Sandbox,
    answer: &Answer,
    about: &Value,
    round: &Round<'_>,
    ground: &Ground,
) {
    let Some(container) = pod
        .containers
        .iter_mut()
        .find(|c| c.name == answer.container && c.watched.life == answer.life)
    else {
        return;
    };
    let running = container.pid().is_some();
    let Some(probe) = container
        .watched
        .probes
        .iter_mut()
        .find(|p| p.which == answer.which)
    else {
        return;
    };
    probe.running = false;
    if !running || shape::is_ending(about) {
        return;
    }
    let limit = |key: &str, default: i64| int(&probe.spec, key).unwrap_or(default).max(1);
    let (name, word) = match answer.which {
        Which::Startup => ("Startup", "startup"),
        Which::Readiness => ("Readiness", "readiness"),
        Which::Liveness => ("Liveness", "liveness"),
    };
    match &answer.found {
        Ok(()) => {
            (probe.failed, probe.succeeded) = (0, probe.succeeded + 1);
            probe.holds |= probe.succeeded >= limit("successThreshold", 1);
        }
        Err(why) => {
            (probe.failed, probe.succeeded) = (probe.failed + 1, 0);
            let about = part(about, &answer.container);
            round.store.event(
                &about,
                "Warning",
                "Unhealthy",
                &format!("{name} probe failed: {why}"),
                ("kubelet", &pod.node),
            );
            if probe.failed < limit("failureThreshold", 3) {
                return;
            }
            match answer.which {
                Which::Readiness => probe.holds = false,
                _ => {
                    let words = format!(
                        "Container {} failed {word} probe, will be restarted",
                        answer.container
                    );
                    round
                        .store
                        .event(&about, "Normal", "Killing", &words, ("kubelet", &pod.node));
                    probe.failed = 0;
                    container.end(ground);
                }
            }
        }
    }
}

/// One probe, ready to be run.
struct Asked {
    to: Option<SocketAddr>,
    timeout: Duration,
    how: How,
}

enum How {
    Http {
        path: String,
        host: String,
        more: String,
        tls: bool,
    },
    Tcp,
    Nothing,
}

impl Asked {
    fn new(probe: &Value, container: Option<&Value>, address: std::net::IpAddr) -> Asked {
        let port = |value: &Value| -> Option<u16> {
            match value {
                Value::String(name) => name.parse().ok().or_else(|| {
                    let ports = container.map(|c| list(c, "ports")).unwrap_or(&[]);
                    ports
                        .iter()
                        .find(|p| text(p, "name") == name)
                        .and_then(|p| int(p, "containerPort"))
                        .and_then(|p| u16::try_from(p).ok())
                }),
                other => other.as_u64().and_then(|p| u16::try_from(p).ok()),
            }
        };
        let timeout = Duration::from_secs(
            int(probe, "timeoutSeconds")
                .unwrap_or(1)
                .max(1)
                .unsigned_abs(),
        );
        let to = |field: &str| port(at(probe, field)).map(|p| SocketAddr::new(address, p));
        if let Some(http) = probe.get("httpGet") {
            let more: String = list(http, "httpHeaders")
                .iter()
                .map(|h| format!("{}: {}\r\n", text(h, "name"), text(h, "value")))
                .collect();
            let to = to("httpGet.port");
            let host = if text(http, "host").is_empty() {
                to.map(|t| t.to_string()).unwrap_or_default()
            } else {
                text(http, "host").to_string()
            };
            let path = if text(http, "path").is_empty() {
                "/".into()
            } else {
                text(http, "path").to_string()
            };
            return Asked {
                to,
                timeout,
                how: How::Http {
                    path,
                    host,
                    more,
                    tls: text(http, "scheme").eq_ignore_ascii_case("https"),
                },
            };
        }
        if probe.get("tcpSocket").is_some() {
            return Asked {
                to: to("tcpSocket.port"),
                timeout,
                how: How::Tcp,
            };
        }
        if probe.get("grpc").is_some() {
            return Asked {
                to: to("grpc.port"),
                timeout,
                how: How::Tcp,
            };
        }
        Asked {
            to: None,
            timeout,
            how: How::Nothing,
        }
    }

    /// The answer in the words a kubelet uses.
    fn run(&self) -> Result<(), String> {
        if matches!(self.how, How::Nothing) {
            return Ok(());
        }
        let to = self
            .to
            .ok_or("invalid port number: the container has no port of that name")?;
        let until = Instant::now() + self.timeout;
        let stream = TcpStream::connect_timeout(&to, self.timeout);
        match &self.how {
            How::Http {
                path,
                host,
                more,
                tls,
            } => {
                let url = format!("{}://{to}{path}", if *tls { "https" } else { "http" });
                let failed = |e: &std::io::Error| match e.kind() {
                    ErrorKind::TimedOut | ErrorKind::WouldBlock => {
                        format!(
                            "Get \"{url}\": context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
                        )
                    }
                    ErrorKind::UnexpectedEof => format!("Get \"{url}\": EOF"),
                    _ => format!("Get \"{url}\": {}", words(e, to)),
                };
                let mut stream = stream.map_err(|e| failed(&e))?;
                let request = format!(
                    "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: kube-probe/1.37\r\nAccept: */*\r\nConnection: close\r\n{more}\r\n"
                );
                let ask = if *tls {
                    CLIENT_HELLO.to_vec()
                } else {
                    request.into_bytes()
                };
                let first = exchange(&mut stream, &ask, until, *tls).map_err(|e| failed(&e))?;
                if *tls {
                    // 22 is a handshake record: the server answers as one (RFC 8446 section 5.1).
                    return if first.first() == Some(&22) {
                        Ok(())
                    } else {
                        Err(format!(
                            "Get \"{url}\": http: server gave HTTP response to HTTPS client"
                        ))
                    };
                }
                match status_of(&first) {
                    Some(200..=399) => Ok(()),
                    Some(code) => Err(format!("HTTP probe failed with statuscode: {code}")),
                    None => Err(format!(
                        "Get \"{url}\": net/http: HTTP/1.x transport connection broken: malformed HTTP response"
                    )),
                }
            }
            _ => stream.map(drop).map_err(|e| words(&e, to)),
        }
    }
}

/// A TLS 1.2 ClientHello with two common cipher suites (RFC 5246 section 7.4.1.2); enough to make
/// a server begin its handshake.
const CLIENT_HELLO: &[u8] = &[
    22, 3, 1, 0, 79, 1, 0, 0, 75, 3, 3, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17,
    18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 0, 0, 8, 0xc0, 0x2b, 0xc0, 0x2f,
    0xc0, 0x2c, 0xc0, 0x30, 1, 0, 0, 26, 0, 10, 0, 6, 0, 4, 0, 29, 0, 23, 0, 13, 0, 8, 0, 6, 4, 3,
    4, 1, 8, 4, 0, 11, 0, 0,
];

fn words(error: &std::io::Error, to: SocketAddr) -> String {
    match error.kind() {
        ErrorKind::ConnectionRefused => format!("dial tcp {to}: connect: connection refused"),
        ErrorKind::TimedOut | ErrorKind::WouldBlock => format!("dial tcp {to}: i/o timeout"),
        ErrorKind::HostUnreachable => format!("dial tcp {to}: connect: no route to host"),
        ErrorKind::ConnectionReset => format!("read tcp {to}: read: connection reset by peer"),
        _ => format!("dial tcp {to}: {error}"),
    }
}

/// Sends, and reads until there is a status line (or, for TLS, a byte).
fn exchange(
    stream: &mut TcpStream,
    ask: &[u8],
    until: Instant,
    one_byte: bool,
) -> std::io::Result<Vec<u8>> {
    stream.write_all(ask)?;
    let mut got = Vec::new();
    let mut piece = [0; 512];
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        let n = stream.read(&mut piece)?;
        if n == 0 && got.is_empty() {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        got.extend(piece.iter().take(n));
        if n == 0 || one_byte || got.contains(&b'\n') || got.len() > 4096 {
            return Ok(got);
        }
    }
}

fn status_of(head: &[u8]) -> Option<u16> {
    let line = String::from_utf8_lossy(head);
    let mut words = line.lines().next()?.split(' ');
    words.next().filter(|w| w.starts_with("HTTP/"))?;
    words.next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::net::TcpListener;

    fn serve(answer: &'static [u8]) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(answer);
        });
        at
    }

    fn run(probe: Value, to: SocketAddr) -> Result<(), String> {
        let container = json!({"ports": [{"name": "http", "containerPort": to.port()}]});
        Asked::new(&probe, Some(&container), to.ip()).run()
    }

    #[test]
    fn what_a_probe_says() {
        let http = json!({"httpGet": {"path": "/health", "port": "http"}});
        assert_eq!(
            run(http.clone(), serve(b"HTTP/1.1 204 No Content\r\n\r\n")),
            Ok(())
        );
        assert_eq!(
            run(http.clone(), serve(b"HTTP/1.1 503 No\r\n\r\n")),
            Err("HTTP probe failed with statuscode: 503".into())
        );
        assert!(run(http.clone(), serve(b"")).unwrap_err().ends_with("EOF"));
        let free = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        assert!(run(http, free).unwrap_err().ends_with("connection refused"));
        assert!(
            run(json!({"tcpSocket": {"port": "http"}}), free)
                .unwrap_err()
                .contains("connection refused")
        );
        assert!(run(json!({"tcpSocket": {"port": "none"}}), free).is_err());
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let said = run(
            json!({"httpGet": {"port": "http"}, "timeoutSeconds": 1}),
            silent.local_addr().unwrap(),
        )
        .unwrap_err();
        assert!(said.contains("Client.Timeout exceeded"), "{said}");
    }
}
