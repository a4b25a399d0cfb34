//! Listeners: accept loops, and what is said on an accepted connection.

use super::{Listen, PortFrom, Random, Shared, from_environment, grpc, hash, http, say, tls};
use netshoot_host::listening::{self, Slots};
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv6Addr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

/// Connections served at once; more wait in the kernel's accept queue.
const CONNECTIONS: u32 = 64;
/// listen(2) backlog when none is given.
const BACKLOG: u32 = 128;
/// How long a connection may be idle.
const IDLE: Duration = Duration::from_secs(75);

/// Binds and begins to serve; an error is what a program logs when its start fails.
pub(super) fn start(listen: &Listen, shared: &Arc<Shared>) -> Result<(), String> {
    let port = port(&listen.port)?;
    let text = from_environment(&listen.address)?;
    let address = match text.trim_matches(['[', ']']) {
        "" => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        text => text
            .parse()
            .map_err(|_| format!("listen on {text:?}: not an address"))?,
    };
    let place = std::net::SocketAddr::new(address, port);
    let failed = |e: std::io::Error| format!("listen {place}: {e}");
    if listen.serve == "udp" {
        let bound = listening::udp(address, port).map_err(failed)?;
        say(format_args!("listening on {place} (udp)"));
        let listen = listen.clone();
        super::start("udp", shared, move |shared| {
            echo_datagrams(&bound, &listen, shared)
        });
        return Ok(());
    }
    let talk = Talk::of(listen)?;
    let bound = listening::tcp(address, port, listen.backlog.unwrap_or(BACKLOG)).map_err(failed)?;
    say(format_args!("listening on {place} ({})", listen.serve));
    let served = Arc::new(Served {
        listen: listen.clone(),
        talk,
        busy: Slots::new(CONNECTIONS),
    });
    super::start("accept", shared, move |shared| {
        accept(&bound, &served, shared)
    });
    Ok(())
}

fn port(from: &PortFrom) -> Result<u16, String> {
    match from {
        PortFrom::Number(port) => Ok(*port),
        PortFrom::Named(text) => {
            let value = from_environment(text)?;
            value
                .parse()
                .map_err(|_| format!("listen on port {value:?} ({text}): invalid port"))
        }
    }
}

/// What is spoken.
#[derive(Debug)]
enum Talk {
    Http,
    Https(tls::Certificate),
    Echo,
    GrpcHealth,
}

impl Talk {
    fn of(listen: &Listen) -> Result<Talk, String> {
        Ok(match listen.serve.as_str() {
            "http" => Talk::Http,
            "https" => Talk::Https(tls::Certificate::open(&listen.certificate)?),
            "tcp" => Talk::Echo,
            "grpc-health" => Talk::GrpcHealth,
            other => {
                return Err(format!(
                    "serve {other:?}: not one of http, https, tcp, udp, grpc-health"
                ));
            }
        })
    }
}

struct Served {
    listen: Listen,
    talk: Talk,
    busy: Slots,
}

fn accept(listener: &TcpListener, served: &Arc<Served>, shared: &Arc<Shared>) {
    let mut random = Random::new(hash(&shared.name));
    loop {
        served.busy.take();
        listening::wait_readable(listener, -1);
        shared.gate.pass();
        let Ok((stream, peer)) = listener.accept() else {
            // Gone before it was accepted, or no descriptor left: the next round decides.
            served.busy.give();
            std::thread::sleep(Duration::from_millis(1));
            continue;
        };
        if random.below(100) < u64::from(served.listen.reset_percent) {
            listening::reset(stream);
            served.busy.give();
            continue;
        }
        let (theirs, shared_too) = (served.clone(), shared.clone());
        let thread = std::thread::Builder::new().stack_size(super::STACK);
        let spawned = thread.spawn(move || {
            if let Err(why) = converse(stream, &theirs, &shared_too) {
                say(format_args!("{why} from {peer}"));
            }
            theirs.busy.give();
        });
        if let Err(e) = spawned {
            say(format_args!("accept: {e}"));
            served.busy.give();
        }
    }
}

/// One connection to its end; an error is worth a line in the log.
fn converse(mut stream: TcpStream, served: &Served, shared: &Shared) -> Result<(), String> {
    drop(stream.set_read_timeout(Some(IDLE)));
    drop(stream.set_write_timeout(Some(IDLE)));
    drop(stream.set_nodelay(true));
    let listen = &served.listen;
    if listen.stall {
        swallow(&mut stream);
        return Ok(());
    }
    match &served.talk {
        Talk::Http => http::serve(&mut stream, listen, shared),
        Talk::Https(certificate) => {
            let mut secured = certificate.handshake(stream)?;
            let served = http::serve(&mut secured, listen, shared);
            tls::close(secured);
            served
        }
        Talk::GrpcHealth => grpc::serve(&mut stream, listen, shared),
        Talk::Echo => {
            echo(&mut stream, listen, shared);
            Ok(())
        }
    }
}

/// Reads to the end and never answers.
fn swallow(stream: &mut TcpStream) {
    drop(stream.set_read_timeout(None));
    let mut bytes = [0; 2048];
    while matches!(stream.read(&mut bytes), Ok(1..)) {}
}

fn echo(stream: &mut TcpStream, listen: &Listen, shared: &Shared) {
    let mut bytes = [0; 4096];
    while let Ok(n @ 1..) = stream.read(&mut bytes) {
        slow(listen, shared);
        if stream
            .write_all(bytes.get(..n).unwrap_or_default())
            .is_err()
        {
            break;
        }
    }
}

fn echo_datagrams(bound: &UdpSocket, listen: &Listen, shared: &Shared) {
    let mut bytes = vec![0; 65_536];
    loop {
        // An error is an ICMP message about an earlier answer.
        let Ok((n, peer)) = bound.recv_from(&mut bytes) else {
            continue;
        };
        slow(listen, shared);
        if !listen.stall {
            drop(bound.send_to(bytes.get(..n).unwrap_or_default(), peer));
        }
    }
}

/// The delay before an answer, and whatever holds the whole process.
pub(super) fn slow(listen: &Listen, shared: &Shared) {
    if listen.slow_ms > 0 {
        std::thread::sleep(Duration::from_millis(listen.slow_ms));
    }
    shared.gate.pass();
}
