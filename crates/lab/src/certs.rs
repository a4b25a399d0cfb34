//! Certificates of a world: one authority, and what it issues to the pods.
//!
//! The authority is made new for every world and never leaves it; nothing outside a world has a
//! reason to trust it.

use crate::Error;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, date_time_ymd,
};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::sync::Arc;
use std::time::Duration;

/// The latest moment an X.509 date can name with four digits of a year, 9999-12-31T23:59:59Z (RFC 5280,
/// 4.1.2.5), in milliseconds since 1970.
const LAST_MS: i64 = 253_402_300_799_000;

/// A world's certificate authority.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Authority") // never the key
    }
}

impl Authority {
    /// A new authority with its own key. `name` is its common name (`kubernetes` in a cluster),
    /// the moments are milliseconds since 1970.
    pub fn new(name: &str, not_before_ms: i64, not_after_ms: i64) -> Result<Authority, Error> {
        let failed = |e: rcgen::Error| Error::Absent {
            what: format!("certificate authority {name}: {e}"),
        };
        let key = KeyPair::generate().map_err(failed)?;
        let mut params = validity(CertificateParams::default(), not_before_ms, not_after_ms);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::DigitalSignature,
        ];
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        Ok(Authority {
            issuer: CertifiedIssuer::self_signed(params, key).map_err(failed)?,
        })
    }

    /// The authority's certificate, as `ca.crt` holds it.
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }
}

/// A server certificate for `names` (DNS names, wildcards or addresses; the first is the common
/// name) and its key, both PEM. The moments are milliseconds since 1970; a certificate that is not
/// yet valid, or no longer, is issued like any other.
pub fn issue(
    authority: &Authority,
    names: &[String],
    not_before_ms: i64,
    not_after_ms: i64,
) -> Result<(String, String), Error> {
    let failed = |e: rcgen::Error| Error::Absent {
        what: format!("certificate for {}: {e}", names.join(", ")),
    };
    let key = KeyPair::generate().map_err(failed)?;
    let mut params = validity(
        CertificateParams::new(names.to_vec()).map_err(failed)?,
        not_before_ms,
        not_after_ms,
    );
    params.distinguished_name = rcgen::DistinguishedName::new();
    if let Some(first) = names.first() {
        params
            .distinguished_name
            .push(DnType::CommonName, first.as_str());
    }
    params.key_usages = vec![
        KeyUsagePurpose::DigitalSignature,
        KeyUsagePurpose::KeyEncipherment,
    ];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    let certificate = params.signed_by(&key, &authority.issuer).map_err(failed)?;
    Ok((certificate.pem(), key.serialize_pem()))
}

/// What a server of HTTP/1.1 needs: its certificate and key, both PEM.
pub(crate) fn server_config(certificate: &str, key: &str) -> Result<Arc<ServerConfig>, Error> {
    fn failed(e: impl std::fmt::Display) -> Error {
        Error::Absent {
            what: format!("a server with this certificate: {e}"),
        }
    }
    let chain = CertificateDer::pem_slice_iter(certificate.as_bytes());
    let chain = chain.collect::<Result<Vec<_>, _>>().map_err(failed)?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(failed)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(failed)?;
    let mut config = builder
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(failed)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn validity(
    mut params: CertificateParams,
    not_before_ms: i64,
    not_after_ms: i64,
) -> CertificateParams {
    let moment =
        |ms: i64| date_time_ymd(1970, 1, 1) + Duration::from_millis(ms.clamp(0, LAST_MS) as u64);
    params.not_before = moment(not_before_ms);
    params.not_after = moment(not_after_ms);
    params
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::pki_types::{ServerName, UnixTime};
    use rustls::{
        CertificateError, RootCertStore, client::WebPkiServerVerifier,
        client::danger::ServerCertVerifier,
    };

    const DAY: i64 = 86_400_000;
    const NOW: i64 = 20_000 * DAY;

    fn verify(authority: &Authority, pem: &str, name: &str) -> Result<(), rustls::Error> {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap())
            .unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .unwrap();
        let end = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        let now = UnixTime::since_unix_epoch(Duration::from_millis(NOW as u64));
        verifier
            .verify_server_cert(
                &end,
                &[],
                &ServerName::try_from(name.to_string()).unwrap(),
                &[],
                now,
            )
            .map(|_| ())
    }

    fn bad(result: Result<(), rustls::Error>) -> CertificateError {
        match result {
            Err(rustls::Error::InvalidCertificate(why)) => why,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_certificate_is_what_was_asked_for() {
        let authority = Authority::new("kubernetes", NOW - DAY, NOW + 10 * DAY).unwrap();
        let stranger = Authority::new("kubernetes", NOW - DAY, NOW + 10 * DAY).unwrap();
        let names = vec![
            "shop.example.test".to_string(),
            "*.shop.svc".to_string(),
            "10.0.0.7".to_string(),
            "fd00::7".to_string(),
        ];
        let (pem, key) = issue(&authority, &names, NOW - DAY, NOW + DAY).unwrap();
        assert!(key.contains("PRIVATE KEY"), "{key}");
        for name in ["shop.example.test", "a.shop.svc", "10.0.0.7", "fd00::7"] {
            verify(&authority, &pem, name).unwrap_or_else(|e| panic!("{name}: {e}"));
        }
        assert!(matches!(
            bad(verify(&authority, &pem, "other.example.test")),
            CertificateError::NotValidForNameContext { .. }
        ));
        assert!(matches!(
            bad(verify(&stranger, &pem, "shop.example.test")),
            CertificateError::UnknownIssuer | CertificateError::BadSignature
        ));
        let (old, _) = issue(&authority, &names, NOW - 9 * DAY, NOW - DAY).unwrap();
        assert!(matches!(
            bad(verify(&authority, &old, "shop.example.test")),
            CertificateError::ExpiredContext { .. }
        ));
        let (early, _) = issue(&authority, &names, NOW + DAY, NOW + 2 * DAY).unwrap();
        assert!(matches!(
            bad(verify(&authority, &early, "shop.example.test")),
            CertificateError::NotValidYetContext { .. }
        ));
    }

    #[test]
    fn moments_out_of_range_do_not_panic() {
        let authority = Authority::new("kubernetes", i64::MIN, i64::MAX).unwrap();
        assert!(issue(&authority, &["a.test".into()], i64::MIN, i64::MAX).is_ok());
        assert!(issue(&authority, &["not an ascii näme".into()], 0, 1).is_err());
    }
}
