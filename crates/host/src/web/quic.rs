//! QUIC over a socket of ours: the protocol's machine is a library's, and sockets, clock and waiting are here, in whatever
//! thread asks, so that a network namespace stays that of a thread.

use crate::sockets;
use quinn_proto::crypto::rustls::QuicClientConfig;
use quinn_proto::{
    ClientConfig, Connection, ConnectionError, ConnectionHandle, DatagramEvent, Endpoint,
    EndpointConfig, Event, IdleTimeout, TransportConfig, VarInt,
};
use ring::hmac;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Largest datagram.
const DATAGRAM: usize = 65_536;
/// Datagrams read before somebody looks at what came.
const DATAGRAMS: usize = 64;
/// A connection on which nothing was heard for so long is over.
const IDLE: Duration = Duration::from_secs(60);
/// So often the other end is asked whether it is there.
const ALIVE: Duration = Duration::from_secs(15);
/// What a server may send of one stream before something is taken, bytes.
const STREAM_ROOM: u32 = 8 << 20;
/// The same of all.
const ROOM: u32 = 16 << 20;
/// What is sent and not acknowledged yet, bytes at most.
const UNSENT: u64 = 4 << 20;

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Over {
    /// The protocol says how.
    Lost(ConnectionError),
    /// The socket failed: the system's number of the error.
    Failed(i32),
}

/// A connection and its socket.
pub struct Quic {
    fd: OwnedFd,
    endpoint: Endpoint,
    handle: ConnectionHandle,
    /// The machine.
    pub connection: Connection,
    buffer: Vec<u8>,
    /// A datagram that the socket did not take yet.
    out: Vec<u8>,
    /// The handshake is through.
    pub connected: bool,
    /// It ended.
    pub over: Option<Over>,
}

/// What a client grants and expects.
fn transport() -> TransportConfig {
    let mut config = TransportConfig::default();
    config
        .max_concurrent_bidi_streams(VarInt::from_u32(0))
        .max_concurrent_uni_streams(VarInt::from_u32(100))
        .stream_receive_window(VarInt::from_u32(STREAM_ROOM))
        .receive_window(VarInt::from_u32(ROOM))
        .send_window(UNSENT)
        .datagram_receive_buffer_size(None)
        .max_idle_timeout(IdleTimeout::try_from(IDLE).ok())
        .keep_alive_interval(Some(ALIVE));
    config
}

/// A socket for datagrams to one address only, that never cuts them.
pub fn socket(to: SocketAddr) -> io::Result<OwnedFd> {
    let fd = sockets::open(
        sockets::family(to.ip()),
        libc::SOCK_DGRAM,
        libc::IPPROTO_UDP,
        "UDP",
    )
    .map_err(|_| io::Error::last_os_error())?;
    let (level, option, never) = match to {
        SocketAddr::V4(_) => (
            libc::IPPROTO_IP,
            libc::IP_MTU_DISCOVER,
            libc::IP_PMTUDISC_PROBE,
        ),
        SocketAddr::V6(_) => (
            libc::IPPROTO_IPV6,
            libc::IPV6_MTU_DISCOVER,
            libc::IPV6_PMTUDISC_PROBE,
        ),
    };
    let _ = sockets::set(&fd, level, option, never);
    // Bursts come faster than they are read; the kernel gives what it may.
    let _ = sockets::set(&fd, libc::SOL_SOCKET, libc::SO_RCVBUF, 4 << 20);
    Ok(fd)
}

