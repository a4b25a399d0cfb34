//! A server of HTTP/3 that lies, resets and falls silent: whatever it does, a transfer ends, with the code that says why.

use crate::web::failure::code;
use crate::web::order::{Order, Tls, Version};
use crate::web::{Failure, Info, Session, Watch};
use netshoot_wire::h3::{Frame, hello, kind, qpack, why};
use quinn_proto::crypto::rustls::QuicServerConfig;
use quinn_proto::{
    Connection, ConnectionHandle, DatagramEvent, Dir, Endpoint, EndpointConfig, Event,
    ServerConfig, VarInt,
};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// What becomes of a stream that was answered.
#[derive(Clone, Copy)]
enum Then {
    Ends,
    Stays,
    Reset(u64),
    CloseAll(u64),
}

#[derive(Clone)]
struct Manners {
    control: Vec<u8>,
    answer: Vec<u8>,
    then: Then,
    retry: bool,
}

struct Server {
    at: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn tls() -> Arc<rustls::ServerConfig> {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = vec![b"h3".to_vec()];
    Arc::new(config)
}

fn server(manners: Manners) -> Server {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let at = socket.local_addr().unwrap();
    socket
        .set_read_timeout(Some(Duration::from_millis(2)))
        .unwrap();
    let crypto = QuicServerConfig::try_from(tls()).unwrap();
    let config = Arc::new(ServerConfig::with_crypto(Arc::new(crypto)));
    let stop = Arc::new(AtomicBool::new(false));
    let ends = stop.clone();
    let thread = std::thread::spawn(move || {
        let own = Arc::new(EndpointConfig::default());
        let mut endpoint = Endpoint::new(own, Some(config), false, None);
        let mut open: Vec<(ConnectionHandle, Connection)> = Vec::new();
        let mut buffer = [0; 2048];
        while !ends.load(Ordering::Relaxed) {
            if let Ok((n, from)) = socket.recv_from(&mut buffer) {
                let mut out = Vec::new();
                let now = Instant::now();
                let event = endpoint.handle(now, from, None, None, buffer[..n].into(), &mut out);
                let sent = match event {
                    Some(DatagramEvent::NewConnection(new)) => {
                        if manners.retry && !new.remote_address_validated() {
                            Some(endpoint.retry(new, &mut out).unwrap())
                        } else {
                            let accepted = endpoint.accept(new, now, &mut out, None);
                            open.extend(accepted.ok());
                            None
                        }
                    }
                    Some(DatagramEvent::ConnectionEvent(to, event)) => {
                        if let Some(one) = open.iter_mut().find(|o| o.0 == to) {
                            one.1.handle_event(event);
                        }
                        None
                    }
                    Some(DatagramEvent::Response(sent)) => Some(sent),
                    None => None,
                };
                if let Some(sent) = sent {
                    let _ = socket.send_to(&out[..sent.size], sent.destination);
                }
            }
            for (handle, connection) in &mut open {
                serve(&mut endpoint, *handle, connection, &manners, &socket);
            }
            // The handle of one that is gone is given to the next.
            open.retain(|(_, connection)| !connection.is_drained());
        }
    });
    Server {
        at,
        stop,
        thread: Some(thread),
    }
}

fn serve(
    endpoint: &mut Endpoint,
    handle: ConnectionHandle,
    connection: &mut Connection,
    manners: &Manners,
    socket: &UdpSocket,
) {
    let now = Instant::now();
    while connection.poll_timeout().is_some_and(|at| at <= now) {
        connection.handle_timeout(now);
    }
    while let Some(event) = connection.poll_endpoint_events() {
        if let Some(event) = endpoint.handle_event(handle, event) {
            connection.handle_event(event);
        }
    }
    while let Some(event) = connection.poll() {
        if matches!(event, Event::Connected) {
            let id = connection.streams().open(Dir::Uni).unwrap();
            connection.send_stream(id).write(&manners.control).unwrap();
        }
    }
    while let Some(id) = connection.streams().accept(Dir::Bi) {
        let _ = connection.send_stream(id).write(&manners.answer);
        let number = |n| VarInt::from_u64(n).unwrap();
        match manners.then {
            Then::Ends => drop(connection.send_stream(id).finish()),
            Then::Stays => {}
            Then::Reset(why) => drop(connection.send_stream(id).reset(number(why))),
            Then::CloseAll(why) => connection.close(now, number(why), "".into()),
        }
    }
    let mut out = Vec::new();
    while let Some(sent) = connection.poll_transmit(Instant::now(), 1, &mut out) {
        let _ = socket.send_to(&out[..sent.size], sent.destination);
        out.clear();
    }
}

#[derive(Default)]
struct Got(Vec<u8>);

impl Watch for Got {
    fn body(&mut self, bytes: &[u8], _: &Info) -> Result<(), Failure> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

fn ask(at: SocketAddr, version: Version) -> (Result<(), i32>, Vec<u8>, Info) {
    let order = Order {
        url: format!("https://{at}/"),
        version,
        tls: Tls {
            verify: false,
            ..Tls::default()
        },
        patience: Some(Duration::from_millis(1500)),
        ..Order::default()
    };
    let (mut got, mut info) = (Got::default(), Info::default());
    let began = Instant::now();
    let done = Session::default().perform(&order, &mut got, &mut info);
    assert!(began.elapsed() < Duration::from_secs(10));
    (done.map_err(|e| e.code), got.0, info)
}

fn head(fields: &[(&str, &str)]) -> Vec<u8> {
    Frame::new(kind::HEADERS, qpack::encode(fields)).encode()
}

fn fine() -> Manners {
    let data = Frame::new(kind::DATA, *b"hello").encode();
    Manners {
        control: hello(),
        answer: [head(&[(":status", "200")]), data].concat(),
        then: Then::Ends,
        retry: false,
    }
}

#[test]
fn an_answer_with_and_without_a_retry() {
    for retry in [false, true] {
        let server = server(Manners { retry, ..fine() });
        let (done, body, info) = ask(server.at, Version::V3Only);
        assert_eq!(done, Ok(()));
        assert_eq!((body.as_slice(), info.version), (&b"hello"[..], "3"));
    }
}

#[test]
fn lies_end_with_a_code() {
    let ok = head(&[(":status", "200")]);
    let answers: Vec<(&str, Vec<u8>, Then, i32)> = vec![
        ("no head", vec![], Then::Ends, code::HTTP3),
        (
            "a body first",
            Frame::new(kind::DATA, *b"x").encode(),
            Then::Ends,
            code::HTTP3,
        ),
        (
            "a head without end",
            vec![1, 0x80, 0x20, 0, 0],
            Then::Stays,
            code::HTTP3,
        ),
        (
            "a table that is not there",
            Frame::new(1, [2, 0, 0x80]).encode(),
            Then::Stays,
            code::HTTP3,
        ),
        (
            "settings in an answer",
            Frame::new(kind::SETTINGS, []).encode(),
            Then::Stays,
            code::HTTP3,
        ),
        (
            "a cut frame",
            [ok.clone(), vec![0, 9, 1]].concat(),
            Then::Ends,
            code::HTTP3,
        ),
        ("a reset", vec![], Then::Reset(0x102), code::HTTP3),
        (
            "a refusal again and again",
            vec![],
            Then::Reset(why::REQUEST_REJECTED),
            code::RECEIVE,
        ),
        (
            "an end of all",
            vec![],
            Then::CloseAll(0x102),
            code::RECEIVE,
        ),
        (
            "a good-bye instead",
            vec![],
            Then::CloseAll(why::NO_ERROR),
            code::HTTP3,
        ),
        ("silence", vec![], Then::Stays, code::TIMEOUT),
        ("silence behind a head", ok, Then::Stays, code::TIMEOUT),
        (
            "less than was announced",
            head(&[(":status", "200"), ("content-length", "9")]),
            Then::Ends,
            code::PARTIAL,
        ),
    ];
    for (what, answer, then, wanted) in answers {
        let server = server(Manners {
            answer,
            then,
            ..fine()
        });
        let (done, ..) = ask(server.at, Version::V3Only);
        assert_eq!(done, Err(wanted), "{what}");
    }
    // What the server says of the connection, while its answer is waited for.
    for (what, control) in [
        ("no settings", vec![0, 7, 1, 0]),
        ("a push", vec![1, 0]),
        ("entries of a table", vec![2, 0x3f, 0xe1, 0x1f]),
    ] {
        let (answer, then) = (vec![], Then::Stays);
        let server = server(Manners {
            control,
            answer,
            then,
            retry: false,
        });
        let (done, ..) = ask(server.at, Version::V3Only);
        assert_eq!(done, Err(code::HTTP3), "{what}");
    }
}

#[test]
fn another_version_and_none() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let at = socket.local_addr().unwrap();
    let answers = std::thread::spawn(move || {
        socket
            .set_read_timeout(Some(Duration::from_secs(5)))
            .unwrap();
        let mut buffer = [0; 2048];
        let (n, from) = socket.recv_from(&mut buffer).unwrap();
        // Version negotiation (RFC 9000, 17.2.1): the ids change places, and only a version that nobody knows is offered.
        let bytes = &buffer[..n];
        let to = usize::from(bytes[5]);
        let (theirs, rest) = bytes[6..].split_at(to);
        let own = &rest[1..1 + usize::from(rest[0])];
        let mut out = vec![0x80, 0, 0, 0, 0, own.len() as u8];
        out.extend_from_slice(own);
        out.push(theirs.len() as u8);
        out.extend_from_slice(theirs);
        out.extend([0x1a, 0x2a, 0x3a, 0x4a]);
        socket.send_to(&out, from).unwrap();
    });
    assert_eq!(ask(at, Version::V3Only).0, Err(code::QUIC));
    answers.join().unwrap();
    // Bound, and never read.
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let at = silent.local_addr().unwrap();
    assert_eq!(ask(at, Version::V3Only).0, Err(code::TIMEOUT));
    // Nobody is there, neither by datagrams nor by TCP.
    drop(silent);
    assert_eq!(ask(at, Version::V3Only).0, Err(code::CONNECT));
    assert_eq!(ask(at, Version::V3).0, Err(code::CONNECT));
}
