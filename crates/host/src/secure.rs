//! TLS for tools that talk: a client with all that a person can ask for, over anything that reads and writes. What was
//! presented and what is wrong with it is kept, whether or not it ends the handshake.

use crate::authorities::{self, Places};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme,
    SupportedProtocolVersion,
};
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};

/// What a handshake is to be like.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// A certificate that does not verify ends it.
    pub verify: bool,
    /// Only these versions; all that there are when empty.
    pub versions: Vec<&'static SupportedProtocolVersion>,
    /// Protocols for what is inside, best first.
    pub alpn: Vec<Vec<u8>>,
    /// The authorities; those of this machine and those built in when none.
    pub roots: Option<Vec<CertificateDer<'static>>>,
    /// What a server may ask for.
    pub own: Option<Arc<Own>>,
    /// No name is sent to the server.
    pub nameless: bool,
    /// The name in the certificate, where it is not the one that is sent.
    pub expected: Option<String>,
}

/// A certificate with its chain, and its key.
#[derive(Debug)]
pub struct Own {
    /// Leaf first.
    pub chain: Vec<CertificateDer<'static>>,
    /// The leaf's.
    pub key: PrivateKeyDer<'static>,
}

impl Own {
    /// Reads both from files in PEM, which may be the same one.
    pub fn read(certificate: &Path, key: &Path) -> Result<Own, String> {
        let wrong = |file: &Path, e: &dyn std::fmt::Display| format!("{}: {e}", file.display());
        let chain = certificates(certificate)?;
        if chain.is_empty() {
            return Err(wrong(certificate, &"no certificate in it"));
        }
        let key = PrivateKeyDer::from_pem_file(key).map_err(|e| wrong(key, &e))?;
        Ok(Own { chain, key })
    }
}

/// The certificates of a PEM file.
pub fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let wrong = |e: &dyn std::fmt::Display| format!("{}: {e}", file.display());
    let all = CertificateDer::pem_file_iter(file).map_err(|e| wrong(&e))?;
    all.collect::<Result<Vec<_>, _>>().map_err(|e| wrong(&e))
}

/// What a handshake brought to light.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// The certificates presented, leaf first.
    pub chain: Vec<CertificateDer<'static>>,
    /// What is wrong with them.
    pub problem: Option<rustls::Error>,
    /// How the server proved that it has the key.
    pub scheme: Option<SignatureScheme>,
    /// No name was sent to it.
    pub nameless: bool,
}

#[derive(Debug)]
struct Watcher {
    strict: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
    roots: Vec<CertificateDer<'static>>,
    enforce: bool,
    expected: Option<ServerName<'static>>,
    seen: Mutex<Seen>,
}

