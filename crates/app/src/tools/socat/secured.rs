//! TLS over a socket that does not block.

use super::address::Address;
use netshoot_host::secure::{self, Client, Own, Wish};
use netshoot_host::sockets::{self, Deadline};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

/// Patience for a handshake, milliseconds.
const PATIENCE_MS: u32 = 30_000;

/// A connection's state, and its socket.
pub struct Secured {
    tls: rustls::Connection,
    fd: OwnedFd,
    /// Bytes that were deciphered and not read yet.
    plain: usize,
    /// The peer said that no more comes, and nobody was told yet.
    ended: bool,
}

/// The socket as rustls sees it.
struct Wire<'a>(&'a OwnedFd);

impl Read for Wire<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        sockets::receive(self.0, buffer)
    }
}

impl Write for Wire<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        sockets::send(self.0, bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn system(step: &str, why: &str) -> String {
    format!("{step}(): error:80000002:system library::{why}")
}

/// The files that an address names.
fn own(address: &Address) -> Result<Option<Arc<Own>>, String> {
    let Some(cert) = address.option("cert") else {
        return Ok(None);
    };
    let key = address.option("key").unwrap_or(cert);
    for file in [cert, key] {
        if let Err(e) = std::fs::metadata(file) {
            return Err(system(
                "SSL_CTX_use_certificate_file",
                &sockets::strerror(&e),
            ));
        }
    }
    Own::read(Path::new(cert), Path::new(key)).map(|o| Some(Arc::new(o)))
}

fn roots(
    address: &Address,
) -> Result<Option<Vec<rustls::pki_types::CertificateDer<'static>>>, String> {
    let Some(file) = address.option("cafile") else {
        return Ok(None);
    };
    if let Err(e) = std::fs::metadata(file) {
        return Err(system(
            "SSL_CTX_load_verify_locations",
            &sockets::strerror(&e),
        ));
    }
    secure::certificates(Path::new(file)).map(Some)
}

/// What a client wishes; looked at before anything is connected.
pub fn wish(address: &Address) -> Result<Wish, String> {
    let verify = address.option("verify").is_none_or(|v| v != "0");
    let versions = match address.option("max-proto-version") {
        Some("TLS1.2") => vec![&rustls::version::TLS12],
        _ => match address.option("min-proto-version") {
            Some("TLS1.3") => vec![&rustls::version::TLS13],
            _ => Vec::new(),
        },
    };
    Ok(Wish {
        verify,
        versions,
        roots: roots(address)?,
        own: own(address)?,
        nameless: address.has("nosni"),
        expected: address
            .option("commonname")
            .filter(|c| !c.is_empty())
            .map(String::from),
        ..Wish::default()
    })
}

