//! The side that connects.

use super::plan::Plan;
use super::{Stop, proxy, relay, words};
use crate::io::{Io, Lang};
use netshoot_host::names::{self, Hints};
use netshoot_host::{sockets, streams};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as Name, UnixDatagram, UnixStream};
use std::time::Duration;

/// Datagrams that see whether a UDP port refuses, and the pause behind each.
const TRIES: usize = 3;
const PAUSE: Duration = Duration::from_secs(1);

/// What came of one address and port.
struct Tried {
    host: String,
    address: Option<SocketAddr>,
    port: u16,
    outcome: String,
}

pub fn reach(plan: &Plan, io: &mut Io<'_>) -> Result<i32, Stop> {
    let host = plan.host.as_deref().unwrap_or_default();
    if plan.unix {
        return unix(plan, host, io);
    }
    let (mut code, mut tried) = (1, Vec::new());
    for (i, port) in plan.ports.iter().copied().enumerate() {
        if let (Some(pause), true) = (plan.pause, i > 0) {
            std::thread::sleep(pause);
        }
        let Some((fd, at)) = one(plan, host, port, &mut tried, io)? else {
            continue;
        };
        code = 0;
        if plan.verbose || plan.scan {
            if plan.manner.datagram && plan.verbose && !answers(&fd) {
                code = 1;
                note(&mut tried, host, Some(at), port, "refused");
                continue;
            }
            note(&mut tried, host, Some(at), port, "open");
            if plan.verbose && !plan.json {
                writeln!(io.err, "{}", succeeded(plan, host, at, port))?;
            }
        }
        if !plan.scan {
            relay::relay(plan, &fd, io)?;
        }
    }
    if plan.scan && plan.json {
        let all: Vec<Value> = tried.iter().map(|t| t.as_json(plan)).collect();
        writeln!(io.out, "{}", Value::Array(all))?;
    }
    if plan.scan && plan.explain {
        for line in explained(&tried, io.lang) {
            writeln!(io.out, "{line}")?;
        }
    }
    Ok(code)
}

fn note(tried: &mut Vec<Tried>, host: &str, address: Option<SocketAddr>, port: u16, outcome: &str) {
    tried.push(Tried {
        host: host.into(),
        address,
        port,
        outcome: outcome.into(),
    });
}

impl Tried {
    fn as_json(&self, plan: &Plan) -> Value {
        json!({
            "host": self.host,
            "address": self.address.map(|a| a.ip().to_string()),
            "port": self.port,
            "protocol": plan.protocol(),
            "outcome": self.outcome,
        })
    }
}

fn succeeded(plan: &Plan, host: &str, at: SocketAddr, port: u16) -> String {
    let mut there = host.to_string();
    let figures = names::figures(at);
    // A proxy resolves the name: which address it took is not known here.
    if plan.proxy.is_none() && figures != host {
        there += &format!(" ({figures})");
    }
    let with_port = SocketAddr::new(at.ip(), port);
    let service = match plan.numeric {
        true => port.to_string(),
        false => names::service_of(with_port, plan.manner.datagram),
    };
    let service = if service == port.to_string() {
        "*"
    } else {
        &service
    };
    let protocol = plan.protocol();
    format!("Connection to {there} {port} port [{protocol}/{service}] succeeded!")
}

/// A connection to one port, to the first address that takes it.
fn one(
    plan: &Plan,
    host: &str,
    port: u16,
    tried: &mut Vec<Tried>,
    io: &mut Io<'_>,
) -> Result<Option<(OwnedFd, SocketAddr)>, Stop> {
    let Some((name, number)) = &plan.proxy else {
        return any(plan, host, &port.to_string(), tried, io);
    };
    let Some((fd, at)) = any(plan, name, number, tried, io)? else {
        return Ok(None);
    };
    proxy::through(plan, &fd, host, port)?;
    Ok(Some((fd, at)))
}

