use super::{Need, Place, Runs, gap, not_mine};
use crate::authorities::Places;
use crate::tls;
use netshoot_model::probe::{Answer, Question, kinds};

/// A TLS handshake; the function is [`tls::inspect`].
pub const PROBE: Runs = Runs {
    kind: &kinds::tls_handshake::KIND,
    run,
};

fn run(question: &Question, place: &Place) -> Answer {
    let Question::TlsHandshake {
        to,
        server_name,
        authorities,
        timeout_ms,
    } = question
    else {
        return not_mine(question);
    };
    // A place with a resolv.conf of its own is a pod: the machine's authorities are not its own.
    let places = match &place.resolv_conf {
        Some(_) => Places::default(),
        None => Places::of_this_machine(),
    };
    match tls::inspect(*to, server_name, authorities, &places, *timeout_ms) {
        Ok(handshake) => Answer::TlsHandshake(handshake),
        Err(e) => gap(&e, Need::None),
    }
}

#[cfg(test)]
mod tests {
    use crate::authorities::Places;
    use crate::http::{Get, get_many};
    use crate::testground::alone;
    use crate::tls::inspect;
    use netshoot_model::probe::{Outcome, TlsHandshake};
    use rcgen::{
        BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd,
    };
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use rustls::{ServerConfig, ServerConnection, StreamOwned};
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpListener};
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    struct Authority(CertifiedIssuer<'static, KeyPair>);

    impl Authority {
        fn new() -> Authority {
            let mut params = CertificateParams::new(vec![]).unwrap();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params
                .distinguished_name
                .push(rcgen::DnType::CommonName, "test authority");
            Authority(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
        }

        /// A server's chain and key for `names`, valid for these years.
        fn chain(
            &self,
            names: &[&str],
            years: (i32, i32),
        ) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
            let names: Vec<String> = names.iter().map(|n| (*n).to_string()).collect();
            let mut params = CertificateParams::new(names).unwrap();
            params.not_before = date_time_ymd(years.0, 1, 1);
            params.not_after = date_time_ymd(years.1, 1, 1);
            let key = KeyPair::generate().unwrap();
            let leaf = params.signed_by(&key, &self.0).unwrap();
            (
                vec![leaf.der().clone(), self.0.der().clone()],
                PrivateKeyDer::Pkcs8(key.serialize_der().into()),
            )
        }
    }

    /// A TLS server on `local` that answers `connections` requests.
    fn serve(
        local: &str,
        (chain, key): (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>),
        versions: &[&'static rustls::SupportedProtocolVersion],
        connections: u32,
    ) -> SocketAddr {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        let config = Arc::new(config);
        let listener = TcpListener::bind(local).unwrap();
        let to = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for _ in 0..connections {
                let (stream, _) = listener.accept().unwrap();
                let mut tls =
                    StreamOwned::new(ServerConnection::new(config.clone()).unwrap(), stream);
                if tls.read(&mut [0; 4096]).is_ok_and(|n| n > 0) {
                    let _ = tls.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
                    tls.conn.send_close_notify();
                    let _ = tls.flush();
                }
            }
        });
        to
    }

    const ALL: &[&rustls::SupportedProtocolVersion] = rustls::ALL_VERSIONS;
    const NOW: (i32, i32) = (2000, 2100);

    fn ask(to: SocketAddr, name: &str, authorities: &str) -> TlsHandshake {
        inspect(to, name, authorities, &Places::default(), 2000).unwrap()
    }

    #[test]
    fn an_authority_of_the_machine_is_trusted_and_named() {
        alone(|| {
            let ours = Authority::new();
            let path = std::env::temp_dir().join(format!("netshoot-ca-{}", std::process::id()));
            std::fs::write(&path, ours.0.pem()).unwrap();
            let name = path.display().to_string();
            let file = Places {
                file: Some(path.clone()),
                ..Places::default()
            };
            let bundle = Places {
                bundles: vec![path.clone()],
                ..Places::default()
            };
            let none = Places::default();
            for (years, places, problem, trusted_by) in [
                (NOW, &file, "", &*name),
                (NOW, &bundle, "", &name),
                ((2000, 2001), &file, "expired", ""),
                (NOW, &none, "unknown issuer", ""),
            ] {
                let to = serve("127.0.0.1:0", ours.chain(&["web"], years), ALL, 1);
                let got = inspect(to, "web", "", places, 2000).unwrap();
                assert_eq!(
                    (got.problem.as_str(), got.trusted_by.as_str()),
                    (problem, trusted_by),
                    "{got:?}"
                );
                assert_eq!(got.stores[0], "built-in");
                assert_eq!(got.stores.get(1).is_some(), places.read().len() == 1);
            }
            std::fs::remove_file(&path).unwrap();
        });
    }

    #[test]
    fn a_servers_own_certificate_may_be_among_the_authorities() {
        alone(|| {
            let path = std::env::temp_dir().join(format!("netshoot-own-{}", std::process::id()));
            let places = Places {
                file: Some(path.clone()),
                ..Places::default()
            };
            for authority in [true, false] {
                let key = KeyPair::generate().unwrap();
                let mut params = CertificateParams::new(vec!["web".to_string()]).unwrap();
                if authority {
                    // As `openssl req -x509` makes them.
                    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
                }
                let own = params.self_signed(&key).unwrap();
                std::fs::write(&path, own.pem()).unwrap();
                for (name, problem) in [("web", ""), ("other", "not valid for other, only for web")]
                {
                    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
                    let to = serve("127.0.0.1:0", (vec![own.der().clone()], key), ALL, 1);
                    let got = inspect(to, name, "", &places, 2000).unwrap();
                    assert_eq!(got.problem, problem, "{got:?}");
                    assert_eq!(got.trusted_by.is_empty(), !problem.is_empty(), "{got:?}");
                }
            }
            std::fs::remove_file(&path).unwrap();
        });
    }

    #[test]
    fn good_expired_early_misnamed_and_strange() {
        alone(|| {
            let ours = Authority::new();
            let trusted = ours.0.pem();
            for (names, years, name, authorities, problem) in [
                (&["web.shop"][..], NOW, "web.shop", trusted.as_str(), ""),
                (&["web.shop"], NOW, "web.shop.", &trusted, ""),
                (&["*.shop.svc"], NOW, "web.shop.svc", &trusted, ""),
                (&["127.0.0.1"], NOW, "127.0.0.1", &trusted, ""),
                (&["web.shop"], NOW, "", &trusted, ""),
                (&["web.shop"], (2000, 2001), "web.shop", &trusted, "expired"),
                (
                    &["web.shop"],
                    (2099, 2100),
                    "web.shop",
                    &trusted,
                    "not yet valid",
                ),
                (
                    &["a.shop", "b.shop"],
                    NOW,
                    "web.shop",
                    &trusted,
                    "not valid for web.shop, only for a.shop, b.shop",
                ),
                (&["web.shop"], NOW, "web.shop", "", "unknown issuer"),
            ] {
                let to = serve("127.0.0.1:0", ours.chain(names, years), ALL, 1);
                let got = ask(to, name, authorities);
                assert_eq!(
                    (got.outcome, got.problem.as_str()),
                    (Outcome::Answered, problem),
                    "{got:?}"
                );
                assert_eq!(
                    (got.version.as_str(), got.chain.len(), got.detail.as_str()),
                    ("TLSv1.3", 2, "")
                );
                assert_eq!(got.chain[0].names, names);
                assert!(got.chain[0].issuer.contains("test authority"), "{got:?}");
                assert!(got.chain[0].not_before_ms < got.chain[0].not_after_ms && got.took_us > 0);
            }
        });
    }

    #[test]
    fn both_families_both_versions_and_http_over_it() {
        alone(|| {
            let ours = Authority::new();
            for local in ["127.0.0.1:0", "[::1]:0"] {
                for (version, word) in [
                    (&rustls::version::TLS12, "TLSv1.2"),
                    (&rustls::version::TLS13, "TLSv1.3"),
                ] {
                    let to = serve(local, ours.chain(&["web"], (2000, 2001)), &[version], 2);
                    assert_eq!(ask(to, "web", "").version, word);
                    let host = "web:443".into();
                    let ask = Get {
                        to,
                        host,
                        path: "/".into(),
                        tls: true,
                        padding: 10,
                        timeout_ms: 2000,
                    };
                    let got = get_many(&ask, 1).unwrap();
                    assert_eq!(
                        (got[0].outcome, got[0].status, got[0].phase.as_str()),
                        (Outcome::Answered, 200, "done")
                    );
                    assert!(got[0].tls_us > 0, "{got:?}");
                }
            }
        });
    }

    #[test]
    fn a_self_signed_certificate_is_called_so() {
        alone(|| {
            let key = KeyPair::generate().unwrap();
            let own = CertificateParams::new(vec!["web".to_string()])
                .unwrap()
                .self_signed(&key)
                .unwrap();
            let chain = (
                vec![own.der().clone()],
                PrivateKeyDer::Pkcs8(key.serialize_der().into()),
            );
            let got = ask(serve("127.0.0.1:0", chain, ALL, 1), "web", "");
            assert_eq!(got.problem, "unknown issuer (self-signed)");
        });
    }

    #[test]
    fn what_is_not_tls() {
        alone(|| {
            let none = Places::default();
            for (reply, outcome) in [
                (&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], Outcome::Garbled),
                (b"", Outcome::Silent),
            ] {
                let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                let to = listener.local_addr().unwrap();
                let began = Instant::now();
                let got = std::thread::scope(|scope| {
                    scope.spawn(|| {
                        let (mut stream, _) = listener.accept().unwrap();
                        stream.write_all(reply).unwrap();
                        while stream.read(&mut [0; 4096]).is_ok_and(|n| n > 0) {}
                    });
                    inspect(to, "web", "", &none, 400).unwrap()
                });
                assert_eq!((got.outcome, got.chain.len()), (outcome, 0), "{got:?}");
                assert!(
                    !got.detail.is_empty() && began.elapsed() < Duration::from_millis(600),
                    "{got:?}"
                );
            }
            let nobody = "127.0.0.1:1".parse().unwrap();
            assert!(inspect(nobody, "not a name", "", &none, 100).is_err());
            assert!(inspect(nobody, "web", "no PEM", &none, 100).is_err());
        });
    }
}
