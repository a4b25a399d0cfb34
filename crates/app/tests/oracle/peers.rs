//! Who answers on loopback in the place `routed`: TCP 4344 and 80 and the UNIX name `@oracle` greet and give back, UDP
//! 4345 gives back, 4346 and 4347 ask as telnet does, 4348 tells what it got, 4349 closes at once, 1080 and 3128 are proxies that let nobody to port 1.

use std::io::{Read, Write};
use std::net::{IpAddr, TcpListener, TcpStream, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::time::{Duration, Instant};

pub fn serve() {
    tcp("127.0.0.1", 4344, greet);
    tcp("::1", 4344, greet);
    tcp("127.0.0.1", 80, greet);
    tcp("127.0.0.1", 4346, telnet);
    tcp("127.0.0.1", 4347, terminal);
    tcp("127.0.0.1", 4348, tell);
    tcp("127.0.0.1", 4349, |mut stream| {
        drop(stream.write_all(b"bye\n"))
    });
    tcp("127.0.0.1", 1080, socks);
    tcp("127.0.0.1", 3128, connect);
    let name = SocketAddr::from_abstract_name("oracle").unwrap();
    let listener = UnixListener::bind_addr(&name).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || greet(stream));
        }
    });
    let socket = UdpSocket::bind("127.0.0.1:4345").unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 2048];
        while let Ok((n, from)) = socket.recv_from(&mut buffer) {
            let _ = socket.send_to(&[b"udp:", &buffer[..n]].concat(), from);
        }
    });
}

fn tcp(address: &str, port: u16, with: fn(TcpStream)) {
    let at: IpAddr = address.parse().unwrap();
    let began = Instant::now();
    let listener = loop {
        match TcpListener::bind((at, port)) {
            Ok(listener) => break listener,
            // An IPv6 address of a new namespace is tentative for a moment.
            Err(e) => assert!(began.elapsed() < Duration::from_secs(5), "{address}: {e}"),
        }
        std::thread::yield_now();
    };
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || with(stream));
        }
    });
}

fn greet(mut stream: impl Read + Write) {
    let _ = stream.write_all(b"hello\n");
    let mut buffer = [0; 4096];
    while let Ok(n @ 1..) = stream.read(&mut buffer) {
        if stream.write_all(&buffer[..n]).is_err() {
            return;
        }
    }
}

/// Asks DO 1 and WILL 3, then tells what came until the end: who answers still what it read before, when more comes, answers
/// twice.
fn telnet(mut stream: TcpStream) {
    let _ = stream.write_all(&[255, 253, 1, 255, 251, 3]);
    let mut answer = Vec::new();
    let _ = (&mut stream).take(64).read_to_end(&mut answer);
    let _ = stream.write_all(format!("{answer:?}\n").as_bytes());
}

/// Asks for much, then for the terminal's name, and tells what was answered.
fn terminal(mut stream: TcpStream) {
    let asks = [
        255, 253, 24, 255, 253, 1, 255, 251, 1, 255, 251, 3, 255, 253, 99, 255, 251, 99, 255, 250,
        24, 1, 255, 240,
    ];
    let _ = stream.write_all(&asks);
    tell(stream);
}

/// Reads for a while, then tells what came, and a lone CR and a doubled 255.
fn tell(mut stream: TcpStream) {
    let patience = Duration::from_millis(700);
    let _ = stream.set_read_timeout(Some(patience));
    let (mut all, mut piece) = (Vec::new(), [0; 512]);
    while let Ok(n @ 1..) = stream.read(&mut piece) {
        all.extend_from_slice(&piece[..n]);
    }
    let mut said = format!("{all:?}\r\nx\r\0y").into_bytes();
    said.extend([255, 255, b'z', b'\n']);
    let _ = stream.write_all(&said);
}

fn socks(mut stream: TcpStream) {
    let mut first = [0; 3];
    let _ = stream.read_exact(&mut first);
    let mut rest = [0; 512];
    if first[0] == 4 {
        let n = stream.read(&mut rest).unwrap_or(0);
        // Version, command and the upper half of the port were read: the lower one comes first.
        let reply = if rest[..n].first() == Some(&1) {
            91
        } else {
            90
        };
        let _ = stream.write_all(&[0, reply, 0, 0, 0, 0, 0, 0]);
        let _ = stream.write_all(b"through\n");
        return;
    }
    let _ = stream.write_all(&[5, 0]);
    let n = stream.read(&mut rest).unwrap_or(0);
    let refused = rest[..n].ends_with(&[0, 1]);
    let _ = stream.write_all(&[5, if refused { 5 } else { 0 }, 0, 1, 0, 0, 0, 0, 0, 0]);
    if !refused {
        let _ = writeln!(stream, "{:?}", &rest[..n]);
    }
}

fn connect(mut stream: TcpStream) {
    // The whole head, in how many pieces it may come: what is left unread at the end would reset the connection.
    let (mut asked, mut piece) = (Vec::new(), [0; 1024]);
    while !asked.ends_with(b"\r\n\r\n") && asked.len() < 4096 {
        let n = stream.read(&mut piece).unwrap_or(0);
        if n == 0 {
            break;
        }
        asked.extend_from_slice(&piece[..n]);
    }
    let asked = String::from_utf8_lossy(&asked).into_owned();
    let line = asked.lines().next().unwrap_or_default();
    let _ = match line.contains(":1 ") {
        true => write!(stream, "HTTP/1.0 403 Forbidden\r\n\r\n"),
        false => write!(stream, "HTTP/1.0 200 ok\r\nX: y\r\n\r\n{line}\n"),
    };
}