fn any(
    plan: &Plan,
    host: &str,
    port: &str,
    tried: &mut Vec<Tried>,
    io: &mut Io<'_>,
) -> Result<Option<(OwnedFd, SocketAddr)>, Stop> {
    let kind = match plan.manner.datagram {
        true => libc::SOCK_DGRAM,
        false => libc::SOCK_STREAM,
    };
    let numeric = if plan.numeric {
        libc::AI_NUMERICHOST
    } else {
        0
    };
    let hints = |family, flags| Hints {
        family,
        kind,
        flags,
    };
    let found = names::resolve(Some(host), Some(port), hints(plan.family, numeric));
    let found = found.map_err(|why| {
        Stop::Said(format!(
            "getaddrinfo for host \"{host}\" port {port}: {why}"
        ))
    })?;
    for at in found.addresses {
        let fd = streams::open(at, &plan.manner);
        let fd = fd.map_err(|f| Stop::Said(format!("{}: {}", f.step, words(&f.source))))?;
        if plan.own.is_some() || plan.own_port.is_some() {
            let family = sockets::family(at.ip());
            let own = plan.own.as_deref();
            let flags = numeric | libc::AI_PASSIVE;
            let found = names::resolve(own, plan.own_port.as_deref(), hints(family, flags));
            let found = found.map_err(|why| Stop::Said(format!("getaddrinfo: {why}")))?;
            if let Some(own) = found.addresses.first() {
                let bound = streams::bind(&fd, *own);
                bound.map_err(|e| Stop::Said(format!("bind failed: {}", words(&e))))?;
            }
        }
        match streams::connect(&fd, at, plan.timeout) {
            Ok(()) => return Ok(Some((fd, at))),
            Err(e) => {
                let outcome = sockets::outcome(&e);
                let late = e.raw_os_error() == Some(libc::EINPROGRESS);
                let said = if late {
                    "silent".into()
                } else {
                    format!("{outcome:?}").to_lowercase()
                };
                note(tried, host, Some(at), at.port(), &said);
                if plan.verbose && !plan.json {
                    let figures = names::figures(at);
                    let extra = if figures == host {
                        String::new()
                    } else {
                        format!(" ({figures})")
                    };
                    let end = if late { "timed out" } else { "failed" };
                    let (protocol, why) = (plan.protocol(), words(&e));
                    let port = at.port();
                    writeln!(
                        io.err,
                        "nc: connect to {host}{extra} port {port} ({protocol}) {end}: {why}"
                    )?;
                }
            }
        }
    }
    Ok(None)
}

/// A UDP port that does not refuse: it may answer, or drop.
fn answers(fd: &OwnedFd) -> bool {
    for _ in 0..TRIES {
        if sockets::send(fd, b"X").is_err() {
            return false;
        }
        std::thread::sleep(PAUSE);
    }
    true
}

fn unix(plan: &Plan, path: &str, io: &mut Io<'_>) -> Result<i32, Stop> {
    let failed = |e: std::io::Error| Stop::Said(format!("{path}: {}", words(&e)));
    let name = name(path).map_err(failed)?;
    if plan.manner.datagram {
        let own = match &plan.own {
            Some(own) => own.clone(),
            None => format!("/tmp/nc.{}.{}", std::process::id(), sockets::random_u16()),
        };
        let socket = UnixDatagram::bind(&own).map_err(failed)?;
        let done = socket.connect_addr(&name).map_err(failed).and_then(|()| {
            socket.set_nonblocking(true)?;
            if plan.scan {
                Ok(())
            } else {
                relay::relay(plan, &socket.into(), io)
            }
        });
        let _ = std::fs::remove_file(&own);
        return done.map(|()| 0);
    }
    let stream = UnixStream::connect_addr(&name).map_err(failed)?;
    stream.set_nonblocking(true)?;
    if !plan.scan {
        relay::relay(plan, &stream.into(), io)?;
    }
    Ok(0)
}

/// A path, or with `@` in front a name of unix(7)'s abstract namespace.
pub fn name(path: &str) -> std::io::Result<Name> {
    match path.strip_prefix('@') {
        Some(name) => Name::from_abstract_name(name),
        None => Name::from_pathname(path),
    }
}

/// The result in a cluster's terms.
fn explained(tried: &[Tried], lang: Lang) -> Vec<&'static str> {
    let any = |what: &str| tried.iter().any(|t| t.outcome == what);
    let mut lines = Vec::new();
    if any("open") {
        lines.push(lang.pick(
            "Open: somebody listens there and every drop on the way is ruled out; what it serves the port does not say",
            "开放：有进程监听，途中没有丢弃；但端口本身不说明提供什么服务",
        ));
    }
    if any("refused") {
        lines.push(lang.pick(
            "Refused: the machine or pod answered and nobody listens on that port; behind a ClusterIP it may also mean a Service without ready endpoints",
            "拒绝：主机或 Pod 有应答，但该端口无人监听；若是 ClusterIP，也可能是 Service 没有就绪的端点",
        ));
    }
    if any("silent") {
        lines.push(lang.pick(
            "Silent: dropped on the way (a NetworkPolicy, a firewall, a node without a route) or the address is nobody's",
            "静默：途中被丢弃（NetworkPolicy、防火墙、节点缺少路由），或该地址不存在",
        ));
    }
    if any("unreachable") {
        lines.push(lang.pick(
            "Unreachable: this machine or a router has no way there and says so: look at its routes (ip route get)",
            "不可达：本机或某个路由器没有到达的路径并已告知：请检查路由（ip route get）",
        ));
    }
    lines
}
