//! TLS as OpenSSL's users know it: what is offered, what came, what is wrong with the certificate and its number.

use super::failure::{Failure, code};
use super::order::Tls;
use crate::authorities::{self, Places, Store};
use crate::tls::certificate;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, SignatureScheme};
use std::path::Path;
use std::sync::{Arc, Mutex};

/// What a peer presented and what is wrong with it.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// DER, leaf first.
    pub chain: Vec<Vec<u8>>,
    /// OpenSSL's number and words, of the chain.
    pub chain_fault: Option<(i64, &'static str)>,
    /// The name is another.
    pub name_fault: bool,
}

/// Verifies, or only looks.
#[derive(Debug)]
pub struct Verifier {
    stores: Vec<(Store, Option<Arc<WebPkiServerVerifier>>)>,
    provider: Arc<CryptoProvider>,
    strict: bool,
    seen: Mutex<Seen>,
}

fn fault(error: &rustls::Error, leaf_self_signed: bool) -> Option<(i64, &'static str)> {
    use CertificateError as E;
    let rustls::Error::InvalidCertificate(error) = error else {
        return Some((1, "unspecified certificate verification error"));
    };
    Some(match error {
        E::Expired | E::ExpiredContext { .. } => (10, "certificate has expired"),
        E::NotValidYet | E::NotValidYetContext { .. } => (9, "certificate is not yet valid"),
        E::Revoked => (23, "certificate revoked"),
        E::NotValidForName | E::NotValidForNameContext { .. } => return None,
        _ if leaf_self_signed => (18, "self-signed certificate"),
        E::UnknownIssuer => (20, "unable to get local issuer certificate"),
        E::BadSignature => (7, "certificate signature failure"),
        E::InvalidPurpose | E::InvalidPurposeContext { .. } => {
            (26, "unsuitable certificate purpose")
        }
        _ => (20, "unable to get local issuer certificate"),
    })
}

impl Verifier {
    fn new(stores: Vec<Store>, provider: &Arc<CryptoProvider>, strict: bool) -> Verifier {
        let built = |store: &Store| {
            let roots = Arc::new(store.roots.clone());
            WebPkiServerVerifier::builder_with_provider(roots, provider.clone())
                .build()
                .ok()
        };
        let stores = stores.into_iter().map(|s| {
            let verifier = built(&s);
            (s, verifier)
        });
        Verifier {
            stores: stores.collect(),
            provider: provider.clone(),
            strict,
            seen: Mutex::default(),
        }
    }

