//! TLS handshakes that finish whatever the certificate is, and tell what is wrong with it.

use crate::Error;
use crate::authorities::{self, Places, Store};
use crate::secure;
use crate::sockets::words;
use crate::tcp::Connection;
use netshoot_model::probe::{Certificate, Outcome, TlsHandshake};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme,
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
    /// A strict client for each store, in the order of asking.
    strict: Vec<(Store, Arc<WebPkiServerVerifier>)>,
    seen: Mutex<Seen>,
}

/// What was presented, what is wrong with it, and the store that makes it valid.
#[derive(Clone, Debug, Default)]
struct Seen {
    chain: Vec<CertificateDer<'static>>,
    problem: Option<rustls::Error>,
    trusted_by: String,
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
        let mut verdict = None;
        let mut trusted_by = String::new();
        for (store, strict) in &self.strict {
            let said = match strict.verify_server_cert(leaf, others, name, ocsp, now) {
                Err(e) if lies_in(store, leaf, &e) => named(leaf, name, now),
                said => said.map(drop),
            };
            match said {
                Ok(()) => {
                    (verdict, trusted_by) = (None, store.name.clone());
                    break;
                }
                // What is wrong besides the authority tells more.
                Err(e) if verdict.as_ref().is_none_or(knows_nobody) => verdict = Some(e),
                Err(_) => {}
            }
        }
        let chain = std::iter::once(leaf)
            .chain(others)
            .map(|c| c.clone().into_owned())
            .collect();
        if let Ok(mut seen) = self.seen.lock() {
            *seen = Seen {
                chain,
                problem: verdict,
                trusted_by,
            };
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(self.note(|strict| strict.verify_tls12_signature(message, leaf, signed)))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(self.note(|strict| strict.verify_tls13_signature(message, leaf, signed)))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let first = self.strict.first();
        first.map_or_else(Vec::new, |(_, s)| s.supported_verify_schemes())
    }
}

impl Observer {
    /// A bad signature is written down unless the chain was wrong already.
    fn note(
        &self,
        verify: impl Fn(&WebPkiServerVerifier) -> Result<HandshakeSignatureValid, rustls::Error>,
    ) -> HandshakeSignatureValid {
        // The same whatever authorities are trusted.
        let verdict = self.strict.first().map(|(_, strict)| verify(strict));
        if let (Some(Err(e)), Ok(mut seen)) = (verdict, self.seen.lock()) {
            seen.problem.get_or_insert(e);
        }
        HandshakeSignatureValid::assertion()
    }
}

impl Client {
    /// A client that sends `server_name` (an address or nothing sends none) and would trust the
    /// authorities of these stores.
    pub fn new(server_name: &str, to: IpAddr, stores: Vec<Store>) -> Result<Client, Error> {
        let provider: Arc<CryptoProvider> = Arc::new(rustls::crypto::ring::default_provider());
        let absent = |what: String| Error::Absent { what };
        let public = stores.iter().all(|s| s.name != "given");
        let mut strict = Vec::new();
        for store in stores
            .into_iter()
            .filter(|s| !s.roots.is_empty() || !public)
        {
            let roots = Arc::new(store.roots.clone());
            let built = WebPkiServerVerifier::builder_with_provider(roots, provider.clone())
                .build()
                .map_err(|e| absent(format!("a usable authority among those given ({e})")))?;
            strict.push((store, built));
        }
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
            public,
        })
    }

    /// Shakes hands over a connection.
    pub fn handshake(&self, connection: &mut Connection) -> io::Result<ClientConnection> {
        let mut tls = ClientConnection::new(self.config.clone(), self.name.clone())
            .map_err(io::Error::other)?;
        while tls.is_handshaking() {
            let done = tls.complete_io(connection);
            let (read, written) =
                done.map_err(|e| secure::last_words(e, || secure::hear(&mut tls, connection)))?;
            if read == 0 && written == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(tls)
    }

    /// What was presented in the last handshake, what a strict client would say of it, and the
    /// store that makes it valid.
    pub fn presented(&self) -> (Vec<Certificate>, String, String) {
        let seen = self.observer.seen.lock();
        let seen = seen.map(|seen| seen.clone()).unwrap_or_default();
        let chain: Vec<Certificate> = seen.chain.iter().map(|der| certificate(der)).collect();
        let problem = match seen.problem {
            Some(e) => self.problem(&e, &chain),
            None => String::new(),
        };
        (chain, problem, seen.trusted_by)
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
            E::Other(_)
                if self.public
                    && leaf.is_some_and(|l| l.subject == l.issuer)
                    && is_an_authority(&rustls::Error::InvalidCertificate(error.clone())) =>
            {
                "unknown issuer (self-signed)".into()
            }
            other => rustls::Error::InvalidCertificate(other.clone()).to_string(),
        }
    }
}