impl Quic {
    /// Begins on a socket that is connected to `to`; `name` goes to the server and is looked for in its certificate.
    pub fn begin(
        fd: OwnedFd,
        to: SocketAddr,
        tls: Arc<rustls::ClientConfig>,
        name: &str,
    ) -> Result<Quic, String> {
        let suite = rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256;
        let initial = suite.tls13().and_then(|s| s.quic_suite());
        let initial = initial.ok_or("no suite for the first packets")?;
        let tls = QuicClientConfig::with_initial(tls, initial).map_err(|e| e.to_string())?;
        let mut config = ClientConfig::new(Arc::new(tls));
        config.transport_config(Arc::new(transport()));
        let mut key = [0; 64];
        ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut key)
            .map_err(|_| "no random numbers")?;
        let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
        let own = EndpointConfig::new(Arc::new(key));
        let mut endpoint = Endpoint::new(Arc::new(own), None, true, None);
        let (handle, connection) = endpoint
            .connect(Instant::now(), config, to, name)
            .map_err(|e| e.to_string())?;
        Ok(Quic {
            fd,
            endpoint,
            handle,
            connection,
            buffer: vec![0; DATAGRAM],
            out: Vec::new(),
            connected: false,
            over: None,
        })
    }

    /// The socket.
    pub fn fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    /// The own end.
    pub fn local(&self) -> Option<SocketAddr> {
        sockets::local(&self.fd).ok()
    }

    /// A datagram waits for the socket.
    pub fn blocked(&self) -> bool {
        !self.out.is_empty()
    }

    /// How long until the clock has something to say.
    pub fn rest(&mut self) -> Option<Duration> {
        let at = self.connection.poll_timeout()?;
        Some(at.saturating_duration_since(Instant::now()))
    }

    /// Reads and sends what goes without waiting; what happened.
    pub fn pump(&mut self) -> Vec<Event> {
        self.receive();
        let now = Instant::now();
        while self.connection.poll_timeout().is_some_and(|at| at <= now) {
            self.connection.handle_timeout(now);
        }
        let mut happened = Vec::new();
        self.settle(&mut happened);
        self.transmit();
        // What was sent may have ended something.
        self.settle(&mut happened);
        happened
    }

    fn settle(&mut self, happened: &mut Vec<Event>) {
        while let Some(event) = self.connection.poll_endpoint_events() {
            if let Some(event) = self.endpoint.handle_event(self.handle, event) {
                self.connection.handle_event(event);
            }
        }
        while let Some(event) = self.connection.poll() {
            match event {
                Event::Connected => self.connected = true,
                Event::ConnectionLost { reason } => {
                    self.over.get_or_insert(Over::Lost(reason));
                }
                event => happened.push(event),
            }
        }
    }

    fn receive(&mut self) {
        for _ in 0..DATAGRAMS {
            let n = match sockets::receive(&self.fd, &mut self.buffer) {
                Ok(n) => n,
                Err(e) => match e.kind() {
                    io::ErrorKind::WouldBlock => return,
                    io::ErrorKind::Interrupted => continue,
                    _ => return self.failed(&e),
                },
            };
            let bytes = self.buffer.get(..n).unwrap_or_default();
            let remote = self.connection.remote_address();
            let mut answer = Vec::new();
            let event = self.endpoint.handle(
                Instant::now(),
                remote,
                None,
                None,
                bytes.into(),
                &mut answer,
            );
            match event {
                Some(DatagramEvent::ConnectionEvent(_, event)) => {
                    self.connection.handle_event(event);
                }
                // Nobody is served here.
                Some(DatagramEvent::NewConnection(incoming)) => self.endpoint.ignore(incoming),
                Some(DatagramEvent::Response(sent)) => {
                    let bytes = answer.get(..sent.size).unwrap_or_default();
                    let _ = sockets::send(&self.fd, bytes);
                }
                None => {}
            }
        }
    }

    /// Sends what goes.
    pub fn transmit(&mut self) {
        loop {
            if self.out.is_empty() {
                let now = Instant::now();
                let sent = self.connection.poll_transmit(now, 1, &mut self.out);
                let Some(sent) = sent else { return };
                self.out.truncate(sent.size);
            }
            match sockets::send(&self.fd, &self.out) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => self.failed(&e),
                Ok(_) => {}
            }
            self.out.clear();
        }
    }

    /// The socket refused; what is too long or too much at once is lost like any other datagram.
    fn failed(&mut self, e: &io::Error) {
        let number = e.raw_os_error().unwrap_or(0);
        if !matches!(number, libc::EMSGSIZE | libc::ENOBUFS) {
            self.over.get_or_insert(Over::Failed(number));
        }
    }

    /// Says good-bye.
    pub fn close(&mut self, number: u64, reason: &str) {
        if self.over.is_some() {
            return;
        }
        let number = VarInt::from_u64(number).unwrap_or(VarInt::from_u32(0));
        let reason = reason.as_bytes().to_vec().into();
        self.connection.close(Instant::now(), number, reason);
        self.transmit();
        self.over = Some(Over::Lost(ConnectionError::LocallyClosed));
    }
}