    /// What a handshake that is done presented. One that takes up a session presents what the first one did: it is not
    /// judged by itself.
    pub fn seen_of(&self, name: &ServerName<'_>, chain: &[CertificateDer<'_>]) -> Seen {
        let Some((leaf, others)) = chain.split_first() else {
            return Seen::default();
        };
        let same = |seen: &Seen| {
            seen.chain
                .iter()
                .map(Vec::as_slice)
                .eq(chain.iter().map(|c| &c[..]))
        };
        let last = self.seen();
        if same(&last) {
            return last;
        }
        self.look(leaf, others, name, UnixTime::now())
    }

    fn look(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Seen {
        let named = ParsedCertificate::try_from(leaf).and_then(|c| verify_server_name(&c, name));
        Seen {
            chain: std::iter::once(leaf)
                .chain(others)
                .map(|c| c.to_vec())
                .collect(),
            chain_fault: self.judge(leaf, others, name, now),
            name_fault: named.is_err(),
        }
    }

    /// What the last handshake presented.
    pub fn seen(&self) -> Seen {
        self.seen.lock().map(|s| s.clone()).unwrap_or_default()
    }

    /// What is wrong with the chain; the name is another matter.
    fn judge(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Option<(i64, &'static str)> {
        let fields = certificate(leaf);
        let own = fields.subject == fields.issuer;
        let now_ms = i64::try_from(now.as_secs())
            .unwrap_or(i64::MAX)
            .saturating_mul(1000);
        let mut worst = Some(match own {
            true => (18, "self-signed certificate"),
            false => (20, "unable to get local issuer certificate"),
        });
        for (store, strict) in &self.stores {
            // A certificate that somebody put among the authorities is trusted as it is.
            if store.certificates.iter().any(|c| c == leaf) {
                return if now_ms > fields.not_after_ms {
                    Some((10, "certificate has expired"))
                } else if now_ms < fields.not_before_ms {
                    Some((9, "certificate is not yet valid"))
                } else {
                    None
                };
            }
            let Some(strict) = strict else { continue };
            match strict.verify_server_cert(leaf, others, name, &[], now) {
                Ok(_) => return None,
                Err(e) => match fault(&e, own) {
                    None => return None,
                    Some(f) if f.0 != 20 && f.0 != 18 => worst = Some(f),
                    Some(_) => {}
                },
            }
        }
        worst
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let looked = self.look(leaf, others, name, now);
        let chain_fault = looked.chain_fault;
        if let Ok(mut seen) = self.seen.lock() {
            *seen = looked;
        }
        match chain_fault {
            Some(_) if self.strict => Err(CertificateError::UnknownIssuer.into()),
            _ => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// A configuration, and who looks at what is presented.
#[derive(Clone)]
pub struct Prepared {
    /// For the handshake.
    pub config: Arc<ClientConfig>,
    /// Who looks.
    pub verifier: Arc<Verifier>,
    /// What `-v` shows of it.
    pub shown: Vec<String>,
}

/// OpenSSL's names of the suites that are there.
const SUITES: [(&str, &str); 9] = [
    ("TLS_AES_256_GCM_SHA384", "TLS13_AES_256_GCM_SHA384"),
    ("TLS_AES_128_GCM_SHA256", "TLS13_AES_128_GCM_SHA256"),
    (
        "TLS_CHACHA20_POLY1305_SHA256",
        "TLS13_CHACHA20_POLY1305_SHA256",
    ),
    (
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    ),
    (
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    ),
    (
        "ECDHE-ECDSA-CHACHA20-POLY1305",
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
    ),
    (
        "ECDHE-RSA-AES256-GCM-SHA384",
        "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    ),
    (
        "ECDHE-RSA-AES128-GCM-SHA256",
        "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    ),
    (
        "ECDHE-RSA-CHACHA20-POLY1305",
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
    ),
];

/// OpenSSL's name of a suite.
pub fn suite_name(suite: rustls::SupportedCipherSuite) -> String {
    let own = format!("{:?}", suite.suite());
    let known = SUITES.iter().find(|s| s.1 == own);
    known.map_or(own, |s| s.0.to_string())
}

fn chosen(list: &str) -> Vec<&'static str> {
    let mut found = Vec::new();
    for word in list.split([':', ',', ' ']).filter(|w| !w.is_empty()) {
        let all = matches!(word, "ALL" | "DEFAULT" | "HIGH" | "SECURE" | "ECDHE");
        for (name, own) in SUITES {
            if all || word == name || word == own {
                found.push(own);
            }
        }
    }
    found
}

fn provider(order: &Tls) -> Result<Arc<CryptoProvider>, Failure> {
    let mut provider = rustls::crypto::ring::default_provider();
    for (list, new) in [(&order.ciphers, false), (&order.ciphers13, true)] {
        let Some(list) = list else { continue };
        let kept = chosen(list);
        let of = |s: &rustls::SupportedCipherSuite| format!("{:?}", s.suite());
        let is_new = |s: &rustls::SupportedCipherSuite| of(s).starts_with("TLS13");
        let any = kept.iter().any(|k| k.starts_with("TLS13") == new);
        if !any {
            let what = if new {
                "TLS 1.3 cipher suite"
            } else {
                "cipher list"
            };
            let said = format!("failed setting {what}: {list}");
            return Err(Failure::new(code::CIPHER, said));
        }
        provider
            .cipher_suites
            .retain(|s| is_new(s) != new || kept.contains(&of(s).as_str()));
    }
    // OpenSSL offers the longer key first.
    provider.cipher_suites.sort_by_key(|s| {
        let own = format!("{:?}", s.suite());
        SUITES.iter().position(|n| n.1 == own)
    });
    Ok(Arc::new(provider))
}

fn stores(order: &Tls, shown: &mut Vec<String>) -> Result<Vec<Store>, Failure> {
    const FOLDER: &str = "/etc/ssl/certs";
    let unreadable = |path: &Path| {
        let said = format!("error setting certificate file: {}", path.display());
        Failure::new(code::AUTHORITIES, said)
    };
    let at = |file: &Path, folder: Option<&Path>| Places {
        file: Some(file.to_path_buf()),
        folders: folder.map(|f| f.as_os_str().to_os_string()),
        bundles: vec![],
    };
    let folder = order.folder.clone();
    let shown_folder = folder.clone().unwrap_or_else(|| FOLDER.into());
    let stores = match &order.authorities {
        Some(file) => {
            let pem = std::fs::read(file).map_err(|_| unreadable(file))?;
            if CertificateDer::pem_slice_iter(&pem).next().is_none() {
                return Err(unreadable(file));
            }
            shown.push(format!(" CAfile: {}", file.display()));
            at(file, folder.as_deref()).read()
        }
        None => {
            let machine = Places::of_this_machine();
            let file = machine
                .file
                .clone()
                .or_else(|| machine.bundles.iter().find(|b| b.is_file()).cloned());
            let mut stores = match &folder {
                Some(folder) => Places {
                    file: None,
                    folders: Some(folder.as_os_str().to_os_string()),
                    bundles: vec![],
                }
                .read(),
                None => Vec::new(),
            };
            match &file {
                Some(file) => stores.extend(at(file, None).read()),
                None => stores.push(authorities::built_in()),
            }
            shown.push(match file {
                Some(file) => format!(" CAfile: {}", file.display()),
                None => " CAfile: built-in".into(),
            });
            stores
        }
    };
    shown.push(format!(" CApath: {}", shown_folder.display()));
    Ok(stores)
}

/// The client's own certificate.
type Own = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn own_certificate(order: &Tls) -> Result<Option<Own>, Failure> {
    let Some(path) = &order.certificate else {
        return Ok(None);
    };
    let bad = |said: String| Failure::new(code::CERTIFICATE, said);
    let no_file = |p: &Path| {
        let missing = match p.exists() {
            true => "",
            false => "OpenSSL error error:80000002:system library::No such file or directory, ",
        };
        bad(format!(
            "could not load PEM client certificate from {}, {missing}(no key found, wrong pass phrase, or wrong file format?)",
            p.display()
        ))
    };
    let chain: Vec<_> = CertificateDer::pem_file_iter(path)
        .map_err(|_| no_file(path))?
        .filter_map(Result::ok)
        .collect();
    if chain.is_empty() {
        return Err(no_file(path));
    }
    let key = order.key.as_ref().unwrap_or(path);
    let key = PrivateKeyDer::from_pem_file(key).map_err(|_| {
        bad(format!(
            "unable to set private key file: '{}' type PEM",
            key.display()
        ))
    })?;
    Ok(Some((chain, key)))
}

/// Makes the configuration of an order; `protocols` are offered by ALPN.
pub fn prepare(order: &Tls, protocols: &[&str]) -> Result<Prepared, Failure> {
    let failed = |said: String| Failure::new(code::TLS, said);
    let provider = provider(order)?;
    let mut shown = Vec::new();
    let stores = match order.verify {
        true => stores(order, &mut shown)?,
        false => stores(order, &mut Vec::new()).unwrap_or_default(),
    };
    let verifier = Arc::new(Verifier::new(stores, &provider, order.verify));
    let versions: Vec<_> = [(12, &rustls::version::TLS12), (13, &rustls::version::TLS13)]
        .into_iter()
        .filter(|(v, _)| (order.least..=order.most).contains(v))
        .map(|(_, v)| v)
        .collect();
    if versions.is_empty() {
        return Err(failed(
            "TLS 1.2 and 1.3 are all there is: neither is allowed".into(),
        ));
    }
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&versions)
        .map_err(|e| failed(e.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(verifier.clone());
    let mut config = match own_certificate(order)? {
        Some((chain, key)) => builder.with_client_auth_cert(chain, key).map_err(|e| {
            Failure::new(
                code::CERTIFICATE,
                format!("unable to set private key file: {e}"),
            )
        })?,
        None => builder.with_no_client_auth(),
    };
    config.resumption = Resumption::disabled();
    config.alpn_protocols = protocols.iter().map(|p| p.as_bytes().to_vec()).collect();
    Ok(Prepared {
        config: Arc::new(config),
        verifier,
        shown,
    })
}

/// OpenSSL's words for a handshake that failed.
pub fn said(error: &rustls::Error) -> String {
    use rustls::AlertDescription as A;
    const LIBRARY: &str = "OpenSSL/3.0.22: error:";
    match error {
        rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType)
        | rustls::Error::InvalidMessage(rustls::InvalidMessage::UnknownProtocolVersion) => {
            format!("{LIBRARY}0A00010B:SSL routines::wrong version number")
        }
        rustls::Error::AlertReceived(alert) => {
            let (number, words) = match alert {
                A::HandshakeFailure => ("0A000410", "sslv3 alert handshake failure"),
                A::ProtocolVersion => ("0A00042E", "tlsv1 alert protocol version"),
                A::UnrecognisedName => ("0A000458", "tlsv1 unrecognized name"),
                A::InternalError => ("0A000438", "tlsv1 alert internal error"),
                A::UnsupportedCertificate => ("0A000413", "sslv3 alert unsupported certificate"),
                A::CertificateRevoked => ("0A000414", "sslv3 alert certificate revoked"),
                A::CertificateExpired => ("0A000415", "sslv3 alert certificate expired"),
                A::CertificateUnknown => ("0A000416", "sslv3 alert certificate unknown"),
                A::AccessDenied => ("0A000419", "tlsv1 alert access denied"),
                A::DecodeError => ("0A00041A", "tlsv1 alert decode error"),
                A::DecryptError => ("0A00041B", "tlsv1 alert decrypt error"),
                A::BadCertificate => ("0A000412", "sslv3 alert bad certificate"),
                A::CertificateRequired => ("0A00045C", "tlsv13 alert certificate required"),
                A::UnknownCA => ("0A000418", "tlsv1 alert unknown ca"),
                A::InsufficientSecurity => ("0A00042F", "tlsv1 alert insufficient security"),
                A::NoApplicationProtocol => ("0A000460", "tlsv1 alert no application protocol"),
                other => return format!("TLS alert {other:?}"),
            };
            format!("{LIBRARY}{number}:SSL routines::{words}")
        }
        rustls::Error::PeerIncompatible(_) => {
            format!("{LIBRARY}0A000102:SSL routines::unsupported protocol")
        }
        other => format!("TLS: {other}"),
    }
}