/// The server presents an authority's own certificate.
fn is_an_authority(error: &rustls::Error) -> bool {
    matches!(error, rustls::Error::InvalidCertificate(CertificateError::Other(e))
        if e.to_string().contains("CaUsedAsEndEntity"))
}

/// The error says nothing but that the authority is not among those trusted.
fn knows_nobody(error: &rustls::Error) -> bool {
    let unknown = rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
    *error == unknown || is_an_authority(error)
}

/// A server's own certificate that somebody put among the authorities: other clients take it.
fn lies_in(store: &Store, leaf: &CertificateDer<'_>, error: &rustls::Error) -> bool {
    knows_nobody(error) && store.certificates.iter().any(|c| c == leaf)
}

/// What is left to be verified of a certificate that is trusted as it is: its time and its names.
pub(crate) fn named(
    leaf: &CertificateDer<'_>,
    name: &ServerName<'_>,
    now: UnixTime,
) -> Result<(), rustls::Error> {
    let fields = certificate(leaf);
    let now = i64::try_from(now.as_secs())
        .unwrap_or(i64::MAX)
        .saturating_mul(1000);
    if now > fields.not_after_ms {
        return Err(CertificateError::Expired.into());
    }
    if now < fields.not_before_ms {
        return Err(CertificateError::NotValidYet.into());
    }
    verify_server_name(&ParsedCertificate::try_from(leaf)?, name)
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

/// Connects, shakes hands, reads the chain. Trusted are `authorities`, PEM; with none of them the
/// built-in ones and those of these places. The error is a gap.
pub fn inspect(
    to: std::net::SocketAddr,
    server_name: &str,
    authorities: &str,
    places: &Places,
    timeout_ms: u32,
) -> Result<TlsHandshake, Error> {
    let stores = if authorities.trim().is_empty() {
        let mut all = vec![authorities::built_in()];
        all.extend(places.read());
        all
    } else {
        vec![authorities::given(authorities)?]
    };
    let names = stores.iter().map(|s| s.name.clone()).collect();
    let client = Client::new(server_name, to.ip(), stores)?;
    let blank = TlsHandshake {
        outcome: Outcome::Answered,
        version: String::new(),
        problem: String::new(),
        stores: names,
        trusted_by: String::new(),
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
    let (chain, problem, trusted_by) = client.presented();
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
        trusted_by,
        chain,
        took_us,
        detail,
        ..blank
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_certificates_say_so() {
        let key = rcgen::KeyPair::generate().unwrap();
        let made = rcgen::CertificateParams::new(vec!["cart.shop".to_string()])
            .and_then(|p| p.self_signed(&key))
            .unwrap();
        assert_eq!(certificate(made.der()).names, ["cart.shop"]);
        netshoot_wire::fuzz::mutations(made.der(), 5_000, |der| {
            let c = certificate(der);
            let unread = c.subject.starts_with("does not parse");
            assert!(unread || !c.serial.is_empty(), "{c:?}");
        });
    }
}
