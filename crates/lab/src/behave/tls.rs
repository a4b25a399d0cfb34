//! The server's side of TLS: a certificate from a directory, read again when its files change.

use super::say;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

/// When and how large each file was.
type Stamp = [(Option<SystemTime>, u64); 2];

/// `tls.crt` and `tls.key` of a directory.
#[derive(Debug)]
pub(super) struct Certificate {
    files: [PathBuf; 2],
    loaded: Mutex<(Stamp, Arc<ServerConfig>)>,
}

impl Certificate {
    /// Reads them; a program whose certificate is not there does not start.
    pub(super) fn open(directory: &str) -> Result<Certificate, String> {
        if directory.is_empty() {
            return Err("https without a certificate directory".into());
        }
        let files = ["tls.crt", "tls.key"].map(|f| Path::new(directory).join(f));
        let loaded = Mutex::new((stamp(&files), Arc::new(load(&files)?)));
        Ok(Certificate { files, loaded })
    }

    /// Secrets are swapped under a running program: the files are looked at for every connection.
    fn current(&self) -> Arc<ServerConfig> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        let now = stamp(&self.files);
        if now != loaded.0 {
            loaded.0 = now;
            match load(&self.files) {
                Ok(config) => {
                    say("certificate reloaded");
                    loaded.1 = Arc::new(config);
                }
                Err(why) => say(format_args!("certificate not reloaded: {why}")),
            }
        }
        loaded.1.clone()
    }

    /// A connection on which both sides agree.
    pub(super) fn handshake(&self, mut stream: TcpStream) -> Result<Secured, String> {
        let failed = |e: &dyn std::fmt::Display| format!("http: TLS handshake error: {e}");
        let mut connection = ServerConnection::new(self.current()).map_err(|e| failed(&e))?;
        while connection.is_handshaking() {
            if let Err(e) = connection.complete_io(&mut stream) {
                return Err(failed(&e));
            }
        }
        Ok(StreamOwned::new(connection, stream))
    }
}

/// What HTTP is spoken on.
pub(super) type Secured = StreamOwned<ServerConnection, TcpStream>;

/// Says that no more comes (RFC 8446, 6.1), so that the end is not taken for a cut.
pub(super) fn close(mut secured: Secured) {
    secured.conn.send_close_notify();
    drop(secured.conn.complete_io(&mut secured.sock));
}

fn stamp(files: &[PathBuf; 2]) -> Stamp {
    files
        .each_ref()
        .map(|f| std::fs::metadata(f).map_or((None, 0), |m| (m.modified().ok(), m.len())))
}

fn load([certificate, key]: &[PathBuf; 2]) -> Result<ServerConfig, String> {
    let failed = |file: &Path, e: &dyn std::fmt::Display| format!("{}: {e}", file.display());
    let chain = CertificateDer::pem_file_iter(certificate).map_err(|e| failed(certificate, &e))?;
    let chain = chain
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| failed(certificate, &e))?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(|e| failed(key, &e))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider);
    let builder = builder
        .with_safe_default_protocol_versions()
        .map_err(|e| failed(certificate, &e))?;
    let mut config = builder
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(|e| failed(certificate, &e))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}
