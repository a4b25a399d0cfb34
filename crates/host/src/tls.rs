//! TLS handshakes that finish whatever the certificate is, and tell what is wrong with it.

use crate::Error;
use crate::sockets::words;
use crate::tcp::Connection;
use netshoot_model::probe::{Certificate, Outcome, TlsHandshake};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore,
    SignatureScheme,
};
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// A client whose handshakes finish with any certificate.
pub struct Client {
    config: Arc<ClientConfig>,
    observer: Arc<Observer>,
    name: ServerName<'static>,
    nameless: bool,
    public: bool,
}

/// Writes down what was presented and what a strict client would say.
#[derive(Debug)]
struct Observer {
    strict: Arc<WebPkiServerVerifier>,
    seen: Mutex<(Vec<CertificateDer<'static>>, Option<rustls::Error>)>,
}

impl ServerCertVerifier for Observer {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verdict = self
            .strict
            .verify_server_cert(leaf, others, name, ocsp, now)
            .err();
        let chain = std::iter::once(leaf)
            .chain(others)
            .map(|c| c.clone().into_owned())
            .collect();
        if let Ok(mut seen) = self.seen.lock() {
            *seen = (chain, verdict);
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(self.note(self.strict.verify_tls12_signature(message, leaf, signed)))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(self.note(self.strict.verify_tls13_signature(message, leaf, signed)))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.strict.supported_verify_schemes()
    }
}

impl Observer {
    /// A bad signature is written down unless the chain was wrong already.
    fn note(
        &self,
        verdict: Result<HandshakeSignatureValid, rustls::Error>,
    ) -> HandshakeSignatureValid {
        if let (Err(e), Ok(mut seen)) = (verdict, self.seen.lock()) {
            seen.1.get_or_insert(e);
        }
        HandshakeSignatureValid::assertion()
    }
}

impl Client {
    /// A client that sends `server_name` (an address or nothing sends none) and would trust
    /// `authorities`, PEM; empty for the built-in ones.
    pub fn new(server_name: &str, to: IpAddr, authorities: &str) -> Result<Client, Error> {
        let provider: Arc<CryptoProvider> = Arc::new(rustls::crypto::ring::default_provider());
        let absent = |what: String| Error::Absent { what };
        let strict = WebPkiServerVerifier::builder_with_provider(
            Arc::new(roots(authorities)?),
            provider.clone(),
        )
        .build()
        .map_err(|e| absent(format!("a usable authority among those given ({e})")))?;
        let observer = Arc::new(Observer {
            strict,
            seen: Mutex::default(),
        });
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| absent(format!("a TLS version ({e})")))?
            .dangerous()
            .with_custom_certificate_verifier(observer.clone())
            .with_no_client_auth();
        config.resumption = rustls::client::Resumption::disabled();
        let nameless = server_name.is_empty();
        let name = match server_name.trim_end_matches('.') {
            "" => ServerName::IpAddress(to.into()),
            name => ServerName::try_from(name.to_string())
                .map_err(|_| absent(format!("`{name}` is no host name: a server name for it")))?,
        };
        Ok(Client {
            config: Arc::new(config),
            observer,
            name,
            nameless,
            public: authorities.trim().is_empty(),
        })
    }

