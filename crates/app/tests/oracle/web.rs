//! The place `web`: who answers on loopback. 8080 speaks HTTP, 8443 the same over TLS with the certificate of `cert.pem`
//! (localhost, 127.0.0.1), 8446 as well, 8444 the same to who has `client.pem`, 3128 is a proxy that lets nobody to
//! `refused`, 3129 the same over TLS; 8085 speaks HTTP at every address. What is answered depends on the path alone.

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Makes the folder where a tool's lines are run, with the certificate.
pub fn prepare(tool: &str) -> PathBuf {
    let dir = std::env::temp_dir().join(format!("netshoot-web-{tool}-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
        ])
        .args(["-nodes", "-days", "30", "-subj", "/CN=localhost"])
        .args(["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"])
        .args(["-keyout", "key.pem", "-out", "cert.pem"])
        .current_dir(&dir)
        .output()
        .unwrap();
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    // One that it signed: for clients.
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec"])
        .args(["-pkeyopt", "ec_paramgen_curve:prime256v1"])
        .args(["-nodes", "-days", "30", "-subj", "/CN=client"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .args(["-CA", "cert.pem", "-CAkey", "key.pem"])
        .args(["-keyout", "client.key", "-out", "client.pem"])
        .current_dir(&dir)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    dir
}

pub fn serve(dir: &Path) {
    for address in ["127.0.0.1:8080", "[::1]:8080", "[::]:8085"] {
        listen(address, talk);
    }
    listen("127.0.0.1:3128", proxy);
    let chain = CertificateDer::pem_file_iter(dir.join("cert.pem"))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let key = PrivateKeyDer::from_pem_file(dir.join("key.pem")).unwrap();
    let _ = rustls::crypto::ring::default_provider().install_default();
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key);
    let mut config = config.unwrap();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let config = Arc::new(config);
    let proxied = config.clone();
    for address in ["127.0.0.1:8443", "127.0.0.1:8446"] {
        let config = config.clone();
        listen(address, move |stream| {
            let session = rustls::ServerConnection::new(config.clone()).unwrap();
            talk(rustls::StreamOwned::new(session, stream));
        });
    }
    listen("127.0.0.1:3129", move |stream| {
        let session = rustls::ServerConnection::new(proxied.clone()).unwrap();
        proxy(rustls::StreamOwned::new(session, stream));
    });
    let mutual = mutual(dir);
    listen("127.0.0.1:8444", move |stream| {
        let session = rustls::ServerConnection::new(mutual.clone()).unwrap();
        talk(rustls::StreamOwned::new(session, stream));
    });
}

/// Lets in who has a certificate that `cert.pem` signed, TLS 1.2: there the client hears at once that it has none.
fn mutual(dir: &Path) -> Arc<rustls::ServerConfig> {
    let chain: Vec<_> = CertificateDer::pem_file_iter(dir.join("cert.pem"))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(chain[0].clone()).unwrap();
    let clients = rustls::server::WebPkiClientVerifier::builder(roots.into());
    let key = PrivateKeyDer::from_pem_file(dir.join("key.pem")).unwrap();
    let config = rustls::ServerConfig::builder_with_protocol_versions(&[&rustls::version::TLS12])
        .with_client_cert_verifier(clients.build().unwrap())
        .with_single_cert(chain, key);
    Arc::new(config.unwrap())
}

fn listen(address: &'static str, with: impl Fn(TcpStream) + Send + Sync + 'static) {
    let began = Instant::now();
    let listener = loop {
        match TcpListener::bind(address) {
            Ok(listener) => break listener,
            // An IPv6 address of a new namespace is tentative for a moment.
            Err(e) => assert!(began.elapsed() < Duration::from_secs(5), "{address}: {e}"),
        }
        std::thread::yield_now();
    };
    let with = Arc::new(with);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let with = with.clone();
            std::thread::spawn(move || with(stream));
        }
    });
}

/// The type of a TLS record of a handshake.
const HANDSHAKE: u8 = 22;

