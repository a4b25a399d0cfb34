//! Authorities that a client on this machine trusts: the public ones that are compiled in, and
//! those that the machine itself names, as OpenSSL's users know them (SSL_CERT_FILE, SSL_CERT_DIR,
//! the distribution's bundle).

use crate::Error;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Where distributions keep their bundle; the first that is there counts.
const BUNDLES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt", // Debian, Arch, Alpine
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", // Fedora, RHEL
    "/etc/pki/tls/certs/ca-bundle.crt",   // older RHEL
    "/etc/ssl/ca-bundle.pem",             // openSUSE
    "/etc/ssl/cert.pem",                  // Alpine, BSD
];
/// Larger files are no bundle; the usual one has a quarter of a MiB.
const MOST_BYTES: u64 = 16 << 20;
/// More files of one folder are not read.
const MOST_FILES: usize = 2000;

/// Authorities from one place.
#[derive(Clone, Debug)]
pub struct Store {
    /// `built-in`, `given`, or the path.
    pub name: String,
    /// What it holds.
    pub roots: RootCertStore,
    /// The same certificates as they are written; none of those built in.
    pub certificates: Vec<CertificateDer<'static>>,
}

impl Store {
    fn new(name: impl Into<String>, certificates: Vec<CertificateDer<'static>>) -> Store {
        let mut roots = RootCertStore::empty();
        // One that does not parse is passed over, as other clients do.
        roots.add_parsable_certificates(certificates.iter().cloned());
        Store {
            name: name.into(),
            roots,
            certificates,
        }
    }
}

/// The public authorities of the `webpki-roots` crate.
pub fn built_in() -> Store {
    Store {
        name: "built-in".into(),
        roots: RootCertStore {
            roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
        },
        certificates: Vec::new(),
    }
}

/// Authorities in PEM that somebody gave; each must be readable.
pub fn given(pem: &str) -> Result<Store, Error> {
    let unreadable = |why: String| Error::Absent {
        what: format!("a readable certificate among the authorities ({why})"),
    };
    let mut store = Store::new("given", Vec::new());
    for der in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let der = der.map_err(|e| unreadable(e.to_string()))?;
        let added = store.roots.add(der.clone());
        added.map_err(|e| unreadable(e.to_string()))?;
        store.certificates.push(der);
    }
    Ok(store)
}

/// Where this machine says its authorities are.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// `SSL_CERT_FILE`.
    pub file: Option<PathBuf>,
    /// `SSL_CERT_DIR`: folders separated by colons.
    pub folders: Option<OsString>,
    /// Bundles to look for when neither is set.
    pub bundles: Vec<PathBuf>,
}

impl Places {
    /// Those of this process.
    pub fn of_this_machine() -> Places {
        let set = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty());
        Places {
            file: set("SSL_CERT_FILE").map(PathBuf::from),
            folders: set("SSL_CERT_DIR"),
            bundles: BUNDLES.iter().map(PathBuf::from).collect(),
        }
    }

    /// What is there, a store for each place. One that holds nothing readable is there too, empty:
    /// it is what other programs on this machine would look into.
    pub fn read(&self) -> Vec<Store> {
        let mut all = Vec::new();
        if let Some(file) = &self.file {
            all.push(Store::new(file.to_string_lossy(), of_file(file)));
        }
        for folder in self.folders.iter().flat_map(std::env::split_paths) {
            all.push(Store::new(folder.to_string_lossy(), of_folder(&folder)));
        }
        if self.file.is_none() && self.folders.is_none() {
            let bundle = self.bundles.iter().find(|b| b.is_file());
            all.extend(bundle.map(|b| Store::new(b.to_string_lossy(), of_file(b))));
        }
        all
    }
}

fn of_file(path: &Path) -> Vec<CertificateDer<'static>> {
    let fits = std::fs::metadata(path).is_ok_and(|m| m.is_file() && m.len() <= MOST_BYTES);
    let bytes = fits.then(|| std::fs::read(path).unwrap_or_default());
    CertificateDer::pem_slice_iter(&bytes.unwrap_or_default())
        .filter_map(Result::ok)
        .collect()
}

fn of_folder(path: &Path) -> Vec<CertificateDer<'static>> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(path)
        .into_iter()
        .flatten()
        .filter_map(|e| Some(e.ok()?.path()))
        .collect();
    files.sort();
    let mut all: Vec<_> = files
        .iter()
        .take(MOST_FILES)
        .flat_map(|f| of_file(f))
        .collect();
    // Files are there under their names and, linked, under their hashes.
    all.sort_by(|a, b| a.as_ref().cmp(b.as_ref()));
    all.dedup();
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn authority() -> rcgen::Certificate {
        let key = rcgen::KeyPair::generate().unwrap();
        rcgen::CertificateParams::new(vec!["cart.shop".to_string()])
            .and_then(|p| p.self_signed(&key))
            .unwrap()
    }

    #[test]
    fn a_machine_names_its_authorities_in_three_ways() {
        let dir = std::env::temp_dir().join(format!("netshoot-authorities-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let (one, two) = (dir.join("one.pem"), dir.join("two.pem"));
        std::fs::write(&one, authority().pem()).unwrap();
        std::fs::write(
            &two,
            format!("text\n{}{}", authority().pem(), authority().pem()),
        )
        .unwrap();
        std::os::unix::fs::symlink(&one, dir.join("0a1b2c3d.0")).unwrap();
        let held = |places: Places| -> Vec<(String, usize)> {
            let stores = places.read();
            stores
                .into_iter()
                .map(|s| (s.name, s.roots.len()))
                .collect()
        };
        let named = |path: &Path, n: usize| (path.display().to_string(), n);
        let bundles = vec![dir.join("none"), two.clone(), one.clone()];
        let places = Places {
            bundles,
            ..Places::default()
        };
        assert_eq!(held(places.clone()), [named(&two, 2)]);
        let file = Places {
            file: Some(one.clone()),
            ..places.clone()
        };
        assert_eq!(held(file), [named(&one, 1)]);
        let absent = Places {
            file: Some(dir.join("none")),
            ..places.clone()
        };
        assert_eq!(held(absent), [named(&dir.join("none"), 0)]);
        let folders = std::env::join_paths([&dir, &dir.join("none")]).unwrap();
        let folders = Places {
            folders: Some(folders),
            ..places
        };
        assert_eq!(held(folders), [named(&dir, 3), named(&dir.join("none"), 0)]);
        std::fs::remove_dir_all(&dir).unwrap();
        assert!(built_in().roots.len() > 50);
    }

    #[test]
    fn damaged_authorities_are_refused_or_passed_over() {
        let pem = authority().pem();
        let path = std::env::temp_dir().join(format!("netshoot-authority-{}", std::process::id()));
        let mut trusted = 0;
        netshoot_wire::fuzz::texts(&[&pem], 1_000, |text| {
            match given(text) {
                Ok(store) => trusted += store.roots.len(),
                Err(e) => assert!(e.to_string().contains("certificate"), "{e}"),
            }
            std::fs::write(&path, text).unwrap();
            let store = Store::new("file", of_file(&path));
            assert!(store.roots.len() <= store.certificates.len());
        });
        std::fs::remove_file(&path).unwrap();
        assert!(trusted > 10, "{trusted}");
    }
}