/// A server's settings; looked at before anything is listened to.
pub fn server(address: &Address) -> Result<Arc<ServerConfig>, String> {
    let Some(own) = own(address)? else {
        return Err("no certificate given; consider option \"cert\"".into());
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?;
    let verify = address.option("verify").is_none_or(|v| v != "0");
    let builder = match (verify, roots(address)?) {
        (true, Some(given)) => {
            let mut store = RootCertStore::empty();
            store.add_parsable_certificates(given);
            let verifier =
                WebPkiClientVerifier::builder_with_provider(store.into(), provider).build();
            builder.with_client_cert_verifier(verifier.map_err(|e| e.to_string())?)
        }
        (true, None) => {
            return Err(
                "a client's certificate is to be verified: give cafile=FILE, or verify=0".into(),
            );
        }
        (false, _) => builder.with_no_client_auth(),
    };
    let config = builder.with_single_cert(own.chain.clone(), own.key.clone_key());
    config.map(Arc::new).map_err(|e| e.to_string())
}

impl Secured {
    /// The client's handshake.
    pub fn connect(
        fd: OwnedFd,
        wish: &Wish,
        host: &str,
        asked: Option<&str>,
    ) -> Result<Secured, String> {
        let mut wish = wish.clone();
        if asked.is_some() && wish.expected.is_none() {
            wish.expected = Some(host.into());
        }
        let client =
            Client::new(&wish, asked.unwrap_or(host)).map_err(|e| format!("SSL_connect(): {e}"))?;
        let name = wish.expected.clone().unwrap_or_else(|| host.into());
        let mut secured = Secured {
            tls: client.tls.into(),
            fd,
            plain: 0,
            ended: false,
        };
        secured
            .shake()
            .map_err(|e| words("SSL_connect", &e, &name))?;
        Ok(secured)
    }

    /// The server's handshake.
    pub fn accept(fd: OwnedFd, config: Arc<ServerConfig>) -> Result<Secured, String> {
        let tls = ServerConnection::new(config).map_err(|e| format!("SSL_accept(): {e}"))?;
        let mut secured = Secured {
            tls: tls.into(),
            fd,
            plain: 0,
            ended: false,
        };
        secured.shake().map_err(|e| words("SSL_accept", &e, ""))?;
        Ok(secured)
    }

    fn shake(&mut self) -> io::Result<()> {
        let deadline = Deadline::after_ms(PATIENCE_MS);
        while self.tls.is_handshaking() || self.tls.wants_write() {
            let events = match self.tls.wants_write() {
                true => libc::POLLOUT,
                false => libc::POLLIN,
            };
            sockets::wait(&self.fd, events, deadline)?;
            if self.tls.wants_write() {
                self.flush()
                    .map_err(|e| secure::last_words(e, || self.hear()))?;
                continue;
            }
            if self.hear()? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(())
    }

    fn hear(&mut self) -> io::Result<usize> {
        let read = self.tls.read_tls(&mut Wire(&self.fd))?;
        if read > 0 {
            self.process()?;
        }
        Ok(read)
    }

    fn flush(&mut self) -> io::Result<()> {
        while self.tls.wants_write() {
            match self.tls.write_tls(&mut Wire(&self.fd)) {
                Ok(_) => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    pub fn holds(&self) -> bool {
        self.plain > 0 || self.ended
    }

    pub fn wants_to_write(&self) -> bool {
        self.tls.wants_write()
    }

    /// Reads what is there; WouldBlock while a record is not whole.
    pub fn take(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.tls.reader().read(buffer) {
                Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                // Cut without a word: an end all the same.
                Err(e) if e.kind() == ErrorKind::UnexpectedEof => return Ok(0),
                Ok(n) => {
                    self.plain = self.plain.saturating_sub(n);
                    self.ended &= n > 0;
                    return Ok(n);
                }
                Err(e) => return Err(e),
            }
            let wire = self.tls.read_tls(&mut Wire(&self.fd))?;
            self.process()?;
            if wire == 0 && self.plain == 0 {
                self.ended = false;
                return Ok(0);
            }
        }
    }

    fn process(&mut self) -> io::Result<()> {
        match self.tls.process_new_packets() {
            Ok(state) => {
                self.plain = state.plaintext_bytes_to_read();
                self.ended = state.peer_has_closed();
                Ok(())
            }
            Err(e) => {
                let _ = self.flush();
                Err(io::Error::new(ErrorKind::InvalidData, e))
            }
        }
    }

    pub fn give(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.flush()?;
        if self.tls.wants_write() {
            return Err(ErrorKind::WouldBlock.into());
        }
        let n = match bytes {
            [] => 0,
            bytes => self.tls.writer().write(bytes)?,
        };
        self.flush()?;
        Ok(n)
    }

    pub fn end_writing(&mut self) {
        self.tls.send_close_notify();
        let _ = self.flush();
    }
}

/// The sentence of a handshake that failed, near to OpenSSL's.
fn words(step: &str, error: &io::Error, name: &str) -> String {
    use rustls::{CertificateError as C, Error as E};
    let inner = error.get_ref().and_then(|e| e.downcast_ref::<E>());
    match inner {
        Some(E::InvalidCertificate(C::NotValidForName | C::NotValidForNameContext { .. })) => {
            format!("certificate is valid but its commonName does not match hostname \"{name}\"")
        }
        Some(E::InvalidCertificate(_)) => {
            format!("{step}(): error:0A000086:SSL routines::certificate verify failed")
        }
        Some(E::InvalidMessage(_)) => {
            format!("{step}(): error:0A00010B:SSL routines::wrong version number")
        }
        Some(other) => format!("{step}(): {other}"),
        None if error.kind() == ErrorKind::UnexpectedEof => format!("{step}(): Success"),
        None => format!("{step}(): {}", sockets::strerror(error)),
    }
}