impl ServerCertVerifier for Watcher {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let name = self.expected.as_ref().unwrap_or(name);
        let mut verdict = match &self.strict {
            Some(strict) => strict
                .verify_server_cert(leaf, others, name, ocsp, now)
                .map(drop),
            None => Err(rustls::CertificateError::UnknownIssuer.into()),
        };
        // A server's own certificate among the authorities: other clients take it.
        if verdict.is_err() && self.roots.iter().any(|r| r == leaf) {
            verdict = crate::tls::named(leaf, name, now);
        }
        let chain = std::iter::once(leaf).chain(others);
        let chain = chain.map(|c| c.clone().into_owned()).collect();
        let problem = verdict.err();
        if let Ok(mut seen) = self.seen.lock() {
            seen.chain = chain;
            seen.problem = problem.clone();
        }
        match problem {
            Some(e) if self.enforce => Err(e),
            _ => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.note(signed);
        let known = &self.provider.signature_verification_algorithms;
        self.judge(
            leaf,
            rustls::crypto::verify_tls12_signature(message, leaf, signed, known),
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.note(signed);
        let known = &self.provider.signature_verification_algorithms;
        self.judge(
            leaf,
            rustls::crypto::verify_tls13_signature(message, leaf, signed, known),
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let known = &self.provider.signature_verification_algorithms;
        known.supported_schemes()
    }
}

impl Watcher {
    /// A leaf of another version than 3, as some servers make for themselves, cannot be read here: who verifies nothing
    /// takes it all the same.
    fn judge(
        &self,
        leaf: &CertificateDer<'_>,
        verdict: Result<HandshakeSignatureValid, rustls::Error>,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let unread = || rustls::server::ParsedCertificate::try_from(leaf).is_err();
        match verdict {
            Err(_) if !self.enforce && unread() => Ok(HandshakeSignatureValid::assertion()),
            other => other,
        }
    }

    fn note(&self, signed: &DigitallySignedStruct) {
        if let Ok(mut seen) = self.seen.lock() {
            seen.scheme = Some(signed.scheme);
        }
    }
}

/// A client's side before and after its handshake.
pub struct Client {
    /// The connection's state.
    pub tls: ClientConnection,
    /// Bytes of the handshake.
    pub read: usize,
    /// Bytes of the handshake.
    pub written: usize,
    watcher: Arc<Watcher>,
}

impl Client {
    /// Prepares to speak with `name`, a host's name or an address.
    pub fn new(wish: &Wish, name: &str) -> Result<Client, String> {
        let provider: Arc<CryptoProvider> = Arc::new(rustls::crypto::ring::default_provider());
        let named = |n: &str| {
            let n = n.trim_end_matches('.');
            ServerName::try_from(n.to_string()).map_err(|_| format!("'{n}' is no host name"))
        };
        let mut store = RootCertStore::empty();
        let roots = match &wish.roots {
            Some(given) => given.clone(),
            None => {
                let places = Places::of_this_machine().read();
                let mut all: Vec<_> = places.into_iter().flat_map(|s| s.certificates).collect();
                if all.is_empty() {
                    store.roots = authorities::built_in().roots.roots;
                }
                all.dedup();
                all
            }
        };
        store.add_parsable_certificates(roots.iter().cloned());
        let strict = match store.is_empty() {
            true => None,
            false => {
                let built =
                    WebPkiServerVerifier::builder_with_provider(store.into(), provider.clone());
                Some(built.build().map_err(|e| e.to_string())?)
            }
        };
        let watcher = Arc::new(Watcher {
            strict,
            provider: provider.clone(),
            roots,
            enforce: wish.verify,
            expected: wish.expected.as_deref().map(named).transpose()?,
            seen: Mutex::new(Seen {
                nameless: wish.nameless,
                ..Seen::default()
            }),
        });
        let builder = ClientConfig::builder_with_provider(provider);
        let builder = match wish.versions.as_slice() {
            [] => builder.with_safe_default_protocol_versions(),
            some => builder.with_protocol_versions(some),
        };
        let builder = builder
            .map_err(|e| e.to_string())?
            .dangerous()
            .with_custom_certificate_verifier(watcher.clone());
        let mut config = match &wish.own {
            Some(own) => builder
                .with_client_auth_cert(own.chain.clone(), own.key.clone_key())
                .map_err(|e| e.to_string())?,
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = wish.alpn.clone();
        config.enable_sni = !wish.nameless;
        config.resumption = rustls::client::Resumption::disabled();
        let tls =
            ClientConnection::new(Arc::new(config), named(name)?).map_err(|e| e.to_string())?;
        Ok(Client {
            tls,
            read: 0,
            written: 0,
            watcher,
        })
    }

    /// Shakes hands over a connection that ends by itself when patience is over.
    pub fn shake(&mut self, stream: &mut (impl Read + Write)) -> io::Result<()> {
        while self.tls.is_handshaking() {
            let done = self.tls.complete_io(stream);
            let (read, written) =
                done.map_err(|e| last_words(e, || hear(&mut self.tls, stream)))?;
            if (read, written) == (0, 0) {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.read += read;
            self.written += written;
        }
        Ok(())
    }

    /// What the server presented, and what is wrong with it.
    pub fn seen(&self) -> Seen {
        let seen = self.watcher.seen.lock();
        seen.map(|s| s.clone()).unwrap_or_default()
    }
}

/// Why a peer is gone: a write that finds the connection closed hides the alert which came before the end and is not read
/// yet. `hear` reads once and gives how much there was.
pub fn last_words(error: io::Error, mut hear: impl FnMut() -> io::Result<usize>) -> io::Error {
    let gone = [io::ErrorKind::BrokenPipe, io::ErrorKind::ConnectionReset];
    if !gone.contains(&error.kind()) {
        return error;
    }
    // What is still to be read is a handshake at most.
    for _ in 0..16 {
        match hear() {
            Ok(0) => break,
            Ok(_) => {}
            Err(e) if e.get_ref().is_some_and(|e| e.is::<rustls::Error>()) => return e,
            Err(_) => break,
        }
    }
    error
}

/// Reads once from a peer, and takes in what it said.
pub fn hear(tls: &mut ClientConnection, stream: &mut impl Read) -> io::Result<usize> {
    let read = tls.read_tls(stream)?;
    tls.process_new_packets()
        .map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?;
    Ok(read)
}

/// The sentence in an error of a handshake.
pub fn words(error: &io::Error) -> String {
    let inner = error
        .get_ref()
        .and_then(|e| e.downcast_ref::<rustls::Error>());
    match inner {
        Some(e) => e.to_string(),
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            "the connection ended within the handshake".into()
        }
        None => crate::sockets::words(error),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// A peer that is gone, and what it said before.
    struct Gone(&'static [u8]);

    impl Read for Gone {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0.read(buffer)
        }
    }

    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_alert_before_the_end_is_heard_though_a_write_failed() {
        let shaken = |said| {
            let mut client = Client::new(&Wish::default(), "localhost").unwrap();
            client.shake(&mut Gone(said)).unwrap_err()
        };
        let unknown_certificate = shaken(&[21, 3, 3, 0, 2, 2, 46]);
        assert_eq!(
            words(&unknown_certificate),
            "received fatal alert: CertificateUnknown"
        );
        assert_eq!(shaken(&[]).kind(), io::ErrorKind::BrokenPipe);
    }
}