/// The head of a request, byte by byte: what follows is its body. Of a TLS handshake it is the first byte.
fn head(stream: &mut impl Read) -> Option<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && head != [HANDSHAKE] {
        if stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        head.push(byte[0]);
    }
    Some(String::from_utf8_lossy(&head).into_owned())
}

fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|l| {
        let (own, value) = l.split_once(':')?;
        own.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

fn talk(mut stream: impl Read + Write) {
    while let Some(head) = head(&mut stream) {
        if head.as_bytes() == [HANDSHAKE] {
            // Read to its end: closed over unread bytes, the answer could be lost.
            let _ = stream.write_all(&with_body("400 Bad Request", "Connection: close\r\n", b""));
            let _ = std::io::copy(&mut stream, &mut std::io::sink());
            return;
        }
        if field(&head, "expect").is_some() {
            let _ = stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        let length = field(&head, "content-length")
            .and_then(|l| l.parse().ok())
            .unwrap_or(0);
        let mut body = vec![0; length];
        if stream.read_exact(&mut body).is_err() {
            return;
        }
        let first = head.lines().next().unwrap_or_default();
        let path = first.split(' ').nth(1).unwrap_or_default();
        let path = path.strip_prefix("http://foo").unwrap_or(path);
        let (answer, close) = answer(path, &head, &body);
        let answer = match first.starts_with("HEAD ") {
            true => {
                let end = answer
                    .windows(4)
                    .position(|w| w == b"\r\n\r\n")
                    .map_or(answer.len(), |at| at + 4);
                answer[..end].to_vec()
            }
            false => answer,
        };
        if stream
            .write_all(&answer)
            .and_then(|()| stream.flush())
            .is_err()
            || close
        {
            return;
        }
        if path == "/silent" {
            std::thread::sleep(Duration::from_secs(5));
            return;
        }
    }
}

fn with_body(status: &str, more: &str, body: &[u8]) -> Vec<u8> {
    let mut text = format!(
        "HTTP/1.1 {status}\r\nServer: ground\r\n{more}Content-Length: {}\r\n\r\n",
        body.len()
    );
    if status.is_empty() {
        text.clear();
    }
    [text.as_bytes(), body].concat()
}

fn packed(format: &str) -> Vec<u8> {
    let script = match format {
        "gzip" => {
            "import gzip,sys;sys.stdout.buffer.write(gzip.compress(b'packed content\\n',mtime=0))"
        }
        _ => "import zlib,sys;sys.stdout.buffer.write(zlib.compress(b'packed content\\n'))",
    };
    Command::new("python3")
        .args(["-c", script])
        .output()
        .unwrap()
        .stdout
}

/// The answer, and whether the connection ends with it.
fn answer(path: &str, head: &str, body: &[u8]) -> (Vec<u8>, bool) {
    let plain = "Content-Type: text/plain\r\n";
    let raw = |text: &str| (text.as_bytes().to_vec(), true);
    match path.split('?').next().unwrap_or_default() {
        "/echo" | "/echo/hostname" => {
            let both = [head.as_bytes(), body].concat();
            (with_body("200 OK", plain, &both), false)
        }
        "/redirect" => (
            with_body("302 Found", "Location: /echo\r\n", b"elsewhere\n"),
            false,
        ),
        "/loop" => (with_body("301 Moved", "Location: /loop\r\n", b""), false),
        "/nowhere" => (with_body("302 Found", "Location: foo://x\r\n", b""), false),
        "/missing" => (with_body("404 Not Found", plain, b"missing\n"), false),
        "/cookie" => (
            with_body(
                "200 OK",
                "Set-Cookie: a=b; path=/\r\nSet-Cookie: c=d; domain=other\r\n",
                b"set\n",
            ),
            false,
        ),
        "/digest" => match field(head, "authorization") {
            Some(value) if value.starts_with("Digest ") => {
                (with_body("200 OK", "", b"in\n"), false)
            }
            _ => {
                let ask = "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\"\r\nWWW-Authenticate: Basic realm=\"r\"\r\n";
                (with_body("401 Unauthorized", ask, b"who?\n"), false)
            }
        },
        "/chunked" => {
            let chunks = "5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nTrailer: t\r\n\r\n";
            (
                format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}")
                    .into_bytes(),
                false,
            )
        }
        "/close" => raw("HTTP/1.1 200 OK\r\nX: y\r\n\r\nto the end\n"),
        "/short" => raw("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"),
        "/empty" => (Vec::new(), true),
        "/garbage" => raw("garbage\r\n"),
        "/badlength" => raw("HTTP/1.1 200 OK\r\nContent-Length: abc\r\n\r\nbody"),
        "/badchunk" => raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n"),
        "/nocolon" => raw("HTTP/1.1 200 OK\r\nnocolon\r\n\r\n"),
        "/silent" => (Vec::new(), false),
        "/gzip" => (
            with_body("200 OK", "Content-Encoding: gzip\r\n", &packed("gzip")),
            false,
        ),
        "/deflate" => (
            with_body(
                "200 OK",
                "Content-Encoding: deflate\r\n",
                &packed("deflate"),
            ),
            false,
        ),
        "/busy" => (
            with_body("503 Busy", "Retry-After: 1\r\n", b"later\n"),
            false,
        ),
        "/offer" => (
            with_body("200 OK", "Alt-Svc: h1=\":8446\"; ma=60\r\n", b"offer\n"),
            false,
        ),
        "/offers" => {
            let offers = "Alt-Svc: h9=\":1\", h2=\"127.0.0.1:8446\"; persist=1,h1=\"other.example:9\";ma=\"5\"\r\n";
            (with_body("200 OK", offers, b"offers\n"), false)
        }
        "/odd-offers" => {
            let odd = "Alt-Svc: h1=\":0\"\r\nAlt-Svc: h2=:8446\r\nAlt-Svc: =\":1\"\r\nAlt-Svc: h2=\"[::1:9\",h1=\":9\"\r\n";
            (with_body("200 OK", odd, b"odd\n"), false)
        }
        "/no-offers" => (
            with_body("200 OK", "Alt-Svc: clear; ma=1\r\n", b"none\n"),
            false,
        ),
        "/etag" => match field(head, "if-none-match") {
            Some("\"tag\"") => (
                b"HTTP/1.1 304 Not Modified\r\nETag: \"tag\"\r\n\r\n".to_vec(),
                false,
            ),
            _ => (with_body("200 OK", "ETag: \"tag\"\r\n", b"tagged\n"), false),
        },
        "/since" => match field(head, "if-modified-since") {
            Some(_) => (b"HTTP/1.1 304 Not Modified\r\n\r\n".to_vec(), false),
            None => {
                let dated = "Last-Modified: Mon, 01 Jan 2024 00:00:00 GMT\r\n";
                (with_body("200 OK", dated, b"dated\n"), false)
            }
        },
        "/named" => {
            let named = "Content-Disposition: attachment; filename=\"a/given.txt\"\r\n";
            (with_body("200 OK", named, b"named\n"), false)
        }
        "/k20" => (with_body("200 OK", plain, &[b'k'; 20_000]), false),
        "/badgzip" => (
            with_body("200 OK", "Content-Encoding: gzip\r\n", b"nothing packed"),
            false,
        ),
        other => super::site::answer(other, head)
            .unwrap_or_else(|| (with_body("200 OK", plain, b"hello\n"), false)),
    }
}

fn proxy(mut stream: impl Read + Write) {
    let Some(head) = head(&mut stream) else {
        return;
    };
    let first = head.lines().next().unwrap_or_default();
    if let Some(rest) = first.strip_prefix("CONNECT ") {
        if rest.starts_with("refused") {
            let _ = stream.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 3\r\n\r\nno\n");
            return;
        }
        let _ = stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n");
        return talk(stream);
    }
    let _ = stream.write_all(&with_body(
        "200 OK",
        "Content-Type: text/plain\r\n",
        head.as_bytes(),
    ));
}