    /// Shakes hands over a connection.
    pub fn handshake(&self, connection: &mut Connection) -> io::Result<ClientConnection> {
        let mut tls = ClientConnection::new(self.config.clone(), self.name.clone())
            .map_err(io::Error::other)?;
        while tls.is_handshaking() {
            let (read, written) = tls.complete_io(connection)?;
            if read == 0 && written == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(tls)
    }

    /// What was presented in the last handshake, and what a strict client would say of it.
    pub fn presented(&self) -> (Vec<Certificate>, String) {
        let (chain, verdict) = self
            .observer
            .seen
            .lock()
            .map(|seen| seen.clone())
            .unwrap_or_default();
        let chain: Vec<Certificate> = chain.iter().map(|der| certificate(der)).collect();
        let problem = match verdict {
            Some(e) => self.problem(&e, &chain),
            None => String::new(),
        };
        (chain, problem)
    }

    fn problem(&self, error: &rustls::Error, chain: &[Certificate]) -> String {
        use CertificateError as E;
        let rustls::Error::InvalidCertificate(error) = error else {
            return error.to_string();
        };
        let leaf = chain.first();
        match error {
            E::Expired | E::ExpiredContext { .. } => "expired".into(),
            E::NotValidYet | E::NotValidYetContext { .. } => "not yet valid".into(),
            E::UnknownIssuer if leaf.is_some_and(|l| l.subject == l.issuer) => {
                "unknown issuer (self-signed)".into()
            }
            E::UnknownIssuer => "unknown issuer".into(),
            // Without a name there is nothing it must be valid for; the chain was looked at first.
            E::NotValidForName | E::NotValidForNameContext { .. } if self.nameless => String::new(),
            E::NotValidForName | E::NotValidForNameContext { .. } => {
                let names = leaf.map(|l| l.names.join(", ")).unwrap_or_default();
                format!("not valid for {}, only for {names}", self.name.to_str())
            }
            // What `openssl req -x509` makes is an authority of its own, which comes out before the
            // question of who signed it.
            E::Other(e)
                if self.public
                    && leaf.is_some_and(|l| l.subject == l.issuer)
                    && e.to_string().contains("CaUsedAsEndEntity") =>
            {
                "unknown issuer (self-signed)".into()
            }
            other => rustls::Error::InvalidCertificate(other.clone()).to_string(),
        }
    }
}

fn roots(authorities: &str) -> Result<RootCertStore, Error> {
    if authorities.trim().is_empty() {
        return Ok(RootCertStore {
            roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
        });
    }
    let mut store = RootCertStore::empty();
    for der in CertificateDer::pem_slice_iter(authorities.as_bytes()) {
        let added = der
            .map_err(|e| e.to_string())
            .and_then(|der| store.add(der).map_err(|e| e.to_string()));
        added.map_err(|e| Error::Absent {
            what: format!("a readable certificate among the authorities ({e})"),
        })?;
    }
    Ok(store)
}

/// The fields of a certificate; what does not parse says so in its subject.
pub fn certificate(der: &[u8]) -> Certificate {
    let blank = Certificate {
        subject: String::new(),
        issuer: String::new(),
        serial: String::new(),
        not_before_ms: 0,
        not_after_ms: 0,
        names: vec![],
    };
    let cert = match X509Certificate::from_der(der) {
        Ok((_, cert)) => cert,
        Err(e) => {
            return Certificate {
                subject: format!("does not parse: {e}"),
                ..blank
            };
        }
    };
    let alternatives = cert.subject_alternative_name().ok().flatten();
    let names = alternatives
        .iter()
        .flat_map(|ext| &ext.value.general_names)
        .filter_map(|name| match name {
            GeneralName::DNSName(n) => Some((*n).to_string()),
            GeneralName::URI(n) => Some((*n).to_string()),
            GeneralName::IPAddress(b) => {
                match (<[u8; 4]>::try_from(*b), <[u8; 16]>::try_from(*b)) {
                    (Ok(v4), _) => Some(IpAddr::from(v4).to_string()),
                    (_, Ok(v6)) => Some(IpAddr::from(v6).to_string()),
                    _ => None,
                }
            }
            _ => None,
        });
    Certificate {
        subject: cert.subject().to_string(),
        issuer: cert.issuer().to_string(),
        serial: cert
            .raw_serial()
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect(),
        not_before_ms: cert.validity().not_before.timestamp().saturating_mul(1000),
        not_after_ms: cert.validity().not_after.timestamp().saturating_mul(1000),
        names: names.collect(),
    }
}

/// Connects, shakes hands, reads the chain. The error is a gap.
pub fn inspect(
    to: std::net::SocketAddr,
    server_name: &str,
    authorities: &str,
    timeout_ms: u32,
) -> Result<TlsHandshake, Error> {
    let client = Client::new(server_name, to.ip(), authorities)?;
    let blank = TlsHandshake {
        outcome: Outcome::Answered,
        version: String::new(),
        problem: String::new(),
        chain: vec![],
        took_us: 0,
        detail: String::new(),
    };
    let mut connection = match crate::tcp::connect(to, timeout_ms)? {
        Ok((connection, _)) => connection,
        Err(a) => {
            return Ok(TlsHandshake {
                outcome: a.outcome,
                took_us: a.took_us,
                detail: a.detail,
                ..blank
            });
        }
    };
    let ended = client.handshake(&mut connection);
    let took_us = connection.spent_us();
    let (chain, problem) = client.presented();
    let (version, outcome, detail) = match ended {
        Ok(mut tls) => {
            let version = tls
                .protocol_version()
                .and_then(|v| v.as_str())
                .unwrap_or_default()
                .replace('_', ".");
            tls.send_close_notify();
            let _ = tls.complete_io(&mut connection); // a courtesy; the answer is known
            (version, Outcome::Answered, String::new())
        }
        // A server that wants a client certificate ends the handshake behind its own chain.
        Err(_) if !chain.is_empty() => (String::new(), Outcome::Answered, String::new()),
        Err(e) => (String::new(), crate::sockets::outcome(&e), said(&e)),
    };
    Ok(TlsHandshake {
        outcome,
        version,
        problem,
        chain,
        took_us,
        detail,
    })
}

/// A handshake's error in words.
pub fn said(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "the connection was closed during the handshake".into(),
        io::ErrorKind::TimedOut => "no answer to the handshake in time".into(),
        _ => words(error),
    }
}
